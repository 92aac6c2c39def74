"""The curve of new items over K likes: what is shown, what is asked, and how an offer moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.few_shots import Shown, moved, neighbour_scores, seen
from core.domain import Catalogue, Interaction, Item
from core.evaluate.splits import TEST, TRAIN, Split, fingerprint

USERS = [f"u{at}" for at in range(13)]
SHOP = Catalogue(
    name="shop", version="1", root=Path("nowhere"), items=tuple(Item(item_id=one) for one in ("old", "new", "rare")),
    interactions=tuple(Interaction(user_id=user, item_id="old") for user in USERS)
    + tuple(Interaction(user_id=user, item_id="new") for user in USERS)
    + (Interaction(user_id="u0", item_id="rare"),),
)  # fmt: skip
LABELS = (TRAIN,) * 13 + (TEST,) * 14
SPLIT = Split(name="toy", seed=0, labels=LABELS, fingerprint=fingerprint(SHOP, LABELS))


def test_ten_likes_are_shown_the_rest_is_asked_and_an_item_without_a_rest_is_left_out():
    shown = Shown.of(SHOP, SPLIT, USERS, "test", 0)
    assert list(shown.shots) == [1] and len(set(shown.shots[1])) == 10
    assert shown.held.sum(0).tolist() == [0, 3, 0]
    mask = seen(SHOP, SPLIT, USERS, shown)
    assert mask[:, 0].all() and mask[:, 1].sum() == 10 and not (mask & shown.held).any()


def test_an_offer_moves_half_way_to_the_mean_taste_where_as_many_likes_are_shown_as_its_media_weigh():
    offers = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    taste = torch.tensor([[5.0, 0.0]] * 12 + [[-60.0, 0.0]])  # nobody looks for anything on the whole
    shown = Shown(shots={1: tuple(range(10))}, held=np.zeros((13, 3), dtype=bool))
    found = moved(offers, taste, shown, 5, 5.0)
    assert found[1].tolist() == pytest.approx([1.0, 1.0]) and found[[0, 2]].tolist() == offers[[0, 2]].tolist()
    assert moved(offers, taste, shown, 0, 5.0).tolist() == offers.tolist()
    assert moved(offers, taste, shown, 10, 1e9)[1].tolist() == pytest.approx([0.0, 2.0], abs=1e-6)


def test_a_neighbour_needs_likes_and_has_none_at_zero():
    shown = Shown.of(SHOP, SPLIT, USERS, "test", 0)
    histories = [[(0, None)] for _ in USERS]
    asked = np.flatnonzero(shown.held[:, 1])
    assert (neighbour_scores(SHOP, histories, shown, 0)[asked, 1] == 0).all()
    assert (neighbour_scores(SHOP, histories, shown, 5)[asked, 1] > 0).all()
