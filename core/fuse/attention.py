"""Fuser `attention`: self-attention over one token a modality, read by a summary token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from core.domain import Aligned, Fused, Modality
from core.fuse.fuser import Fuser, null_vector, plain_mean
from core.fuse.transformer import Block


class SelfAttention(Fuser):
    """vector = unit(sum_m gate_m pooled_m + correction), the correction starting at zero.

    gates: what the summary token attends to in the last block, mean over heads, its attention to itself left out and
    the rest made to sum to 1. They are the very weights of the sum. attention: of the last block, over [summary, one
    token a modality], (B, H, 1 + M, 1 + M).
    """

    def __init__(
        self, modalities: Sequence[Modality], width: int, layers: int = 2, heads: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__(modalities)
        self.kind = nn.ParameterDict({m: nn.Parameter(torch.randn(width) * 0.02) for m in self.modalities})
        self.summary = nn.Parameter(torch.randn(width) * 0.02)
        self.inward = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.outward = nn.LayerNorm(width)
        self.correct = nn.Linear(width, width)
        self.null = null_vector(width)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        pooled, present = self.beside(aligned)
        states = self.inward(pooled) + torch.stack([self.kind[m] for m in self.modalities])  # (B, M, D)
        summary = self.summary + self.inward(plain_mean(pooled, present))
        states = torch.cat([summary[:, None], states], 1)  # (B, 1 + M, D)
        mask = functional.pad(present, (1, 0), value=True)
        weight = None
        for block in self.blocks:
            states, weight = block(states, mask, attention=True)
        read = weight[:, :, 0, 1:].mean(1)  # (B, M)
        gates = read / read.sum(1, keepdim=True).clamp(min=1e-12)
        mixed = torch.einsum("bm,bmd->bd", gates, pooled) + self.correct(self.outward(states[:, 0]))
        return Fused(vector=self.unit_or_null(mixed, present), gates=gates, attention=weight if attention else None)
