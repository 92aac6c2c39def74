"""No fusion: the modalities side by side, for rankers that read frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from core.domain import Aligned, Fused, Modality


class Beside(nn.Module):
    """vector = all modalities one after the other (B, sum of widths), not of unit length: a missing one is zeros, and
    all missing is the zero vector. A gate is one share for each modality that is there. Nothing is learned."""

    reads_tokens = False

    def __init__(self, modalities: Sequence[Modality]) -> None:
        super().__init__()
        self.modalities = tuple(modalities)

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        if not self.modalities:
            return Fused(vector=torch.zeros(1, 0), gates=torch.zeros(1, 0))
        present = torch.stack([aligned[m].present for m in self.modalities], 1).float()  # (B, M)
        return Fused(
            vector=torch.cat([aligned[m].pooled for m in self.modalities], 1),
            gates=present / present.sum(1, keepdim=True).clamp(min=1),
        )
