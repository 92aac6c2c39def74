"""Ranker `neighbours`: items that are liked together, item-kNN with cosine and all neighbours.  Source: Sarwar 2001."""

from __future__ import annotations

import torch
from torch import Tensor

from core.rank.dot import Settled, known_likes, last_where_new
from core.rank.likes import Likes, sparse
from core.rank.multimodal import History


class Neighbours(Settled):
    """score(i) = sum over liked j of c_ij / sqrt(c_i c_j): c_ij users who like both, c_i who like i.

    The item-item matrix is never formed: with X the users' likes and X' = X / sqrt(c), scores are X'^T (X' h) less the
    item's own part, two sparse products for any number of users.
    """

    cases = frozenset({"known user", "new user"})
    reads = "ids"
    item: Tensor
    user: Tensor
    user_counts: Tensor
    counts: Tensor

    def __init__(self, width: int, users: int, items: int) -> None:
        super().__init__()
        self.register_buffer("item", torch.zeros(0, dtype=torch.int32))  # of every like, user by user
        self.register_buffer("user", torch.zeros(0, dtype=torch.int32))  # of every like, item by item
        self.register_buffer("user_counts", torch.zeros(users, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(items, dtype=torch.int32))

    def settle(self, likes: Likes) -> None:
        """Keeps the likes; there is nothing else to learn."""
        self.item = (likes.keys % likes.items).int()
        self.user = (likes.item * likes.users + likes.user).sort().values.remainder(likes.users).int()
        self.user_counts, self.counts = likes.user_counts.int(), likes.item_counts.int()

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        rows, weight = known_likes(history, known)
        liked = torch.zeros(len(rows), len(self.counts), device=rows.device)
        liked = liked.scatter_reduce(1, rows, weight, "amax")  # (B, N)
        scale = self.counts.clamp(min=1).rsqrt()
        by_user = sparse(self.user_counts, self.item, scale[self.item], len(self.counts))  # (U, N), X'
        by_item = sparse(self.counts, self.user, scale.repeat_interleave(self.counts), len(self.user_counts))
        scores = (by_item @ (by_user @ liked.T.contiguous())).T - liked
        return last_where_new(scores[:, known.clamp(min=0)], known)
