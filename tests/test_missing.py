"""The missing-modality simulator: who loses what, how filling in is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.domain import Catalogue, Item
from core.errors import InputError, SettingsError
from core.evaluate.missing import Loss, Measure, best, kept, lost, poorer, without

ITEMS = tuple(
    Item(item_id=f"i{at}", title=f"item {at}", category="mugs > blue" if at < 4 else "bowls",
         media={"image": (f"{at}.jpg",)}) for at in range(8)
)  # fmt: skip
SHOP = Catalogue(name="shop", version="1", root=Path("nowhere"), items=ITEMS)
WHOLE = [{"text": (at,), "image": (at,)} for at in range(8)]
COUNTS = np.arange(8.0)


def flags(how: str, ratio: float, things=WHOLE, seed: int = 0):
    return lost(things, range(8), SHOP, COUNTS, Loss(modality="image", ratio=ratio, how=how, seed=seed))


def test_half_of_the_photos_is_half_of_the_photos_and_another_seed_draws_others():
    assert flags("random", 0.5).sum() == 4
    assert not np.array_equal(flags("random", 0.5), flags("random", 0.5, seed=1))


def test_by_popularity_the_rarest_lose_first_and_by_category_whole_kinds():
    assert flags("popularity", 0.375).tolist() == [True] * 3 + [False] * 5
    half = flags("category", 0.5).tolist()
    assert half in ([True] * 4 + [False] * 4, [False] * 4 + [True] * 4)


def test_a_thing_that_has_nothing_else_keeps_its_photo():
    things = [{"image": (0,)}, *WHOLE[1:]]
    gone = flags("random", 1.0, things)
    assert gone.tolist() == [False] + [True] * 7
    assert without(things, gone, "image")[:2] == ({"image": (0,)}, {"text": (1,)})


def test_a_poorer_catalogue_is_another_version_whose_items_lack_the_modality():
    gone = flags("popularity", 0.25)
    less = poorer(SHOP, gone, Loss(modality="image", ratio=0.25))
    assert [bool(item.media) for item in less.items] == [not one for one in gone]
    assert less.version != SHOP.version


def measure(values):
    return Measure(metrics={"ndcg@10": np.array(values)}, shares=np.ones((1, len(values))), groups=tuple("abcd"))


def test_what_is_kept_is_the_mean_over_that_of_the_complete_data():
    found = kept(measure([0.5, 0.5, 0.0, 1.0]), measure([1.0, 1.0, 0.5, 1.5]))
    assert found.value == pytest.approx((2.0 / 4) / (4.0 / 4))
    assert found.low <= found.value <= found.high
    with pytest.raises(InputError, match="even with complete data"):
        kept(measure([0.5] * 4), measure([0.0] * 4))


def test_the_way_to_fill_in_is_chosen_on_validation_whatever_test_says():
    rows = [
        {"ratio": 0.5, "method": method, "subject": "users", "part": part, "moved": True,
         "metrics": {"ndcg@10": {"value": value}}}
        for method, part, value in (
            ("none", "validation", 0.3), ("knn", "validation", 0.2), ("none", "test", 0.1), ("knn", "test", 0.9),
        )
    ]  # fmt: skip
    assert best(rows, 0.5) == "none"


def test_a_loss_that_cannot_be_is_refused():
    for wrong in ({"ratio": 0.0}, {"ratio": 1.5}, {"how": "alphabet"}, {"when": "never"}):
        with pytest.raises(SettingsError, match="expected"):
            replace(Loss(modality="image", ratio=0.5), **wrong)
