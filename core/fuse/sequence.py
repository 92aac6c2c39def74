"""Fuser `sequence`: the modalities as a short sequence, read by a convolution and a GRU in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Modality
from core.fuse.fuser import LeftOut, null_vector, plain_mean


class SequenceFuser(LeftOut):
    """vector = unit(mean + what was read); the reading starts at zero. The order is that of the run's modalities.

    A convolution of width 3 sees each modality with its neighbours; a GRU steps over what is present and keeps its
    state where something is absent. Gates are measured by leaving out (`LeftOut`).
    """

    def __init__(self, modalities: Sequence[Modality], width: int, hidden: int = 128, dropout: float = 0.2) -> None:
        super().__init__(modalities)
        self.kind = nn.ParameterDict({m: nn.Parameter(torch.randn(width) * 0.02) for m in self.modalities})
        self.near = nn.Conv1d(width, hidden, 3, padding=1)
        self.forth, self.back = nn.GRUCell(hidden, hidden), nn.GRUCell(hidden, hidden)
        self.out = nn.Linear(2 * hidden, width)
        self.dropout = nn.Dropout(dropout)
        self.null = null_vector(width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def vector(self, pooled: Tensor, present: Tensor) -> Tensor:
        named = (pooled + torch.stack([self.kind[m] for m in self.modalities])) * present[..., None]
        steps = functional.gelu(self.near(named.transpose(1, 2))).transpose(1, 2)  # (B, M, hidden)
        places = range(len(self.modalities))
        ends = [
            self.read(self.forth, steps, present, places),
            self.read(self.back, steps, present, reversed(places)),
        ]
        change = self.out(self.dropout(torch.cat(ends, -1)))
        return self.unit_or_null(plain_mean(pooled, present) + change, present)

    def read(self, cell: nn.GRUCell, steps: Tensor, present: Tensor, places: Iterable[int]) -> Tensor:
        """(B, hidden): the state after the last modality that is present."""
        state = steps.new_zeros(len(steps), cell.hidden_size)
        for j in places:
            state = torch.where(present[:, j, None], cell(steps[:, j], state), state)
        return state
