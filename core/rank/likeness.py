"""A frozen item-item graph from features: every two items tied by how alike they are, modality by modality.

Sources: Zhang et al. 2021, "LATTICE"; Zhou and Shen 2023, "FREEDOM". Theirs keep the nearest ten; here all ties stay,
weighted by the squared cosine, so that an item without a modality, or a new one, needs no graph built anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 1024


def alike(left: Tensor, right: Tensor) -> Tensor:
    """(A, E), (B, E) -> (A, B): squared cosine where that is positive, else 0; 0 for rows of zeros."""
    return (functional.normalize(left, dim=1) @ functional.normalize(right, dim=1).T).clamp(min=0).square()


def strength(items: Tensor, others: Tensor) -> Tensor:
    """(A,): sum of an item's ties to `others`; what is tied to nothing counts as 1."""
    total = torch.cat([alike(part, others).sum(1) for part in items.split(BLOCK)])
    return torch.where(total > 0, total, 1.0)


def spread_likes(weight: Tensor, rows: Tensor, met: Tensor, items: Tensor, own: Tensor, offered: Tensor) -> Tensor:
    """(B, N): sum over a user's history of tie / sqrt(strength * strength) / sqrt(likes), an item's tie to itself 0.

    weight (B, T) of history rows (B, T); met (N, E): features of the items as the history knows them, items (N, E): as
    candidates; own, offered (N,): their strengths.
    """
    liked = torch.zeros(len(weight), len(met), device=weight.device).scatter_add(1, rows, weight.float()).clamp(max=1)
    liked = liked / liked.sum(1, keepdim=True).clamp(min=1).sqrt()
    total = torch.zeros(len(weight), len(items), device=weight.device)
    for part in torch.nonzero(liked.any(0))[:, 0].split(BLOCK):
        ties = alike(met[part], items) / (own[part, None] * offered[None]).sqrt()
        ties[torch.arange(len(part), device=part.device), part] = 0
        total += liked[:, part] @ ties
    return total


def modal(features: Tensor, widths: Tensor) -> Iterator[Tensor]:
    """The modalities of features (N, F) that stand side by side."""
    yield from features.split(widths.tolist(), dim=1)
