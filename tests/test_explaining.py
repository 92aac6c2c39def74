"""The microscope over the real pipeline: what it says is what `recommend` prints, for every part that can be chosen."""

from __future__ import annotations

import numpy as np
import pytest

from core.account import explain
from core.domain import Query
from core.errors import InputError, UnknownNameError
from core.explain.scorer import everything, masked_scores
from core.explaining import Microscope, edited
from core.scoring import item_media, scorer_for
from tests.tiny_microscope import tiny_pipeline
from tests.toys import paint

WORDS = "a red mug for the long table"
PARTS = [("projection", "weighted"), ("projection", "transformer"), ("attention", "stacking"), ("concat", "attention")]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return tiny_pipeline(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def query():
    return Query.of(text=WORDS, images=(paint("vase", "red", 96),))


@pytest.fixture(scope="module")
def scope(pipeline, query):
    answer = pipeline.recommend(query)
    return Microscope(pipeline, query, answer.items[0].item_id, answer, pipeline.catalogue.root / "vectors")


def printed(pipeline, query: Query, item_id: str, without: tuple[str, ...]) -> float:
    answer = pipeline.recommend(query, top=99, without=without)
    return next(one.score for one in answer.items if one.item_id == item_id)


@pytest.mark.parametrize(("align", "fuse"), PARTS)
@pytest.mark.parametrize("asked", ["query", "query of a user", "item"])
def test_every_coalition_is_what_recommend_prints_without_the_others(tmp_path, query, align, fuse, asked):
    pipeline = tiny_pipeline(tmp_path, align=align, fuse=fuse)
    user = None if asked == "query" else "u001"
    given = Query(user=user) if asked == "item" else Query(parts=query.parts, user=user)
    for item_id in ("t08", "t35"):
        scorer = scorer_for(pipeline, given, item_id, tmp_path / "vectors")
        for row, scores in enumerate(scorer.coalitions()):
            out = tuple(m for bit, m in enumerate(scorer.players) if not row >> bit & 1)
            assert scores[scorer.target] == pytest.approx(printed(pipeline, given, item_id, out), abs=1e-5)


@pytest.mark.parametrize(("align", "fuse"), PARTS)
def test_base_and_contributions_are_the_printed_score(tmp_path, query, align, fuse):
    pipeline = tiny_pipeline(tmp_path, align=align, fuse=fuse)
    answer = pipeline.recommend(query)
    for item in answer.items[:4]:
        found = Microscope(pipeline, query, item.item_id, answer, tmp_path / "vectors").contributions()["score"]
        assert found.base + sum(found.phi.values()) == pytest.approx(item.score, abs=1e-5) and found.accepted
        assert dict(found.phi) == pytest.approx(dict(item.phi), abs=1e-5)


def full_score(scorer) -> float:
    return float(masked_scores(scorer, everything(scorer))[0, scorer.target])


@pytest.mark.parametrize(("align", "fuse"), PARTS)
def test_everything_kept_is_the_score_and_nothing_kept_is_the_empty_coalition(tmp_path, query, align, fuse):
    pipeline = tiny_pipeline(tmp_path, align=align, fuse=fuse)
    scorer = scorer_for(pipeline, query, "t03", tmp_path / "vectors")
    coalitions = scorer.coalitions()
    assert full_score(scorer) == pytest.approx(coalitions[-1, scorer.target], abs=1e-5)
    kept = everything(scorer)
    for bit, m in enumerate(scorer.players):
        gone = masked_scores(scorer, {**kept, m: ~kept[m]})[0]
        assert gone == pytest.approx(coalitions[3 - (1 << bit)], abs=1e-5)


def test_an_item_without_a_photo_has_no_photo_to_explain(pipeline):
    scorer = scorer_for(pipeline, Query(user="u001"), "t35", pipeline.catalogue.root / "vectors")
    assert scorer.scope == "item" and scorer.players == ("text",)


def test_of_an_item_only_its_own_score_changes(pipeline):
    scorer = scorer_for(pipeline, Query(user="u001"), "t04", pipeline.catalogue.root / "vectors")
    scores = scorer.coalitions()
    others = np.delete(scores, scorer.target, axis=1)
    assert np.ptp(others, axis=0).max() == 0 and np.ptp(scores[:, scorer.target]) > 0


def test_popularity_looks_at_no_modality(tmp_path):
    pipeline = tiny_pipeline(tmp_path, rank="popularity")
    answer = pipeline.recommend(Query(user="u001"))
    scope = Microscope(pipeline, Query(user="u001"), "t04", answer, tmp_path / "vectors")
    assert scope.in_path == {"text": False, "image": False}
    assert all(value == 0 for one in scope.contributions().values() for value in one.phi.values())
    with pytest.raises(InputError, match="cannot answer a query"):
        scorer_for(pipeline, Query.of(text=WORDS), "t04", tmp_path / "vectors")


def test_equal_scores_have_the_place_of_their_card(tmp_path):
    pipeline, query = tiny_pipeline(tmp_path, rank="popularity"), Query(user="u001")
    answer = pipeline.recommend(query, top=99)
    assert len({one.score for one in answer.items}) < len(answer.items)
    for card in answer.items[:9]:
        scope = Microscope(pipeline, query, card.item_id, answer, tmp_path / "vectors")
        assert scope.place == card.rank and scope.contributions()["rank"].full == -card.rank


@pytest.mark.parametrize("item_id", ["t04", "t35"])  # the second has words alone, so that nothing is left of it
@pytest.mark.parametrize("gone", [("image",), ("text",), ("text", "image")])
def test_what_is_left_out_of_every_item_is_left_out_of_its_account(pipeline, gone, item_id):
    query, vectors = Query(user="u001"), pipeline.catalogue.root / "vectors"
    told = explain(pipeline, query, item_id, vectors, without=gone)
    card = next(one for one in pipeline.recommend(query, top=99, without=gone).items if one.item_id == item_id)
    assert told["score"] == pytest.approx(card.score) and told["rank"] == card.rank and told["accepted"]
    assert set(told["shapley"]["score"]) == {"text", "image"} - set(gone) - ({"image"} if item_id == "t35" else set())
    assert told["base"] == pytest.approx(printed(pipeline, query, item_id, ("text", "image")), abs=1e-5)
    scope = Microscope(pipeline, query, item_id, pipeline.recommend(query, without=gone), vectors, without=gone)
    whole = scope.scorer.coalitions()[-1]
    assert whole == pytest.approx(scope.answer.coalitions[-1], abs=1e-5)  # of every other item as well


def test_the_words_and_cells_are_those_of_the_question(scope):
    units = scope.scorer.units
    assert units["text"].names == tuple(WORDS.split())
    assert [WORDS[a:b] for a, b in units["text"].spans] == WORDS.split()
    assert len(units["image"]) == 9 and units["image"].spans[5] == (1, 2)


def test_every_baseline_ends_at_the_printed_score(scope):
    judged = scope.sensitivity()
    assert set(judged.by_baseline) == {"absent", "mean", "others"}
    for one in judged.by_baseline.values():
        assert one.full == pytest.approx(scope.printed, abs=1e-5) and one.accepted
    with pytest.raises(InputError, match="absent, mean, others"):
        scope.contributions("noise")


def test_one_named_item_may_stand_where_a_modality_is_taken_away(pipeline, scope):
    [own] = item_media(pipeline, [pipeline.item_ids.index("t08")], scope.vectors)
    found, scores = scope.contributions(other="t08")["score"], scope.scorer.of_media([own])
    assert found.base == pytest.approx(scores[0, scope.scorer.target], abs=1e-6) and found.accepted
    assert found.base != pytest.approx(scope.contributions()["score"].base, abs=1e-3)
    with pytest.raises(UnknownNameError, match="unknown item"):
        scope.contributions(other="t99")


def test_all_media_of_a_modality_are_exchanged_for_all_of_the_other_item(pipeline, scope):
    every = item_media(pipeline, range(len(pipeline.item_ids)), scope.vectors)
    whole = {tuple(len(one.get(m, ())) for m in scope.players) for one in every}
    drawn = {tuple(len(one[m]) for m in scope.players) for one in scope.others}
    assert drawn <= whole and max(text for text, _ in drawn) > 1


def test_swapping_a_modality_for_its_own_changes_nothing(scope):
    same = scope.scorer.instead({"image": scope.scorer.media["image"]})
    assert float(same.whole_scores()[0, scope.scorer.target]) == pytest.approx(scope.printed, abs=1e-5)
    found = scope.interventions
    assert set(found) == {"text", "image"} and all(one.low <= one.effect <= one.high for one in found.values())


def test_why_not_is_the_difference_of_the_two_scores(scope):
    other = scope.answer.items[3]
    split, weights = scope.why_not(other.item_id)
    assert split.full == pytest.approx(scope.printed - other.score, abs=1e-5)
    assert split.base + sum(split.phi.values()) == pytest.approx(split.full, abs=1e-9)
    assert weights is not None and len(weights["text"]) == len(WORDS.split())


def test_why_not_of_a_known_user_is_the_difference_of_two_items_with_their_own_words(pipeline):
    query = Query(user="u001")
    answer = pipeline.recommend(query, top=3)
    scope = Microscope(pipeline, query, "t04", answer, pipeline.catalogue.root / "vectors")
    for other_id in ("t08", "t35"):  # neither need be printed; the second has no photo
        split, weights = scope.why_not(other_id)
        other = scope.beside(other_id)
        assert split.full == pytest.approx(scope.printed - printed(pipeline, query, other_id, ()), abs=1e-5)
        assert split.base + sum(split.phi.values()) == pytest.approx(split.full, abs=1e-9) and split.accepted
        mine, theirs = (one.contributions()["score"].phi for one in (scope, other))
        assert split.phi == pytest.approx({m: mine[m] - theirs.get(m, 0.0) for m in mine}, abs=1e-9)
        assert len(weights["text"]) == len(scope.scorer.units["text"])
        assert len(other.weights()["text"]) == len(other.scorer.units["text"])


def test_history_effects_are_leaving_one_out(pipeline):
    query = Query(user="u001")
    scope = Microscope(pipeline, query, "t04", pipeline.recommend(query), pipeline.catalogue.root / "vectors")
    assert [one.item_id for one in scope.history] and abs(scope.history[0].effect) >= abs(scope.history[-1].effect)
    one = next(met for met in scope.history if met.item_id == "t09")
    assert one.effect == pytest.approx(0.0, abs=1e-6)  # one star is worth nothing to this ranker


def test_a_method_is_judged_on_this_case_and_says_why_it_fails(scope):
    verdicts = scope.verdicts()
    assert "shapley" not in verdicts and "integrated" in verdicts  # the slow one waits until it is asked for
    for by_modality in verdicts.values():
        for verdict in by_modality.values():
            assert verdict.passed == (verdict.reason == "")
    assert set(scope.verdicts("shapley")) == {"shapley"}


def test_a_randomised_model_scores_otherwise_and_leaves_the_real_one_alone(scope):
    before = full_score(scope.scorer)
    assert full_score(scope.scorer.randomised(1)) != pytest.approx(before, abs=1e-3)
    assert full_score(scope.scorer) == before


def test_gone_words_and_cells_leave_the_question(scope, query):
    changed = edited(query, scope.scorer, {"text": (1, 2), "image": (0,)})
    assert changed.text == "a for the long table"
    assert len(changed.of_modality("image")) == 1 and changed.of_modality("image") != query.of_modality("image")
    assert edited(query, scope.scorer, {"text": range(7)}).modalities == ("image",)
    assert edited(query, scope.scorer, {}) == query


def test_the_surrogate_tells_its_fidelity(scope):
    made = scope.surrogate
    assert made.items == 36 and made.fidelity is not None and 0 <= made.fidelity <= 1
    assert any(fact.startswith("category: ") for fact in made.weights)


def test_the_account_has_the_keys_that_stay(pipeline, query):
    told = explain(pipeline, query, "t03", pipeline.catalogue.root / "vectors")
    assert {"scope", "base", "shapley", "residual", "baseline", "words", "patches", "faithfulness"} <= set(told)
    assert set(told["shapley"]) == {"score", "rank", "top_k"} and abs(told["residual"]) < 1e-5
    assert [one["text"] for one in told["words"]] == WORDS.split()
    assert np.array(told["patches"]).shape == (1, 3, 3)
    assert {"deletion", "insertion", "random_deletion", "passed"} <= set(told["faithfulness"])


def test_an_unknown_item_is_refused(pipeline, query):
    with pytest.raises(UnknownNameError, match="unknown item"):
        explain(pipeline, query, "t99", pipeline.catalogue.root / "vectors")
