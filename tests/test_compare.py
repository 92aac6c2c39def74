"""Taking modalities away and turning them down, against a game that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.domain import Query
from core.explain.compare import rank_alone, turn_down
from tests.toys import SYNERGY, ToyPipeline, exact_shapley, paint

MUG = "the nicest mug on our shelf"


@pytest.fixture(scope="module")
def pipeline():
    return ToyPipeline()


@pytest.fixture(scope="module")
def answer(pipeline):
    return pipeline.recommend(Query.of(text=MUG, images=(paint("vase", "red"),)))


@pytest.fixture(scope="module")
def titles(pipeline):
    return {item.item_id: item.title for item in pipeline.catalogue.items}


def test_weights_of_one_are_the_model(answer, titles):
    same = turn_down(answer, {"text": 1.0, "image": 1.0}, titles)
    assert [item.item_id for item in same.items] == [item.item_id for item in answer.items]
    for ours, theirs in zip(same.items, answer.items, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-6)
        assert dict(ours.phi) == pytest.approx(dict(theirs.phi), abs=1e-6)


@pytest.mark.parametrize("gone", ["text", "image"])
def test_a_weight_of_zero_is_the_modality_absent(pipeline, answer, titles, gone):
    turned = turn_down(answer, {gone: 0.0}, titles)
    without = pipeline.recommend(Query.of(text=MUG, images=(paint("vase", "red"),)).without(gone))
    assert [item.item_id for item in turned.items] == [item.item_id for item in without.items]
    assert all(item.phi[gone] == 0.0 and item.shares[gone] == 0.0 for item in turned.items)


def test_a_weight_in_between_is_the_expected_score(answer, titles):
    neither, words, photo, both = (float(answer.coalitions[row, 0]) for row in range(4))
    turned = turn_down(answer, {"text": 0.25, "image": 0.5}, titles)
    expected = 0.75 * 0.5 * neither + 0.25 * 0.5 * words + 0.75 * 0.5 * photo + 0.25 * 0.5 * both
    assert float(turned.coalitions[-1, 0]) == pytest.approx(expected, abs=1e-6)


def test_contributions_of_the_weighted_game_add_up_and_are_its_shapley_values(answer, titles):
    turned = turn_down(answer, {"text": 0.3, "image": 0.8}, titles)
    phi = exact_shapley(np.asarray(turned.coalitions, dtype=float))
    for item in turned.items:
        assert item.base + sum(item.phi.values()) == pytest.approx(item.score, abs=1e-6)
        column = answer.item_ids.index(item.item_id)
        assert [item.phi["text"], item.phi["image"]] == pytest.approx(phi[:, column].tolist(), abs=1e-6)
        assert sum(item.shares.values()) == pytest.approx(1.0)


def test_weights_outside_of_0_to_1_are_brought_inside(answer, titles):
    inside, outside = (turn_down(answer, {"text": weight}, titles) for weight in (0.0, -3.0))
    assert [item.score for item in inside.items] == [item.score for item in outside.items]


def test_a_ranking_by_one_modality_is_the_ranking_of_that_query(pipeline, answer):
    words = rank_alone(answer, ("text",))
    alone = pipeline.recommend(Query.of(text=MUG), top=6)
    assert list(words.order[:6]) == [item.item_id for item in alone.items]
    assert words.place(words.order[4]) == 5


def test_ties_keep_the_order_of_the_items(answer):
    level = rank_alone(turn_down(answer, {"text": 0.0, "image": 0.0}, {}), ())
    scores = [level.scores[item_id] for item_id in level.order]
    assert scores == sorted(scores, reverse=True)
    ties = [(a, b) for a, b in zip(level.order, level.order[1:], strict=False) if level.scores[a] == level.scores[b]]
    assert all(a < b for a, b in ties)


def test_the_synergy_of_the_toy_shop_is_shared_evenly(answer):
    first = answer.items[0]
    column = answer.item_ids.index(first.item_id)
    neither, words, photo, _ = answer.coalitions[:, column].astype(float)
    assert first.phi["text"] - (words - neither) == pytest.approx(SYNERGY * 0.5 * (photo - neither) / 2, abs=1e-6)
