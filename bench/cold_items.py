"""python -m bench.cold_items FOLDER --vectors STORE [--split-seeds 0,1,2,3,4] [--part test] [--json FILE]

Items that nobody has met in training, on a catalogue folder with ratings: a fifth of the items loses all training rows
(`item_cold`); half of those is validation, half test. `multimodal` against random, genre popularity and `content`, with
all items as candidates and with the cold ones only. A user's value is their mean over the splits; intervals are over
users. Only users with training likes and a held-out like are asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.catalog.folder import read_folder
from core.config import RunSettings
from core.domain import Catalogue, with_interval
from core.evaluate.metrics import rank_metrics
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import TEST, TRAIN, VALIDATION, Split, item_cold, per_user_random
from core.features import Features, catalogue_features
from core.files import write_atomic
from core.rank.likes import Likes
from core.rank.multimodal import History
from core.rank.neighbours import Neighbours
from core.train.build import training_data
from core.train.run import deterministic, fresh_model, trainer_of

PARTS = {"test": TEST, "validation": VALIDATION}
Values = dict[str, np.ndarray]


def scores_of(catalogue: Catalogue, features: Features, split: Split, settings: RunSettings) -> tuple[Any, list[str]]:
    """(U, N) scores of a trained ranker for all training users, new items by their media; and the users."""
    model, data, vectors, known, users = fitted(catalogue, features, split, settings)
    with torch.inference_mode():
        history = History.of(data.histories, range(len(data.histories)))
        scores = model.ranker.score_users(history, vectors, known)
    return scores.numpy(), users


def fitted(catalogue: Catalogue, features: Features, split: Split, settings: RunSettings) -> tuple[Any, ...]:
    """Model, training data, item vectors (N, D), training rows of the items (N,) with -1 for new ones, users."""
    from core.train.build import training_users

    with deterministic(settings):
        data = training_data(catalogue, features, split)
        model = fresh_model(settings, features, data)
        raw = {m: features.bank(m) for m in model.modalities}  # training changes the banks it is given
        trainer_of(model, data, settings, "cpu").fit()
        model.eval()
    row_of = {item: row for row, item in enumerate(data.trainable)}
    known = torch.tensor([row_of.get(item, -1) for item in range(len(catalogue.items))])
    with torch.inference_mode():
        pieces = []
        for start in range(0, len(features.items), 64):
            media = features.items[start : start + 64]
            encoded = {m: bank.batch([one.get(m, ()) for one in media]) for m, bank in raw.items()}
            pieces.append(model.fuse(model.align(model.standardise(encoded))).vector)
    return model, data, torch.cat(pieces), known, list(training_users(catalogue, split))


def genre_popularity(catalogue: Catalogue, split: Split) -> np.ndarray:
    """(N,): mean training likes of the items of each genre that an item has, averaged over its genres."""
    genres = [item.category.split("|") for item in catalogue.items]
    counts = train_counts(catalogue, split)
    of: dict[str, list[float]] = defaultdict(list)
    for own, count in zip(genres, counts, strict=True):
        for genre in own:
            if count > 0:
                of[genre].append(count)
    return np.array([np.mean([np.mean(of[g]) if g in of else 0.0 for g in own]) for own in genres])


def train_counts(catalogue: Catalogue, split: Split) -> np.ndarray:
    position = catalogue.position()
    rows = [position[catalogue.interactions[row].item_id] for row in split.rows(TRAIN)]
    return np.bincount(rows, minlength=len(catalogue.items)).astype(float)


def judged(catalogue: Catalogue, split: Split, scores: np.ndarray, users: list[str], part: str, only: bool) -> Values:
    """User -> recall@20 and ndcg@20 of held-out likes; `only`: the part's own cold items are the only candidates."""
    position, row_of = catalogue.position(), {user: row for row, user in enumerate(users)}
    positives, mask = np.zeros(scores.shape, dtype=bool), np.zeros(scores.shape, dtype=bool)
    candidates = np.zeros(len(catalogue.items), dtype=bool)
    for row, label in zip(catalogue.interactions, split.labels, strict=True):
        item = position[row.item_id]
        candidates[item] |= label == PARTS[part]
        if row.user_id in row_of and label in (TRAIN, PARTS[part]):
            (mask if label == TRAIN else positives)[row_of[row.user_id], item] = True
    if only:
        mask |= ~candidates
    found = rank_metrics(scores, positives, mask, (20,))
    return {name: found[name] for name in ("recall@20", "ndcg@20")}


def compared(catalogue: Catalogue, features: Features, seed: int, part: str, epochs: int) -> dict[str, dict[str, Any]]:
    """Candidate set -> ranker -> metric -> {user: value} of one split."""
    split = item_cold(catalogue, seed)
    base = RunSettings(rank="multimodal", seed=0, epochs=epochs, threads=torch.get_num_threads())
    ours, users = scores_of(catalogue, features, split, base)
    content, _ = scores_of(catalogue, features, split, RunSettings(rank="content", epochs=0))
    arms = {
        "random": np.random.default_rng(seed).random(ours.shape),
        "genres": np.broadcast_to(genre_popularity(catalogue, split), ours.shape).astype(float),
        "content": content,
        "multimodal": ours,
    }
    return {
        name: {
            arm: {
                m: dict(zip(users, v, strict=True)) for m, v in judged(catalogue, split, s, users, part, only).items()
            }
            for arm, s in arms.items()
        }
        for name, only in (("all items", False), ("cold items", True))
    }


def warm(catalogue: Catalogue, features: Features) -> dict[str, Values]:
    """Per-user random split: multimodal, graph and neighbours, test users in one order."""
    split = per_user_random(catalogue, 0)
    found: dict[str, Values] = {}
    for rank, more in (
        ("neighbours", {}),
        ("graph", {"epochs": 60, "patience": 10, "user_batch": 512, "user_rate": 0.003, "heat": 0.2, "penalty": 0.0}),
        ("multimodal", {}),
    ):
        settings = RunSettings(rank=rank, threads=torch.get_num_threads(), **more)  # type: ignore[arg-type]
        if rank == "neighbours":
            data = training_data(catalogue, features, split)
            ranker = Neighbours(0, len(data.histories), len(catalogue.items))
            ranker.settle(Likes.of(data.histories, len(catalogue.items)))
            history = History.of(data.histories, range(len(data.histories)))
            known = torch.arange(len(catalogue.items))
            scores = ranker.score_users(history, torch.zeros(len(known), 0), known).numpy()
            users = list(dict.fromkeys(catalogue.interactions[row].user_id for row in split.rows(TRAIN)))
        else:
            scores, users = scores_of(catalogue, features, split, settings)
        values = judged(catalogue, split, scores, users, "test", False)
        found[rank] = values
        print(f"warm {rank}: " + ", ".join(f"{m} {np.nanmean(v):.4f}" for m, v in values.items()), flush=True)
    return found


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cold_items", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vectors", type=Path, required=True, help="store of encoded media; filled where needed")
    parser.add_argument("--split-seeds", default="0,1,2,3,4")
    parser.add_argument("--part", choices=PARTS, default="test")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--warm", action="store_true", help="also the per-user random split, against graph, neighbours")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    catalogue = read_folder(asked.folder, asked.folder.name, on_step=None)[0]
    features = catalogue_features(catalogue, RunSettings(), asked.vectors)
    pooled: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed in map(int, asked.split_seeds.split(",")):
        for candidates, arms in compared(catalogue, features, seed, asked.part, asked.epochs).items():
            for arm, metrics in arms.items():
                for metric, values in metrics.items():
                    for user, value in values.items():
                        pooled[candidates, arm, metric][user].append(value)
            told = ", ".join(f"{arm} {np.nanmean(list(m['recall@20'].values())):.4f}" for arm, m in arms.items())
            print(f"split {seed}, {candidates}: recall@20 {told}", file=sys.stderr, flush=True)
    report = summary(pooled)
    if asked.warm:
        found = warm(catalogue, features)
        for other in ("graph", "neighbours"):
            difference = asdict(paired(found["multimodal"]["recall@20"], found[other]["recall@20"]).difference)
            report.append({"candidates": "warm", "other": other, "metric": "recall@20", "difference": difference})
            print(f"warm multimodal - {other} recall@20 {with_interval(difference, '+.4f')}")
    if asked.json:
        write_atomic(asked.json, (json.dumps(report, indent=1) + "\n").encode())
    return 0


def summary(pooled: dict[tuple[str, str, str], dict[str, list[float]]]) -> list[dict[str, Any]]:
    """Prints and returns every arm, and multimodal less each other arm, users' means over the splits they occur in."""
    values = {key: {u: float(np.nanmean(v)) for u, v in users.items() if np.isfinite(v).any()}
              for key, users in pooled.items()}  # fmt: skip
    rows = []
    for (candidates, arm, metric), own in values.items():
        row = {"candidates": candidates, "arm": arm, "metric": metric, **asdict(bootstrap(list(own.values())))}
        print(f"{candidates}: {arm} {metric} {with_interval(row, '+.4f')}")
        ours = values[candidates, "multimodal", metric]
        if arm != "multimodal":
            test = paired([ours[user] for user in own], list(own.values()))
            row |= {"difference": asdict(test.difference), "p": test.p}
            told = with_interval(row["difference"], "+.4f")
            print(f"{candidates}: multimodal - {arm} {metric} {told} p {test.p:.4f}")
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
