"""python -m bench.sounds FOLDER [--seeds 0,1,2] [--home DIR] [--json FILE]

A sound finds the words of its class among those of all classes, with the offline encoder and our own training. FOLDER
holds items.csv with the columns item_id, category, audio and fold (esc10_audio). Every fold is asked once of a run that
saw the other folds only; its settings are chosen inside those, each held out in turn. Beside it a logistic
regression on the same features and chance. Intervals: bootstrap over
sources, since takes of one source are alike.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import RunSettings, home_folder
from core.domain import Catalogue, Interaction, Item
from core.evaluate.metrics import target_ranks
from core.evaluate.significance import bootstrap
from core.evaluate.splits import COLD, TRAIN, Split, fingerprint
from core.features import Features, catalogue_features, mean_states
from core.files import write_atomic
from core.train.build import training_data
from core.train.loop import Trainer
from core.train.run import deterministic, fresh_model

SOUNDS = RunSettings(
    catalogue="sounds", rank="content", protocol="everything", batch=32, epochs=20, weight_align=0.0, fused_reach=1.0
)
TRIED: list[dict[str, Any]] = [  # what the training folds choose from
    {"ridge": ridge, "epochs": epochs} for epochs in (0, 5) for ridge in (0.1, 0.5, 2.0)
]
PENALTY = 0.1  # C of the logistic regression


@dataclass(kw_only=True)
class Sounds:
    """Sounds of known class: catalogue of the classes with a row a sound, and per sound its class, fold and source."""

    catalogue: Catalogue
    features: Features
    classes: NDArray[np.int64]
    folds: NDArray[np.int64]
    sources: tuple[str, ...]

    @cached_property
    def heard(self) -> NDArray[np.float64]:
        """(n, E) what the encoder says of every sound."""
        return mean_states(self.features.states["audio"], [own["audio"] for own in self.features.interactions])

    def rows(self, without: frozenset[int]) -> list[int]:
        """The sounds that are in none of these folds."""
        return np.flatnonzero(~np.isin(self.folds, list(without))).tolist()


def read_sounds(folder: Path, home: Path) -> Sounds:
    with (folder / "items.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["category"] for row in rows})
    items = tuple(Item(item_id=name, title=name) for name in names)
    heard = tuple(
        Interaction(user_id=row["item_id"], item_id=row["category"], media={"audio": (row["audio"],)}) for row in rows
    )
    catalogue = Catalogue(name="sounds", version="sounds", root=folder, items=items, interactions=heard)
    return Sounds(
        catalogue=catalogue,
        features=catalogue_features(catalogue, SOUNDS, home / "vectors"),
        classes=np.array([names.index(row["category"]) for row in rows]),
        folds=np.array([int(row["fold"]) for row in rows]),
        sources=tuple(row.get("freesound_id") or row["item_id"] for row in rows),
    )


def answered(sounds: Sounds, settings: RunSettings, without: frozenset[int]) -> NDArray[np.bool_]:
    """(n,) whether each sound puts the words of its class first, by a run that saw no sound of these folds."""
    seen = set(sounds.rows(without))
    labels = tuple(TRAIN if row in seen else COLD for row in range(len(sounds.classes)))
    split = Split(name="everything", seed=0, labels=labels, fingerprint=fingerprint(sounds.catalogue, labels))
    with deterministic(settings):
        data = training_data(sounds.catalogue, sounds.features, split)
        trainer = Trainer(fresh_model(settings, sounds.features, data), data, settings)
        trainer.fit(stop_after=settings.epochs)
    trainer.model.eval()
    with torch.no_grad():
        words = trainer.vectors([{"text": item["text"]} for item in sounds.features.items])
        scores = trainer.vectors(sounds.features.interactions) @ words.T
    return target_ranks(scores.numpy(), sounds.classes) == 1


def regressed(sounds: Sounds, penalty: float, without: frozenset[int]) -> NDArray[np.bool_]:
    """The same by a logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500))
    seen = sounds.rows(without)
    model.fit(sounds.heard[seen], sounds.classes[seen])
    return model.predict(sounds.heard) == sounds.classes


Answer = Callable[[Any, frozenset[int]], NDArray[np.bool_]]


def chosen(sounds: Sounds, outer: int, tried: Sequence[Any], answer: Answer) -> Any:
    """The best of `tried` on the other folds, each held out once; the outer fold is not looked at."""
    folds = [int(fold) for fold in np.unique(sounds.folds) if fold != outer]
    found = [
        float(np.mean(np.concatenate([answer(one, frozenset({outer, fold}))[sounds.folds == fold] for fold in folds])))
        for one in tried
    ]
    best = tried[int(np.argmax(found))]
    tell(f"  without fold {outer}: {[round(one, 3) for one in found]} -> {best}")
    return best


def measure(sounds: Sounds, seed: int) -> dict[str, Any]:
    """Both, fold by fold. A run is trained once for all that it is asked."""
    base = replace(SOUNDS, seed=seed)
    answers: dict[str, Answer] = {
        "regression": lambda penalty, without: regressed(sounds, penalty, without),
        "ours": remembered(lambda given, without: answered(sounds, replace(base, **given), without)),
    }
    found: dict[str, NDArray[np.float64]] = {name: np.zeros(len(sounds.classes)) for name in answers}
    picked: dict[str, list[Any]] = {name: [] for name in found}
    for fold in np.unique(sounds.folds).tolist():
        asked = sounds.folds == fold
        for name in found:
            picked[name].append(chosen(sounds, fold, TRIED, answers[name]) if name == "ours" else PENALTY)
            found[name][asked] = answers[name](picked[name][-1], frozenset({fold}))[asked]
        tell(f"fold {fold}: " + ", ".join(f"{name} {values[asked].mean():.3f}" for name, values in found.items()))
    folds = np.unique(sounds.folds)
    return {
        "sounds": len(sounds.classes), "classes": len(sounds.catalogue.items), "seed": seed,
        "encoder": sounds.features.encoders["audio"], "chance": 1 / len(sounds.catalogue.items),
        "recall@1": {
            name: {
                "mean over folds": float(np.mean([values[sounds.folds == fold].mean() for fold in folds])),
                "folds": [float(values[sounds.folds == fold].mean()) for fold in folds],
                **asdict(bootstrap(values, sounds.sources)),
            }
            for name, values in found.items()
        },
        "settings": picked,
    }  # fmt: skip


def remembered(answer: Answer) -> Answer:
    """The same function, asked once for the same things."""
    known: dict[tuple[str, frozenset[int]], NDArray[np.bool_]] = {}

    def ask(one: Any, without: frozenset[int]) -> NDArray[np.bool_]:
        key = (repr(one), without)
        if key not in known:
            known[key] = answer(one, without)
        return known[key]

    return ask


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--seeds", default="0", help="with commas; default 0")
    options.add_argument("--home", type=Path, default=home_folder(), help="where encoded media are kept")
    options.add_argument("--json", type=Path, help="where to write the figures")
    given = options.parse_args()
    sounds = read_sounds(given.folder, given.home)
    text = json.dumps([measure(sounds, int(seed)) for seed in given.seeds.split(",")], indent=1)
    print(text)
    if given.json:
        write_atomic(given.json, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
