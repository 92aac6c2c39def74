"""The explainer against answers that are known in closed form, over trained runs: vbpr adds up, `recommend` prints."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from core.account import explain
from core.domain import Interaction, Query
from core.explain.attribution import attribute, own_score
from core.explain.contributions import spread
from core.explain.scorer import everything
from core.explaining import BASELINES, Microscope
from core.features import catalogue_features
from core.pipeline import Pipeline, load_run
from core.rank import RANKERS
from core.scoring import item_media, scorer_for
from core.train import train_run
from tests.tiny_microscope import TinyCells, TinyWords, shop_on_disk, tiny_pipeline
from tests.tiny_world import tiny_settings
from tests.toys import COLOURS, paint

PEOPLE, EACH = 15, 12
ONLY_IDS = ("popularity", "neighbours", "factors", "graph")


def trained(root, rank: str) -> Pipeline:
    """A run of that ranker over the toy shop: fifteen people, who like one colour each and say which kind they met."""
    shop = shop_on_disk(root)
    met = [
        Interaction(
            user_id=f"p{user:02d}", item_id=item.item_id, timestamp=1_700_000_000_000 + 1000 * user + at,
            rating=5.0 if item.attributes["colour"] == list(COLOURS)[user % 6] else 2.0,
            review_text=f"the {item.category} of user {user} is {item.attributes['colour']}",
            media={"image": item.media["image"]},
        )
        for user in range(PEOPLE)
        for at, item in enumerate(shop.items[(5 * user) % 24 :][:EACH])
    ]  # fmt: skip
    shop = replace(shop, interactions=tuple(met))
    encoders = {"text": TinyWords(), "image": TinyCells()}
    settings = tiny_settings(catalogue="toy", rank=rank, epochs=2, patience=1, user_batch=64, negatives=16)
    with pytest.MonkeyPatch.context() as patch:
        if rank not in ONLY_IDS:
            patch.setattr("core.train.run.catalogue_features", partial(catalogue_features, encoders=encoders))
        train_run(shop, settings, root / "run", vectors=root / "vectors")
        patch.setattr("core.pipeline.load_encoder", lambda m, name, device: encoders[m])
        pipeline = load_run(root / "run", shop)
        for m in pipeline.model.modalities:
            pipeline.encoder(m)
    return pipeline


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    made: dict[str, Pipeline] = {}

    def run(rank: str) -> Pipeline:
        if rank not in made:
            made[rank] = trained(tmp_path_factory.mktemp(rank), rank)
        return made[rank]

    return run


def test_of_vbpr_the_explainer_finds_the_closed_form_on_every_pair_of_user_and_item(runs):
    pipeline = runs("vbpr")
    ranker, pairs = pipeline.model.ranker, 0
    edge = pipeline.model.space["text"].kept
    whole = pipeline.items.vectors[-1]  # (N, F): standardised features, text before image
    for user, row in pipeline.user_rows.items():
        query = Query(user=user)
        answer = pipeline.recommend(query, top=len(pipeline.item_ids))
        closed = ranker.tastes[row] @ ranker.look * whole  # (N, F): u_c . W_m x_m, one summand a feature
        own = pipeline.known.clamp(min=0)
        base = (ranker.own[own] @ ranker.people[row]) * (pipeline.known >= 0) + ranker.tastes[row] @ ranker.look_bias
        for item_id in pipeline.item_ids:
            scope = Microscope(pipeline, query, item_id, answer, pipeline.catalogue.root / "vectors")
            found, at = scope.contributions()["score"], scope.scorer.target
            sides = {"text": float(closed[at, :edge].sum()), "image": float(closed[at, edge:].sum())}
            assert found.phi == pytest.approx({m: sides[m] for m in scope.players}, abs=1e-5)
            assert found.base == pytest.approx(float(base[at]), abs=1e-5) and found.accepted
            assert all(abs(value) < 1e-5 for value in found.pairs.values())
            pairs += 1
    assert pairs >= 500
    assert float(closed.abs().max()) > 1e-2  # something was learned, so the comparison says something


@pytest.fixture(scope="module", autouse=True)
def encoded_once():
    """What the explainer reads of an item from the vector store, kept: five hundred pairs are of thirty-six items."""
    kept: dict[tuple, list] = {}

    def media(pipeline, rows, vectors):
        key = (id(pipeline), *rows)
        if key not in kept:
            kept[key] = item_media(pipeline, rows, vectors)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.scoring.item_media", media)
        patch.setattr("core.explaining.item_media", media)
        yield


def asked(pipeline: Pipeline) -> list[Query]:
    """Five questions: with words, a photo, or both, where the ranker answers queries; else known users."""
    can = pipeline.model.ranker.cases
    red, blue = paint("mug", "red", 48), paint("vase", "blue", 48)
    queries = [Query.of(text="a red mug", images=(red,)), Query.of(text="blue vase for tall flowers", images=(blue,))]
    users = [Query(user=user) for user in list(pipeline.user_rows)[:5]]
    if "query" not in can:
        return users
    if "known user" not in can:
        return [*queries, *(Query.of(text=one, images=(red,)) for one in ("a lamp", "stool, small", "green bowl"))]
    return [*queries, Query(parts=queries[0].parts, user=users[0].user), *users[:2]]


@pytest.mark.parametrize("rank", RANKERS)
def test_of_every_ranker_base_and_contributions_are_what_recommend_prints(runs, rank):
    pipeline, cases = runs(rank), 0
    for query in asked(pipeline):
        answer = pipeline.recommend(query, top=99)
        printed: dict[tuple, dict[str, float]] = {}  # what is left out -> the score of each item
        for item_id in pipeline.item_ids[::4][:9] + pipeline.item_ids[-1:]:
            scope = Microscope(pipeline, query, item_id, answer, pipeline.catalogue.root / "vectors")
            score = next(one.score for one in answer.items if one.item_id == item_id)
            for baseline in BASELINES:
                found = scope.contributions(baseline)["score"]
                assert found.base + sum(found.phi.values()) == pytest.approx(score, abs=1e-5) and found.accepted
            again = scope.scorer.of_media([scope.scorer.media])[0, scope.scorer.target]
            assert again == pytest.approx(score, abs=1e-2)  # encoded anew, it is the kept one but for half precision
            values = spread(scope.scorer.coalitions(), scope.players, scope.listed)[:, scope.scorer.target]
            for row, value in enumerate(values):
                out = tuple(m for bit, m in enumerate(scope.listed) if not row >> bit & 1)
                if out not in printed:
                    items = pipeline.recommend(query, top=99, without=out).items
                    printed[out] = {one.item_id: one.score for one in items}
                assert value == pytest.approx(printed[out][item_id], abs=1e-5)
            if rank in ONLY_IDS:
                assert len(values) == 4 and scope.in_path == {"text": False, "image": False}
                assert all(one.phi == {"text": 0.0, "image": 0.0} for one in scope.contributions().values())
            cases += 1
    assert cases == 50


@pytest.mark.parametrize("rank", ONLY_IDS)
def test_a_ranker_of_ids_is_explained_without_words_and_patches(runs, rank):
    pipeline, vectors = runs(rank), runs(rank).catalogue.root / "vectors"
    query = Query(user=next(iter(pipeline.user_rows)))
    for first in pipeline.recommend(query, top=3).items:
        told = explain(pipeline, query, first.item_id, vectors, against=pipeline.item_ids[7])
        assert told["shapley"]["score"] == {"text": 0.0, "image": 0.0} and told["rank"] == first.rank
        assert told["in_scoring_path"] == {"text": False, "image": False}
        assert told["words"] == told["patches"] == [] and told["methods"] == {} and not told["faithfulness"]["passed"]
        assert told["against"]["difference"] == told["against"]["base"]
        scope = Microscope(pipeline, query, first.item_id, pipeline.recommend(query, top=99), vectors)
        assert scope.unseating.steps == () and not scope.unseating.found
        assert scope.weights() is None and scope.maps == scope.interventions == scope.gates == {}


def keep_as_features(scorer):
    """The score as captum's ablation wants it: one 0 or 1 a unit of each modality."""

    def score(*kept: torch.Tensor) -> torch.Tensor:
        whole = {m: one > 0.5 for m, one in zip(scorer.players, kept, strict=True)}
        keep = {m: scorer.units[m].tokens(one, scorer.parts[m]) for m, one in whole.items()}
        return scorer.scores({m: scorer.states[m][None] for m in scorer.players}, keep)[:, scorer.target]

    return score


@pytest.mark.parametrize(("align", "fuse"), [("projection", "weighted"), ("attention", "transformer")])
def test_words_and_patches_are_weighed_as_captum_weighs_them(tmp_path, align, fuse):
    from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients

    pipeline = tiny_pipeline(tmp_path, align=align, fuse=fuse)
    query = Query.of(text="a red mug for the long table", images=(paint("vase", "red", 96),))
    for item_id in ("t01", "t20"):
        scorer = scorer_for(pipeline, query, item_id, tmp_path / "vectors")
        states = tuple(scorer.states[m][None] for m in scorer.players)
        kept = tuple(one.float() for one in everything(scorer).values())
        theirs = {
            "integrated": IntegratedGradients(own_score(scorer)).attribute(states, n_steps=24),
            "gradient": InputXGradient(own_score(scorer)).attribute(
                tuple(one.clone().requires_grad_() for one in states)
            ),
        }
        for method, by_token in theirs.items():
            ours = attribute(scorer, method)
            for m, one in zip(scorer.players, by_token, strict=True):
                assert ours[m] == pytest.approx(scorer.units[m].per_unit(one[0].sum(-1)), abs=1e-4)
        ablated = FeatureAblation(keep_as_features(scorer)).attribute(kept)
        ours = attribute(scorer, "occlusion")
        for m, one in zip(scorer.players, ablated, strict=True):
            assert ours[m] == pytest.approx(one[0].double().numpy(), abs=1e-4)
            assert np.abs(ours[m]).max() > 1e-3
