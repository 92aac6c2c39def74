"""Ranker `factors`: matrix factorisation by Bayesian personalised ranking.  Source: Rendle et al. 2009, "BPR"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.rank.dot import DotProduct
from core.rank.likes import Likes


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Whole tables of a learner: users (U, d), items (N, d), bias (N,); score = user . item + bias."""

    users: Tensor
    items: Tensor
    bias: Tensor

    def scores(self, users: Tensor) -> Tensor:
        """(B, N) scores of all items for user rows (B,)."""
        return self.users[users] @ self.items.T + self.bias

    def at(self, heat: float | None) -> Tables:
        """Tables whose score is the cosine / heat; these ones where heat is None."""
        if heat is None:
            return self
        users, items = (nn.functional.normalize(one, dim=1) for one in (self.users, self.items))
        return Tables(users=users / heat, items=items, bias=self.bias)


class Learner(nn.Module):
    """What is trained of a ranker that learns from who liked what: whole tables of users and items."""

    def tables(self) -> Tables:
        raise NotImplementedError

    def size(self, user: Tensor, *items: Tensor) -> Tensor:
        """Mean squared length of what a batch moves."""
        raise NotImplementedError

    def settle(self, ranker: Any) -> None:
        """Hands what was learned over to the ranker."""
        raise NotImplementedError


class FactorsLearner(Learner):
    """What is trained: a vector a user, a vector and a bias an item. heat: scores are cosine / heat + bias."""

    def __init__(self, likes: Likes, width: int, heat: float | None = None) -> None:
        super().__init__()
        self.heat = heat
        self.users, self.items = nn.Embedding(likes.users, width), nn.Embedding(likes.items, width)
        self.bias = nn.Parameter(torch.zeros(likes.items))
        nn.init.normal_(self.users.weight, std=0.1 / width**0.5)
        nn.init.normal_(self.items.weight, std=0.1 / width**0.5)

    def tables(self) -> Tables:
        return Tables(users=self.users.weight, items=self.items.weight, bias=self.bias).at(self.heat)

    @torch.no_grad()
    def settle(self, ranker: Factors) -> None:
        tables = self.tables()
        ranker.settle(tables.users, tables.items, tables.bias)

    def size(self, user: Tensor, *items: Tensor) -> Tensor:
        """Squared lengths of the vectors that a batch moves, a mean over its rows: what the penalty is on."""
        own = self.users(user).square().sum() + sum(self.items(item).square().sum() for item in items)
        return own / len(user)


class Factors(DotProduct):
    """score = user . item + bias; a new user is folded in from their history."""
