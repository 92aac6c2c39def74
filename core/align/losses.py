"""What it means to be aligned, as losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(left: Tensor, right: Tensor, scale: Tensor | float, same: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of unit rows: each left row must find its right row among all, and the other way round.

    left, right: (n, D), row i belongs to row i. same: (n, n) True where two rows count as the same thing (and are not
    each other's negatives). Source: van den Oord et al. 2018; symmetric form: Radford et al. 2021.
    """
    if len(left) < 2:
        return left.new_zeros(())
    logits = left @ right.T * scale  # (n, n)
    if same is not None:
        off = same & ~torch.eye(len(left), dtype=torch.bool, device=left.device)
        logits = logits.masked_fill(off, -torch.inf)
    target = torch.arange(len(left), device=left.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
