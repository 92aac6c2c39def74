"""Fuser `stacking`: all vectors side by side through one network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Modality
from core.fuse.fuser import LeftOut, null_vector, plain_mean


class Stacking(LeftOut):
    """vector = unit(mean + MLP([vector, presence flag] of every modality)); the MLP starts at zero.

    The first layer of a network over stacked vectors is a sum of one layer a modality, and is kept as such: a modality
    has its own weights wherever it stands. Gates are measured by leaving out (`LeftOut`).
    """

    def __init__(self, modalities: Sequence[Modality], width: int, hidden: int = 256, dropout: float = 0.2) -> None:
        super().__init__(modalities)
        self.stack = nn.ModuleDict({m: nn.Linear(width + 1, hidden, bias=False) for m in self.modalities})
        self.out = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        self.null = null_vector(width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def vector(self, pooled: Tensor, present: Tensor) -> Tensor:
        flagged = torch.cat([pooled, present[..., None].to(pooled.dtype)], -1)  # (B, M, D + 1)
        hidden = torch.stack([self.stack[m](flagged[:, j]) for j, m in enumerate(self.modalities)]).sum(0)
        change = self.out(self.dropout(functional.gelu(hidden)))
        return self.unit_or_null(plain_mean(pooled, present) + change, present)
