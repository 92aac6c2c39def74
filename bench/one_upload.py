"""python -m bench.one_upload [--run studio-default] [--home DIR] [--json FILE]

What one upload says of a person nobody knows: a held-out review and photo of a user is asked with as if the user were
new, and the other products which that user liked and training has not seen with them are to be found. Left out of the
list: the product of the upload, products without training rows, and what the user is known to have had. Beside it:
popularity, a random order, the product of the upload told as a like of somebody new, and the same user with the whole
history known. A user's value is the mean over the user's uploads; intervals are over users.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import LIKED, with_interval
from core.evaluate.measure import KINDS, HeldQueries, expected, held_queries, query_vectors, user_scores
from core.evaluate.metrics import TieWarning, rank_metrics
from core.evaluate.protocols import split_by
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import TEST, TRAIN, Split, stars
from core.features import catalogue_features
from core.files import write_atomic
from core.pipeline import Pipeline, open_pipeline
from core.rank.multimodal import History
from core.workspace import Workspace

ASKED = "review+photo"
SHOWN = ("recall@10", "ndcg@10")
Rows = NDArray[np.bool_]


def asked(pipeline: Pipeline, split: Split, queries: HeldQueries) -> tuple[list[str], Rows, Rows]:
    """The user of every upload (Q,), what is to be found (Q, N), and what is left out (Q, N)."""
    catalogue, position = pipeline.catalogue, pipeline.catalogue.position()
    rows = list(zip(catalogue.interactions, split.labels, stars(catalogue), strict=True))
    trained = {row.item_id for row, label, _ in rows if label == TRAIN}
    liked, met = defaultdict(set), defaultdict(set)
    for row, label, rating in rows:
        if label == TEST and row.item_id in trained and (rating is None or rating >= LIKED):
            liked[row.user_id].add(position[row.item_id])
        else:
            met[row.user_id].add(position[row.item_id])
    users = [one.split("\t")[0] for one in queries.ids]
    unknown = np.array([item.item_id not in trained for item in catalogue.items])
    wanted, hidden = np.zeros((len(users), len(unknown)), dtype=bool), np.tile(unknown, (len(users), 1))
    for at, (user, own) in enumerate(zip(users, queries.answers.tolist(), strict=True)):
        wanted[at, sorted(liked[user] - {own})] = True
        hidden[at, [own, *met[user]]] = True
    return users, wanted, hidden & ~wanted


def of_users(users: list[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(U,) mean over each user's uploads, users in order of their names."""
    return np.array([values[[one == user for one in users]].mean() for user in sorted(set(users))])


@torch.inference_mode()
def likes_told(pipeline: Pipeline, queries: HeldQueries) -> NDArray[np.float64]:
    """(Q, N): a new person of whom one like is known, the product of the upload."""
    one = History.of([[(item, None)] for item in queries.answers.tolist()], [-1] * len(queries.answers))
    return pipeline.model.ranker.score_users(one, pipeline.items.vectors[-1], pipeline.known).double().numpy()


def measured(workspace: Workspace, run: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Arm -> metric -> a value for every user who has an upload and something else to be found."""
    pipeline = open_pipeline(workspace, run)
    features = catalogue_features(pipeline.catalogue, pipeline.settings, workspace.vectors)
    split = split_by(pipeline.settings.protocol, pipeline.catalogue)
    queries = held_queries(pipeline.catalogue, features, split, ASKED, "warm")
    users, wanted, hidden = asked(pipeline, split, queries)
    use = wanted.any(1)
    counts = np.zeros(wanted.shape[1])
    for row, label in zip(pipeline.catalogue.interactions, split.labels, strict=True):
        counts[pipeline.catalogue.position()[row.item_id]] += label == TRAIN
    scores: dict[str, Any] = {"popularity": np.broadcast_to(counts, wanted.shape)}
    for kind in (ASKED, "photo", "review"):
        vectors = query_vectors(pipeline, features, queries.only(KINDS[kind]))
        scores[f"one {kind}"] = pipeline.model.ranker.score_query(vectors, pipeline.items.vectors[-1]).cpu().numpy()
    scores["one like, told"] = likes_told(pipeline, queries)
    scores["whole history"] = user_scores(pipeline, users)
    kept = [user for user, one in zip(users, use, strict=True) if one]
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TieWarning)  # equal counts are what popularity is
        for name, one in scores.items():
            values = rank_metrics(one[use], wanted[use], hidden[use], (10,))
            found[name] = {metric: of_users(kept, values[metric]) for metric in SHOWN}
    drawn = expected(wanted[use].sum(1), (~hidden[use]).sum(1), (10,))
    return {"random": {metric: of_users(kept, drawn[metric]) for metric in SHOWN}, **found}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.one_upload", description=__doc__)
    parser.add_argument("--run", default="studio-default")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(words)
    found = measured(Workspace.open(given.home), given.run)
    report: dict[str, Any] = {"users": len(found["random"][SHOWN[0]])}
    for name, values in found.items():
        means = {metric: bootstrap(values[metric]) for metric in SHOWN}
        apart = {metric: paired(values[metric], found["popularity"][metric]).difference for metric in SHOWN}
        report[name] = {metric: [means[metric].value, means[metric].low, means[metric].high] for metric in SHOWN}
        told = ", ".join(f"{metric} {with_interval(means[metric])}" for metric in SHOWN)
        print(f"{name:<20} {told}; over popularity {with_interval(apart[SHOWN[0]])}", flush=True)
    print(f"{report['users']} users")
    if given.json:
        write_atomic(given.json, (json.dumps(report, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
