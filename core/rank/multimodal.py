"""Ranker `multimodal`: a query tower and a user tower meet one item tower, end to end through align and fuse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

RATINGS = 7  # buckets of a history row: unrated, 0, 1, ... 5


@dataclass(frozen=True, kw_only=True)
class History:
    """What B users did before: items (B, T) rows of the item table, rating (B, T) buckets, mask (B, T); user (B,) row
    in the training users, or -1 for somebody new."""

    items: Tensor
    rating: Tensor
    mask: Tensor
    user: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sequence[tuple[int, float | None]]], users: Sequence[int]) -> History:
        """rows: per user the (item row, rating) they had; users: their training rows or -1."""
        length = max([1, *(len(row) for row in rows)])
        items, rating = (
            torch.zeros(len(rows), length, dtype=torch.long),
            torch.zeros(len(rows), length, dtype=torch.long),
        )
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for at, row in enumerate(rows):
            for place, (item, stars) in enumerate(row):
                items[at, place], mask[at, place] = item, True
                rating[at, place] = 0 if stars is None else 1 + min(5, max(0, math.floor(stars + 0.5)))
        return cls(items=items, rating=rating, mask=mask, user=torch.tensor(users, dtype=torch.long))

    def to(self, device: str) -> History:
        return History(**{one.name: getattr(self, one.name).to(device) for one in fields(self)})


class Multimodal(nn.Module):
    """score = scale * query . item  +  taste . offer + bias, each term where it applies; both are logits.

    A user's taste is what the history offers, each item weighted by a learned worth of its rating, plus a personal
    part. Nobody has to be in the training data to be ranked for: a new user is a history, a new item is its media.
    Items seen in training add a small part and a bias of their own, new ones add nothing.
    """

    cases = frozenset({"known user", "new user", "query", "new item"})

    def __init__(self, width: int, users: int, items: int, scale: float = 12.0, own: int = 64) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.worth = nn.Parameter(torch.tensor([1.0, -1.0, -1.0, -0.5, 0.0, 0.6, 1.0]))  # unrated, 0, 1, ... 5 stars
        self.offered = nn.Linear(width, own, bias=False)
        self.personal = nn.Embedding(users + 1, own)  # the last row is never read: somebody new
        self.residual = nn.Embedding(items + 1, own)
        self.bias = nn.Embedding(items + 1, 1)
        nn.init.normal_(self.personal.weight, std=0.1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.bias.weight)

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=100)

    def user_parameters(self) -> list[nn.Parameter]:
        """All that only the users' loss trains."""
        return [p for name, p in self.named_parameters() if name != "log_scale"]

    def score_query(self, query: Tensor, items: Tensor) -> Tensor:
        """query (B, D), items (N, D), unit rows -> (B, N)."""
        return query @ items.T * self.scale

    def offer(self, items: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Item vectors (N, D) and their training rows (N,), -1 for new -> what they offer (N, own), bias (N,)."""
        row = torch.where(known < 0, self.residual.num_embeddings - 1, known)
        is_known = (known >= 0)[:, None]
        return self.offered(items) + self.residual(row) * is_known, (self.bias(row) * is_known)[:, 0]

    def taste(self, history: History, offers: Tensor) -> Tensor:
        """(B, own): what each user likes, from their history over offers (N, own) and a personal part."""
        weight = self.worth[history.rating] * history.mask  # (B, T)
        liked = torch.einsum("bt,bto->bo", weight, offers[history.items])
        liked = liked / history.mask.sum(1, keepdim=True).clamp(min=1).sqrt()
        row = torch.where(history.user < 0, self.personal.num_embeddings - 1, history.user)
        return liked + self.personal(row) * (history.user >= 0)[:, None]

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        """(B, N) scores of items (N, D) for users with a history; met: the items as the history knows them, where
        `items` themselves were changed."""
        offers, bias = self.offer(items, known)
        past = offers if met is None else self.offer(met, known)[0]
        return self.taste(history, past) @ offers.T + bias
