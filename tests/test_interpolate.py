"""Filling in what is ordered in time: known answers, and nothing held out is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from core.domain import Catalogue, Interaction, Item
from core.prepare.interpolate import interpolated, with_interpolated_ratings


def test_a_gap_lies_on_the_line_between_its_neighbours_in_time_and_ends_hold():
    assert interpolated([0, 10, 40], [1.0, None, 5.0]).tolist() == [1.0, 2.0, 5.0]
    assert interpolated([40, 10, 0], [5.0, None, 1.0]).tolist() == [5.0, 2.0, 1.0]  # whatever the order of the rows
    assert interpolated([0, 5, 9], [None, 3.0, None]).tolist() == [3.0, 3.0, 3.0]
    assert interpolated([0, 0, 10, 20], [1.0, 3.0, None, 4.0]).tolist() == [1.0, 3.0, 3.0, 4.0]
    assert np.isnan(interpolated([0, 1], [None, None])).all()


def shop() -> tuple[Catalogue, list[bool]]:
    rows = [("u", "a", 2.0, 0), ("u", "b", None, 10), ("u", "c", 4.0, 20), ("u", "d", 5.0, 12), ("v", "a", None, 5),
            ("u", "e", None, None)]  # fmt: skip
    met = tuple(Interaction(user_id=u, item_id=i, rating=r, timestamp=t) for u, i, r, t in rows)
    catalogue = Catalogue(
        name="s", version="1", root=Path("nowhere"), items=tuple(Item(item_id=i) for i in "abcde"), interactions=met
    )  # fmt: skip
    return catalogue, [True, True, True, False, True, True]


def test_stars_that_nobody_gave_come_from_the_same_persons_training_rows_alone():
    catalogue, trains = shop()
    filled = with_interpolated_ratings(catalogue, trains)
    assert [row.rating for row in filled.interactions] == [2.0, 3.0, 4.0, 5.0, None, None]
    other = [replace(row, rating=1.0) if row.item_id == "d" else row for row in catalogue.interactions]
    again = with_interpolated_ratings(replace(catalogue, interactions=tuple(other)), trains)
    assert again.interactions[1].rating == 3.0  # the held-out stars say nothing
