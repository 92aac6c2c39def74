"""Fuser `transformer`: one encoder over all words and patches at once, with a summary token that reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Aligned, Fused, Modality
from core.fuse.weighted import Weighted


class Block(nn.Module):
    """Pre-norm Transformer block that can return its attention, and can be asked for the first states only."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.offer = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(
        self, states: Tensor, mask: Tensor, attention: bool, first: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """states (B, L, D), mask (B, L) True where real -> the first L' states, attention (B, H, L', L) or None."""
        seen = self.before(states)
        query = self.split(self.query(seen[:, :first]))  # (B, H, L', D / H)
        key, value = (self.split(part) for part in self.offer(seen).chunk(2, -1))  # (B, H, L, D / H)
        weight = None
        if attention:
            logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            weight = logits.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1)  # (B, H, L', L)
            read = weight @ value
        else:
            read = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        states = states[:, :first] + self.drop(self.out(read.transpose(1, 2).flatten(2)))
        return states + self.drop(self.feed(self.after(states))), weight

    def split(self, states: Tensor) -> Tensor:
        """(B, L, D) -> (B, H, L, D / H)."""
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def drop(self, states: Tensor) -> Tensor:
        return functional.dropout(states, self.dropout, self.training)


class JointTransformer(Weighted):
    """The gated mean of `Weighted`, corrected by what a summary token reads from the words and patches together.

    The correction starts at zero, so training begins at the weighted fuser and can only leave it for something better.
    Tokens enter at `inner` channels; all blocks but the last let them speak with each other, and in the last one only
    the summary reads, so that the cost is that of one narrow block. The gates are those of the mean. Attention is over
    [summary, tokens of each modality in order], (B, H, 1 + L, 1 + L), in the last block only its first row counts.
    """

    reads_tokens = True

    def __init__(
        self,
        modalities: Sequence[Modality],
        width: int,
        layers: int = 2,
        heads: int = 4,
        inner: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(modalities, width)
        self.kind = nn.ParameterDict({m: nn.Parameter(torch.randn(inner) * 0.02) for m in self.modalities})
        self.summary = nn.Parameter(torch.randn(inner) * 0.02)
        self.inward = nn.Linear(width, inner)
        self.blocks = nn.ModuleList(Block(inner, heads, 0.0) for _ in range(layers - 1))
        self.read = Block(inner, heads, dropout)
        self.outward = nn.LayerNorm(inner)
        self.correct = nn.Linear(inner, width)
        nn.init.zeros_(self.correct.weight)
        nn.init.zeros_(self.correct.bias)

    def forward(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        gates, mixed = self.mix(aligned)
        summary = self.summary + self.inward(mixed)  # (B, inner)
        states = torch.cat(
            [summary[:, None], *(self.inward(aligned[m].tokens) + self.kind[m] for m in self.modalities)], 1
        )
        mask = functional.pad(
            torch.cat([aligned[m].mask for m in self.modalities], 1), (1, 0), value=True
        )  # (B, 1 + L)
        layers = []
        for block in self.blocks:
            states, weight = block(states, mask, attention)
            layers.append(weight)
        states, weight = self.read(states, mask, attention, first=None if attention else 1)
        mixed = mixed + self.correct(self.outward(states[:, 0]))
        return Fused(
            vector=self.unit_or_null(mixed, gates > 0),
            gates=gates,
            attention=weight,
            layers=(*layers, weight) if attention else (),
        )
