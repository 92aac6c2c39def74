"""What every fuser stands on: vectors side by side, the null vector, and gates measured by leaving out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Aligned, Fused, Modality


class Fuser(nn.Module):
    """Aligned modalities -> Fused. What is absent weighs exactly nothing; where nothing is present, the vector is
    `null`. `reads_tokens`: whether words and patches are needed, or the pooled vectors alone."""

    reads_tokens = False
    null: nn.Parameter

    def __init__(self, modalities: Sequence[Modality]) -> None:
        super().__init__()
        self.modalities = tuple(modalities)

    def beside(self, aligned: Mapping[Modality, Aligned]) -> tuple[Tensor, Tensor]:
        """pooled (B, M, D), zero where absent whatever is stored there, and present (B, M)."""
        present = torch.stack([aligned[m].present for m in self.modalities], 1)
        pooled = torch.stack([aligned[m].pooled for m in self.modalities], 1)
        return pooled.masked_fill(~present[..., None], 0), present

    def unit_or_null(self, mixed: Tensor, present: Tensor) -> Tensor:
        """mixed (B, D), present (B, M) -> (B, D) of unit length."""
        some = present.any(1, keepdim=True)
        return torch.where(some, functional.normalize(mixed, dim=-1), functional.normalize(self.null, dim=0))


class LeftOut(Fuser):
    """A fuser without weights of its own inside: its gates are measured. The gate of a modality is how far the vector
    moves when that modality is left out, as a share of all such moves: 1 where it is alone, alike where none moves."""

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        pooled, present = self.beside(aligned)
        vector = self.vector(pooled, present)
        return Fused(vector=vector, gates=self.moves(pooled, present, vector.detach()).detach())

    def vector(self, pooled: Tensor, present: Tensor) -> Tensor:
        """pooled (B, M, D), zero where absent, present (B, M) -> (B, D) of unit length."""
        raise NotImplementedError

    def moves(self, pooled: Tensor, present: Tensor, whole: Tensor) -> Tensor:
        """gates (B, M) of vectors `whole` (B, D)."""
        moved = []
        for j in range(len(self.modalities)):
            left = present.clone()
            left[:, j] = False
            moved.append((whole - self.vector(pooled * left[..., None], left)).norm(dim=-1))
        gates = (torch.stack(moved, 1) + 1e-6) * present
        return gates / gates.sum(1, keepdim=True).clamp(min=1e-12)


def null_vector(width: int) -> nn.Parameter:
    return nn.Parameter(functional.normalize(torch.randn(width), dim=0))


def plain_mean(pooled: Tensor, present: Tensor) -> Tensor:
    """(B, M, D), zero where absent -> (B, D): where every fuser starts."""
    return pooled.sum(1) / present.sum(1, keepdim=True).clamp(min=1)
