"""Exact Shapley values over modalities, and what lies between "absent" and "present". numpy only.

Everything is read off the scores of all 2^M coalitions, in binary order: bit j of the row number says whether player j
is present. M <= 5, so there are at most 32 rows and nothing is sampled.
"""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import ShapeError

Values = NDArray[np.float64]


def players_of(values: Values) -> int:
    """M of (2^M, ...). Raises ShapeError when the number of rows is no power of two."""
    count = len(values).bit_length() - 1
    if len(values) != 1 << count:
        raise ShapeError(f"{len(values)} coalitions came; a power of two was expected, one row for every subset")
    return count


def shapley(values: ArrayLike) -> Values:
    """(2^M, ...) values of all coalitions -> (M, ...): phi_m, whose sum is values[-1] - values[0].

    Source: Shapley 1953; the weights are |S|! (M - |S| - 1)! / M!.
    """
    values = np.asarray(values, dtype=np.float64)
    count = players_of(values)
    phi = np.zeros((count, *values.shape[1:]))
    for player in range(count):
        for coalition in range(len(values)):
            if not coalition >> player & 1:
                size = coalition.bit_count()
                weight = factorial(size) * factorial(count - size - 1) / factorial(count)
                phi[player] += weight * (values[coalition | 1 << player] - values[coalition])
    return phi


def shares(phi: ArrayLike) -> Values:
    """|phi| / sum |phi| over the first axis; zeros where nothing contributes."""
    size = np.abs(np.asarray(phi, dtype=np.float64))
    total = size.sum(0)
    return np.divide(size, total, out=np.zeros_like(size), where=total > 0)


def reweight(coalitions: ArrayLike, weights: ArrayLike) -> Values:
    """Scores (N,) when modality j is present with probability weights[j]: the multilinear extension of (2^M, N).

    All ones is the model itself, all zeros the empty coalition. Source: Owen 1972.
    """
    coalitions = np.asarray(coalitions, dtype=np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    if players_of(coalitions) != len(weights):
        raise ShapeError(f"{len(weights)} weights came for {len(coalitions)} coalitions; one a modality is needed")
    chance = np.array([
        np.prod([w if row >> j & 1 else 1 - w for j, w in enumerate(weights)]) for row in range(len(coalitions))
    ])  # fmt: skip
    return np.tensordot(chance, coalitions, axes=1)


def interactions(values: ArrayLike) -> Values:
    """(2^M, ...) -> (M, M, ...): the Shapley interaction index of every pair, symmetric, zeros on the diagonal.

    Above 0 the two work together, below 0 one makes the other redundant. Source: Grabisch and Roubens 1999; the weights
    are |S|! (M - |S| - 2)! / (M - 1)!.
    """
    values = np.asarray(values, dtype=np.float64)
    count = players_of(values)
    found = np.zeros((count, count, *values.shape[1:]))
    for one in range(count):
        for other in range(one):
            pair = 1 << one | 1 << other
            for coalition in range(len(values)):
                if not coalition & pair:
                    size = coalition.bit_count()
                    weight = factorial(size) * factorial(count - size - 2) / factorial(count - 1)
                    gain = values[coalition | pair] - values[coalition | 1 << one] - values[coalition | 1 << other]
                    found[one, other] += weight * (gain + values[coalition])
            found[other, one] = found[one, other]
    return found
