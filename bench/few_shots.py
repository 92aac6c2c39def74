"""python -m bench.few_shots FOLDER --vectors STORE [--split-seeds 0] [--json FILE]

How fast a new item becomes an old one: items that training never met (`item_cold`) are shown K of their likes, K in
0, 1, 5, 10, and are then ranked for everybody else who liked them. Nothing is trained again. The held-out likes are the
same for every K: of items with more than ten likes, those after the first ten (order drawn by seed).

multimodal: what an item offers by its media, moved by K / (K + inertia) towards what those who liked it look for more
than all users do; its mean score over all users stays what its media gave it, since new items are the only ones asked
for and whoever lifts all of them would win. The inertia is chosen on the validation items. neighbours: item-kNN over
training likes and the K shown. popularity: training likes and the K shown. Two figures: recall@20 among all items, and
recall@5 among the new ones alone. A user's value is the mean over the splits; intervals are over users. Splits that
FILE has are not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.cold_items import PARTS, fitted, train_counts
from core.catalog.folder import read_folder
from core.config import RunSettings
from core.domain import Catalogue, with_interval
from core.evaluate.metrics import rank_metrics
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import TRAIN, Split, item_cold, positive_rows
from core.features import Features, catalogue_features
from core.files import write_atomic
from core.rank.likes import Likes
from core.rank.multimodal import History
from core.rank.neighbours import Neighbours

SHOTS = (0, 1, 5, 10)
MOST = max(SHOTS)
INERTIA = (1.0, 3.0, 10.0, 30.0, 100.0, 1e9)  # of what media say, in likes; the last one never learns
ALL, NEW = "recall@20", "recall@5 of new"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One part's new items: shots, item row -> training users of its first likes; held (U, N) the likes asked for."""

    shots: Mapping[int, tuple[int, ...]]
    held: np.ndarray

    @classmethod
    def of(cls, catalogue: Catalogue, split: Split, users: Sequence[str], part: str, seed: int) -> Shown:
        row_of, position = {user: row for row, user in enumerate(users)}, catalogue.position()
        liked = positive_rows(catalogue)
        of: dict[int, list[int]] = defaultdict(list)
        for at, (row, label) in enumerate(zip(catalogue.interactions, split.labels, strict=True)):
            if label == PARTS[part] and liked[at] and row.user_id in row_of:
                of[position[row.item_id]].append(row_of[row.user_id])
        rng = np.random.default_rng(seed)
        held, shots = np.zeros((len(users), len(catalogue.items)), dtype=bool), {}
        for item, who in sorted(of.items()):
            if len(who) > MOST:
                order = rng.permutation(who).tolist()
                shots[item] = tuple(order[:MOST])
                held[order[MOST:], item] = True
        return cls(shots=shots, held=held)


def seen(catalogue: Catalogue, split: Split, users: Sequence[str], shown: Shown) -> np.ndarray:
    """(U, N) True where nothing is asked: training rows, and the likes that some K is shown."""
    row_of, position = {user: row for row, user in enumerate(users)}, catalogue.position()
    mask = np.zeros(shown.held.shape, dtype=bool)
    for row, label in zip(catalogue.interactions, split.labels, strict=True):
        if label == TRAIN:
            mask[row_of[row.user_id], position[row.item_id]] = True
    for item, who in shown.shots.items():
        mask[list(who), item] = True
    return mask


# ---- how each arm adapts


def moved(offers: Tensor, taste: Tensor, shown: Shown, k: int, inertia: float) -> Tensor:
    """What the items offer (N, own), new ones moved towards what the K who liked them look for more than everybody
    (taste (U, own)); that is brought to the length of offers first: a taste says which way and not how far."""
    found = offers.clone()
    size = offers.norm(dim=1).median()
    for item, who in shown.shots.items() if k else ():
        apart = taste[list(who[:k])].mean(0) - taste.mean(0)
        towards = torch.nn.functional.normalize(apart, dim=0) * size
        found[item] = offers[item] + (towards - offers[item]) * (k / (k + inertia))
    return found


def neighbour_scores(catalogue: Catalogue, histories: Sequence[Sequence], shown: Shown, k: int) -> np.ndarray:
    """(U, N): item-kNN over training likes and those that are shown."""
    more: dict[int, list[tuple[int, None]]] = defaultdict(list)
    for item, who in shown.shots.items():
        for user in who[:k]:
            more[user].append((item, None))
    rows = [[*history, *more[user]] for user, history in enumerate(histories)]
    ranker = Neighbours(0, len(rows), len(catalogue.items))
    ranker.settle(Likes.of(rows, len(catalogue.items)))
    known = torch.arange(len(catalogue.items))
    return ranker.score_users(History.of(histories, range(len(rows))), torch.zeros(len(known), 0), known).numpy()


def one_split(catalogue: Catalogue, features: Features, seed: int, epochs: int) -> dict[str, Any]:
    """{"inertia": {K: chosen}, "values": "arm K figure" -> user -> value, of the test items}."""
    split = item_cold(catalogue, seed)
    settings = RunSettings(rank="multimodal", seed=0, epochs=epochs, threads=torch.get_num_threads())
    model, data, vectors, known, users = fitted(catalogue, features, split, settings)
    with torch.inference_mode():
        ranker: Any = model.ranker
        offers, bias = ranker.offer(vectors, known)
        taste = ranker.taste(History.of(data.histories, range(len(data.histories))), offers)
        parts = {part: Shown.of(catalogue, split, users, part, seed) for part in PARTS}
        masks = {part: seen(catalogue, split, users, shown) for part, shown in parts.items()}

        def ours(part: str, k: int, inertia: float) -> dict[str, np.ndarray]:
            own = moved(offers, taste, parts[part], k, inertia)
            level = taste.mean(0) @ (offers - own).T  # (N,): what moving did to the mean score
            return judged((taste @ own.T + bias + level).numpy(), part)

        def judged(scores: np.ndarray, part: str) -> dict[str, np.ndarray]:
            new = np.ones(scores.shape[1], dtype=bool)
            new[list(parts[part].shots)] = False
            held, mask = parts[part].held, masks[part]
            return {ALL: rank_metrics(scores, held, mask, (20,))["recall@20"],
                    NEW: rank_metrics(scores, held, mask | new, (5,))["recall@5"]}  # fmt: skip

        shown, counts, values, chosen = parts["test"], train_counts(catalogue, split), {}, {}
        for k in SHOTS:
            means = [float(np.nanmean(ours("validation", k, inertia)[NEW])) for inertia in INERTIA]
            chosen[str(k)] = INERTIA[int(np.argmax(means))]
            popular = counts.copy()
            popular[list(shown.shots)] = k
            arms = {
                "multimodal": ours("test", k, chosen[str(k)]),
                "neighbours": judged(neighbour_scores(catalogue, data.histories, shown, k), "test"),
                "popularity": judged(np.broadcast_to(popular, shown.held.shape).copy(), "test"),
                "random": judged(np.random.default_rng(seed).random(shown.held.shape), "test"),
            }
            for arm, figures in arms.items():
                for name, one in figures.items():
                    pairs = zip(users, one, strict=True)
                    values[f"{arm} {k} {name}"] = {user: float(v) for user, v in pairs if np.isfinite(v)}
    return {"inertia": chosen, "items": len(shown.shots), "values": values}


def summary(splits: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row an arm and K, with the difference to every other arm and to K = 0; printed as it is made."""
    pooled: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in splits.values():
        for name, users in one["values"].items():
            for user, value in users.items():
                pooled[name][user].append(value)
    means = {name: {user: float(np.mean(v)) for user, v in sorted(users.items())} for name, users in pooled.items()}
    rows = []
    for name, users in means.items():
        row: dict[str, Any] = {"figure": name, "n": len(users), **asdict(bootstrap(list(users.values())))}
        arm, k, metric = name.split(" ", 2)
        told = f"{name}: {with_interval(row, '.4f')}"
        others = [f"{other} {k}" for other in ("popularity", "random", "neighbours") if arm == "multimodal"]
        for short in [*others, *([f"{arm} 0"] if k != "0" and arm in ("multimodal", "neighbours") else [])]:
            other = f"{short} {metric}"
            d = paired(list(users.values()), list(means[other].values())).difference
            row[f"less {short}"] = asdict(d)
            told += f"; less {short} {with_interval(d, '+.4f')}"
        print(told)
        rows.append(row)
    return rows


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.few_shots", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vectors", type=Path, required=True, help="store of encoded media; filled where needed")
    parser.add_argument("--split-seeds", default="0")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--json", type=Path, help="splits are kept here; those it has are not made again")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    kept = json.loads(asked.json.read_text("utf-8"))["splits"] if asked.json and asked.json.is_file() else {}
    catalogue = read_folder(asked.folder, asked.folder.name, on_step=None)[0]
    features = None
    for seed in asked.split_seeds.split(","):
        if seed not in kept:
            features = features or catalogue_features(catalogue, RunSettings(), asked.vectors)
            kept[seed] = one_split(catalogue, features, int(seed), asked.epochs)
            print(f"split {seed}: {kept[seed]['items']} new items, inertia {kept[seed]['inertia']}", file=sys.stderr)
            if asked.json:
                write_atomic(asked.json, json.dumps({"splits": kept}).encode())
    rows = summary({seed: kept[seed] for seed in asked.split_seeds.split(",")})
    if asked.json:
        write_atomic(asked.json, json.dumps({"splits": kept, "rows": rows}).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
