"""Ranker `rating`: one to five stars by a softmax, from a review and its photo, the item, and who and what is known.

Source: the encode-align-fuse scheme with a softmax over the stars, trained by cross-entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.rank.baselines import Content
from core.rank.multimodal import History

STARS = 5


class Rating(Content):
    """Class logits = item's own media + how this item and this user usually rate, + what a written review says.

    Without a review the first part alone foretells a rating, and items are ranked by expected stars. With one, the
    review is read together with the item: both vectors and their product.
    """

    cases = frozenset({"known user", "new user", "new item"})

    def __init__(self, width: int, users: int, items: int, hidden: int = 64) -> None:
        super().__init__(width, users, items)
        self.usual = nn.Parameter(torch.zeros(STARS))
        self.media = nn.Linear(width, STARS, bias=False)
        self.person, self.thing = nn.Embedding(users + 1, STARS), nn.Embedding(items + 1, STARS)
        self.review = nn.Sequential(nn.Linear(3 * width, hidden), nn.GELU(), nn.Dropout(0.3), nn.Linear(hidden, STARS))
        for table in (self.media, self.person, self.thing, self.review[-1]):
            nn.init.zeros_(table.weight)

    def before(self, vectors: Tensor, item: Tensor, user: Tensor) -> Tensor:
        """Logits (R, 5) of ratings that nobody has written yet: item vectors (R, D), training rows (R,) or below 0."""
        person = self.person(user.clamp(min=0)) * (user >= 0)[:, None]
        thing = self.thing(item.clamp(min=0)) * (item >= 0)[:, None]
        return self.usual + self.media(vectors) + person + thing

    def written(self, review: Tensor, vectors: Tensor, item: Tensor, user: Tensor) -> Tensor:
        """Logits (R, 5) with the review's own vector (R, D) as well."""
        scale = vectors.shape[1] ** 0.5  # unit vectors have small entries
        told = torch.cat([review * scale, vectors * scale, review * vectors * scale**2], 1)
        return self.before(vectors, item, user) + self.review(told)

    def score_users(self, history: History, items: Tensor, known: Tensor, met: Tensor | None = None) -> Tensor:
        """(B, N) stars expected, 1 to 5."""
        shown = self.before(items, known, torch.full_like(known, -1))  # (N, 5)
        person = self.person(history.user.clamp(min=0)) * (history.user >= 0)[:, None]
        return expected(shown[None] + person[:, None])


def expected(logits: Tensor) -> Tensor:
    """(..., 5) -> (...,): mean stars."""
    return logits.softmax(-1) @ torch.arange(1.0, STARS + 1, device=logits.device, dtype=logits.dtype)
