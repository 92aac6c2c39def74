"""Media that do not belong to their item's words: each predicts words, out of fold, and is held against all words.

A ridge map from standardised media to standardised words is fitted on the other items. The predicted words of a photo
are compared with its own item's and with everybody's; a photo whose own words are no nearer than any others is suspect.
"""

from __future__ import annotations

import numpy as np

from core.catalog.clean import Detection, Mark
from core.catalog.outliers import robust_z
from core.domain import Catalogue, Modality
from core.features import Features, mean_states
from core.prepare.out_of_fold import Matrix, folds_of, ridge, standardised, unit

KEPT = 256
PENALTY = 3.0
LIMIT = 3.0  # robust z from which a photo counts as another thing's
FEWEST = 40  # media of items with words, below which nothing can be learned


def wrong_media(catalogue: Catalogue, features: Features, modality: Modality = "image") -> Detection:
    """One mark a medium of an item with words; the score is the robust z of how badly its own words fit it."""
    owner, row, file = media_rows(catalogue, features, modality)
    if len(owner) < FEWEST:
        return Detection(step="wrong_photo", marks=(), looked_at=len(owner), limit=LIMIT)
    media = np.stack([features.states[modality][at].pooled for at in row]).astype(np.float64)
    worded = [at for at, item in enumerate(features.items) if item.get("text")]
    words = mean_states(features.states["text"], [features.items[at]["text"] for at in worded])
    place = {item: at for at, item in enumerate(worded)}
    own = np.array([place[item] for item in owner])
    away, beaten = misfit(media, words, own, [catalogue.items[at].item_id for at in worded])
    middle = float(np.median(away))
    scores = np.where(away > middle, robust_z(away), 0.0)  # only a worse fit than usual is suspicious
    marks = tuple(
        Mark(
            item_id=catalogue.items[item].item_id, file=name, column=modality, score=float(score),
            reason=f"the words of {share:.0%} of all items fit it better than its own",
        )
        for item, name, score, share in zip(owner, file, scores, beaten, strict=True)
    )  # fmt: skip
    return Detection(step="wrong_photo", marks=marks, looked_at=len(marks), limit=LIMIT)


def misfit(media: Matrix, words: Matrix, own: np.ndarray, keys: list[str]) -> tuple[Matrix, Matrix]:
    """media (n, E), words (N, F), own (n,) the row of words each medium belongs to, keys: of the N items, for folds.

    Returns (n,) how many standard deviations the own words lie below the mean likeness of all words (higher: worse),
    and (n,) the share of all words that fit better.
    """
    fold = folds_of(keys)
    away, beaten = np.zeros(len(media)), np.zeros(len(media))
    for turn in np.unique(fold[own]):
        apart = fold[own] == turn
        known = words[fold != turn]
        said = standardised(known, words, KEPT)
        seen = standardised(media[~apart], media, KEPT)
        told = ridge(seen[~apart], said[own[~apart]], PENALTY, seen[apart])
        middle = said[fold != turn].mean(0)
        alike = unit(told - middle) @ unit(said - middle).T  # (n of the fold, N)
        mine = alike[np.arange(len(told)), own[apart]]
        away[apart] = (alike.mean(1) - mine) / alike.std(1)
        beaten[apart] = (alike > mine[:, None]).mean(1)
    return away, beaten


def media_rows(catalogue: Catalogue, features: Features, modality: Modality) -> tuple[list[int], list[int], list[str]]:
    """Of every encoded medium of an item with words: the item's row, the medium's row, its file."""
    owner, row, file = [], [], []
    for at, (item, media) in enumerate(zip(catalogue.items, features.items, strict=True)):
        found, named = media.get(modality, ()), item.media.get(modality, ())
        if media.get("text") and len(found) == len(named):
            owner += [at] * len(found)
            row += list(found)
            file += list(named)
    return owner, row, file
