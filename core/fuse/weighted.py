"""Fuser `weighted`: a learned gate says how much each modality of this very thing is worth; the rest is a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.domain import Aligned, Fused, Modality
from core.fuse.fuser import Fuser, null_vector


class Weighted(Fuser):
    """vector = unit(sum_m gate_m pooled_m), gates = softmax over the modalities present.

    A gate sees its modality's vector and how well it agrees with the others, so it can learn whom to trust.
    """

    def __init__(self, modalities: Sequence[Modality], width: int, hidden: int = 32) -> None:
        super().__init__(modalities)
        self.trust = nn.ModuleDict({m: gate(width, hidden) for m in self.modalities})
        self.null = null_vector(width)

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        gates, mixed = self.mix(aligned)
        return Fused(vector=self.unit_or_null(mixed, gates > 0), gates=gates)

    def mix(self, aligned: Mapping[Modality, Aligned]) -> tuple[Tensor, Tensor]:
        """gates (B, M) and the gated sum (B, D), not yet of unit length."""
        pooled, present = self.beside(aligned)
        others = (pooled.sum(1, keepdim=True) - pooled) / (present.sum(1)[:, None, None] - 1).clamp(min=1)
        agreement = (pooled * others).sum(-1)  # (B, M): mean cosine to the other modalities, 0 when alone
        logits = torch.cat(
            [
                self.trust[m](torch.cat([pooled[:, j], agreement[:, j, None]], -1))
                for j, m in enumerate(self.modalities)
            ],
            -1,
        )  # (B, M)
        some = present.any(1, keepdim=True)
        gates = logits.masked_fill(~present, -torch.inf).masked_fill(~some, 0).softmax(-1) * present
        return gates, torch.einsum("bm,bmd->bd", gates, pooled)


def gate(width: int, hidden: int) -> nn.Sequential:
    """(B, D + 1) -> (B, 1); starts at zero: all modalities alike."""
    layers = nn.Sequential(nn.Linear(width + 1, hidden), nn.GELU(), nn.Linear(hidden, 1))
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return layers
