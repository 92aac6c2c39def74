"""What it means to be aligned, as losses."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from core.errors import UnknownNameError


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


def align_uniform(left: Tensor, right: Tensor, scale: Tensor | float, same: Tensor | None = None) -> Tensor:
    """Partners close, everybody spread over the sphere: mean |x - y|^2 + the mean over both sides of
    log mean exp(-2 |x - x'|^2) over all other rows x'.

    Arguments as in `info_nce`; pairs that count as the same thing are not pushed apart; `scale` has no part in it.
    Source: Wang & Isola 2020 (alpha = 2, t = 2).
    """
    if len(left) < 2:
        return left.new_zeros(())
    itself = torch.eye(len(left), dtype=torch.bool, device=left.device)
    apart = ~(itself if same is None else same | itself)
    spread = [(2 * (side @ side.T) - 2)[apart] * 2 for side in (left, right)]  # -2 |x - x'|^2 of unit rows
    uniform = [values.logsumexp(0) - math.log(len(values)) for values in spread if len(values)]
    return (left - right).square().sum(-1).mean() + sum(uniform, left.new_zeros(())) / 2


LOSSES: dict[str, Callable[..., Tensor]] = {"infonce": info_nce, "uniformity": align_uniform}


def alignment_loss(name: str) -> Callable[..., Tensor]:
    """The loss that pulls partners together, by name. Unknown names list the known."""
    if name not in LOSSES:
        raise UnknownNameError("alignment loss", name, LOSSES)
    return LOSSES[name]
