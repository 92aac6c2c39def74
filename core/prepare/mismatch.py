"""Media that do not belong to their item's words: each predicts words, out of fold, and is held against all words.

A ridge map from standardised media to standardised words is fitted on the other items. The predicted words of a photo
are compared with its own item's and with everybody's; a photo whose own words are no nearer than any others is suspect.
Cleaning goes by that alone; `doubt` adds the other photos of the same item, for a list that a person looks through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    away, beaten = np.zeros(len(media)), np.zeros(len(media))
    for apart, told, said in told_by_others(media, words, own, keys):
        alike = told @ said.T  # (n of the fold, N)
        mine = alike[np.arange(len(told)), own[apart]]
        away[apart] = below_usual(mine, told, said)
        beaten[apart] = (alike > mine[:, None]).mean(1)
    return away, beaten


def told_by_others(
    media: Matrix, words: Matrix, own: np.ndarray, keys: Sequence[str], most: int | None = None
) -> Iterator[tuple[np.ndarray, Matrix, Matrix]]:
    """Fold after fold: which media are judged (n,), the words that a map fitted on the other items tells of them, and
    all words, both of unit length. most: rows that anything is fitted on, a seeded sample of more."""
    fold = folds_of(keys)
    for turn in np.unique(fold[own]):
        apart = fold[own] == turn
        known, fitted = sampled(np.flatnonzero(~apart), most), sampled(np.flatnonzero(fold != turn), most)
        said = standardised(words[fitted], words, KEPT)
        seen = standardised(media[known], media, KEPT)
        told = ridge(seen[known], said[own[known]], PENALTY, seen[apart])
        middle = said[fitted].mean(0)
        yield apart, unit(told - middle), unit(said - middle)


def sampled(rows: np.ndarray, most: int | None) -> np.ndarray:
    if most is None or len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def below_usual(mine: Matrix, rows: Matrix, others: Matrix) -> Matrix:
    """(n,) how many standard deviations `mine` lies below the mean likeness of rows (n, K) to others (N, K), without
    all n x N likenesses at once."""
    usual = rows @ others.mean(0)
    spread = ((rows @ (others.T @ others / len(others))) * rows).sum(1) - usual**2
    return (usual - mine) / np.sqrt(np.maximum(spread, 1e-12))


# ---- a list to look through


def doubt(
    media: Matrix, words: Matrix, own: np.ndarray, keys: Sequence[str], most: int | None = None,
    named: np.ndarray | None = None,
) -> Matrix:  # fmt: skip
    """(n,) how little each medium belongs to what it stands beside, in robust standard deviations (higher: less).

    Arguments as of `misfit`; `words` may be of any other modality. named (n,): equal numbers are one medium, that
    stands beside several of the others; None: no medium stands here twice. The judges are a map fitted on the other
    items and, where enough items have several media of one kind, the others of the same item, with equal weight; who
    has fewer judges is as easily doubted as who has all.
    """
    away = np.zeros(len(media))
    for apart, told, said in told_by_others(media, words, own, keys, most):
        away[apart] = below_usual((told * said[own[apart]]).sum(1), told, said)
    items = np.unique(np.asarray(keys), return_inverse=True)[1]
    _, once, back = np.unique(np.arange(len(media)) if named is None else named, return_index=True, return_inverse=True)
    beside = unlike_others(media[once], items[own[once]], most)[back], unlike_others(words, items, most)[own]
    judges = np.stack([robust(part) for part in (away, *beside)])  # (3, n), NaN: does not judge
    return robust(np.nansum(judges, axis=0) / np.sqrt(np.isfinite(judges).sum(0)))


def unlike_others(media: Matrix, owner: np.ndarray, most: int | None = None) -> Matrix:
    """(n,) how many standard deviations a medium's likeness to the others of its owner (n,) lies below that to all
    media; NaN where it has no other, and everywhere where fewer than FEWEST have one."""
    where = np.unique(owner, return_inverse=True)[1]
    others = np.bincount(where)[where] - 1
    if (others > 0).sum() < FEWEST:
        return np.full(len(media), np.nan)
    rows = unit(standardised(media[sampled(np.arange(len(media)), most)], media, KEPT))
    sums = np.zeros((where.max() + 1, rows.shape[1]))
    np.add.at(sums, where, rows)
    mine = ((sums[where] - rows) * rows).sum(1) / np.maximum(others, 1)
    return np.where(others > 0, below_usual(mine, rows, rows), np.nan)


def robust(values: Matrix) -> Matrix:
    """Like `robust_z`, but signed; NaN stays, and no spread at all gives 0."""
    known = values[np.isfinite(values)]
    if not len(known) or not known.std():
        return np.zeros_like(values)
    scores = np.full_like(values, np.nan)
    scores[np.isfinite(values)] = np.sign(known - np.median(known)) * robust_z(known, 0.1 * float(known.std()))
    return scores


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
