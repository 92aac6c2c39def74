"""Items unlike the rest: isolation forest and local outlier factor, per modality and over all of them together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.catalog.clean import Detection, Mark
from core.catalog.outliers import robust_z
from core.domain import Catalogue
from core.features import Features
from core.prepare.out_of_fold import Matrix, standardised

AXES = 32
NEIGHBOURS = 20
LIMIT = 3.5
FEWEST = 30
JOINT = "all together"


def unusual_items(catalogue: Catalogue, features: Features) -> Detection:
    """One mark an item and view (a modality, or all together): the mean robust z of the two detectors.

    Source: Liu et al. 2008 (isolation forest), Breunig et al. 2000 (local outlier factor).
    """
    marks = []
    for name, (rows, table) in views(features).items():
        if len(rows) < FEWEST:
            continue
        forest, local = scores_of(table)
        away = (one_sided(forest) + one_sided(local)) / 2
        marks += [
            Mark(
                item_id=catalogue.items[at].item_id, column=name, score=float(score),
                reason=f"{one} by isolation, {other} by its neighbours",
            )
            for at, score, one, other in zip(rows, away, ranks(forest), ranks(local), strict=True)
        ]  # fmt: skip
    return Detection(step="unusual", marks=tuple(marks), looked_at=len(marks), limit=LIMIT)


def views(features: Features) -> Mapping[str, tuple[list[int], Matrix]]:
    """name -> rows of the items that can be seen so, and their vectors on the first AXES axes."""
    found: dict[str, tuple[list[int], Matrix]] = {}
    for modality, states in features.states.items():
        rows = [at for at, media in enumerate(features.items) if media.get(modality)]
        if len(rows) >= FEWEST:
            pooled = [np.mean([states[one].pooled for one in features.items[at][modality]], axis=0) for at in rows]
            table = np.stack(pooled).astype(np.float64)
            found[modality] = rows, standardised(table, table, AXES)
    if len(found) > 1:
        whole = sorted(set.intersection(*(set(rows) for rows, _ in found.values())))
        parts = [table[np.searchsorted(rows, whole)] for rows, table in found.values()]
        found[JOINT] = whole, np.concatenate(parts, axis=1) if whole else np.zeros((0, 0))
    return found


def scores_of(table: Matrix) -> tuple[Matrix, Matrix]:
    """Isolation forest and local outlier factor of every row, higher = more unusual."""
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor

    forest = -IsolationForest(n_estimators=100, random_state=0).fit(table).score_samples(table)
    local = LocalOutlierFactor(n_neighbors=min(NEIGHBOURS, len(table) - 1)).fit(table)
    return forest, -local.negative_outlier_factor_


def one_sided(scores: Matrix) -> Matrix:
    return np.where(scores > np.median(scores), robust_z(scores), 0.0)


def ranks(scores: Matrix) -> list[str]:
    """ "3 of 320" for the third most unusual."""
    order = np.argsort(np.argsort(-scores, kind="stable"), kind="stable") + 1
    return [f"{place} of {len(scores)}" for place in order.tolist()]
