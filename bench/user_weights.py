"""python -m bench.user_weights --run studio-default [--home DIR]: would modality weights of each user's own do better?

For every known user a ridge regression, fitted in closed form on training rows alone: what they took, by stars, against
what they never met, explained by how like its words and its photo are to those of the rest of their history (each row
left out of its own explanation). The two coefficients, not below 0, are the user's modality weights. Then the run's
scores of all items are read between the coalitions (multilinear extension), each user at (weight / larger weight) **
strength: 0 is the run as it is. Told per strength: NDCG@10 of the next item, validation and test, and the rank
correlation of the measured share of the photo with the planted share of looks, where a truth ships.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import home_folder
from core.evaluate.metrics import rank_metrics
from core.evaluate.protocols import split_by
from core.evaluate.splits import TEST, TRAIN, VALIDATION, Split
from core.evaluate.truth import planted_truth
from core.evaluate.truth_shares import held_likes
from core.explain.faithfulness import correlation
from core.explain.shapley import shapley, shares
from core.pipeline import Pipeline, open_pipeline
from core.rank.multimodal import History
from core.workspace import Workspace

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
SHARPNESS = 3  # power of a cosine: near neighbours count, far ones hardly
RIDGE = 0.3
MIDDLE = 2.2  # stars that say nothing
LIKED = 3.5
Values = NDArray[np.float64]


def likeness(pipeline: Pipeline) -> Values:
    """(M, N, N) cosines of items about their mean, each modality alone."""
    found = []
    for bit in range(len(pipeline.model.modalities)):
        vectors = pipeline.items.vectors[1 << bit].double().cpu().numpy()
        vectors = vectors - vectors[(pipeline.known >= 0).cpu().numpy()].mean(0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        found.append((vectors @ vectors.T) ** SHARPNESS)
    return np.stack(found)


def user_weights(alike: Values, history: list[tuple[int, float | None]], warm: NDArray[np.bool_]) -> Values:
    """(M,) weights of one user, sum 1; equal where the history tells nothing."""
    rows = [item for item, _ in history]
    stars = np.array([5.0 if rating is None else rating for _, rating in history])
    pull = alike[:, :, rows] * (stars - MIDDLE) / max(1, len(rows))  # (M, N, T)
    near = pull.sum(2)
    near[:, rows] -= pull[:, rows, range(len(rows))]  # nothing explains itself
    wanted = np.zeros(len(warm))
    wanted[rows] = np.maximum(stars - 2, 0)
    seen = warm.copy()
    seen[rows] = True
    x, y = near[:, seen].T, wanted[seen]
    spread = x.std(0) + 1e-9
    x, y = (x - x.mean(0)) / spread, (y - y.mean()) / (y.std() + 1e-9)
    slope = np.linalg.solve(x.T @ x / len(y) + RIDGE * np.eye(len(alike)), x.T @ y / len(y))
    slope = np.maximum(slope, 0) / spread
    return slope / slope.sum() if slope.sum() > 0 else np.full(len(alike), 1 / len(alike))


def between(coalitions: Values, weights: Values) -> Values:
    """(2^M, U, N) coalitions and (U, M) weights -> coalitions of players that count so much: every row again, by the
    multilinear extension."""
    count = weights.shape[1]
    found = np.zeros_like(coalitions)
    for row in range(len(coalitions)):
        for inner in range(len(coalitions)):
            if inner & ~row:
                continue
            chance = np.ones(len(weights))
            for bit in range(count):
                if row >> bit & 1:
                    chance *= weights[:, bit] if inner >> bit & 1 else 1 - weights[:, bit]
            found[row] += chance[:, None] * coalitions[inner]
    return found


def next_item(
    pipeline: Pipeline, split: Split, users: list[str], scores: Values, part: str, warm: NDArray[np.bool_]
) -> float:
    """Mean NDCG@10 of held likes among trained items, without what else the user met."""
    position, place = pipeline.catalogue.position(), {user: at for at, user in enumerate(users)}
    wanted, mask = np.zeros(scores.shape, dtype=bool), np.tile(~warm, (len(users), 1))
    for row, label in zip(pipeline.catalogue.interactions, split.labels, strict=True):
        at, item = place.get(row.user_id), position[row.item_id]
        if at is None or not label:
            continue
        if label == part and (row.rating is None or row.rating >= LIKED) and warm[item]:
            wanted[at, item] = True
        elif label != part:
            mask[at, item] = True
    return float(np.nanmean(rank_metrics(scores, wanted, mask & ~wanted, (10,))["ndcg@10"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="studio-default")
    parser.add_argument("--home", type=Path, default=home_folder())
    options = parser.parse_args()
    pipeline = open_pipeline(Workspace.open(options.home), options.run)
    split, users = split_by(pipeline.settings.protocol, pipeline.catalogue), list(pipeline.user_rows)
    trained: dict[str, set[int]] = defaultdict(set)
    position = pipeline.catalogue.position()
    for row, label in zip(pipeline.catalogue.interactions, split.labels, strict=True):
        trained[label].add(position[row.item_id])
    warm = np.isin(np.arange(len(pipeline.item_ids)), list(trained[TRAIN]))
    history = History.of([pipeline.history(user) for user in users], [pipeline.user_row(user) for user in users])
    ranker: Any = pipeline.model.ranker
    with torch.inference_mode():
        scores = [ranker.score_users(history.to(pipeline.device), rows, pipeline.known)
                  for rows in pipeline.items.vectors]  # fmt: skip
    coalitions = torch.stack(scores).double().cpu().numpy()
    alike = likeness(pipeline)
    weights = np.array([user_weights(alike, pipeline.history(user), warm) for user in users])
    print(json.dumps({"run": options.run, "users": len(users)} | measured(pipeline, split, users, coalitions, weights,
                                                                       warm), indent=1))  # fmt: skip


def measured(
    pipeline: Pipeline, split: Split, users: list[str], coalitions: Values, weights: Values, warm: NDArray[np.bool_]
) -> dict[str, Any]:
    truth, held = planted_truth(pipeline.catalogue), held_likes(pipeline, split)
    known = [at for at, user in enumerate(users) if truth and user in truth["users"] and held.get(user)]
    planted = np.array([truth["users"][users[at]]["share_look"] for at in known]) if truth else np.zeros(0)
    photo = pipeline.model.modalities.index("image")
    rows = []
    for strength in STRENGTHS:
        relative = (weights + 0.02) / (weights + 0.02).max(1, keepdims=True)
        changed = between(coalitions, relative**strength)
        share = shares(shapley(changed))[photo]
        mine = np.array([share[at, held[users[at]]].mean() for at in known])
        rows.append({
            "strength": strength, "spearman": correlation(planted, mine),
            "validation": next_item(pipeline, split, users, changed[-1], VALIDATION, warm),
            "test": next_item(pipeline, split, users, changed[-1], TEST, warm),
        })  # fmt: skip
    return {"weights themselves": correlation(planted, weights[known, photo]), "rows": rows}


if __name__ == "__main__":
    main()
