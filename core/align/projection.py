"""Aligner `projection`: one head a modality, and attention that pools all tokens of a thing into one vector."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Aligned, Encoded, Modality


class Head(nn.Module):
    """States of one modality -> shared space. Starts as a plain cut of the principal axes, so that an untrained head is
    as good as the encoder; what training adds is a correction, and only the correction is decayed."""

    start: Tensor

    def __init__(self, kept: int, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("start", torch.eye(width, kept))
        self.shift = nn.Linear(kept, width)
        self.bend = nn.Sequential(nn.Linear(kept, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.attend = nn.Sequential(nn.Linear(kept, hidden // 4), nn.Tanh(), nn.Linear(hidden // 4, 1))
        self.dropout = nn.Dropout(dropout)
        for layer in (self.shift, self.bend[-1], self.attend[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, encoded: Encoded, tokens: bool, context: Tensor | None = None) -> Aligned:
        """context (B, L, D): what a further reader found out about each token; it is added in the shared space."""
        present = encoded.present
        weight = self.weigh(encoded)  # (B, L)
        pooled = self.vector(self.dropout(torch.einsum("bl,ble->be", weight, encoded.tokens)))  # (B, D)
        states = self.project(encoded.tokens) if tokens else encoded.tokens[..., :0]
        if context is not None:
            pooled = pooled + torch.einsum("bl,bld->bd", weight, context)
            states = states + context if tokens else states
        media = torch.zeros_like(encoded.pooled_mask, dtype=weight.dtype).scatter_add(1, encoded.part, weight)
        return Aligned(
            tokens=states * encoded.mask[..., None],
            mask=encoded.mask,
            pooled=functional.normalize(pooled, dim=-1) * present[:, None],
            present=present,
            media=media,
            weights=weight,
        )

    def weigh(self, encoded: Encoded) -> Tensor:
        """(B, L): what each token is worth, summing to 1 over a thing's tokens; uniform to begin with."""
        logits = self.attend(encoded.tokens).squeeze(-1).masked_fill(~encoded.mask, -torch.inf)  # (B, L)
        return logits.masked_fill(~encoded.present[:, None], 0).softmax(-1) * encoded.mask

    def vector(self, pooled: Tensor) -> Tensor:
        """Standardised (..., kept) -> shared space (..., D), not yet of unit length."""
        return self.project(pooled) + self.bend(pooled)

    def project(self, states: Tensor) -> Tensor:
        return functional.linear(states, self.start + self.shift.weight, self.shift.bias)


class Projection(nn.Module):
    """A head of its own for every modality; they meet only through the loss.

    widths: modality -> width of its standardised states. D is `width`. `mixes`: whether a vector may tell of the other
    modalities of its thing; the alignment loss then looks at each modality by itself.
    """

    mixes = False

    def __init__(self, widths: Mapping[Modality, int], width: int, hidden: int = 128, dropout: float = 0.2) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({m: Head(kept, width, hidden, dropout) for m, kept in widths.items()})

    def forward(self, encoded: Mapping[Modality, Encoded], tokens: bool = True) -> dict[Modality, Aligned]:
        """tokens=False leaves the tokens out (width 0), for fusers that read pooled vectors only."""
        return {modality: head(encoded[modality], tokens) for modality, head in self.heads.items()}
