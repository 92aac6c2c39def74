"""What a training needs to go on after kill -9, in one file that is whole or absent: tensors and JSON, no pickle."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from core.errors import ModelError, SettingsError
from core.files import write_atomic

FORMAT = 1
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
    """The file of one training. `belongs`: settings and data that decide the weights; others may not go on from it."""

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
        write_atomic(self.path, save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}))

    def restore(self, parts: nn.Module, optimiser: Any, schedule: Any, draws: random.Random) -> Progress | None:
        """Puts a saved state back into these parts; None where nothing was saved.

        Raises SettingsError where it belongs to another training, ModelError where it cannot be read.
        """
        if not self.path.is_file():
            return None
        try:
            tensors = load(self.path.read_bytes())
            told = json.loads(tensors.pop("told").numpy().tobytes())
        except Exception as error:
            message = f"{self.path.name}: this checkpoint cannot be read. Train again without --resume."
            raise ModelError("E-MODEL-SUM", message) from error
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
        self.path.unlink(missing_ok=True)


def _under(tensors: Mapping[str, Tensor], stem: str) -> dict[str, Tensor]:
    return {name.removeprefix(stem): value for name, value in tensors.items() if name.startswith(stem)}


def _tuples(value: Any) -> Any:
    """JSON knows lists only; the state of a random generator is made of tuples."""
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
