"""Aligner `concat`: all vectors of a thing side by side through one network, and what comes out is split again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.align.projection import Projection
from core.domain import Aligned, Encoded, Modality


class Concat(Projection):
    """The heads of `projection`, then an MLP over [vector, presence flag] of every modality corrects each vector.

    An absent modality enters as zeros with its flag down. The correction starts at zero: training begins at the
    projection. A modality sees the others here, so a vector of a thing that has several tells of all of them.
    """

    mixes = True

    def __init__(self, widths: Mapping[Modality, int], width: int, hidden: int = 64, dropout: float = 0.3) -> None:
        super().__init__(widths, width)
        count = len(widths)
        self.mix = nn.Sequential(
            nn.Linear(count * (width + 1), hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, count * width)
        )
        nn.init.zeros_(self.mix[-1].weight)
        nn.init.zeros_(self.mix[-1].bias)

    def forward(self, encoded: Mapping[Modality, Encoded], tokens: bool = True) -> dict[Modality, Aligned]:
        apart = super().forward(encoded, tokens)
        beside = torch.cat([part for one in apart.values() for part in (one.pooled, one.present[:, None].float())], -1)
        changes = self.mix(beside).unflatten(-1, (len(apart), -1)).unbind(1)  # M times (B, D)
        return {m: corrected(one, change, tokens) for (m, one), change in zip(apart.items(), changes, strict=True)}


def corrected(one: Aligned, change: Tensor, tokens: bool) -> Aligned:
    """The vector of every thing, and each of its tokens, moved by `change` (B, D)."""
    pooled = functional.normalize(one.pooled + change, dim=-1) * one.present[:, None]
    return replace(
        one, pooled=pooled, tokens=(one.tokens + change[:, None]) * one.mask[..., None] if tokens else one.tokens
    )
