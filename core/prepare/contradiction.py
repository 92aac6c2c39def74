"""Reviews whose words say the opposite of their stars: stars predicted from the words, out of fold."""

from __future__ import annotations

import numpy as np

from core.catalog.clean import Detection, Mark
from core.catalog.outliers import robust_z
from core.domain import Catalogue
from core.features import Features, mean_states
from core.prepare.out_of_fold import folds_of, ridge

PENALTY = 0.02
LIMIT = 4.5  # robust z of the residual
LISTED = 1.5  # below it a review is not worth a mark
FEWEST = 200  # rated reviews, below which a tone cannot be learned


def contradictions(catalogue: Catalogue, features: Features) -> Detection:
    """One mark a rated review with a residual worth a look; the score is the robust z of |stars - predicted|."""
    rows = [
        (at, media)
        for at, (row, media) in enumerate(zip(catalogue.interactions, features.interactions, strict=True))
        if row.rating is not None and media.get("text")
    ]
    stars = np.array([catalogue.interactions[at].rating for at, _ in rows], dtype=np.float64)
    if len(rows) < FEWEST or stars.std() == 0:
        return Detection(step="contradictory_review", marks=(), looked_at=len(rows), limit=LIMIT)
    words = mean_states(features.states["text"], [media["text"] for _, media in rows])
    fold = folds_of([f"{catalogue.interactions[at].user_id}\t{catalogue.interactions[at].item_id}" for at, _ in rows])
    told = np.zeros(len(rows))
    for turn in np.unique(fold):
        apart = fold == turn
        told[apart] = ridge(words[~apart], stars[~apart, None], PENALTY, words[apart])[:, 0]
    scores = robust_z(stars - told)
    marks = []
    for (at, _), score, stated, predicted in zip(rows, scores.tolist(), stars.tolist(), told.tolist(), strict=True):
        if score < LISTED:
            continue
        row = catalogue.interactions[at]
        marks.append(
            Mark(
                item_id=row.item_id, user_id=row.user_id, column="review_text", score=score,
                before=row.text if score > LIMIT else "",
                reason=f"{stated:g} stars; the words sound like {min(max(predicted, stars.min()), stars.max()):.1f}",
            )
        )  # fmt: skip
    return Detection(step="contradictory_review", marks=tuple(marks), looked_at=len(rows), limit=LIMIT)
