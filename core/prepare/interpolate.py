"""What is missing in something ordered in time, from what stands before and after it: stars that a person did not give.

Media have no such order between products; for them there are the imputers of `core.prepare.impute`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.domain import Catalogue


def interpolated(times: Sequence[float], values: Sequence[float | None]) -> NDArray[np.float64]:
    """(n,): gaps on the straight line between the known values before and after them in time; before the first and
    after the last known one its value. Known values at the same time count with their mean; NaN where none is known."""
    at = np.asarray(times, dtype=np.float64)
    found = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    known = np.isfinite(found)
    if not known.any() or known.all():
        return found
    moments, group = np.unique(at[known], return_inverse=True)
    means = np.bincount(group, found[known]) / np.bincount(group)
    found[~known] = np.interp(at[~known], moments, means)
    return found


def with_interpolated_ratings(catalogue: Catalogue, trains: Sequence[bool]) -> Catalogue:
    """The same catalogue, training rows without stars filled in along each person's time; from training rows alone, so
    that nothing held out is seen. Rows without a timestamp, and people who never gave stars, stay as they are.

    trains: for every interaction whether it is a training row.
    """
    people: dict[str, list[int]] = defaultdict(list)
    for at, (row, own) in enumerate(zip(catalogue.interactions, trains, strict=True)):
        if own and row.timestamp is not None:
            people[row.user_id].append(at)
    rows = list(catalogue.interactions)
    for mine in people.values():
        times = [float(rows[at].timestamp or 0) for at in mine]
        told = interpolated(times, [rows[at].rating for at in mine])
        for at, value in zip(mine, told.tolist(), strict=True):
            if rows[at].rating is None and np.isfinite(value):
                rows[at] = replace(rows[at], rating=value)
    return replace(catalogue, interactions=tuple(rows))
