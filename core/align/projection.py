"""Aligner `projection`: one head a modality; attention pools the tokens of each medium, then the media of a thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Aligned, Encoded, Modality


class Head(nn.Module):
    """States of one modality -> shared space. Starts as a plain cut of the principal axes, so that an untrained head is
    as good as the encoder; what training adds is a correction, and only the correction is decayed.

    Every medium (a sentence, a photo) is bent into the shared space by itself before the media are averaged: what one
    sentence says stays told apart from what the next one says.
    """

    start: Tensor

    def __init__(self, kept: int, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("start", torch.eye(width, kept))
        self.shift = nn.Linear(kept, width)
        self.bend = nn.Sequential(nn.Linear(kept, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))
        self.attend, self.prefer = score(kept), score(kept)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.shift, self.bend[-1], self.attend[-1], self.prefer[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, encoded: Encoded, tokens: bool, context: Tensor | None = None) -> Aligned:
        """context (B, L, D): what a further reader found out about each token; it is added in the shared space."""
        present = encoded.present
        within = self.within(encoded)  # (B, L)
        media = self.media(encoded, within)  # (B, R, kept)
        trust = self.trust(media, encoded.pooled_mask)  # (B, R)
        pooled = torch.einsum("br,brd->bd", trust, self.vector(self.dropout(media)))  # (B, D)
        weight = within * trust.gather(1, encoded.part)  # (B, L)
        states = self.project(encoded.tokens) if tokens else encoded.tokens[..., :0]
        if context is not None:
            pooled = pooled + torch.einsum("bl,bld->bd", weight, context)
            states = states + context if tokens else states
        return Aligned(
            tokens=states * encoded.mask[..., None],
            mask=encoded.mask,
            pooled=functional.normalize(pooled, dim=-1) * present[:, None],
            present=present,
            media=trust,
            weights=weight,
            strength=pooled.norm(dim=-1) * present,
        )

    @torch.no_grad()
    def start_at(self, blocks: Iterable[tuple[Encoded, Tensor]], penalty: float) -> None:
        """Makes the linear part the ridge regression of these things onto targets (B, D), block by block: the best a
        linear map can do with few of them, in closed form. penalty: on squared weights, against states of length about
        1. Memory goes with kept squared and the largest block, however many things there are."""
        width, kept = self.start.shape
        gram = penalty * torch.eye(kept, dtype=torch.float64, device=self.start.device)
        met = torch.zeros(kept, width, dtype=torch.float64, device=self.start.device)
        for encoded, targets in blocks:
            media = self.media(encoded, self.within(encoded))  # (B, R, kept)
            states = (self.trust(media, encoded.pooled_mask)[..., None] * media).sum(1).double()  # (B, kept)
            gram += states.T @ states
            met += states.T @ targets.to(states)
        self.shift.weight.copy_(torch.linalg.solve(gram, met).T - self.start)

    def media(self, encoded: Encoded, within: Tensor) -> Tensor:
        """(B, R, kept): every medium as the mean of its tokens, weighed by within (B, L)."""
        member = functional.one_hot(encoded.part, encoded.pooled_mask.shape[1]).to(within) * within[..., None]
        return member.transpose(1, 2) @ encoded.tokens

    def within(self, encoded: Encoded) -> Tensor:
        """(B, L): what each token is worth, summing to 1 over the tokens of each medium; uniform to begin with."""
        logits = self.attend(encoded.tokens).squeeze(-1).masked_fill(~encoded.mask, -torch.inf)  # (B, L)
        most = logits.amax(1, keepdim=True).masked_fill(~encoded.present[:, None], 0)
        worth = (logits - most).exp()
        total = torch.zeros_like(encoded.pooled_mask, dtype=worth.dtype).scatter_add(1, encoded.part, worth)  # (B, R)
        return worth / total.gather(1, encoded.part).clamp(min=1e-9) * encoded.mask

    def trust(self, media: Tensor, there: Tensor) -> Tensor:
        """media (B, R, kept), there (B, R) -> (B, R): worth of each medium, summing to 1; uniform to begin with."""
        logits = self.prefer(media).squeeze(-1).masked_fill(~there, -torch.inf)
        return logits.masked_fill(~there.any(1, keepdim=True), 0).softmax(-1) * there

    def vector(self, pooled: Tensor) -> Tensor:
        """Standardised (..., kept) -> shared space (..., D), not yet of unit length."""
        return self.project(pooled) + self.bend(pooled)

    def project(self, states: Tensor) -> Tensor:
        return functional.linear(states, self.start + self.shift.weight, self.shift.bias)


def score(kept: int, hidden: int = 32) -> nn.Sequential:
    """(..., kept) -> (..., 1)."""
    return nn.Sequential(nn.Linear(kept, hidden), nn.Tanh(), nn.Linear(hidden, 1))


class Projection(nn.Module):
    """A head of its own for every modality; they meet only through the loss.

    widths: modality -> width of its standardised states. D is `width`. `mixes`: whether a vector may tell of the other
    modalities of its thing; the alignment loss then looks at each modality by itself.
    """

    mixes = False

    def __init__(self, widths: Mapping[Modality, int], width: int, hidden: int = 512, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({m: Head(kept, width, hidden, dropout) for m, kept in widths.items()})

    def forward(self, encoded: Mapping[Modality, Encoded], tokens: bool = True) -> dict[Modality, Aligned]:
        """tokens=False leaves the tokens out (width 0), for fusers that read pooled vectors only."""
        return {modality: head(encoded[modality], tokens) for modality, head in self.heads.items()}
