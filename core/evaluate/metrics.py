"""Ranking, list and rating metrics, one value a user, with ties, edge cases and conventions fixed.

Everything is numpy; torch tensors on the CPU are read as they are. Rank of item i for one user:
1 + #{j: s_j > s_i} + #{j: s_j = s_i, p(j) < p(i)} with p = default_rng(0).permutation(N), so that neither row order nor
luck favours a positive. A user without a positive among the candidates is left out: the value is NaN, never 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingsError, ShapeError

KS: tuple[int, ...] = (5, 10, 20, 50)
BLOCK_ELEMENTS = 4_000_000  # scores ranked at a time, so that memory stays flat in the number of users
Scores = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
PerUser = dict[str, NDArray[np.float64]]


class TieWarning(UserWarning):
    """Equal scores reach across rank K for more than 1 % of the users: the order there is drawn, not earned."""


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Candidate scores of some users, columns in tie order, so that the first of equals is the better one."""

    rows: slice
    scores: Scores
    positives: Mask
    candidates: Mask


def tie_order(items: int) -> NDArray[np.int64]:
    """(N,) item rows, the one that wins a tie first."""
    return np.argsort(np.random.default_rng(0).permutation(items))


def rank_metrics(
    scores: Any, positives: Any, mask: Any = None, ks: Sequence[int] = KS, *, variants: bool = False
) -> PerUser:
    """Metric -> (U,) values: precision, recall, f1, hit, ndcg, mrr and map at every K, and auc.

    scores (U, N); positives (U, N) True where relevant; mask (U, N) True where the item is no candidate (training
    positives). NaN where a user has no positive left, and for auc also where no negative is left.
    variants adds the conventions of other code: ndcg_ngcf (ideal list from the hits found), ndcg_all (ideal list over
    all K ranks), map_by_m and map_by_k (divided by m, by K).
    Raises ShapeError on unequal shapes, SettingsError on NaN scores.
    """
    scores, positives, mask = _check(scores, positives, mask)
    users, items = scores.shape
    longest = max(ks)
    hits = np.zeros((users, longest), dtype=bool)
    relevant = np.zeros(users, dtype=np.int64)
    auc = np.full(users, np.nan)
    tied = {k: 0 for k in ks}
    for block in _blocks(scores, positives, mask):
        columns = _best(block, min(longest + 1, items))
        found = np.take_along_axis(block.scores, columns, 1)
        valid = np.take_along_axis(block.candidates, columns, 1)
        hit = np.take_along_axis(block.positives, columns, 1) & valid
        width = min(longest, items)
        hits[block.rows, :width] = hit[:, :width]
        relevant[block.rows] = block.positives.sum(1)
        auc[block.rows] = _auc(block)
        for k in ks:
            if k < columns.shape[1]:
                tied[k] += int(((found[:, k - 1] == found[:, k]) & valid[:, k] & block.positives.any(1)).sum())
    _warn_of_ties(tied, int((relevant > 0).sum()))
    return hit_metrics(hits, relevant, ks, variants=variants) | {"auc": auc}


def hit_metrics(hits: Any, relevant: Any, ks: Sequence[int] = KS, *, variants: bool = False) -> PerUser:
    """The metrics at K of `rank_metrics` from hits (U, longest K), best rank first, and relevant (U,) positives."""
    found = np.asarray(hits, dtype=np.float64)  # (U, K)
    if found.shape[1] < max(ks):
        raise ShapeError(f"hits hold {found.shape[1]} ranks; the largest K asked for is {max(ks)}")
    m = np.asarray(relevant, dtype=np.float64)
    nobody = m == 0
    ranks = np.arange(1, found.shape[1] + 1)
    discount = 1.0 / np.log2(ranks + 1)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    running = np.cumsum(found, 1)
    gain = np.cumsum(found * discount, 1)
    precision_sum = np.cumsum(found * running / ranks, 1)
    first = np.where(found.any(1), 1.0 / (found.argmax(1) + 1.0), 0.0)
    values: PerUser = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for k in ks:
            count, dcg, ap = running[:, k - 1], gain[:, k - 1], precision_sum[:, k - 1]
            precision, recall, cut = count / k, count / m, np.minimum(m, k)
            values[f"precision@{k}"] = precision
            values[f"recall@{k}"] = recall
            values[f"f1@{k}"] = np.where(count > 0, 2 * precision * recall / (precision + recall), 0.0)
            values[f"hit@{k}"] = (count > 0).astype(np.float64)
            values[f"ndcg@{k}"] = dcg / ideal[cut.astype(int)]
            values[f"mrr@{k}"] = np.where(count > 0, first, 0.0)
            values[f"map@{k}"] = ap / cut
            if variants:
                in_list = np.minimum(running[:, max(ks) - 1], k).astype(int)
                values[f"ndcg_ngcf@{k}"] = np.where(in_list > 0, dcg / ideal[in_list], 0.0)
                values[f"ndcg_all@{k}"] = dcg / ideal[k]
                values[f"map_by_m@{k}"] = ap / m
                values[f"map_by_k@{k}"] = ap / k
    return {name: np.where(nobody, np.nan, value) for name, value in values.items()}


def top_items(scores: Any, k: int, mask: Any = None) -> NDArray[np.int64]:
    """(U, K) item rows, best first, ties as documented; -1 where a user has fewer than K candidates."""
    scores, positives, mask = _check(scores, None, mask)
    order = tie_order(scores.shape[1])
    lists = np.full((len(scores), k), -1, dtype=np.int64)
    for block in _blocks(scores, positives, mask):
        columns = _best(block, min(k, scores.shape[1]))
        valid = np.take_along_axis(block.candidates, columns, 1)
        lists[block.rows, : columns.shape[1]] = np.where(valid, order[columns], -1)
    return lists


def target_ranks(scores: Any, targets: Any, mask: Any = None) -> NDArray[np.int64]:
    """(Q,) rank, from 1, of the one right item of every query: scores (Q, N), targets (Q,) item rows.

    Raises SettingsError when a target is masked.
    """
    scores, positives, mask = _check(scores, None, mask)
    targets = np.asarray(targets, dtype=np.int64)
    if len(targets) != len(scores):
        raise ShapeError(f"{len(scores)} rows of scores and {len(targets)} targets must belong to the same queries")
    place = np.argsort(tie_order(scores.shape[1]))
    ranks = np.zeros(len(scores), dtype=np.int64)
    for block in _blocks(scores, positives, mask):
        columns = place[targets[block.rows]]
        rows = np.arange(len(columns))
        if not block.candidates[rows, columns].all():
            raise SettingsError("a query's right item is masked; take it out of the mask or leave the query out")
        own = block.scores[rows, columns][:, None]
        earlier = np.arange(scores.shape[1])[None, :] < columns[:, None]
        better = (block.scores > own) | ((block.scores == own) & earlier)
        ranks[block.rows] = 1 + (better & block.candidates).sum(1)
    return ranks


def retrieval_metrics(ranks: Any, ks: Sequence[int] = (1, 5, 10)) -> PerUser:
    """recall@K and mrr (not cut) of queries with one right item each, from its rank (Q,)."""
    ranks = np.asarray(ranks, dtype=np.float64)
    return {f"recall@{k}": (ranks <= k).astype(np.float64) for k in ks} | {"mrr": 1.0 / ranks}


def average(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Mean of every metric over the users it is defined for; NaN where there is none."""
    return {name: float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for name, v in values.items()}


def list_metrics(lists: Any, train_counts: Any, train_users: int) -> dict[str, float]:
    """What the lists (U, K; -1 = empty place) do to the shop: coverage, gini, novelty, aplt, popularity.

    train_counts (N,) training rows an item. coverage: share of the catalogue shown to anybody. gini: 0 even, near 1
    concentrated. novelty: bits, mean of -log2(max(c, 1) / users). aplt: share of places held by the long tail, items
    beyond those that cover 80 % of the training rows.  Sources: RecTools MIUF, Elliot APLT.
    """
    lists, counts = np.asarray(lists), np.asarray(train_counts, dtype=np.float64)
    items, width = len(counts), lists.shape[1]
    shown = lists[lists >= 0]
    times = np.sort(np.bincount(shown, minlength=items).astype(np.float64))
    gini = float(((2 * np.arange(1, items + 1) - items - 1) * times).sum() / (items * max(times.sum(), 1.0)))
    tail = ~_head(counts)
    ever = np.bincount(shown, minlength=items) > 0
    return {
        "coverage": float(ever.mean()),
        "coverage_trained": float(ever[counts > 0].mean()) if counts.any() else 0.0,
        "gini": gini,
        "novelty": float(-np.log2(np.maximum(counts[shown], 1) / train_users).mean()),
        "aplt": float((np.where(lists >= 0, tail[lists], False).sum(1) / width).mean()),
        "popularity": float(counts[shown].mean()),
    }


def rating_classes(values: Any) -> NDArray[np.int64]:
    """Stars 1 to 5 of any rating; halves go up."""
    return np.clip(np.floor(np.asarray(values, dtype=np.float64) + 0.5), 1, 5).astype(np.int64)


def rating_metrics(
    truth: Any, values: Any = None, probabilities: Any = None, scale: tuple[float, float] = (1.0, 5.0)
) -> dict[str, float]:
    """accuracy, macro_f1, mae, rmse of ratings (R,) predicted as values (R,) or as probabilities (R, 5) of 1..5 stars.

    macro_f1 is the mean over all five classes, 0 for a class that neither occurs nor is predicted.
    """
    truth = np.asarray(truth, dtype=np.float64)
    if probabilities is not None:
        probabilities = np.asarray(probabilities, dtype=np.float64)
        predicted, values = probabilities.argmax(1) + 1, probabilities @ np.arange(1, 6)
    elif values is not None:
        predicted = rating_classes(values)
    else:
        raise SettingsError("rating_metrics needs values or probabilities; neither was given")
    if len(truth) != len(predicted):
        raise ShapeError(f"{len(truth)} ratings and {len(predicted)} predictions must belong together")
    error = truth - np.clip(values, *scale)
    wanted = rating_classes(truth)
    return {
        "accuracy": float((wanted == predicted).mean()),
        "macro_f1": float(np.mean([_f1(wanted == star, predicted == star) for star in range(1, 6)])),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
    }


def _check(scores: Any, positives: Any, mask: Any) -> tuple[Scores, Mask, Mask]:
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ShapeError(f"scores are (U, N); got {scores.ndim} dimensions")
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)
    nothing = np.broadcast_to(np.False_, scores.shape)
    positives = nothing if positives is None else np.asarray(positives, dtype=bool)
    mask = nothing if mask is None else np.asarray(mask, dtype=bool)
    if not scores.shape == positives.shape == mask.shape:
        shapes = f"scores {scores.shape}, positives {positives.shape} and mask {mask.shape}"
        raise ShapeError(f"{shapes} must have one shape, (U, N)")
    return scores, positives, mask


def _blocks(scores: Scores, positives: Mask, mask: Mask) -> Iterator[_Block]:
    users, items = scores.shape
    order = tie_order(items)
    step = max(1, BLOCK_ELEMENTS // max(items, 1))
    for start in range(0, users, step):
        rows = slice(start, min(start + step, users))
        candidates = ~mask[rows][:, order]
        values = scores[rows][:, order]
        if np.isnan(values).any():
            row, column = np.argwhere(np.isnan(values))[0]
            where = f"user row {start + row}, item row {order[column]}"
            raise SettingsError(f"scores hold NaN ({where}); a model that cannot score an item gives it a low number")
        # a candidate scored -inf still stands before what is masked
        values = np.maximum(values, np.finfo(values.dtype).min)
        values = np.where(candidates, values, -np.inf)
        yield _Block(rows=rows, scores=values, positives=positives[rows][:, order] & candidates, candidates=candidates)


def _best(block: _Block, k: int) -> NDArray[np.int64]:
    """(rows, k) columns, best first; of equals the earlier column."""
    users, items = block.scores.shape
    if k >= items:
        return np.argsort(-block.scores, axis=1, kind="stable")
    border = np.partition(block.scores, items - k, axis=1)[:, items - k, None]
    above, equal = block.scores > border, block.scores == border
    room = k - above.sum(1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, 1, dtype=np.int32) <= room))
    columns = np.nonzero(chosen)[1].reshape(users, k)
    found = np.take_along_axis(block.scores, columns, 1)
    return np.take_along_axis(columns, np.argsort(-found, axis=1, kind="stable"), 1)


def _auc(block: _Block) -> NDArray[np.float64]:
    """Share of (positive, negative) pairs in the right order, a tie counting half; NaN without a pair."""
    values = np.full(len(block.scores), np.nan)
    negatives = block.candidates & ~block.positives
    for row in np.flatnonzero(block.positives.any(1) & negatives.any(1)):
        others = np.sort(block.scores[row, negatives[row]])
        own = block.scores[row, block.positives[row]]
        below, not_above = np.searchsorted(others, own, "left"), np.searchsorted(others, own, "right")
        values[row] = (below + not_above).sum() / (2.0 * len(own) * len(others))
    return values


def _warn_of_ties(tied: Mapping[int, int], users: int) -> None:
    for k, count in tied.items():
        if users and count > 0.01 * users:
            text = f"equal scores reach across rank {k} for {count} of {users} users: their order there is drawn by lot"
            warnings.warn(text, TieWarning, stacklevel=3)


def _head(counts: NDArray[np.float64]) -> Mask:
    """(N,) True for the shortest prefix of items by count that covers 80 % of all rows."""
    order = tie_order(len(counts))
    order = order[np.argsort(-counts[order], kind="stable")]
    covered = np.cumsum(counts[order])
    head = np.zeros(len(counts), dtype=bool)
    head[order[: int(np.searchsorted(covered, 0.8 * covered[-1] - 1e-9)) + 1]] = covered[-1] > 0
    return head


def _f1(truth: Mask, predicted: Mask) -> float:
    total = int(truth.sum() + predicted.sum())
    return 2 * int((truth & predicted).sum()) / total if total else 0.0
