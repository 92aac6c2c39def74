"""Fuser `transformer`: one encoder over all words and patches at once, with a summary token that reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Aligned, Fused, Modality
from core.fuse.weighted import Weighted


class Block(nn.Module):
    """Pre-norm Transformer block that can return its attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )

    def forward(self, states: Tensor, mask: Tensor, attention: bool) -> tuple[Tensor, Tensor | None]:
        """states (B, L, D), mask (B, L) True where real -> states, attention (B, H, L, L) or None."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.before(states)).chunk(3, -1)
        )  # each (B, H, L, D / H)
        weight = None
        if attention:
            logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            weight = logits.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)  # (B, H, L, L)
            read = weight @ value
        else:
            read = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        states = states + functional.dropout(self.out(read.transpose(1, 2).flatten(2)), self.dropout, self.training)
        return states + self.feed(self.after(states)), weight


class JointTransformer(Weighted):
    """The gated mean of `Weighted`, corrected by what a summary token reads from the words and patches together.

    The correction starts at zero, so training begins at the weighted fuser and can only leave it for something better.
    attention: of the last block, over [summary, tokens of each modality in order].
    """

    reads_tokens = True

    def __init__(
        self, modalities: Sequence[Modality], width: int, layers: int = 2, heads: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__(modalities, width)
        self.kind = nn.ParameterDict({m: nn.Parameter(torch.randn(width) * 0.02) for m in self.modalities})
        self.summary = nn.Parameter(torch.randn(width) * 0.02)
        self.inward = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.outward = nn.LayerNorm(width)
        self.correct = nn.Linear(width, width)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        gates, mixed = self.mix(aligned)
        states = torch.cat([self.inward(aligned[m].tokens) + self.kind[m] for m in self.modalities], 1)  # (B, L, D)
        mask = torch.cat([aligned[m].mask for m in self.modalities], 1)
        states = torch.cat([self.summary.expand(len(states), 1, -1) + mixed[:, None], states], 1)  # (B, 1 + L, D)
        mask = functional.pad(mask, (1, 0), value=True)
        weight, layers = None, []
        for block in self.blocks:
            states, weight = block(states, mask, attention)
            layers += [] if weight is None else [weight]
        mixed = mixed + self.correct(self.outward(states[:, 0]))
        return Fused(vector=self.unit_or_null(mixed, gates > 0), gates=gates, attention=weight, layers=tuple(layers))
