"""Judged by what has not seen it: ridge regression in folds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
Matrix = NDArray[np.float64]


def folds_of(keys: Sequence[str], folds: int = FOLDS) -> NDArray[np.int64]:
    """(n,) fold of every row; equal keys share one, whatever the order or number of rows."""
    drawn = {key: int(hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:8], 16) for key in set(keys)}
    return np.array([drawn[key] % folds for key in keys], dtype=np.int64)


def ridge(seen: Matrix, wanted: Matrix, penalty: float, asked: Matrix) -> Matrix:
    """Fitted on (n, E) -> (n, F), its answer to `asked` (m, E): (m, F).

    penalty: in units of the mean eigenvalue of seen's scatter, so that it means the same for any scale and width.
    """
    middle, goal = seen.mean(0), wanted.mean(0)
    square = (seen - middle).T @ (seen - middle)
    square[np.diag_indices_from(square)] += penalty * np.trace(square) / len(square) + 1e-9
    return (asked - middle) @ np.linalg.solve(square, (seen - middle).T @ (wanted - goal)) + goal


def standardised(fitted_on: Matrix, values: Matrix, kept: int) -> Matrix:
    """`values` on the principal axes of `fitted_on`, strong axes damped: see core.align.space.Standardise."""
    import torch

    from core.align.space import Standardise

    space = Standardise(fitted_on.shape[1], min(kept, fitted_on.shape[1]))
    space.fit(torch.from_numpy(fitted_on))
    with torch.no_grad():
        return space(torch.from_numpy(values).float()).double().numpy()


def unit(rows: Matrix) -> Matrix:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
