"""Rankers that learn little or nothing: `popularity` and `content`. Floors that every other ranker must beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.rank.likes import Likes
from core.rank.multimodal import History


class Popularity(nn.Module):
    """score = how often an item was met in training; the same for everybody, 0 for new items."""

    cases = frozenset({"known user", "new user"})
    reads = "ids"
    counts: Tensor

    def __init__(self, width: int, users: int, items: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(items))

    def settle(self, met: Likes) -> None:
        self.counts = met.item_counts

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        counts = torch.where(known >= 0, self.counts[known.clamp(min=0)], 0.0)
        return counts.expand(len(history.user), -1)


class Content(nn.Module):
    """Vector space model: cosine of fused vectors. A user is the mean of what they rated well. Source: Salton 1975."""

    cases = frozenset({"known user", "new user", "query", "new item"})

    def __init__(self, width: int, users: int, items: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(12.0))
        self.register_buffer("worth", torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]))  # unrated, 0, 1, ... 5 stars

    def score_query(self, query: Tensor, items: Tensor) -> Tensor:
        return query @ items.T * self.scale

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        weight = self.worth[history.rating] * history.mask
        liked = torch.einsum("bt,btd->bd", weight, (items if met is None else met)[history.items])
        return nn.functional.normalize(liked, dim=-1) @ items.T * self.scale
