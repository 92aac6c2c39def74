"""python -m bench.across FOLDER FOLDER ... --vectors STORE [--folds 3] [--fewest 50] [--out FILE.md]

What an aligner that was trained in one catalogue is worth in another: the words of a product must find its photos among
all products of a fold that no training of that catalogue saw, and the photos its words. Arms, for every ordered pair:

home: trained on the target's other folds. frozen: trained on the source, standardiser and all, nothing of the target
seen. fine-tuned: frozen, then trained on the target's other folds at a tenth of the rate. few: fine-tuned on --fewest
products only, and `home few` trained on those alone. raw: the two encoders side by side cannot be compared at all, so
the floor is chance.

The aligner is the run's own (`projection`, InfoNCE), over the pooled vectors of frozen encoders, a token a medium mean,
so that it trains in seconds. Every product is asked once; intervals are over products. A frozen aligner is refused
where the encoders of the two catalogues differ.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.align.losses import info_nce
from core.catalog.folder import read_folder
from core.config import RunSettings
from core.domain import Encoded, Modality, with_interval
from core.errors import SettingsError
from core.evaluate.metrics import retrieval_metrics, target_ranks
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import item_folds
from core.features import catalogue_features, mean_states
from core.files import write_atomic
from core.model import Model

PAIR: tuple[Modality, Modality] = ("text", "image")
EPOCHS, BATCH, SCALE = 20, 64, 12.0
GENTLE = 0.1  # of the learning rate, for what was learned elsewhere
METRICS = ("recall@1", "recall@10", "mrr")


@dataclass(frozen=True, kw_only=True)
class World:
    """Products that have both words and photos: their ids, pooled vectors (N, E) a modality, and the encoders."""

    name: str
    ids: tuple[str, ...]
    vectors: dict[Modality, Tensor]
    encoders: dict[Modality, str]

    @classmethod
    def of(cls, folder: Path, vectors: Path) -> World:
        catalogue = read_folder(folder, folder.name, on_step=None)[0]
        found = catalogue_features(catalogue, RunSettings(), vectors, interactions=False, modalities=PAIR)
        whole = [row for row, media in enumerate(found.items) if all(media.get(m) for m in PAIR)]
        pooled = {m: mean_states(found.states[m], (found.items[row][m] for row in whole)) for m in PAIR}
        return cls(
            name=folder.name, ids=tuple(catalogue.items[row].item_id for row in whole),
            vectors={m: torch.from_numpy(one).float() for m, one in pooled.items()}, encoders=dict(found.encoders),
        )  # fmt: skip

    def of_rows(self, rows: Sequence[int]) -> dict[Modality, Encoded]:
        """One token and one medium a modality."""
        there, place = torch.ones(len(rows), 1, dtype=torch.bool), torch.zeros(len(rows), 1, dtype=torch.long)
        return {
            m: Encoded(tokens=one[rows][:, None], mask=there, part=place, pooled=one[rows][:, None], pooled_mask=there)
            for m, one in self.vectors.items()
        }


def fresh(world: World, rows: Sequence[int], seed: int) -> Model:
    """Standardisers fitted on these rows, the aligner not trained yet."""
    torch.manual_seed(seed)
    settings = RunSettings(rank="content", seed=seed)
    model = Model(settings, {m: one.shape[1] for m, one in world.vectors.items()}, 0, len(rows))
    for m, space in model.space.items():
        space.fit(world.vectors[m][list(rows)], settings.soften)  # type: ignore[operator]
    return model


def taught(model: Model, world: World, rows: Sequence[int], seed: int, gentle: bool = False) -> Model:
    """A copy whose aligner has learned that the two modalities of these products belong together."""
    model, random = copy.deepcopy(model).train(), np.random.default_rng(seed)
    settings = RunSettings()
    rate = settings.learning_rate * (GENTLE if gentle else 1.0)
    optimiser = torch.optim.AdamW(model.aligner.parameters(), lr=rate, weight_decay=settings.weight_decay)
    for _ in range(EPOCHS):
        order = random.permutation(rows)
        for start in range(0, len(order), BATCH):
            if len(batch := order[start : start + BATCH]) > 1:
                left, right = aligned(model, world, batch.tolist())
                loss = info_nce(left, right, SCALE)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
    return model.eval()


def aligned(model: Model, world: World, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Unit vectors (n, D) of the words and of the photos."""
    space = model.aligner(model.standardise(world.of_rows(rows)), tokens=False)
    return space[PAIR[0]].pooled, space[PAIR[1]].pooled


@torch.inference_mode()
def asked(model: Model, world: World, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Metric -> (n,): mean of words -> photo and photo -> words among these products."""
    left, right = aligned(model, world, rows)
    scores, own = (left @ right.T).numpy(), np.arange(len(rows))
    both = [retrieval_metrics(target_ranks(one, own)) for one in (scores, scores.T)]
    return {name: np.mean([one[name] for one in both], axis=0) for name in METRICS}


def same_encoders(source: World, target: World) -> None:
    """Raises SettingsError where vectors of the two cannot be compared."""
    for m in PAIR:
        if source.encoders[m] != target.encoders[m]:
            raise SettingsError(
                f"{source.name} has {m} of {source.encoders[m]}, {target.name} of {target.encoders[m]}; the same "
                "encoder was expected. Encode both with one"
            )


def compared(worlds: Sequence[World], folds: int, fewest: int) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """(target, arm) -> metric -> value of every product of the target, in one order."""
    values: dict[tuple[str, str], list[dict[str, np.ndarray]]] = {}
    elsewhere = {}
    for world in worlds:
        everything = list(range(len(world.ids)))
        elsewhere[world.name] = taught(fresh(world, everything, 0), world, everything, 0)
    for target in worlds:
        fold_of = item_folds(target.ids, folds, 0)
        for fold in range(folds):
            held = [row for row, ident in enumerate(target.ids) if fold_of[ident] == fold]
            rest = [row for row, ident in enumerate(target.ids) if fold_of[ident] != fold]
            few = np.random.default_rng(fold).permutation(rest)[:fewest].tolist()
            arms: dict[str, Any] = {
                "home": taught(fresh(target, rest, fold), target, rest, fold),
                "home few": taught(fresh(target, few, fold), target, few, fold),
            }
            for source in worlds:
                if source is not target:
                    same_encoders(source, target)
                    frozen = elsewhere[source.name]
                    arms[f"{source.name} frozen"] = frozen
                    arms[f"{source.name} fine-tuned"] = taught(frozen, target, rest, fold, gentle=True)
                    arms[f"{source.name} few"] = taught(frozen, target, few, fold, gentle=True)
            for arm, model in arms.items():
                values.setdefault((target.name, arm), []).append(asked(model, target, held))
            chance = {"recall@1": 1 / len(held), "recall@10": min(1.0, 10 / len(held)),
                      "mrr": float(np.mean(1 / np.arange(1, len(held) + 1)))}  # fmt: skip
            values.setdefault((target.name, "chance"), []).append(
                {name: np.full(len(held), one) for name, one in chance.items()}
            )
        print(f"{target.name}: {len(target.ids)} products asked", file=sys.stderr, flush=True)
    return {key: {name: np.concatenate([one[name] for one in found]) for name in METRICS}
            for key, found in values.items()}  # fmt: skip


def table(values: dict[tuple[str, str], dict[str, np.ndarray]]) -> list[str]:
    """Markdown: a row an arm, and its paired difference to training at home."""
    lines = ["| target | aligner from | recall@1 | recall@10 | MRR | MRR - home |", "|---|---|---|---|---|---|"]
    for (target, arm), own in values.items():
        cells = [with_interval(bootstrap(own[name])) for name in METRICS]
        against = "" if arm in ("home", "chance") else with_interval(
            paired(own["mrr"], values[target, "home"]["mrr"]).difference, "+.3f"
        )  # fmt: skip
        lines.append(f"| {target} ({len(own['mrr'])}) | {arm} | {' | '.join(cells)} | {against} |")
    return lines


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.across", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="two catalogue folders or more")
    parser.add_argument("--vectors", type=Path, required=True, help="store of encoded media; filled where needed")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--fewest", type=int, default=50, help="products of the target in the arms called few")
    parser.add_argument("--out", type=Path, help="the table as Markdown")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    lines = table(compared([World.of(folder, given.vectors) for folder in given.folders], given.folds, given.fewest))
    print("\n".join(lines))
    if given.out:
        write_atomic(given.out, ("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
