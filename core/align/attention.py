"""Aligner `attention`: every modality asks the tokens of the others, and is moved by what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.align.projection import Projection
from core.domain import Aligned, Encoded, Modality


class CrossAttention(Projection):
    """The heads of `projection`, then cross-attention from a modality's vector (and tokens) to the others' tokens.

    Every question also sees an empty place whose answer is zero: it may learn to ask nobody, and a thing with a single
    modality keeps the vector of its head. The answer starts at zero: training begins at the projection.
    """

    mixes = True

    def __init__(
        self, widths: Mapping[Modality, int], width: int, heads: int = 4, inner: int = 64, dropout: float = 0.1
    ) -> None:
        super().__init__(widths, width)
        self.parallel = heads
        self.ask = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner))
        self.offer = nn.ModuleDict(  # keys and values
            {m: nn.Sequential(nn.LayerNorm(kept), nn.Linear(kept, 2 * inner)) for m, kept in widths.items()}
        )
        self.empty = nn.Parameter(torch.zeros(inner))
        self.answer = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.answer.weight)

    def forward(self, encoded: Mapping[Modality, Encoded], tokens: bool = True) -> dict[Modality, Aligned]:
        apart = super().forward(encoded, tokens)
        there = [m for m, one in encoded.items() if one.mask.any()]
        if len(there) < 2:
            return apart
        offers = {m: self.offer[m](encoded[m].tokens) for m in there}  # (B, L, 2 inner)
        return {m: self.asked(apart, offers, m, tokens) for m in apart}

    def asked(
        self, apart: Mapping[Modality, Aligned], offers: Mapping[Modality, Tensor], modality: Modality, tokens: bool
    ) -> Aligned:
        own = apart[modality]
        others = [m for m in offers if m != modality]
        empty = torch.cat([self.empty, torch.zeros_like(self.empty)]).expand(len(own.pooled), 1, -1)
        key, value = (
            self.split(part) for part in torch.cat([empty, *(offers[m] for m in others)], 1).chunk(2, -1)
        )  # each (B, H, 1 + L, inner / H)
        mask = functional.pad(
            torch.cat([own.mask[:, :0], *(apart[m].mask for m in others)], 1), (1, 0), value=True
        )  # (B, 1 + L)
        asking = torch.cat([own.pooled[:, None], own.tokens], 1) if tokens else own.pooled[:, None]
        query = self.split(self.ask(asking))
        read = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        change = self.dropout(self.answer(read.transpose(1, 2).flatten(2)))  # (B, 1 + L, D)
        pooled = functional.normalize(own.pooled + change[:, 0], dim=-1) * own.present[:, None]
        states = (own.tokens + change[:, 1:]) * own.mask[..., None] if tokens else own.tokens
        return replace(own, pooled=pooled, tokens=states)

    def split(self, states: Tensor) -> Tensor:
        """(B, L, inner) -> (B, H, L, inner / H)."""
        return states.unflatten(-1, (self.parallel, -1)).transpose(1, 2)
