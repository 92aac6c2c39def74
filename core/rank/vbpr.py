"""Ranker `vbpr`: matrix factorisation with frozen features, additive in the modalities: the oracle for explainers.

Source: He and McAuley 2016, "VBPR", in the form of the MMRec toolbox.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.rank.dot import Settled, known_likes
from core.rank.factors import Learner, Tables
from core.rank.likes import Likes
from core.rank.multimodal import History


class VbprLearner(Learner):
    """Tables of what ids say, u_id and e_i, beside those of what features say, u_c and W x + b."""

    def __init__(self, likes: Likes, width: int, features: Tensor) -> None:
        """features (N, F): standardised, the modalities side by side, zeros where one is absent."""
        super().__init__()
        self.users, self.tastes = nn.Embedding(likes.users, width), nn.Embedding(likes.users, width)
        self.items, self.look = nn.Embedding(likes.items, width), nn.Linear(features.shape[1], width)
        self.features = features
        for table in (self.users, self.tastes, self.items):
            nn.init.xavier_normal_(table.weight)

    def tables(self) -> Tables:
        return Tables(
            users=torch.cat([self.users.weight, self.tastes.weight], 1),
            items=torch.cat([self.items.weight, self.look(self.features)], 1),
            bias=self.features.new_zeros(len(self.features)),
        )

    def settle(self, ranker: Vbpr) -> None:
        ranker.settle(self.users.weight, self.tastes.weight, self.items.weight, self.look)

    def size(self, user: Tensor, *items: Tensor) -> Tensor:
        own = self.users(user).square().sum() + self.tastes(user).square().sum()
        return (own + sum(self.items(item).square().sum() for item in items)) / len(user)


class Vbpr(Settled):
    """s = u_id . e_i + u_c . (W x + b), x the item's standardised features side by side; a new item has e_i = 0.

    Switching a modality off takes exactly u_c . W_m x_m away: no normalisation or activation follows the sum. Somebody
    new gets the mean of what they liked, in both parts, at the usual length. people (U, d), tastes (U, d), own (N, d),
    look (d, F), look_bias (d,).
    """

    cases = frozenset({"known user", "new user", "new item"})
    reads = "features"
    people: Tensor
    tastes: Tensor
    own: Tensor
    look: Tensor
    look_bias: Tensor

    def __init__(self, width: int, users: int, items: int) -> None:
        super().__init__()
        for name, shape in (("people", (users, 1)), ("tastes", (users, 1)), ("own", (items, 1)), ("look", (1, width))):
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("look_bias", torch.zeros(1))

    def settle(self, people: Tensor, tastes: Tensor, own: Tensor, look: nn.Linear) -> None:
        self.people, self.tastes, self.own = (one.detach().clone() for one in (people, tastes, own))
        self.look, self.look_bias = look.weight.detach().clone(), look.bias.detach().clone()

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        """(B, N) scores of items (N, F), whose history saw `met` where they were changed."""
        own = self.own[known.clamp(min=0)] * (known >= 0)[:, None]  # (N, d)
        looks = nn.functional.linear(items, self.look, self.look_bias)  # (N, d)
        past = looks if met is None else nn.functional.linear(met, self.look, self.look_bias)
        people = self.person(history, known, own, self.people)
        tastes = self.person(history, known, past, self.tastes)
        return people @ own.T + tastes @ looks.T

    def person(self, history: History, known: Tensor, offers: Tensor, learned: Tensor) -> Tensor:
        """(B, d): a learned row, or for somebody new the mean of liked offers (N, d) about their middle."""
        _, weight = known_likes(history, known)
        liked = torch.einsum("bt,btd->bd", weight.to(offers.dtype), (offers - offers.mean(0))[history.items])
        new = nn.functional.normalize(liked, dim=1) * learned.norm(dim=1).mean()
        return torch.where((history.user >= 0)[:, None], learned[history.user.clamp(min=0)], new)
