"""How sure a number is: bootstrap over users or products, paired tests, Holm's correction.

Rows that belong to one product (or user) are not independent; `groups` names them, and groups are drawn, never rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Estimate
from core.errors import SettingsError, ShapeError

RESAMPLES = 10_000
FEWEST_PAIRS = 20  # below this number of non-zero differences a rank test says nothing
BLOCK_DRAWS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Mean of a - b with its interval; p two-sided by the same bootstrap.

    wilcoxon: p of the signed-rank test with Pratt's zeros over the units drawn (users or group means), None below 20
    non-zero differences. units: how many users or groups; nonzero: how many of them differ at all.
    """

    difference: Estimate
    p: float
    wilcoxon: float | None
    units: int
    nonzero: int


def bootstrap(values: Any, groups: Sequence[Any] | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Mean of values (U,), NaN left out, with the 95 % percentile interval over users, or over `groups` where given."""
    values, members = _finite(values, groups)
    sums, counts = _units(values, members)
    means = _resampled_means(sums, counts, resamples, seed)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))


def paired(
    a: Any, b: Any, groups: Sequence[Any] | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> PairedTest:
    """Is a better than b on the same users (U,)? Users with NaN in either are left out."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ShapeError(f"a {a.shape} and b {b.shape} must be values of the same users in the same order")
    values, members = _finite(a - b, groups)
    sums, counts = _units(values, members)
    means = _resampled_means(sums, counts, resamples, seed)
    low, high = np.quantile(means, (0.025, 0.975))
    beyond = min(int((means <= 0).sum()), int((means >= 0).sum()))
    units = sums / counts
    nonzero = int((np.abs(units) > 1e-12).sum())
    return PairedTest(
        difference=Estimate(value=float(values.mean()), low=float(low), high=float(high)),
        p=min(1.0, 2.0 * (1 + beyond) / (resamples + 1)),
        wilcoxon=_wilcoxon(units) if nonzero >= FEWEST_PAIRS else None,
        units=len(units),
        nonzero=nonzero,
    )


def unpaired(a: Any, b: Any, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Mean of a (U,) less mean of b (V,), different users, with the 95 % percentile interval: either side is drawn by
    itself, NaN left out. Raises SettingsError where a side has no value."""
    sides = [_units(*_finite(side, None)) for side in (a, b)]
    first, second = (
        _resampled_means(sums, counts, resamples, seed + at) for at, (sums, counts) in enumerate(sides)
    )  # fmt: skip
    low, high = np.quantile(first - second, (0.025, 0.975))
    value = sides[0][0].mean() - sides[1][0].mean()
    return Estimate(value=float(value), low=float(low), high=float(high))


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p values, in the order given: (.01, .04, .03) -> (.03, .06, .06)."""
    values = np.asarray(ps, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.minimum(1.0, values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.maximum.accumulate(steps) if len(values) else steps
    return tuple(float(p) for p in adjusted)


def _finite(values: Any, groups: Sequence[Any] | None) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
    values = np.asarray(values, dtype=np.float64)
    names = None if groups is None else np.asarray(groups)
    if values.ndim != 1 or (names is not None and len(names) != len(values)):
        raise ShapeError(
            f"values are (U,) with one group each; got {values.shape} and {None if names is None else names.shape}"
        )
    kept = ~np.isnan(values)
    if not kept.any():
        raise SettingsError("there is no value to average: no user or query was evaluated")
    return values[kept], None if names is None else names[kept]


def _units(values: NDArray[np.float64], groups: NDArray[Any] | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of rows of every unit that is drawn as a whole."""
    if groups is None:
        return values, np.ones(len(values))
    _, member = np.unique(groups, return_inverse=True)
    return np.bincount(member, weights=values).astype(np.float64), np.bincount(member).astype(np.float64)


def _resampled_means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """(resamples,) means; each draws as many units as there are, with replacement."""
    rng, units = np.random.default_rng(seed), len(sums)
    step = max(1, BLOCK_DRAWS // units)
    means = []
    for start in range(0, resamples, step):
        drawn = rng.integers(0, units, size=(min(step, resamples - start), units), dtype=np.int32)
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    return np.concatenate(means)


def _wilcoxon(units: NDArray[np.float64]) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(units, zero_method="pratt").pvalue)
