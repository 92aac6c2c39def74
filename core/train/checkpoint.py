"""What a training needs to go on after kill -9, in one file that is whole or absent: tensors and JSON, no pickle.

The last two are kept, each under its epoch and its own digest: a damaged one is never loaded, the one before it is.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from core.errors import ModelError, SettingsError
from core.files import digest_bytes, write_atomic

FORMAT = 1
KEPT = 2  # the newest, and the one to fall back to
log = logging.getLogger("fusescope.train")
NOTED = ("order", "epoch", "best_epoch", "best", "curves")  # what is kept of a Progress as JSON
_RANDOM = "random/torch"
_RANDOM_CUDA = "random/cuda"


@dataclass(kw_only=True)
class Progress:
    """How far a training came: `order` is the present order of the training queries, `weights` those of the best
    epoch, `curves` one row of figures an epoch, from epoch 0."""

    order: list[int]
    epoch: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    curves: list[dict[str, float]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The files of one training: `path` is `name.safetensors`, they are `name-EPOCH-DIGEST.safetensors` beside it.

    `belongs`: settings and data that decide the weights; others may not go on from it."""

    path: Path
    belongs: Mapping[str, Any]

    def save(self, progress: Progress, parts: nn.Module, optimiser: Any, schedule: Any, draws: random.Random) -> None:
        """Everything that decides what the next epoch does. Raises StoreError."""
        told: dict[str, Any] = {name: getattr(progress, name) for name in NOTED}
        kept = optimiser.state_dict()
        told |= {
            "format": FORMAT, "belongs": dict(self.belongs), "groups": kept["param_groups"],
            "schedule": schedule.state_dict(), "draws": [draws.getstate(), random.getstate()],
        }  # fmt: skip
        tensors = {f"model/{name}": value for name, value in parts.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in progress.weights.items()}
        for row, state in kept["state"].items():
            tensors |= {f"optimiser/{row}/{name}": torch.as_tensor(value) for name, value in state.items()}
        tensors[_RANDOM] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors[_RANDOM_CUDA] = torch.cuda.get_rng_state()
        tensors["told"] = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)
        data = save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
        name = f"{self.path.stem}-{progress.epoch:06d}-{digest_bytes(data)[:32]}.safetensors"
        write_atomic(self.path.with_name(name), data)
        for old in self.files()[KEPT:]:
            old.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """What is kept, the newest first."""
        return sorted(self.path.parent.glob(f"{self.path.stem}-*.safetensors"), reverse=True)

    def newest(self) -> dict[str, Tensor] | None:
        """The tensors of the newest file that is as it was written; None where nothing was saved.

        Raises ModelError where something was saved and all of it is damaged.
        """
        files = self.files()
        for path in files:
            data = path.read_bytes()
            if digest_bytes(data)[:32] == path.stem.rpartition("-")[2]:
                return load(data)
            log.warning("%s is damaged and not used; going on from the checkpoint before it", path.name)
        if files:
            message = f"{files[0].name}: no checkpoint of this training can be read. Train again without --resume."
            raise ModelError("E-MODEL-SUM", message)
        return None

    def restore(self, parts: nn.Module, optimiser: Any, schedule: Any, draws: random.Random) -> Progress | None:
        """Puts a saved state back into these parts; None where nothing was saved.

        Raises SettingsError where it belongs to another training, ModelError where it cannot be read.
        """
        tensors = self.newest()
        if tensors is None:
            return None
        told = json.loads(tensors.pop("told").numpy().tobytes())
        if told["format"] != FORMAT or told["belongs"] != json.loads(json.dumps(dict(self.belongs))):
            raise SettingsError(
                f"the checkpoint of {self.path.parents[1].name} belongs to other settings or other data. "
                "Give the settings it was begun with, or train again without --resume"
            )
        parts.load_state_dict(_under(tensors, "model/"))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under(tensors, "optimiser/").items():
            row, _, part = name.partition("/")
            state.setdefault(int(row), {})[part] = value
        optimiser.load_state_dict({"state": state, "param_groups": told["groups"]})
        schedule.load_state_dict(told["schedule"])
        mine, shared = (_tuples(one) for one in told["draws"])
        draws.setstate(mine)
        random.setstate(shared)
        torch.set_rng_state(tensors[_RANDOM])
        if _RANDOM_CUDA in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors[_RANDOM_CUDA])
        weights = _under(tensors, "best/")
        return Progress(weights=weights, **{name: told[name] for name in NOTED})

    def remove(self) -> None:
        begun = self.path.parent.glob(f".{self.path.stem}-*.part")  # what kill -9 left half-written
        for path in (*self.files(), *begun):
            path.unlink(missing_ok=True)


def _under(tensors: Mapping[str, Tensor], stem: str) -> dict[str, Tensor]:
    return {name.removeprefix(stem): value for name, value in tensors.items() if name.startswith(stem)}


def _tuples(value: Any) -> Any:
    """JSON knows lists only; the state of a random generator is made of tuples."""
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
