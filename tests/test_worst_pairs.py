"""Pairs that may not belong together, judged by what has not seen them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.domain import Catalogue, Item
from core.evaluate.alignment import area_under_curve
from core.mapping.report import ALIGNER, OTHERS, worst_pairs
from core.mapping.space import Sides, Spaces
from core.prepare.mismatch import below_usual, doubt, robust, told_by_others, unlike_others
from tests.tiny_world import tiny_catalogue

ITEMS, PHOTOS = 60, 2
WRONG = (4, 31, 77, 110)  # photos that change places


@pytest.fixture
def world() -> tuple[Spaces, Catalogue]:
    """Words and two photos of sixty items say the same six things; four photos changed places. The aligner has learned
    these very pairs by heart: all lie at distance 0."""
    draw = np.random.default_rng(3)
    meant = draw.normal(size=(ITEMS, 6))
    owner = np.repeat(np.arange(ITEMS), PHOTOS)
    shown = meant[owner]
    shown[list(WRONG)] = shown[[WRONG[-1], *WRONG[:-1]]]

    def side(items: np.ndarray, said: np.ndarray, name: str) -> Sides:
        raw = said @ draw.normal(size=(6, 20)) + 0.3 * draw.normal(size=(len(said), 20))
        names = tuple(f"{name}{number}" for number in range(len(said)))
        return Sides(items=items, names=names, vectors=np.eye(ITEMS, dtype=np.float32)[items], raw=raw)

    sides = {"text": side(np.arange(ITEMS), meant, "words"), "image": side(owner, shown, "photo")}
    after = {m: np.eye(ITEMS, dtype=np.float32) for m in sides}
    there = {m: np.ones(ITEMS, dtype=bool) for m in sides}
    spaces = Spaces(raw=after, before=after, after=after, fused=after["text"], sides=sides, present=there,
                    trained=np.ones(ITEMS, dtype=bool))  # fmt: skip
    items = tuple(Item(item_id=f"i{number}", title=f"Thing {number}") for number in range(ITEMS))
    return spaces, replace(tiny_catalogue(), items=items, interactions=())


def found(pairs: list[dict]) -> float:
    wrong = np.array([pair["image"] in {f"photo{n}" for n in WRONG} for pair in pairs])
    return area_under_curve(np.array([pair["excess"] for pair in pairs]), wrong)


def test_a_wrong_photo_that_the_aligner_learned_by_heart_is_found_by_the_other_items(world):
    judged = worst_pairs(*world)
    assert len(judged) == ITEMS * PHOTOS and {pair["judge"] for pair in judged} == {OTHERS}
    assert {pair["image"] for pair in judged[:4]} == {f"photo{n}" for n in WRONG}
    assert found(judged) == 1.0 and judged[0]["distance"] == 0.0
    by_distance = worst_pairs(*world, judge=ALIGNER)
    assert {pair["judge"] for pair in by_distance} == {ALIGNER} and found(by_distance) == 0.5  # it cannot know


def test_what_a_photo_is_held_against_was_learned_without_its_own_item(world):
    words, photos = (world[0].sides[m] for m in ("text", "image"))
    keys = [f"i{number}" for number in range(ITEMS)]
    changed = words.raw.copy()
    changed[5] *= -40
    for before, after in zip(
        told_by_others(photos.raw, words.raw, photos.items, keys),
        told_by_others(photos.raw, changed, photos.items, keys), strict=True,
    ):  # fmt: skip
        of_five = photos.items[before[0]] == 5
        same = np.allclose(before[1], after[1])
        assert same == bool(of_five.any())  # only the fold of item 5 was fitted without it


def test_more_media_than_are_fitted_on_are_sampled_and_all_are_judged(world):
    words, photos = (world[0].sides[m] for m in ("text", "image"))
    keys = [f"i{number}" for number in range(ITEMS)]
    whole = doubt(photos.raw, words.raw, photos.items, keys)
    assert np.allclose(whole, doubt(photos.raw, words.raw, photos.items, keys, most=len(photos.raw)))
    few = doubt(photos.raw, words.raw, photos.items, keys, most=60)
    assert not np.allclose(whole, few) and set(np.argsort(-few)[:4]) == set(WRONG)


def test_few_items_are_judged_by_their_distance_and_said_so(world):
    spaces, catalogue = world
    few = {}
    for modality, side in spaces.sides.items():
        rows = side.items < 20
        names = tuple(np.array(side.names)[rows])
        few[modality] = Sides(items=side.items[rows], names=names, vectors=side.vectors[rows], raw=side.raw[rows])
    told = worst_pairs(replace(spaces, sides=few), catalogue)
    assert len(told) == 40 and {pair["judge"] for pair in told} == {ALIGNER}


def test_a_medium_is_held_against_the_others_of_its_item():
    draw = np.random.default_rng(0)
    owner = np.repeat(np.arange(30), 2)
    media = draw.normal(size=(30, 8))[owner] + 0.1 * draw.normal(size=(60, 8))
    media[5] = draw.normal(size=8)
    apart = unlike_others(media, owner)
    assert set(np.argsort(-apart)[:2]) == {4, 5}  # which of the two is wrong, only its words can tell
    alone = np.append(owner, 99)
    assert np.isnan(unlike_others(np.vstack([media, media[:1]]), alone)[-1])
    assert np.isnan(unlike_others(media[:20], owner[:20])).all()  # too few to say what is usual


def test_a_medium_that_stands_beside_several_is_not_held_against_itself(world):
    """Each item's words come twice, so that every photo stands in two pairs: it then had a copy of itself beside it."""
    words, photos = (world[0].sides[m] for m in ("text", "image"))
    keys = [f"i{number}" for number in np.repeat(np.arange(ITEMS), 2)]
    own = np.concatenate([2 * photos.items, 2 * photos.items + 1])
    rows = np.tile(np.arange(len(photos.raw)), 2)
    twice = words.raw[np.repeat(np.arange(ITEMS), 2)]
    told = doubt(photos.raw[rows], twice, own, keys, named=rows)
    once = unlike_others(photos.raw, photos.items)
    away = np.zeros(len(rows))
    for apart, said, all_said in told_by_others(photos.raw[rows], twice, own, keys):
        away[apart] = below_usual((said * all_said[own[apart]]).sum(1), said, all_said)
    likeness = robust(unlike_others(twice, np.array(keys))[own])
    assert told == pytest.approx(robust((robust(away) + robust(once[rows]) + likeness) / np.sqrt(3)))
    assert not np.allclose(told, doubt(photos.raw[rows], twice, own, keys))


def test_a_lone_photo_reaches_the_list_as_easily_as_one_with_others():
    """Words and photos are unrelated, half of the items have a second photo: chance alone fills the list."""
    draw = np.random.default_rng(5)
    owner = np.concatenate([np.arange(1000), np.arange(500)])
    told = doubt(draw.normal(size=(1500, 12)), draw.normal(size=(1000, 12)), owner, [f"i{n}" for n in range(1000)])
    lone = owner >= 500  # a third of all
    assert lone[np.argsort(-told)[:50]].mean() == pytest.approx(1 / 3, abs=0.14)  # two standard errors


def test_deviations_below_the_usual_are_those_of_all_likenesses_at_once():
    draw = np.random.default_rng(1)
    rows, others, mine = draw.normal(size=(7, 5)), draw.normal(size=(11, 5)), draw.normal(size=7)
    alike = rows @ others.T
    assert below_usual(mine, rows, others) == pytest.approx((alike.mean(1) - mine) / alike.std(1))


def test_signed_robust_deviations_keep_what_is_unknown_and_call_equals_zero():
    told = robust(np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.nan]))
    assert told[:5] == pytest.approx(np.array([-2, -1, 0, 1, 2]) / 1.4826) and np.isnan(told[5])
    assert robust(np.array([2.0, 2.0, np.nan])).tolist() == [0, 0, 0]
