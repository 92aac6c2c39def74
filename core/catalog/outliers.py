"""Numbers that cannot be meant: prices against their category, stars against the person and the item."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.catalog.clean import Detection, Mark
from core.domain import Catalogue

PRICE_LIMIT = 3.0  # robust z from which a price is unlikely
RATING_LIMIT = 5.0
FEWEST = 5  # prices a category must have to be judged by itself, else by the whole catalogue
LEAST_SPREAD = 0.1  # of log prices: where all cost the same, ten percent more is no outlier


def robust_z(values: ArrayLike, least_spread: float = 0.0) -> NDArray[np.float64]:
    """|value - median| / (1.4826 MAD): like |z| of a normal sample, but outliers do not hide themselves.

    least_spread: floor of the denominator.  Source: Iglewicz & Hoaglin 1993.
    """
    values = np.asarray(values, dtype=np.float64)
    away = np.abs(values - np.median(values))
    return away / max(1.4826 * float(np.median(away)), least_spread, 1e-12)


def price_outliers(catalogue: Catalogue) -> Detection:
    """Prices whose logarithm lies far from the median of their category; the score is the robust z.

    The spread is pooled over all categories: the few prices of one cannot tell theirs. A price of 0 is always listed:
    it has no logarithm and is no price.
    """
    priced = [item for item in catalogue.items if item.price is not None]
    logs = np.array([np.log(item.price) if item.price else np.nan for item in priced])
    groups: dict[str, list[int]] = defaultdict(list)
    for row, item in enumerate(priced):
        if item.price:
            groups[item.category].append(row)
    middle = np.full(len(priced), np.nanmedian(logs) if groups else 0.0)
    for rows in groups.values():
        if len(rows) >= FEWEST:
            middle[rows] = np.median(logs[rows])
    known = np.isfinite(logs)
    scores = np.full(len(priced), 2 * PRICE_LIMIT)
    scores[known] = robust_z(logs[known] - middle[known], LEAST_SPREAD) if known.any() else 0.0
    marks = tuple(
        Mark(
            item_id=item.item_id, column="price", score=float(score), before=f"{item.price:g}",
            reason=f"the median of its category is {np.exp(at):,.2f}",
        )
        for item, score, at in zip(priced, scores, middle, strict=True)
    )  # fmt: skip
    return Detection(step="price_outlier", marks=marks, looked_at=len(priced), limit=PRICE_LIMIT)


def rating_outliers(catalogue: Catalogue) -> Detection:
    """Stars far from what the person gives and the item gets on average; the score is the robust z of the residual."""
    rows = [row for row in catalogue.interactions if row.rating is not None]
    if len(rows) < FEWEST:
        return Detection(step="rating_outlier", marks=(), looked_at=len(rows), limit=RATING_LIMIT)
    ratings = np.array([row.rating for row in rows], dtype=np.float64)
    left = ratings - ratings.mean()
    for keys in ([row.item_id for row in rows], [row.user_id for row in rows]):
        _, group = np.unique(keys, return_inverse=True)
        count = np.bincount(group)
        left = left - (np.bincount(group, left) / (count + 5))[group]  # shrunk: few rows say little about a person
    scores = robust_z(left, 0.25)
    marks = tuple(
        Mark(
            item_id=rows[at].item_id, user_id=rows[at].user_id, column="rating", score=float(scores[at]),
            before=f"{ratings[at]:g}", reason=f"about {ratings[at] - left[at]:.1f} stars were to be expected",
        )
        for at in np.flatnonzero(scores > RATING_LIMIT / 2).tolist()
    )  # fmt: skip
    return Detection(step="rating_outlier", marks=marks, looked_at=len(rows), limit=RATING_LIMIT)
