"""Fuser `weighted`: a learned gate says how much each modality of this very thing is worth; the rest is a mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from core.domain import Aligned, Fused, Modality
from core.fuse.fuser import Fuser, null_vector


class Weighted(Fuser):
    """vector = unit(sum_m gate_m pooled_m), gates = softmax over the modalities present.

    A gate sees how much its modality has to say and how well that agrees with the others, not what it says: so it can
    be learned from few things, and from others than those that the vectors were learned from.
    """

    def __init__(self, modalities: Sequence[Modality], width: int, hidden: int = 8) -> None:
        super().__init__(modalities)
        self.trust = nn.ModuleDict({m: gate(hidden) for m in self.modalities})
        self.null = null_vector(width)

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        gates, mixed = self.mix(aligned)
        return Fused(vector=self.unit_or_null(mixed, gates > 0), gates=gates)

    def mix(self, aligned: Mapping[Modality, Aligned]) -> tuple[Tensor, Tensor]:
        """gates (B, M) and the gated sum (B, D), not yet of unit length."""
        pooled, present = self.beside(aligned)
        gates = self.gates(pooled, present, self.strength(aligned))
        return gates, torch.einsum("bm,bmd->bd", gates, pooled)

    def strength(self, aligned: Mapping[Modality, Aligned]) -> Tensor:
        """(B, M): how much each modality has to say, 1 where an aligner does not tell."""
        sides = [aligned[m] for m in self.modalities]
        return torch.stack([one.present.float() if one.strength is None else one.strength for one in sides], 1)

    def gates(self, pooled: Tensor, present: Tensor, strength: Tensor) -> Tensor:
        """pooled (B, M, D) zero where absent, present (B, M), strength (B, M) -> (B, M), rows summing to 1 or 0."""
        others = (pooled.sum(1, keepdim=True) - pooled) / (present.sum(1)[:, None, None] - 1).clamp(min=1)
        agreement = (pooled * others).sum(-1)  # (B, M): mean cosine to the other modalities, 0 when alone
        seen = torch.stack([agreement, strength.detach().masked_fill(~present, 0)], -1)  # (B, M, 2)
        logits = torch.cat([self.trust[m](seen[:, j]) for j, m in enumerate(self.modalities)], -1)  # (B, M)
        some = present.any(1, keepdim=True)
        return logits.masked_fill(~present, -torch.inf).masked_fill(~some, 0).softmax(-1) * present


def gate(hidden: int) -> nn.Sequential:
    """(B, 2) -> (B, 1); starts at zero: all modalities alike."""
    layers = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return layers
