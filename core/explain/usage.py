"""Is a modality used at all? Formulas over many cases; a metric is one value a case or a user, higher is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.errors import ShapeError

Values = NDArray[np.float64]


def perceptual(whole: Values, exchanged: Sequence[Values]) -> Values:
    """(U,) share of the metric that is lost when one modality is exchanged among the cases, (A_u - mean A_pi,u) / A.

    whole (U,); exchanged: the same under each permutation. Its mean is the score. NaN everywhere where A is 0.
    Source: Gat et al. 2021, "Perceptual Score".
    """
    if not len(exchanged):
        raise ShapeError("no permutation came; at least one was expected")
    mean = float(np.nanmean(whole))
    lost = whole - np.mean(exchanged, axis=0)
    return lost / mean if mean > 0 else np.full_like(lost, np.nan)


def additive(own: Tensor, rest: Tensor, grand: Tensor) -> Tensor:
    """What a thing's vector would be if its two sides only added up: mean over others' rest + mean over others' own
    - grand mean. own, rest (n, D), grand (D,). Source: Hessel and Lee 2020, "EMAP", for a block against the rest."""
    return own + rest - grand
