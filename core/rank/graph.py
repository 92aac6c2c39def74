"""Ranker `graph`: light graph convolution over who liked what, and over which items are alike.

Sources: He et al. 2020, "LightGCN"; Zhou and Shen 2023, "FREEDOM" (the item-item graph, frozen).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from core.rank.dot import DotProduct, known_likes
from core.rank.factors import Learner, Tables
from core.rank.likeness import alike, modal, spread_likes, strength
from core.rank.likes import Likes
from core.rank.multimodal import History


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


class GraphLearner(Learner):
    """e <- mean over layers 0..K of A^k e, users and items together. heat: scores are cosine / heat, else products."""

    def __init__(self, likes: Likes, width: int, layers: int, heat: float | None = None) -> None:
        super().__init__()
        self.likes, self.layers, self.heat = likes, layers, heat
        self.own = nn.Embedding(likes.users + likes.items, width)
        nn.init.xavier_normal_(self.own.weight)
        self.graph = likes_graph(likes)

    def layered(self) -> list[Tensor]:
        found = [self.own.weight]
        for _ in range(self.layers):
            found.append(spread(self.graph, found[-1]))
        return found

    def tables(self) -> Tables:
        users, items = (sum(self.layered()) / (self.layers + 1)).split([self.likes.users, self.likes.items])
        return Tables(users=users, items=items, bias=items.new_zeros(len(items))).at(self.heat)

    @torch.no_grad()
    def settle(self, ranker: Graph) -> None:
        """A new user with these likes would get, from layers 0..K-1 of them, what the graph gives a known one."""
        tables = self.tables()
        lends = sum(self.layered()[:-1])[self.likes.users :] * self.likes.item_counts.clamp(min=1).rsqrt()[:, None]
        ranker.settle(tables.users, tables.items, lends=lends)

    def size(self, user: Tensor, *items: Tensor) -> Tensor:
        own = self.own(user).square().sum()
        return (own + sum(self.own(item + self.likes.users).square().sum() for item in items)) / len(user)


class Graph(DotProduct):
    """score = user . item, smoothed over the graph of likes, plus what the user's likes spread over that of the items.

    Somebody new is folded in through the items they liked. Where there are ties, a new item stands where the known
    items most like it stand on average. widths (M,) of the modalities side by side; strengths (M, N) of the known
    items' ties; parts (M,): what each modality's ties weigh, all zero where features are not read.
    """

    widths: Tensor
    strengths: Tensor
    parts: Tensor

    def __init__(self, width: int, users: int, items: int) -> None:
        super().__init__(width, users, items)
        self.cases = DotProduct.cases | ({"new item"} if width else set())
        self.register_buffer("widths", torch.zeros(0, dtype=torch.long))
        self.register_buffer("strengths", torch.zeros(0, items))
        self.register_buffer("parts", torch.zeros(0))

    @torch.no_grad()
    def tie(self, features: Sequence[Tensor], likes: Likes, share: float, judged: int = 2000) -> None:
        """Adds the item-item graph of frozen features (N, E), a modality each, once the rest is settled.

        Scores of both graphs are brought to one spread; the item-item graph then counts `share` of the other. Its
        modalities divide that by their lift: how far above the usual a training like stands in each when it is itself
        left out, judged by some users.
        """
        device = self.offers.device
        self.widths = torch.tensor([one.shape[1] for one in features], device=device)
        self.strengths = torch.stack([strength(one, one) for one in features])
        some = torch.arange(min(judged, likes.users), device=device)
        place, item = likes.rows_of(some)
        liked = torch.zeros(len(some), likes.items, device=device)
        liked[place, item] = 1
        everything = torch.arange(likes.items, device=device).expand(len(some), -1)
        spreads = [
            spread_likes(liked, everything, one, one, own, own)
            for one, own in zip(features, self.strengths, strict=True)
        ]
        lift = torch.stack([((one[place, item].mean() - one.mean()) / one.std()).clamp(min=0) for one in spreads])
        deviation = torch.stack([one.std() for one in spreads])
        usual = (self.people[some] @ self.offers.T + self.bias).std()
        self.parts = (share * usual * lift / lift.sum().clamp(min=1e-9) / deviation.clamp(min=1e-9)).nan_to_num(0.0)

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        if not len(self.widths):
            return super().score_users(history, items, known)
        met = items if met is None else met
        offers, bias, new = self.offers[known.clamp(min=0)], self.bias[known.clamp(min=0)], known < 0
        if new.any():
            offers, bias = offers.clone(), torch.where(new, 0.0, bias)
            offers[new] = self.stand_in(items[new], met[~new], offers[~new])
        scores = self.taste(history, known) @ offers.T + bias
        _, weight = known_likes(history, known)
        for part, kept, there, shown in zip(
            self.parts, self.strengths, modal(met, self.widths), modal(items, self.widths), strict=True
        ):
            own = kept[known.clamp(min=0)].clone()
            if new.any():
                own[new] = strength(there[new], there[~new])
            scores = scores + part * spread_likes(weight, history.items, there, shown, own, own)
        return scores

    def stand_in(self, new: Tensor, others: Tensor, offers: Tensor, nearest: int = 10) -> Tensor:
        """Vectors (A, d) of new items: the mean of what the known items most like them offer, at the usual length."""
        pairs = list(zip(modal(new, self.widths), modal(others, self.widths), strict=True))
        ties = torch.stack([alike(one, other) for one, other in pairs]).sum(0)
        best = ties.topk(min(nearest, ties.shape[1]), 1)
        mean = torch.einsum("ak,akd->ad", best.values, offers[best.indices])
        return nn.functional.normalize(mean, dim=1) * offers.norm(dim=1).mean()
