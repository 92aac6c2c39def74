"""How the map is drawn: vectors -> places, two frames brought into one, a new point placed by its neighbours.

UMAP is imported and compiled where it is used, in a process of its own: never call `umap_places` in the server.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ShapeError

Rows = NDArray[np.floating]
FEWEST_FOR_UMAP = 15  # points; UMAP fails or means nothing below
NEIGHBOURS = 15
CLOSEST = 0.5  # UMAP's min_dist: points of a cluster can still be told apart, and more neighbours survive than at 0.1


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The k nearest by cosine of n points, the point itself first: rows (n, k), distances (n, k) = 1 - cosine."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A new point among the old: its nearest rows (k,), best first, their cosines (k,), and the weights (k,), summing
    to 1, with which their places make its own."""

    rows: NDArray[np.int64]
    cosines: NDArray[np.float64]
    weights: NDArray[np.float64]

    def on(self, places: Rows) -> NDArray[np.float64]:
        """Its place (d,) on a map with `places` (n, d)."""
        return self.weights @ np.asarray(places, dtype=np.float64)[self.rows]


def nearest(vectors: Rows, k: int = NEIGHBOURS, block: int | None = None) -> Nearest:
    """Exact neighbours of unit rows; a row of zeros is at distance 1 from everything."""
    from core.nearest import neighbours

    rows, cosines = neighbours(vectors, k, block)
    return Nearest(rows=rows, distances=np.clip(1 - cosines, 0, 2))


def pca_places(vectors: Rows, dimensions: int) -> NDArray[np.float32]:
    """The leading principal axes (n, dimensions), zero where the data have fewer; the sign of an axis is fixed."""
    centred = np.asarray(vectors, dtype=np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :dimensions]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    places = np.zeros((len(centred), dimensions), dtype=np.float32)
    places[:, : axes.shape[1]] = centred @ axes
    return places


def umap_places(near: Nearest, dimensions: int, seed: int, start: Rows) -> NDArray[np.float32]:
    """UMAP (n, dimensions) from exact neighbours, beginning at `start` (n, dimensions), the same for the same seed.

    Source: McInnes, Healy and Melville 2018.
    """
    if len(near.rows) < FEWEST_FOR_UMAP or start.shape != (len(near.rows), dimensions):
        raise ShapeError(f"{len(near.rows)} points and a start of shape {start.shape} came; {FEWEST_FOR_UMAP} or more")
    from umap import UMAP

    spread = np.abs(start - start.mean(0)).max() or 1.0
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the one about the missing search index: new points are placed by neighbours
        fitted = UMAP(
            n_neighbors=near.rows.shape[1], n_components=dimensions, min_dist=CLOSEST, metric="cosine",
            random_state=seed, n_jobs=1, precomputed_knn=(near.rows, near.distances),
            init=10 * (start - start.mean(0)) / spread + noise,
        ).fit_transform(np.zeros((len(near.rows), 1), dtype=np.float32))  # fmt: skip
    return np.asarray(fitted, dtype=np.float32)


def onto(moving: Rows, fixed: Rows) -> NDArray[np.float32]:
    """`moving` shifted, turned, reflected and scaled so that it lies on `fixed` as well as it can (Procrustes)."""
    if np.shape(moving) != np.shape(fixed):
        raise ShapeError(f"{np.shape(moving)} and {np.shape(fixed)} came; two maps of the same points were expected")
    a, b = moving - np.mean(moving, axis=0), fixed - np.mean(fixed, axis=0)
    left, strength, right = np.linalg.svd(a.T.astype(np.float64) @ b)
    scale = strength.sum() / ((a**2).sum() or 1.0)
    return np.asarray(scale * a @ (left @ right) + np.mean(fixed, axis=0), dtype=np.float32)


def before_alignment(raw: Rows, present: NDArray[np.bool_], trained: NDArray[np.bool_], width: int) -> Rows:
    """What the encoder alone says: columns standardised, principal axes, both fitted on trained items, unit rows.

    raw (n, E); -> (n, width), zero where absent and in axes that the data do not have. The axes are arbitrary: across
    modalities this space means nothing, and that is the point of showing it.
    """
    fit = np.asarray(raw[present & trained] if (present & trained).sum() > 2 else raw[present], dtype=np.float64)
    if not len(fit):
        return np.zeros((len(raw), width), dtype=np.float32)
    mean, spread = fit.mean(0), fit.std(0)
    spread[spread == 0] = 1.0
    axes = np.linalg.svd((fit - mean) / spread, full_matrices=False)[2][:width].T  # (E, <= width)
    turned = ((np.asarray(raw, dtype=np.float64) - mean) / spread) @ axes
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    kept = np.zeros((len(raw), width), dtype=np.float32)
    kept[:, : turned.shape[1]] = np.divide(turned, length, out=np.zeros_like(turned), where=length > 0)
    kept[~present] = 0
    return kept


def place(vector: Rows, vectors: Rows, k: int = 10, sharpness: float = 20.0) -> Placed:
    """Where a new unit vector (D,) belongs among `vectors` (n, D): its k nearest, weighted by exp(sharpness cosine).

    An approximation: no map was computed with the new point in it.
    """
    cosines = np.asarray(vectors, dtype=np.float64) @ np.asarray(vector, dtype=np.float64)
    rows = np.argsort(-cosines, kind="stable")[:k]
    weights = np.exp(sharpness * (cosines[rows] - cosines[rows].max()))
    return Placed(rows=rows, cosines=cosines[rows], weights=weights / weights.sum())


def clusters(vectors: Rows, seed: int = 0) -> NDArray[np.int16]:
    """A group number for every row, 0 the largest: k-means of unit rows with k = sqrt(n / 2), 2 to 12 groups."""
    from sklearn.cluster import KMeans

    wanted = int(np.clip(np.sqrt(len(vectors) / 2), 2, 12))
    different = len(np.unique(np.asarray(vectors, dtype=np.float32), axis=0))
    found = KMeans(min(wanted, different), n_init=4, random_state=seed).fit_predict(vectors)
    by_size = np.argsort(-np.bincount(found), kind="stable")
    return np.argsort(by_size)[found].astype(np.int16)
