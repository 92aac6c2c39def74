"""Ranker `sequential`: a causal Transformer over the fused vectors of a user's history.

Sources: Kang and McAuley 2018, "SASRec"; Hou et al. 2022, "UniSRec" (items are their content).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.rank.baselines import Content
from core.rank.multimodal import RATINGS, History
from core.rank.said import Said

LONGEST = 50  # rows of a history that are looked at, the most recent ones


class Sequential(Content):
    """score = where the history has led to . what the item offers + bias; a query is answered as `content` does.

    A history token is the item's vector, the user's own words and picture of it where they are known, the stars given
    and the place. Items of training add a small part and a bias of their own, new ones are their media alone.
    """

    cases = frozenset({"known user", "new user", "query", "new item"})

    def __init__(self, width: int, users: int, items: int, own: int = 64, layers: int = 2) -> None:
        super().__init__(width, users, items)
        self.said = Said(width, items)
        self.item, self.word = nn.Linear(width, own), nn.Linear(width, own, bias=False)
        self.stars, self.place = nn.Embedding(RATINGS, own), nn.Embedding(LONGEST, own)
        self.nobody = nn.Parameter(torch.zeros(own))  # where a history without rows has led to
        block = nn.TransformerEncoderLayer(
            own, 4, 2 * own, dropout=0.2, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.offered = nn.Linear(width, own, bias=False)
        self.residual, self.bias = nn.Embedding(items + 1, own), nn.Embedding(items + 1, 1)
        for table in (self.residual, self.bias):
            nn.init.zeros_(table.weight)
        for table in (self.stars, self.place):
            nn.init.normal_(table.weight, std=0.02)

    def states(self, history: History, items: Tensor, known: Tensor) -> Tensor:
        """(B, T, d): where the history has led to after each of its rows, no row seeing a later one."""
        rows = known[history.items]
        said = self.said.of(history.user, rows) * history.mask[..., None]
        token = self.item(items[history.items]) + self.word(said) + self.stars(history.rating)
        length = token.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=token.device).triu(1)
        return self.blocks(token + self.place.weight[:length], mask=later)

    def offer(self, items: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(N, d) and (N,): what items offer, and their bias."""
        row, there = torch.where(known < 0, self.bias.num_embeddings - 1, known), (known >= 0)[:, None]
        return self.offered(items) + self.residual(row) * there, (self.bias(row) * there)[:, 0]

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        recent = latest(history)
        states = self.states(recent, items if met is None else met, known)
        length = recent.mask.sum(1)
        last = states[torch.arange(len(states), device=states.device), (length - 1).clamp(min=0)]
        taste = torch.where((length > 0)[:, None], last, self.nobody)
        offers, bias = self.offer(items, known)
        return taste @ offers.T + bias


def latest(history: History) -> History:
    """The last LONGEST rows of every history, still packed to the left."""
    length = history.mask.sum(1, keepdim=True)
    width = min(LONGEST, history.mask.shape[1])
    place = torch.arange(width, device=length.device)[None] + (length - width).clamp(min=0)
    place = place.clamp(max=history.mask.shape[1] - 1)
    items, rating, mask = (one.gather(1, place) for one in (history.items, history.rating, history.mask))
    return History(items=items, rating=rating, mask=mask, user=history.user)
