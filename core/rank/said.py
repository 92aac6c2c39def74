"""What training users themselves said and showed of an item, as fused vectors: part of a history token."""

from __future__ import annotations

import torch
from torch import Tensor

from core.rank.dot import Settled


class Said(Settled):
    """keys (E,) ascending: user row * items + item row; vectors (E, D) float16. Nothing is known of anybody new."""

    keys: Tensor
    vectors: Tensor

    def __init__(self, width: int, items: int) -> None:
        super().__init__()
        self.items = items
        self.register_buffer("keys", torch.zeros(0, dtype=torch.long))
        self.register_buffer("vectors", torch.zeros(0, width, dtype=torch.float16))

    def settle(self, user: Tensor, item: Tensor, vectors: Tensor) -> None:
        """user, item (E,) training rows, each pair once; vectors (E, D)."""
        order = (user * self.items + item).argsort()
        self.keys, self.vectors = (user * self.items + item)[order], vectors[order].detach().half()

    def of(self, user: Tensor, item: Tensor) -> Tensor:
        """(B,), (B, T) rows, below 0 for new -> (B, T, D), zeros where nothing was said."""
        if not len(self.keys):
            return torch.zeros(*item.shape, self.vectors.shape[1], device=item.device)
        wanted = user[:, None] * self.items + item
        place = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        there = (self.keys[place] == wanted) & (user[:, None] >= 0) & (item >= 0)
        return self.vectors[place].float() * there[..., None]
