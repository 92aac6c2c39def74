"""Known users before items that no training met: candidates, masks and means worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.config import RunSettings
from core.domain import Catalogue, Interaction, Item
from core.evaluate.new_items import new_items
from core.evaluate.protocols import PROTOCOLS, TOLD
from core.evaluate.splits import COLD, TRAIN, Split, fingerprint
from core.jobs.training import choices, remarks

ROWS = (("u", "a", 5.0, TRAIN), ("u", "c", 5.0, COLD), ("u", "d", 1.0, COLD), ("v", "b", 4.0, TRAIN),
        ("v", "d", 4.0, COLD), ("w", "c", 5.0, COLD))  # fmt: skip
SCORES = {"u": [9.0, 3.0, 2.0, 1.0], "v": [4.0, 9.0, 3.0, 2.0]}  # of a, b, c, d


def scores_of(_, users):
    return np.array([SCORES[one] for one in users])


@pytest.fixture
def asked(monkeypatch):
    items = tuple(Item(item_id=name, title=name) for name in "abcd")
    rows = tuple(Interaction(user_id=user, item_id=item, rating=stars) for user, item, stars, _ in ROWS)
    shop = Catalogue(name="toy", version="1", root=Path(), items=items, interactions=rows)
    labels = tuple(label for *_, label in ROWS)
    split = Split(name="item-cold", seed=0, labels=labels, fingerprint=fingerprint(shop, labels))
    monkeypatch.setattr("core.evaluate.new_items.user_scores", scores_of)

    def ask(cases=("known user", "new item")):
        model = SimpleNamespace(ranker=SimpleNamespace(cases=frozenset(cases)))
        pipeline = SimpleNamespace(model=model, catalogue=shop, user_rows={"u": 0, "v": 1, "w": 2})
        return new_items(pipeline, shop, split)

    return ask


def test_new_items_are_ranked_among_all_and_among_themselves(asked):
    found = asked()
    ours, random = found["all items"]  # u: a is masked, so c stands second; v: b is masked, d stands third
    assert ours["ndcg@10"] == pytest.approx([1 / np.log2(3), 1 / np.log2(4)])
    assert random["recall@10"].tolist() == [1.0, 1.0]
    ours, _ = found["new items"]  # c before d for both
    assert ours["ndcg@10"] == pytest.approx([1.0, 1 / np.log2(3)])


def test_users_without_training_rows_and_rankers_of_known_items_have_no_figure(asked):
    assert len(asked()["all items"][0]["ndcg@10"]) == 2  # w has no training row
    assert asked(cases=("known user",)) == {}


def test_a_split_whose_tested_users_have_no_training_rows_says_so():
    shop = Catalogue(name="toy", version="1", root=Path(), items=(Item(item_id="a", title="a"),))
    whole = replace(fingerprint(shop, ()), tested_users=105, tested_users_with_training=4)
    assert whole.caution.startswith("4 of 105 test users have training rows: too few for a headline number")
    assert replace(whole, tested_users_with_training=60).caution.startswith("only 60 of 105 test users have")
    assert replace(whole, tested_users=300, tested_users_with_training=300).caution == ""


def test_every_protocol_is_told_in_words():
    assert set(TOLD) >= set(PROTOCOLS)


@pytest.mark.parametrize(("review", "told"), [("", True), ("a fine cup", False)])
def test_ratings_without_reviews_under_the_usual_protocol_are_told_before_training(review, told):
    items = tuple(Item(item_id=f"i{row}", title=f"item {row}") for row in range(20))
    rows = tuple(
        Interaction(user_id=f"u{user}", item_id=f"i{item}", rating=5.0, review_text=review)
        for user in range(8) for item in range(20)
    )  # fmt: skip
    shop = Catalogue(name="toy", version="1", root=Path(), items=items, interactions=rows)
    found = " ".join(remarks(RunSettings(catalogue="toy", rank="multimodal"), shop, choices()))
    assert ("stands on no leaderboard" in found) is told
