"""What a model looked at, as one weight a token: by head, as their mean, rolled out over blocks. A look, no cause."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.domain import Modality
from core.explain.scorer import Attention, Scorer

Weights = dict[Modality, NDArray[np.float64]]  # per modality (n,) one weight a unit


def attention_maps(scorer: Scorer) -> dict[str, Weights]:
    """name -> weights of every word and patch. "pooling": the weights by which each modality's tokens became its
    vector, times the modality's gate; and, where the fuser has blocks that read tokens, "mean", "rollout" and "head 1"
    ... of what its summary token read. Empty where a model has no attention, or nothing to look at."""
    if not scorer.players:
        return {}
    with torch.no_grad():
        _, seen = scorer.attention({m: state[None] for m, state in scorer.states.items()})
    found: dict[str, dict[Modality, Tensor]] = {}
    if seen.pooling:
        found["pooling"] = {m: weight[0] * seen.gates[m][0] for m, weight in seen.pooling.items()}
    if seen.layers:
        last = seen.layers[-1][0, :, 0]  # (H, T) what the summary reads
        found["mean"] = parted(last.mean(0), seen)
        found["rollout"] = parted(rollout(seen.layers)[0, 0], seen)
        found |= {f"head {number}": parted(head, seen) for number, head in enumerate(last, 1)}
    return {name: {m: scorer.units[m].per_unit(one) for m, one in weights.items()} for name, weights in found.items()}


def rollout(layers: tuple[Tensor, ...]) -> Tensor:
    """(B, T, T): product over blocks of (mean over heads + identity) / 2. Source: Abnar and Zuidema 2020."""
    own = torch.eye(layers[0].shape[-1]).to(layers[0])
    flow = own.expand(len(layers[0]), -1, -1)
    for layer in layers:
        flow = (layer.mean(1) + own) / 2 @ flow
    return flow


def parted(over_all: Tensor, seen: Attention) -> dict[Modality, Tensor]:
    return {m: over_all[..., place] for m, place in seen.places.items()}


def cross_attention(scorer: Scorer, rows: Modality, columns: Modality) -> NDArray[np.float64] | None:
    """(n rows, n columns): how much each unit of one modality read each unit of another in the last block, mean over
    heads; a word's row adds up over its pieces. None where the fuser does not read tokens of both."""
    with torch.no_grad():
        _, seen = scorer.attention({m: state[None] for m, state in scorer.states.items()})
    if not seen.layers or rows not in seen.places or columns not in seen.places:
        return None
    between = seen.layers[-1][0].mean(0)[seen.places[rows], seen.places[columns]]  # (L, L')
    own, other = (scorer.units[m].members.to(between) for m in (rows, columns))
    return (own @ between @ other.T).cpu().double().numpy()


def scaled(weights: Mapping[Modality, NDArray[np.float64]]) -> Weights:
    """Weights over their largest size, so that a picture uses its whole scale; zeros stay."""
    most = max((float(np.abs(one).max(initial=0)) for one in weights.values()), default=0.0)
    return {m: one / most if most else one for m, one in weights.items()}
