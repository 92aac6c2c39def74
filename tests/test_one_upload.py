"""One upload of somebody new: what is asked for, what is left out, and a value for every user."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bench.one_upload import asked, of_users
from core.domain import Catalogue, Interaction, Item
from core.evaluate.measure import HeldQueries
from core.evaluate.splits import TEST, TRAIN, Split, fingerprint

ROWS = (  # user, item, stars, part
    ("ann", "cup", 5.0, TRAIN), ("ann", "pot", 5.0, TEST), ("ann", "jug", 4.0, TEST), ("ann", "mat", 1.0, TEST),
    ("ann", "new", 5.0, TEST), ("bob", "jug", 5.0, TRAIN), ("bob", "pot", 5.0, TRAIN), ("bob", "mat", 5.0, TRAIN),
    ("bob", "cup", 5.0, TEST),
)  # fmt: skip
SHOP = Catalogue(
    name="shop", version="1", root=Path("nowhere"),
    items=tuple(Item(item_id=one) for one in ("cup", "pot", "jug", "mat", "new")),
    interactions=tuple(Interaction(user_id=user, item_id=item, rating=stars) for user, item, stars, _ in ROWS),
)  # fmt: skip
LABELS = tuple(part for *_, part in ROWS)
SPLIT = Split(name="toy", seed=0, labels=LABELS, fingerprint=fingerprint(SHOP, LABELS))


def test_other_held_out_likes_are_asked_for_and_known_or_untrained_items_are_left_out():
    queries = HeldQueries(
        media=({}, {}), answers=np.array([1, 0]), products=("pot", "cup"), ids=("ann\tpot\t", "bob\tcup\t")
    )
    users, wanted, hidden = asked(SimpleNamespace(catalogue=SHOP), SPLIT, queries)
    assert users == ["ann", "bob"]
    assert wanted.astype(int).tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]  # jug: liked, held out, in training
    assert hidden.astype(int).tolist() == [[1, 1, 0, 1, 1], [1, 1, 1, 1, 1]]


def test_a_user_s_value_is_the_mean_of_the_user_s_uploads():
    assert of_users(["b", "a", "b"], np.array([0.0, 1.0, 0.5])).tolist() == [1.0, 0.25]
