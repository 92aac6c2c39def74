"""What a ranker by matrix factorisation is once it has learned: one vector a user, one vector and bias an item."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.rank.multimodal import History

LIKED = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0])  # by bucket of a history row: unrated, 0, 1, ... 5 stars


class Settled(nn.Module):
    """A module whose buffers take the shape of what is loaded into them: their size is learned, not set."""

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self._buffers:
            if prefix + name in state:
                setattr(self, name, torch.empty_like(state[prefix + name]))
        super()._load_from_state_dict(state, prefix, *rest)


def last_where_new(scores: Tensor, known: Tensor) -> Tensor:
    """Scores (B, N) with the items that training never met (known < 0) below all others."""
    return torch.where(known >= 0, scores, scores.min(1, keepdim=True).values - 1.0)


def known_likes(history: History, known: Tensor) -> tuple[Tensor, Tensor]:
    """Training rows (B, T) of what a history holds, and the weight (B, T) of each: 1 where liked and known, else 0."""
    rows = known[history.items]
    return rows.clamp(min=0), LIKED.to(rows.device)[history.rating] * history.mask * (rows >= 0)


class DotProduct(Settled):
    """score = user . item + bias. Somebody new is the scaled mean of what the items they liked lend.

    people (U, d), offers (N, d), bias (N,), lends (N, d); `fold` scales a new user to the length of the others.
    """

    cases = frozenset({"known user", "new user"})
    reads = "ids"
    people: Tensor
    offers: Tensor
    bias: Tensor
    lends: Tensor
    fold: Tensor

    def __init__(self, width: int, users: int, items: int) -> None:
        super().__init__()
        self.register_buffer("people", torch.zeros(users, 1))
        for name in ("offers", "lends"):
            self.register_buffer(name, torch.zeros(items, 1))
        self.register_buffer("bias", torch.zeros(items))
        self.register_buffer("fold", torch.ones(()))

    def settle(self, people: Tensor, offers: Tensor, bias: Tensor | None = None, lends: Tensor | None = None) -> None:
        """Takes what was learned. lends: what items give to a new user, by default the offers about their mean, which
        is the first BPR step of somebody who starts from nothing."""
        self.people, self.offers = people.detach().clone(), offers.detach().clone()
        self.bias = torch.zeros(len(offers)) if bias is None else bias.detach().clone()
        self.lends = self.offers - self.offers.mean(0) if lends is None else lends.detach().clone()
        self.fold = self.people.norm(dim=1).mean()

    def taste(self, history: History, known: Tensor) -> Tensor:
        """(B, d) vectors of users: learned, or folded in from their history."""
        rows, weight = known_likes(history, known)
        new = torch.einsum("bt,btd->bd", weight.to(self.lends.dtype), self.lends[rows])
        new = self.fold * nn.functional.normalize(new, dim=1)
        learned = self.people[history.user.clamp(min=0)] if len(self.people) else new
        return torch.where((history.user >= 0)[:, None], learned, new)

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        """(B, N) scores; `items` are not looked at: this ranker knows ids only."""
        scores = self.taste(history, known) @ self.offers.T + self.bias
        return last_where_new(scores[:, known.clamp(min=0)], known)
