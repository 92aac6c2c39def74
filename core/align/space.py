"""The fixed part of alignment: each modality standardised by what the training data looks like."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.domain import Encoded
from core.errors import ShapeError


class Standardise(nn.Module):
    """Centre, rotate to principal axes, and damp the strong ones: x -> (x - mean) V / spread^(1 - soften).

    soften = 1 keeps all spreads (plain PCA), 0 makes them equal (whitening). Frozen once fitted, on training data only.
    Damping is what makes a pretrained CNN's features compare well: its strongest axes say little about identity.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.width, self.kept = width, kept
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("axes", torch.eye(width, kept))

    @torch.no_grad()
    def fit(self, pooled: Tensor, soften: float = 0.5) -> None:
        """pooled (n, E): one vector a medium. Axes beyond the rank of the data are zero."""
        if pooled.dim() != 2 or pooled.shape[1] != self.width:
            raise ShapeError(f"vectors of shape {tuple(pooled.shape)} came; (n, {self.width}) was expected")
        pooled = pooled.double()
        self.mean.copy_(pooled.mean(0))
        if len(pooled) < 3:
            return
        _, spread, axes = torch.linalg.svd(pooled - pooled.mean(0), full_matrices=False)
        rank = min(self.kept, int((spread > spread[0] * 1e-4).sum()))
        spread = spread[:rank] / len(pooled) ** 0.5
        scaled = axes[:rank].T / spread ** (1 - soften)  # (E, rank)
        self.axes.zero_()
        self.axes[:, :rank] = scaled / ((pooled - pooled.mean(0)) @ scaled).norm(dim=1).mean()

    def forward(self, states: Tensor) -> Tensor:
        """(..., E) -> (..., kept); a fitted medium has length about 1."""
        return (states - self.mean) @ self.axes

    def encoded(self, encoded: Encoded) -> Encoded:
        """The same things with standardised states; padding stays exactly zero."""
        tokens = self(encoded.tokens) * encoded.mask[..., None]
        return replace(encoded, tokens=tokens, pooled=self(encoded.pooled) * encoded.pooled_mask[..., None])
