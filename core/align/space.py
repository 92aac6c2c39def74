"""The fixed part of alignment: each modality standardised by what the training data looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Encoded
from core.errors import ShapeError, UnknownNameError


class Space(nn.Module):
    """The frame of all: states of width E become states of width `kept`. Frozen once fitted, on training data only.

    Whatever else is done, a fitted medium has length 1 in the mean: what follows need not know which one was chosen.
    """

    def __init__(self, width: int, kept: int) -> None:
        super().__init__()
        self.width, self.kept = width, kept

    def fit(self, pooled: Tensor, soften: float = 0.5) -> None:
        """pooled (n, E): one vector a medium."""
        raise NotImplementedError

    def checked(self, pooled: Tensor) -> Tensor:
        """The same in double precision. Raises ShapeError."""
        if pooled.dim() != 2 or pooled.shape[1] != self.width:
            raise ShapeError(f"vectors of shape {tuple(pooled.shape)} came; (n, {self.width}) was expected")
        return pooled.double()

    def encoded(self, encoded: Encoded) -> Encoded:
        """The same things with standardised states; padding stays exactly zero."""
        tokens = self(encoded.tokens) * encoded.mask[..., None]
        return replace(encoded, tokens=tokens, pooled=self(encoded.pooled) * encoded.pooled_mask[..., None])


class Standardise(Space):
    """Centre, rotate to principal axes, and damp the strong ones: x -> (x - mean) V / spread^(1 - soften).

    soften = 1 keeps all spreads (plain PCA), 0 makes them equal (whitening). Frozen once fitted, on training data only.
    Damping is what makes a pretrained CNN's features compare well: its strongest axes say little about identity.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, width: int, kept: int) -> None:
        super().__init__(width, kept)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("axes", torch.eye(width, kept))

    @torch.no_grad()
    def fit(self, pooled: Tensor, soften: float = 0.5) -> None:
        """pooled (n, E): one vector a medium. Axes beyond the rank of the data are zero."""
        pooled = self.checked(pooled)
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


class Whitened(Standardise):
    """Centred, turned to the principal axes, every axis with the same spread: PCA whitening of the axes kept."""

    def fit(self, pooled: Tensor, soften: float = 0.5) -> None:
        super().fit(pooled, soften=0.0)


class ZScored(Space):
    """Every coordinate centred and divided by its own standard deviation, one that never varies by nothing."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, kept: int) -> None:
        super().__init__(width, width)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    @torch.no_grad()
    def fit(self, pooled: Tensor, soften: float = 0.5) -> None:
        pooled = self.checked(pooled)
        self.mean.copy_(pooled.mean(0))
        if len(pooled) < 3:
            return
        spread = pooled.std(0, correction=0)
        varies = spread > spread.max() * 1e-6
        scale = varies / torch.where(varies, spread, 1.0)
        length = ((pooled - pooled.mean(0)) * scale).norm(dim=1).mean()
        self.scale.copy_(scale / length.clamp(min=1e-12))

    def forward(self, states: Tensor) -> Tensor:
        """(..., E) -> (..., E)."""
        return (states - self.mean) * self.scale


class UnitLength(Space):
    """Every state divided by its own length; nothing is fitted, and a state of zeros stays one."""

    def __init__(self, width: int, kept: int) -> None:
        super().__init__(width, width)

    def fit(self, pooled: Tensor, soften: float = 0.5) -> None:
        self.checked(pooled)

    def forward(self, states: Tensor) -> Tensor:
        """(..., E) -> (..., E)."""
        return functional.normalize(states, dim=-1)


SPACES: dict[str, Callable[[int, int], Space]] = {
    "damped_pca": Standardise, "zscore": ZScored, "unit": UnitLength, "whiten": Whitened,
}  # fmt: skip


def build_space(name: str, width: int, kept: int) -> Space:
    """An unfitted standardiser of states of width E; it keeps at most `kept` axes where it has such. Unknown names list
    the known."""
    if name not in SPACES:
        raise UnknownNameError("standardisation", name, SPACES)
    return SPACES[name](width, min(kept, width))
