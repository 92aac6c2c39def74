"""Planted against measured: a shop in which it is known who looks, reads or listens, and which word names what."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core.domain import Interaction
from core.evaluate import truth_shares
from core.evaluate.trust import Case, contents_of, encoded_again, scorer_of, trust
from core.evaluate.truth import fault_scores
from core.evaluate.truth_shares import cared, oracle_shares, pointing, segment_shares, weighed_words, words_named
from core.features import catalogue_features
from tests.tiny_microscope import WIDTHS, tiny_pipeline
from tests.toys import COLOURS, toy_catalogue

REVIEW = "A lovely thing for us. It is red and stands well"


def row(user: str, item: str, rating: float, text: str = "") -> Interaction:
    return Interaction(user_id=user, item_id=item, rating=rating, timestamp=0, review_text=text)


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """The tiny shop with reviews of two sentences, and its features."""
    pipeline = tiny_pipeline(tmp_path_factory.mktemp("shop"))
    rows = tuple(row("u001", item.item_id, 5.0, REVIEW) for item in pipeline.catalogue.items[:8])
    pipeline.catalogue = replace(pipeline.catalogue, interactions=rows)
    features = catalogue_features(
        pipeline.catalogue, pipeline.settings, pipeline.catalogue.root / "vectors", modalities=tuple(WIDTHS),
        encoders={m: pipeline.encoder(m) for m in WIDTHS},
    )  # fmt: skip
    return pipeline, features


def vocabulary(**more):
    empty = {"colours": list(COLOURS), "patterns": [], "materials": [], "look_features": ["red"], "read_features": []}
    return empty | more


def test_the_words_of_a_review_of_several_sentences_are_looked_at(reviewed):
    pipeline, features = reviewed
    truth = {
        "vocabulary": vocabulary(),
        "users": {"u001": {"read_taste": [], "look_taste": [1.0]}},
        "reviews": {f"u001 {one.item_id}": {"seen": ["colour:red"]} for one in pipeline.catalogue.interactions},
    }
    labels = ["train"] * 6 + ["test"] * 2
    split = SimpleNamespace(labels=labels)
    found = words_named(pipeline, features, split, truth, 10, 0, "occlusion")
    assert found["cases"] == 2 and found["text_share"] == 1.0  # in six reviews alike every word names the colour
    of_product = words_named(pipeline, features, split, truth, 10, 0, "occlusion", scope="item")
    assert of_product["cases"] <= 2 and of_product != found  # its own words, before the writer


def test_the_words_before_the_writer_are_held_against_those_before_another_user(reviewed, monkeypatch):
    pipeline, features = reviewed
    truth = {
        "vocabulary": vocabulary(),
        "users": {"u001": {"read_taste": [], "look_taste": [1.0]}},
        "reviews": {f"u001 {one.item_id}": {"seen": ["colour:red"]} for one in pipeline.catalogue.interactions},
    }

    def weighed(pipeline, features, row, *rest):
        return ("red", "v", "w", "x", "y"), np.array([1.0 if row.user_id == "u001" else -1.0, 0, 0, 0, 0])

    monkeypatch.setattr(truth_shares, "weighed_words", weighed)
    split = SimpleNamespace(labels=["train"] * 6 + ["test"] * 2)
    found = words_named(pipeline, features, split, truth, 10, 0, "occlusion", scope="item", another=True)
    assert found["cases"] == 2 and found["over_another"]["value"] == pytest.approx(1 / 3 - 0)


def test_who_asks_counts_for_the_words_of_a_product_and_not_for_those_of_a_review(reviewed):
    pipeline, features = reviewed
    one, media = pipeline.catalogue.interactions[0], features.interactions[0]
    weights = {
        scope: [
            weighed_words(pipeline, features, replace(one, user_id=user), media, "occlusion", scope)[1]
            for user in ("u001", "u002")
        ]
        for scope in ("query", "item")
    }
    assert np.array_equal(*weights["query"])
    assert not np.allclose(*weights["item"])


def test_a_ranker_that_answers_no_question_has_no_words_and_no_photos(tmp_path):
    pipeline = tiny_pipeline(tmp_path, rank="popularity")
    split = SimpleNamespace(labels=[])
    assert words_named(pipeline, None, split, {}, 10, 0, "occlusion")["cases"] == 0
    assert pointing(pipeline, None, split, {"customer_photos": [{}]}, "occlusion")["photos"] == 0


def test_a_case_holds_one_sentence_a_medium_and_none_where_a_file_was_not_read(reviewed):
    pipeline, features = reviewed
    one, media = pipeline.catalogue.interactions[0], features.interactions[0]
    assert contents_of(pipeline, one, {"text": media["text"]})["text"] == (
        "A lovely thing for us.", "It is red and stands well",
    )  # fmt: skip
    unread = replace(one, media={"image": ("photos/gone.jpg", "photos/mug_red.jpg")})
    assert "image" not in contents_of(pipeline, unread, {"image": media["text"][:1]})


def test_encoded_anew_without_anything_gone_a_review_is_what_it_was(reviewed):
    pipeline, features = reviewed
    one, media = pipeline.catalogue.interactions[0], {"text": features.interactions[0]["text"]}
    case = Case(scope="query", user=None, target=3, media=media, group="t", contents=contents_of(pipeline, one, media))
    scorer = scorer_of(pipeline, features, case)
    names = scorer.units["text"].names
    assert names == tuple(REVIEW.split())
    kept = np.ones((2, len(names)), dtype=bool)
    kept[1, names.index("red")] = False
    again = encoded_again(pipeline, scorer, case, "text", kept)
    assert [len(row) for row in again] == [2, 2]
    scores = scorer.media_scores("text", again)[:, 3]
    assert scores[0] == pytest.approx(float(scorer.whole_scores()[0, 3]), abs=1e-3) and scores[1] != scores[0]
    found = trust(pipeline, features, [case] * 2, draws=3, level="media", seed=0, methods=("occlusion",))
    assert found["occlusion"]["text"]["cases"] == 2


def test_the_ridge_finds_who_looks_who_reads_and_who_listens():
    items = toy_catalogue().items
    drawn = np.random.default_rng(0).integers(0, 2, (len(items), 3))
    truth = {
        "vocabulary": vocabulary(read_features=["care:easy"], heard_features=["ring:long"]),
        "items": {
            item.item_id: {
                "impressions": {}, "seen": {"colour": "red" if look else "blue"}, "both": {},
                "read": {"care": "easy" if read else "hard"}, "heard": {"ring": "long" if heard else "dry"},
            }
            for item, (look, read, heard) in zip(items, drawn, strict=True)
        },
    }  # fmt: skip
    people = {"looker": 0, "reader": 1, "listener": 2}
    rows = [
        row(user, item.item_id, 1.0 + 4.0 * own[at]) for user, at in people.items()
        for item, own in zip(items, drawn, strict=True)
    ]  # fmt: skip
    shop = replace(toy_catalogue(), interactions=tuple(rows))
    split = SimpleNamespace(labels=["train"] * len(rows))
    held = {user: (0, 1, 2) for user in people}
    found = oracle_shares(SimpleNamespace(catalogue=shop), split, truth, list(people), held)
    for user, sense in enumerate(("look", "read", "heard")):
        assert found[sense][user] > 0.9
        assert sum(found[other][user] for other in found) == pytest.approx(1.0)


def test_listeners_stand_above_the_others_by_an_interval_and_equals_by_none():
    spread = np.linspace(-0.05, 0.05, 30)
    audio = np.concatenate([0.4 + spread, 0.2 + spread, 0.3 + spread])
    measured = np.stack([1 - audio, audio], 1)
    segments = ["listeners"] * 30 + ["readers"] * 30 + ["balanced"] * 30
    found = segment_shares(segments, ("text", "audio"), measured)
    above = found["listeners"]["audio"]["over_others"]
    assert above["value"] == pytest.approx(0.4 - (0.2 + 0.3) / 2) and 0.1 < above["low"] < 0.15 < above["high"]
    assert found["listeners"]["users"] == 30 and found["listeners"]["audio"]["value"] == pytest.approx(0.4)
    alike = found["balanced"]["audio"]["over_others"]
    assert alike["low"] < 0.0 < alike["high"]
    assert segment_shares(["balanced"] * 90, ("text", "audio"), measured) == {}


def test_a_listener_cares_about_what_is_heard_and_a_pitch_has_all_its_levels():
    heard = vocabulary(heard_features=["ring:long", "pitch"], heard={"pitch": ["low", "high"]})
    user = {"read_taste": [], "look_taste": [0.0], "heard_taste": [0.1, -0.8]}
    assert cared({"vocabulary": heard, "users": {"l": user}}, "l") == {"pitch:low", "pitch:high"}


def test_missing_and_silent_sounds_have_a_place_in_the_truth():
    from core.catalog.clean import Detection, Mark

    truth = {"faults": [{"kind": "silent_sound", "item_id": "a", "file": "sounds/a.ogg"}]}
    marks = (Mark(item_id="a", file="sounds/a.ogg", score=1.0), Mark(item_id="b", file="sounds/b.ogg", score=0.0))
    found = fault_scores(truth, [Detection(step="silent_sound", marks=marks, looked_at=2, limit=0.5)])
    assert found["silent_sound"]["precision"] == found["silent_sound"]["recall"] == 1.0


def test_faithfulness_measured_in_parts_is_that_of_one_go(reviewed, monkeypatch, tmp_path):
    import json
    from itertools import count

    from bench import microscope

    pipeline, features = reviewed
    pipeline.told["digests"] = {"model.safetensors": "0"}
    media = {"text": features.interactions[0]["text"]}
    contents = contents_of(pipeline, pipeline.catalogue.interactions[0], media)
    cases = [
        Case(scope="query", user=None, target=target, media=media, group=f"g{target % 2}", contents=contents)
        for target in range(4)
    ]  # fmt: skip
    monkeypatch.setattr(microscope, "opened", lambda options: (pipeline, features))
    monkeypatch.setattr(microscope, "shop_cases", lambda *asked: (cases, "query"))
    options = SimpleNamespace(run="toy", cases=4, methods=("occlusion", "gradient"), minutes=None, json=None)
    whole = microscope.faith(options)
    clock = count(0, 30)
    monkeypatch.setattr(microscope.time, "perf_counter", lambda: next(clock))
    options.json, options.minutes = tmp_path / "faith.json", 1.0
    part = microscope.faith(options)
    assert part["cases"] == 2 and part["wanted"] == 4 and whole["cases"] == 4
    options.json.write_text(json.dumps(part, default=microscope.asdict))
    options.minutes = None
    assert microscope.faith(options)["methods"] == whole["methods"]
    options.folders = [options.json]
    lines = microscope.table(options)["table"]
    assert lines[0] == "| modality | method | toy (2, states) |" and "only 2 cases" in lines[-1]
