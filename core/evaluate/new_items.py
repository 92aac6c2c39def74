"""New items before known users: held-out likes of items that no training row names, among all and among themselves.

Source: Schein et al. 2002, "Methods and metrics for cold-start recommendations".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.domain import LIKED, Catalogue
from core.evaluate.measure import expected, joined, user_scores
from core.evaluate.metrics import BLOCK_ELEMENTS, PerUser, rank_metrics
from core.evaluate.splits import TRAIN, Split, new_rows, stars
from core.pipeline import Pipeline

CANDIDATES: Mapping[str, bool] = {"all items": False, "new items": True}  # whether only the new ones are candidates
NAMES = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")


def new_items(pipeline: Pipeline, catalogue: Catalogue, split: Split) -> dict[str, tuple[PerUser, PerUser]]:
    """Candidate set -> metrics (U,) of the run, and what a random order of the same candidates reaches on average.

    Users with training rows who liked a tested item that has none; masked are their training rows. Empty where there
    is no such user, or where the ranker cannot score an item that it was not trained on.
    """
    cases: Any = pipeline.model.ranker.cases
    if not {"known user", "new item"} <= cases:
        return {}
    position = catalogue.position()
    trained: dict[str, set[int]] = defaultdict(set)
    held: dict[str, set[int]] = defaultdict(set)
    rows, rated, fresh = catalogue.interactions, stars(catalogue), new_rows(catalogue, split)
    for at in split.rows(TRAIN):
        trained[rows[at].user_id].add(position[rows[at].item_id])
    for at in fresh:
        rating = rated[at]
        if rating is None or rating >= LIKED:
            held[rows[at].user_id].add(position[rows[at].item_id])
    cold = {position[rows[at].item_id] for at in fresh}
    users = [user for user in sorted(held) if user in trained and user in pipeline.user_rows]
    return {name: judged(pipeline, users, held, trained, cold if only else None)
            for name, only in CANDIDATES.items()} if users else {}  # fmt: skip


def judged(
    pipeline: Pipeline, users: Sequence[str], held: Mapping[str, set[int]], trained: Mapping[str, set[int]],
    only: set[int] | None,
) -> tuple[PerUser, PerUser]:  # fmt: skip
    """In blocks of users; only: the candidates, None for all items."""
    items = len(pipeline.catalogue.items)
    outside = np.full(items, only is not None)
    outside[sorted(only or ())] = False
    ours, drawn, step = [], [], max(1, BLOCK_ELEMENTS // items)
    for start in range(0, len(users), step):
        block = users[start : start + step]
        positives, mask = np.zeros((len(block), items), dtype=bool), np.tile(outside, (len(block), 1))
        for at, user in enumerate(block):
            mask[at, sorted(trained[user])] = True
            positives[at, sorted(held[user])] = True
        mask &= ~positives
        ours.append(rank_metrics(user_scores(pipeline, block), positives, mask, (10, 20)))
        drawn.append(expected(positives.sum(1), (~mask).sum(1)))
    return joined(ours), joined(drawn)
