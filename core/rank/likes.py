"""Who liked what, as row numbers: what every ranker that learns from interactions is fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from core.domain import LIKED
from core.errors import ShapeError

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")  # said at the first one made


@dataclass(frozen=True, kw_only=True)
class Likes:
    """E pairs: user (E,) and item (E,), rows below `users` and `items`; the order of a user's pairs is kept."""

    user: Tensor
    item: Tensor
    users: int
    items: int

    def __post_init__(self) -> None:
        if self.user.shape != self.item.shape or self.user.dim() != 1:
            raise ShapeError(f"users {tuple(self.user.shape)} and items {tuple(self.item.shape)} must be pairs (E,)")

    @classmethod
    def of(cls, histories: Sequence[Iterable[tuple[int, float | None]]], items: int) -> Likes:
        """histories: per user the (item row, rating) they had; only what was liked is kept."""
        pairs = [
            (user, item)
            for user, history in enumerate(histories)
            for item, rating in history
            if rating is None or rating >= LIKED
        ]
        user, item = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
        return cls(user=user, item=item, users=len(histories), items=items)

    def __len__(self) -> int:
        return len(self.user)

    def to(self, device: str) -> Likes:
        return Likes(user=self.user.to(device), item=self.item.to(device), users=self.users, items=self.items)

    @cached_property
    def user_counts(self) -> Tensor:
        """(U,) likes of every user."""
        return torch.bincount(self.user, minlength=self.users).float()

    @cached_property
    def item_counts(self) -> Tensor:
        """(N,) likes of every item."""
        return torch.bincount(self.item, minlength=self.items).float()

    @cached_property
    def keys(self) -> Tensor:
        """(E,) user * items + item, ascending: membership of a pair is one binary search."""
        return (self.user * self.items + self.item).sort().values

    def hold(self, user: Tensor, item: Tensor) -> Tensor:
        """True where the pair is among the likes; any shape, broadcast."""
        if not len(self):
            return torch.zeros(torch.broadcast_shapes(user.shape, item.shape), dtype=torch.bool, device=user.device)
        wanted = user * self.items + item
        place = torch.searchsorted(self.keys, wanted).clamp(max=len(self) - 1)
        return self.keys[place] == wanted

    def strangers(self, user: Tensor, generator: torch.Generator, tries: int = 3) -> Tensor:
        """(B,) one item for each user (B,), uniform among those that the user has not liked.

        What is still liked after `tries` draws stays: of users who like nearly everything.
        """
        drawn = torch.randint(self.items, user.shape, generator=generator, device=user.device)
        for _ in range(tries):
            known = self.hold(user, drawn)
            again = torch.randint(self.items, user.shape, generator=generator, device=user.device)
            drawn = torch.where(known, again, drawn)
        return drawn

    def rows_of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs of some users (B,), as (position in `users`, item): what to mask in scores (B, N)."""
        begin = torch.searchsorted(self.keys, users * self.items)
        end = torch.searchsorted(self.keys, (users + 1) * self.items)
        count, device = end - begin, users.device
        position = torch.repeat_interleave(torch.arange(len(users), device=device), count)
        shift = (begin - (count.cumsum(0) - count))[position]
        return position, self.keys[torch.arange(len(position), device=device) + shift] % self.items


def sparse(counts: Tensor, columns: Tensor, values: Tensor, width: int) -> Tensor:
    """(len(counts), width), row by row: counts entries each."""
    start = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(columns.dtype)
    return torch.sparse_csr_tensor(start, columns, values, (len(counts), width), check_invariants=False)
