"""The aligned space in numbers: how near the modalities of an item are, and how true a map of them is.

x, y: (n, D), the same n items in two modalities, in the same order; rows are scaled to unit length in float64 here.
Numpy only. Neighbour lists leave the point itself out; ties go to the lower row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ShapeError

Rows = NDArray[np.floating]
BLOCK = 512
FEWEST = 4  # items; below, none of these numbers says anything


@dataclass(frozen=True, kw_only=True)
class Recall:
    """How often the item's other modality is found among `candidates`: values by k, mean reciprocal and median rank,
    and what a random order reaches on average."""

    recall: dict[int, float]
    mrr: float
    median_rank: float
    candidates: int
    chance: dict[int, float]
    chance_mrr: float


def unit(rows: Rows) -> NDArray[np.float64]:
    """Rows scaled to length 1; a row of zeros stays zero."""
    rows = np.asarray(rows, dtype=np.float64)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def alignment(x: Rows, y: Rows) -> float:
    """Mean squared distance of the two sides of an item, in [0, 4]; 0 is best. Source: Wang and Isola 2020."""
    x, y = paired(x, y)
    return float(((x - y) ** 2).sum(1).mean())


def alignment_chance(x: Rows, y: Rows) -> float:
    """The same with sides of different items, over all such pairs; 2 only where directions are isotropic."""
    x, y = paired(x, y)
    different = x.sum(0) @ y.sum(0) - (x * y).sum()
    return float(2 - 2 * different / (len(x) * (len(x) - 1)))


def uniformity(x: Rows) -> float:
    """log mean exp(-2 ||x_i - x_j||^2) over pairs: 0 = all in one place, about -4 = spread as far as can be.

    Source: Wang and Isola 2020.
    """
    x = unit(x)
    total = 0.0
    for start, block in blocks(x):
        squared = np.maximum(2 - 2 * block @ x.T, 0)
        kernel = np.exp(-2 * squared)
        kernel[np.arange(len(block)), start + np.arange(len(block))] = 0
        total += kernel.sum()
    return float(np.log(total / (len(x) * (len(x) - 1))))


def modality_gap(x: Rows, y: Rows) -> float:
    """Distance between the two mean unit vectors, in [0, 2]; 0 means no gap. Source: Liang et al. 2022."""
    x, y = unit(x), unit(y)
    return float(np.linalg.norm(x.mean(0) - y.mean(0)))


def modality_gap_chance(x: Rows, seed: int = 0, draws: int = 20) -> float:
    """The gap between two random halves of one modality, on average."""
    x, random = unit(x), np.random.default_rng(seed)
    gaps = []
    for _ in range(draws):
        order = random.permutation(len(x))
        gaps.append(modality_gap(x[order[: len(x) // 2]], x[order[len(x) // 2 :]]))
    return float(np.mean(gaps))


def find_other_side(
    x: Rows, y: Rows, *, ks: Sequence[int] = (1, 5, 10), same: Sequence[object] | None = None, seed: int = 0
) -> Recall:
    """Each x asks for its own y among all y, by cosine.

    same: the content of every y; items of equal content are equal targets, the best placed one counts. Ties are
    broken by a seeded permutation, so that a constant space finds nothing.
    """
    x, y = paired(x, y)
    count = len(x)
    group = np.unique(np.array([str(one) for one in same]), return_inverse=True)[1] if same else np.arange(count)
    first = np.random.default_rng(seed).permutation(count)
    ranks = np.empty(count, dtype=np.int64)
    for start, block in blocks(x):
        scores = block @ y.T  # (b, n)
        order = np.lexsort((np.broadcast_to(first, scores.shape), -scores), axis=1)
        hit = group[order] == group[start : start + len(block), None]
        ranks[start : start + len(block)] = hit.argmax(1) + 1
    targets = np.bincount(group)[group]
    return Recall(
        recall={k: float((ranks <= k).mean()) for k in ks},
        mrr=float((1 / ranks).mean()),
        median_rank=float(np.median(ranks)),
        candidates=count,
        chance={k: float(np.mean([any_of(k, count, many) for many in targets])) for k in ks},
        chance_mrr=float((1 / np.arange(1, count + 1)).mean()),
    )


def any_of(k: int, count: int, targets: int) -> float:
    """Chance that one of `targets` among `count` lies in the first k of a random order; k / count for one target."""
    if k >= count - targets + 1:
        return 1.0
    missed = 1.0
    for place in range(k):
        missed *= (count - targets - place) / (count - place)
    return 1.0 - missed


def mutual_neighbours(x: Rows, y: Rows, k: int = 10) -> float:
    """Mean share of the k nearest neighbours (cosine) that an item has in both spaces; chance is k / (n - 1).

    The widths may differ. Source: Huh et al. 2024, "The Platonic Representation Hypothesis".
    """
    if len(x) != len(y):
        raise ShapeError(f"{len(x)} and {len(y)} rows came; the same items in both spaces were expected")
    k = min(k, len(x) - 1)
    return overlap(neighbours(unit(x), k), neighbours(unit(y), k))


def debiased_cka(x: Rows, y: Rows) -> float:
    """Linear CKA without the bias of small n: 1 under rotation and scale, about 0 when independent, at times below.

    The widths may differ; at least 4 rows. Sources: Kornblith et al. 2019, Song et al. 2012 (unbiased HSIC).
    """
    if len(x) != len(y) or len(x) < FEWEST:
        raise ShapeError(f"{len(x)} and {len(y)} rows came; the same items in both spaces, {FEWEST} or more, expected")
    k, l = gram(x), gram(y)  # noqa: E741
    return float(hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l)))


def gram(x: Rows) -> NDArray[np.float64]:
    centred = np.asarray(x, dtype=np.float64) - np.mean(x, axis=0, dtype=np.float64)
    products = centred @ centred.T
    np.fill_diagonal(products, 0)
    return products


def hsic(k: NDArray[np.float64], l: NDArray[np.float64]) -> float:  # noqa: E741
    n = len(k)
    rows_k, rows_l = k.sum(1), l.sum(1)
    trace = (k * l).sum()
    return float(
        (trace + rows_k.sum() * rows_l.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (rows_k @ rows_l)) / (n * (n - 3))
    )


# ---- how true a map is


def trustworthiness(space: Rows, drawn: Rows, k: int = 15) -> float:
    """1 when every neighbour on the map is a neighbour in the space; about .5 on a random map.

    space (n, D), drawn (n, 2 or 3), Euclidean in both; k is made smaller where it is not below n / 2.
    Source: Venna and Kaski 2001.
    """
    count = len(space)
    if len(drawn) != count or count < FEWEST:
        raise ShapeError(f"{count} points and {len(drawn)} places on the map came; {FEWEST} or more of both expected")
    k = min(k, (count - 1) // 2)
    near = neighbours(np.asarray(drawn, dtype=np.float64), k, cosine=False)
    penalty = 0.0
    for start, distances in distance_blocks(np.asarray(space, dtype=np.float64)):
        ranks = np.empty(distances.shape, dtype=np.int64)
        order = np.argsort(distances, axis=1, kind="stable")
        np.put_along_axis(ranks, order, np.arange(count)[None], axis=1)  # rank 0 is the point itself
        penalty += np.maximum(np.take_along_axis(ranks, near[start : start + len(ranks)], axis=1) - k, 0).sum()
    return float(1 - 2 * penalty / (count * k * (2 * count - 3 * k - 1)))


def continuity(space: Rows, drawn: Rows, k: int = 15) -> float:
    """1 when every neighbour in the space is a neighbour on the map; low where the map tears a cluster apart."""
    return trustworthiness(drawn, space, k)


def neighbour_preservation(space: Rows, drawn: Rows, k: int = 15) -> float:
    """Mean share of the k nearest neighbours in the space that are still among the k nearest on the map."""
    k = min(k, (len(space) - 1) // 2)
    near = [neighbours(np.asarray(one, dtype=np.float64), k, cosine=False) for one in (space, drawn)]
    return overlap(*near)


def disparity(one: Rows, other: Rows) -> float:
    """0 when two maps are the same but for shift, scale, turn and reflection; up to 1. Procrustes."""
    a, b = ((m - np.mean(m, axis=0)) / (np.linalg.norm(m - np.mean(m, axis=0)) or 1.0) for m in (one, other))
    return float(max(0.0, 1 - np.linalg.svd(a.T @ b, compute_uv=False).sum() ** 2))


def kept_neighbours(maps: Sequence[Rows], k: int = 15) -> NDArray[np.float64]:
    """(n,) share of a point's k neighbours that two maps of other seeds have in common, mean over all pairs of maps."""
    k = min(k, (len(maps[0]) - 1) // 2)
    near = [neighbours(np.asarray(one, dtype=np.float64), k, cosine=False) for one in maps]
    pairs = [(a, b) for a in range(len(maps)) for b in range(a)]
    return np.mean([shared(near[a], near[b]) for a, b in pairs], axis=0)


# ---- rows against rows


def pair_distances(x: Rows, y: Rows) -> NDArray[np.float64]:
    """(n,) ||x_i - y_i|| of unit rows, in [0, 2]: the largest are the pairs that do not belong together."""
    x, y = paired(x, y)
    return np.linalg.norm(x - y, axis=1)


def area_under_curve(scores: Rows, positive: NDArray[np.bool_]) -> float | None:
    """Chance that a positive scores above a negative, ties half; None without one of both."""
    from scipy.stats import rankdata

    positive = np.asarray(positive, dtype=bool)
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses:
        return None
    return float((rankdata(scores)[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def neighbours(rows: NDArray[np.float64], k: int, *, cosine: bool = True) -> NDArray[np.int64]:
    """(n, k) nearest first; cosine on unit rows, else Euclidean."""
    near = np.empty((len(rows), k), dtype=np.int64)
    for start, distances in cosine_blocks(rows) if cosine else distance_blocks(rows):
        near[start : start + len(distances)] = np.argsort(distances, axis=1, kind="stable")[:, 1 : k + 1]
    return near


def cosine_blocks(rows: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for start, block in blocks(rows):
        distances = -block @ rows.T
        distances[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        yield start, distances


def distance_blocks(rows: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Squared distances of a block of rows to all; the point itself at -inf, so that it sorts first."""
    squared = (rows**2).sum(1)
    for start, block in blocks(rows):
        distances = squared[start : start + len(block), None] + squared - 2 * block @ rows.T
        distances[np.arange(len(block)), start + np.arange(len(block))] = -np.inf
        yield start, distances


def blocks(rows: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for start in range(0, len(rows), BLOCK):
        yield start, rows[start : start + BLOCK]


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    return float(shared(one, other).mean())


def shared(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) share of k neighbours that are in both lists."""
    return (one[:, :, None] == other[:, None, :]).any(2).mean(1)


def paired(x: Rows, y: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if np.shape(x) != np.shape(y) or len(x) < 2:
        raise ShapeError(f"{np.shape(x)} and {np.shape(y)} came; the same items in both modalities were expected")
    return unit(x), unit(y)
