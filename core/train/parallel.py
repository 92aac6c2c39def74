"""One training in several processes (`torchrun --nproc-per-node N -m core train ...`): data parallel, as DDP does it.

Every process holds the whole model and all data, takes every N-th query of a batch, and the gradients are averaged
before each step, so that all go the same way. In-batch negatives are those of a process's own share, and what an item
was last seen as is that process's own until the next epoch: figures are equal within what another seed would change,
not to the bit. gloo on the CPU, NCCL on CUDA. Processes trust each other: the network between them must be trusted.
"""

from __future__ import annotations

import atexit
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed, nn

from core.config import RunSettings, told_by_torchrun, wanted_device
from core.errors import SettingsError
from core.model import Model
from core.train.checkpoint import Checkpoint, Progress
from core.train.curves import Curves
from core.train.data import Ask, TrainingData
from core.train.loop import OnStep, Trainer


def processes() -> int:
    """How many train together; 1 without torchrun."""
    return told_by_torchrun("WORLD_SIZE", 1)


def follows() -> bool:
    """Whether this process only helps: the first of them keeps the run and tells of it."""
    return processes() > 1 and told_by_torchrun("RANK", 0) > 0


def join() -> None:
    """Meets the other processes, once. Raises SettingsError where they cannot be met."""
    if distributed.is_initialized():
        return
    cuda = torch.cuda.is_available() and wanted_device() in ("auto", "cuda")
    if cuda:
        torch.cuda.set_device(told_by_torchrun("LOCAL_RANK", 0))
    try:
        distributed.init_process_group("nccl" if cuda else "gloo")
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"the {processes()} processes of this training could not meet "
                            f"({str(error).splitlines()[0]}). Start them with torchrun") from error  # fmt: skip
    atexit.register(distributed.destroy_process_group)


def shared(kind: Any, settings: RunSettings) -> Any:
    """The kind of trainer that shares this one's work between the processes; itself where there is only one.

    Raises SettingsError for trainers whose work cannot be shared."""
    if processes() == 1:
        return kind
    if kind is not Trainer:
        raise SettingsError(
            f"the ranker {settings.rank} learns in one process; torchrun shares only what learns from words "
            "and photos (--rank multimodal or content). Train it without torchrun"
        )
    return SharedTrainer


class SharedTrainer(Trainer):
    """One of several processes. All begin with the first one's weights; what each draws for its own queries differs."""

    def __init__(self, model: Model, data: TrainingData, settings: RunSettings, device: str = "cpu") -> None:
        super().__init__(model, data, settings, device)
        join()
        self.rank, self.world = distributed.get_rank(), distributed.get_world_size()
        self.own = random.Random(f"{self.settings.seed} {self.rank}")
        for value in self.parts.state_dict().values():
            if value.is_floating_point() and value.numel():
                distributed.broadcast(value, 0)

    def fit(
        self, on_step: OnStep | None = None, stop_after: int | None = None, checkpoint: Checkpoint | None = None,
        curves: Curves | None = None,
    ) -> tuple[int, list[dict[str, float]]]:  # fmt: skip
        """As one process does it; the first one keeps checkpoints and curves."""
        first = self.rank == 0
        return super().fit(on_step if first else None, stop_after, checkpoint if first else None,
                           curves if first else None)  # fmt: skip

    def note(self, state: Progress, found: dict[str, float], stop_after: int | None) -> None:
        """Every process goes by the first one's figures, so that all stop together."""
        names = sorted(found)
        told = torch.tensor([found[name] for name in names], dtype=torch.float64, device=self.place)
        distributed.broadcast(told, 0)
        super().note(state, dict(zip(names, told.tolist(), strict=True)), stop_after)

    def step(self, asks: Sequence[Ask], optimiser: torch.optim.Optimizer) -> float:
        mine = asks[self.rank :: self.world]
        optimiser.zero_grad(set_to_none=True)
        value = torch.zeros((), device=self.place)
        if mine:
            draws, self.random = self.random, self.own  # of the queries; the order of all stays everybody's
            try:
                with torch.autocast("cuda", torch.bfloat16, enabled=self.device.startswith("cuda")):
                    loss = self.loss(mine)
            finally:
                self.random = draws
            loss.backward()
            value = loss.detach().float()
        share = len(mine) / len(asks)
        average(self.parts, share)
        value = value * share
        distributed.all_reduce(value)
        nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        optimiser.step()
        return float(value)

    @property
    def place(self) -> str:
        """Where tensors that are sent lie."""
        return self.device if distributed.get_backend() == "nccl" else "cpu"


def average(parts: nn.Module, share: float) -> None:
    """Gradients become their mean over the processes, each weighing its share of the batch. One message."""
    learned = [one for one in parts.parameters() if one.requires_grad]
    flat = [torch.zeros_like(one) if one.grad is None else one.grad for one in learned]
    used = torch.tensor([float(one.grad is not None) for one in learned], device=learned[0].device)
    whole = torch.cat([*(one.flatten() * share for one in flat), used])
    distributed.all_reduce(whole)
    used = whole[-len(learned) :]
    for one, grad, some in zip(learned, whole[: -len(learned)].split([one.numel() for one in flat]), used, strict=True):
        one.grad = grad.view_as(one).clone() if some > 0 else None  # nobody used it: no decay either, as alone
