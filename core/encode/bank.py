"""All media of a modality laid end to end, so that a batch of any things is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.domain import Encoded
from core.encode.states import States


class MediaBank:
    """Flat states of n media: tokens (sum of L, E), pooled (n, E). Media are named by their row number.

    Kept in float16 (as the cache gives them); batches are float32.
    """

    def __init__(self, states: Sequence[States], width: int) -> None:
        lengths = np.array([len(state.tokens) for state in states], dtype=np.int64)
        self.width = width
        self.length = torch.from_numpy(lengths)
        self.start = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(states) else lengths)
        tokens = [state.tokens.astype(np.float16) for state in states] or [np.zeros((0, width), np.float16)]
        self.tokens = torch.from_numpy(np.concatenate(tokens))
        pooled = [state.pooled.astype(np.float16) for state in states] or [np.zeros(width, np.float16)]
        self.pooled = torch.from_numpy(np.stack(pooled))

    def __len__(self) -> int:
        return len(self.length)

    def transform(self, function: torch.nn.Module, width: int, block: int = 65536) -> None:
        """Replaces all states by `function` of them, block by block."""
        with torch.no_grad():
            self.tokens = torch.cat([function(piece.float()).half() for piece in self.tokens.split(block)])
            self.pooled = torch.cat([function(piece.float()).half() for piece in self.pooled.split(block)])
        self.width = width

    def batch(self, things: Sequence[Sequence[int]]) -> Encoded:
        """things: per thing the rows of its media (also none) -> padded float32 batch."""
        at = places(self.start, self.length, things)
        return Encoded(
            tokens=self.gathered(self.tokens, at.token) * at.mask[..., None],
            mask=at.mask,
            part=at.part,
            pooled=self.gathered(self.pooled, at.medium) * at.pooled_mask[..., None],
            pooled_mask=at.pooled_mask,
        )

    def gathered(self, table: Tensor, rows: Tensor) -> Tensor:
        if not len(self):
            return torch.zeros(*rows.shape, self.width)
        return table[rows].float()


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where in flat tables the states of B things lie: token (B, L) rows of tokens, medium (B, R) rows of media, 0
    where masks are False; part (B, L) which medium of the thing a token belongs to."""

    token: Tensor
    mask: Tensor
    part: Tensor
    medium: Tensor
    pooled_mask: Tensor


def places(start: Tensor, length: Tensor, things: Sequence[Sequence[int]]) -> Places:
    """start, length (n,): where the tokens of each medium begin in the flat table, and how many they are."""
    count = max([1, *(len(media) for media in things)])
    media = torch.full((len(things), count), -1, dtype=torch.long)
    for row, thing in enumerate(things):
        if thing:
            media[row, : len(thing)] = torch.as_tensor(list(thing))
    pooled_mask = media >= 0  # (B, R)
    known = media.clamp(min=0)
    lengths = torch.where(pooled_mask, length[known] if len(length) else 0, 0)  # (B, R)
    ends = lengths.cumsum(1)
    total = max(1, int(ends[:, -1].max()))
    place = torch.arange(total).expand(len(things), -1)  # (B, L)
    part = torch.searchsorted(ends, place.contiguous(), right=True).clamp(max=count - 1)  # (B, L)
    mask = place < ends[:, -1:]
    begins = (ends - lengths).gather(1, part)
    token = (start[known].gather(1, part) if len(length) else place) + place - begins
    return Places(
        token=torch.where(mask, token, 0), mask=mask, part=torch.where(mask, part, 0), medium=known,
        pooled_mask=pooled_mask,
    )  # fmt: skip
