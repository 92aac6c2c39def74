"""python -m bench.interactions FOLDER [--ranks popularity,neighbours,factors,graph] [--seeds 999,42] [--ablate]

Rankers of who liked what on a folder with NAME.inter (userID, itemID, x_label) and, for `graph`, *_feat.npy beside it.
Full ranking of all items, training items masked, ties as documented in core.evaluate.metrics. Epochs are chosen by
recall@20 on validation rows; of several settings (`--search`) the best on validation is taken, never on test.
`--ablate`: the last ranker also with each modality alone and with none, each with its own best weight of the graph.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.align.space import Standardise
from core.config import RunSettings
from core.domain import with_interval
from core.evaluate.metrics import hit_metrics, top_items
from core.evaluate.significance import bootstrap, paired
from core.files import write_atomic
from core.rank import build_ranker
from core.rank.graph import Graph
from core.rank.likes import Likes
from core.rank.multimodal import History
from core.train.collaborative import TableTrainer
from core.train.interactions import LEARNERS, build_learner, loss_of

SHOWN = ("recall@20", "ndcg@20")
SHARES = (0.05, 0.1, 0.2, 0.4)  # weights of the item graph that an ablation chooses from
TUNED: dict[str, dict[str, dict[str, Any]]] = {  # what a search settled on, by the name of the folder
    "amazon_sports": {
        "factors": {"epochs": 60, "patience": 8, "user_rate": 0.01, "penalty": 0.03},
        "graph": {"epochs": 12, "patience": 4, "user_rate": 0.003, "penalty": 0.0, "negatives": 512, "heat": 0.15},
    },
    "lfm2k": {
        "factors": {
            "epochs": 30,
            "patience": 3,
            "user_rate": 0.005,
            "penalty": 0.0,
            "loss": "softmax",
            "negatives": 300,
        },
        "graph": {"patience": 3, "user_rate": 0.005, "penalty": 0.0, "heat": 0.25, "item_share": 0.1, "negatives": 300},
    },
}


@dataclass(frozen=True, kw_only=True)
class World:
    """Likes of the three parts, and standardised features (N, E) of each modality."""

    train: Likes
    validation: Likes
    test: Likes
    features: dict[str, Tensor]


def read_world(folder: Path) -> World:
    """Raises FileNotFoundError where there is no .inter table."""
    table = next(folder.glob("*.inter"))
    with table.open(encoding="utf-8") as lines:
        rows = [(int(r["userID"]), int(r["itemID"]), int(r["x_label"])) for r in csv.DictReader(lines, delimiter="\t")]
    user, item, label = torch.tensor(rows).unbind(1)
    users, items = int(user.max()) + 1, int(item.max()) + 1
    parts = [Likes(user=user[label == k], item=item[label == k], users=users, items=items) for k in (0, 1, 2)]
    trained = parts[0].item_counts > 0
    features = {}
    for path in sorted(folder.glob("*_feat.npy")):
        raw = torch.from_numpy(np.load(path, allow_pickle=False)).float()
        space = Standardise(raw.shape[1], min(256, raw.shape[1]))
        space.fit(raw[trained], RunSettings().soften)
        features[path.stem.removesuffix("_feat")] = space(raw)
    return World(train=parts[0], validation=parts[1], test=parts[2], features=features)


def fitted(world: World, settings: RunSettings, tell: Callable[[str], None]) -> tuple[Any, int]:
    """A settled ranker and its best epoch."""
    torch.manual_seed(settings.seed)
    features = list(world.features.values()) if settings.item_share else []
    width = sum(one.shape[1] for one in features)
    ranker = build_ranker(settings.rank, width, world.train.users, world.train.items)
    if not isinstance(ranker, LEARNERS):
        ranker.settle(world.train)
        return ranker, 0
    learner = build_learner(ranker, world.train, settings, features)
    trainer = TableTrainer(learner, world.train, world.validation, settings, loss_of(settings))
    best, _ = trainer.fit(lambda label, _, row: tell(f"{label}: " + figures(row)))
    learner.settle(ranker)
    if isinstance(ranker, Graph) and features:
        ranker.tie(features, world.train, settings.item_share)
    return ranker, best


@torch.no_grad()
def measured(ranker: Any, world: World, held: Likes, block: int = 512) -> dict[str, np.ndarray]:
    """Metric -> one value for every user with held-out likes."""
    users, hits = torch.nonzero(held.user_counts)[:, 0], []
    features = list(world.features.values())
    items = torch.cat(features, 1) if features else torch.zeros(held.items, 0)
    known = torch.arange(held.items)
    for part in users.split(block):
        place, item = world.train.rows_of(part)
        past: list[list[tuple[int, float | None]]] = [[] for _ in part]
        for at, row in zip(place.tolist(), item.tolist(), strict=True):
            past[at].append((row, None))
        scores = ranker.score_users(History.of(past, part.tolist()), items, known)
        mask = torch.zeros(len(part), held.items, dtype=torch.bool)
        mask[place, item] = True
        best = torch.from_numpy(top_items(scores, 20, mask))
        hits.append(held.hold(part[:, None], best))
    return hit_metrics(torch.cat(hits).numpy(), held.user_counts[users].numpy(), (20,))


def figures(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in row.items() if isinstance(value, float))


def judged(world: World, settings: RunSettings, seeds: Sequence[int], tell: Callable[[str], None]) -> dict[str, Any]:
    """One ranker under all seeds: means, their spread, and the test values of every user averaged over seeds."""
    begun, found, values = time.monotonic(), [], []
    for seed in seeds:
        ranker, best = fitted(world, replace(settings, seed=seed), tell)
        held = {"validation": world.validation, "test": world.test}
        wanted = held if isinstance(ranker, LEARNERS) else ("test",)
        parts = {name: measured(ranker, world, held[name]) for name in wanted}
        means = {name: {m: float(part[m].mean()) for m in SHOWN} for name, part in parts.items()}
        found.append({"seed": seed, "best_epoch": best, **means})
        values.append({m: parts["test"][m] for m in SHOWN})
        tell(f"{settings.rank} seed {seed}: " + "; ".join(f"{name} {figures(row)}" for name, row in means.items()))
    per_user = {m: np.mean([one[m] for one in values], axis=0) for m in SHOWN}
    return {
        "rank": settings.rank, "settings": asdict(settings), "seeds": found, "seconds": time.monotonic() - begun,
        "test": {m: asdict(bootstrap(per_user[m])) for m in SHOWN},
        "spread": {m: float(np.std([one["test"][m] for one in found])) for m in SHOWN},
        "per_user": per_user,
    }  # fmt: skip


def search(world: World, grid: Sequence[RunSettings], tell: Callable[[str], None]) -> tuple[RunSettings, list[dict]]:
    """The settings with the best validation recall@20 at their first seed, and what each reached."""
    rows = []
    for settings in grid:
        ranker, best = fitted(world, settings, lambda line: None)
        found = float(measured(ranker, world, world.validation)["recall@20"].mean())
        rows.append({"settings": asdict(settings), "validation": found, "best_epoch": best})
        tell(f"search {settings.rank} {len(rows)} of {len(grid)}: validation recall@20 {found:.4f}")
    return grid[int(np.argmax([row["validation"] for row in rows]))], rows


def ablated(
    world: World, settings: RunSettings, seeds: Sequence[int], tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """What is left of the features -> how the ranker does with them; the whole comes first, nothing at all last."""
    names = [" + ".join(world.features), *world.features, "nothing"]
    found = {}
    for name in dict.fromkeys(names):
        part = replace(world, features={m: x for m, x in world.features.items() if m in name.split(" + ")})
        grid = [replace(settings, item_share=share) for share in (SHARES if part.features else (0.0,))]
        chosen, tried = search(part, grid, tell)
        found[name] = {**judged(part, chosen, seeds, tell), "rank": name, "search": tried}
    return found


def tell_differences(rows: Sequence[dict[str, Any]], best: dict[str, Any]) -> None:
    """Paired over users, best less each other."""
    for one in rows:
        for metric in SHOWN:
            d = paired(best["per_user"][metric], one["per_user"][metric]).difference
            print(f"{best['rank']} - {one['rank']} {metric}: {with_interval(d, '+.4f')}", flush=True)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.interactions", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ranks", default="popularity,neighbours,factors,graph")
    parser.add_argument("--seeds", default="999")
    parser.add_argument("--search", type=Path, help="JSON: rank -> list of settings, the best on validation is taken")
    parser.add_argument("--ablate", action="store_true", help="the last ranker with each modality alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    world, rows = read_world(asked.folder), []
    grids = json.loads(asked.search.read_text("utf-8")) if asked.search else {}
    tell = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    for rank in asked.ranks.split(","):
        base = RunSettings(rank=rank, seed=seeds[0], **TUNED.get(asked.folder.name, {}).get(rank, {}))
        grid = [replace(base, **one) for one in grids.get(rank, [])]
        chosen, tried = search(world, grid, tell) if grid else (base, [])
        learns = rank in ("factors", "graph")
        rows.append({**judged(world, chosen, seeds if learns else seeds[:1], tell), "search": tried})
        print(line_of(rows[-1]), flush=True)
    tell_differences(rows[:-1], rows[-1])
    if asked.ablate:
        parts = list(ablated(world, chosen, seeds, tell).values())
        print("\n".join(line_of(part) for part in parts), flush=True)
        tell_differences(parts[1:], parts[0])
        rows += parts
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if asked.json:
        report = [{key: value for key, value in row.items() if key != "per_user"} for row in rows]
        write_atomic(asked.json, (json.dumps(report, indent=1) + "\n").encode())
    return 0


def line_of(row: dict[str, Any]) -> str:
    told = [f"{m} {with_interval(v, '.4f')}" for m, v in row["test"].items()]
    spread = f", over {len(row['seeds'])} seeds +- {row['spread']['recall@20']:.4f}" if len(row["seeds"]) > 1 else ""
    return f"{row['rank']:<11} test {', '.join(told)}{spread}, searched {len(row['search'])}, {row['seconds']:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
