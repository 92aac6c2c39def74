"""Ranker `graph`: light graph convolution over who liked what, and over which items are alike.

Sources: He et al. 2020, "LightGCN"; Zhou and Shen 2023, "FREEDOM" (the item-item graph, frozen).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.rank.dot import DotProduct
from core.rank.factors import Tables
from core.rank.likes import Likes


class _Symmetric(torch.autograd.Function):
    """matrix @ x for a symmetric sparse matrix that learns nothing: its gradient is the same product."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, x: Tensor) -> Tensor:
        ctx.matrix = matrix
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, ctx.matrix @ grads[0].contiguous()


def spread(matrix: Tensor, x: Tensor) -> Tensor:
    """One step over a symmetric graph: sparse (n, n) @ (n, d)."""
    return _Symmetric.apply(matrix, x)


def normalised(row: Tensor, column: Tensor, size: int) -> Tensor:
    """Edges and their reverse as D^-1/2 A D^-1/2, sparse (n, n); an edge that comes twice counts once."""
    keys = torch.cat([row * size + column, column * size + row]).unique()
    row, column = keys // size, keys % size
    degree = torch.bincount(row, minlength=size).clamp(min=1).double()
    values = (degree[row] * degree[column]).rsqrt().float()
    start = torch.searchsorted(row, torch.arange(size + 1, device=row.device)).int()
    return torch.sparse_csr_tensor(start, column.int(), values, (size, size), check_invariants=False)


def likes_graph(likes: Likes) -> Tensor:
    """Users first, then items: normalised, sparse (U + N, U + N)."""
    return normalised(likes.user, likes.item + likes.users, likes.users + likes.items)


def nearest_graph(features: Sequence[Tensor], neighbours: int, block: int = 1024) -> Tensor:
    """Every item tied to its most alike ones by cosine, in each modality: normalised, sparse (N, N).

    features: a modality (N, E) each, rows of zeros where absent; those get no ties of that modality.
    """
    rows, columns, size = [], [], len(features[0])
    for one in features:
        unit = nn.functional.normalize(one.float(), dim=1)
        there = unit.norm(dim=1) > 0
        for start in range(0, size, block):
            part = unit[start : start + block]
            alike = part @ unit.T
            alike[:, ~there] = -2.0
            own = torch.arange(len(part), device=one.device)
            alike[own, own + start] = -2.0
            best = alike.topk(min(neighbours, size - 1))
            kept = (best.values > -1.5) & there[start : start + block, None]
            rows.append((own + start)[:, None].expand_as(best.indices)[kept])
            columns.append(best.indices[kept])
    return normalised(torch.cat(rows), torch.cat(columns), size)


class GraphLearner(nn.Module):
    """e <- mean over layers 0..K of A^k e, users and items together; items then add `share` of their item-item mean."""

    def __init__(self, likes: Likes, width: int, layers: int, ties: Tensor | None = None, share: float = 0.0) -> None:
        super().__init__()
        self.likes, self.layers, self.share = likes, layers, share
        self.own = nn.Embedding(likes.users + likes.items, width)
        nn.init.xavier_normal_(self.own.weight)
        self.graph, self.ties = likes_graph(likes), ties

    def layered(self) -> list[Tensor]:
        found = [self.own.weight]
        for _ in range(self.layers):
            found.append(spread(self.graph, found[-1]))
        return found

    def tables(self) -> Tables:
        users, items = (sum(self.layered()) / (self.layers + 1)).split([self.likes.users, self.likes.items])
        if self.ties is not None and self.share:
            items = items + self.share * spread(self.ties, self.own.weight[self.likes.users :])
        return Tables(users=users, items=items, bias=items.new_zeros(len(items)))

    def settle(self, ranker: Graph) -> None:
        """A new user with these likes would get, from layers 0..K-1 of them, what the graph gives a known one."""
        tables = self.tables()
        lends = sum(self.layered()[:-1])[self.likes.users :] * self.likes.item_counts.clamp(min=1).rsqrt()[:, None]
        ranker.settle(tables.users, tables.items, lends=lends)

    def size(self, user: Tensor, *items: Tensor) -> Tensor:
        own = self.own(user).square().sum()
        return (own + sum(self.own(item + self.likes.users).square().sum() for item in items)) / len(user)


class Graph(DotProduct):
    """score = user . item, both smoothed over the graph; a new user is folded in through the items they liked."""
