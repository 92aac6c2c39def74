"""Nearest vectors: exact by default; an approximate graph only where an exact answer would take too long.

Nothing approximate is given without the recall that was measured for it on this very index.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingsError

ABOVE = 1_000_000  # items; below nothing but exact search is worth its errors
BUDGET = 0.050  # seconds an exact answer may take
LINKS = 32  # neighbours of a node of the graph
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Found:
    """rows (k,) by falling score, equal scores by rising row; scores (k,) inner products; recall: of the index, 1 where
    it is exact."""

    rows: NDArray[np.int64]
    scores: Floats
    recall: float
    engine: str

    def told(self) -> str:
        exact = self.engine == "exact"
        return "exact" if exact else f"approximate ({self.engine}), recall {self.recall:.3f} as measured on this index"


class Exact:
    """Every vector is compared. vectors: (N, D) float32, C order."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    def search(self, query: Floats, k: int) -> Found:
        """The k best of all for a query (D,)."""
        scores = self.vectors @ query
        k = min(k, len(scores))
        edge = np.partition(scores, len(scores) - k)[len(scores) - k] if k else np.inf
        rows = np.flatnonzero(scores >= edge)  # ties at the edge are all here
        rows = rows[np.lexsort((rows, -scores[rows]))][:k]
        return Found(rows=rows, scores=scores[rows], recall=1.0, engine="exact")


class Graph:
    """HNSW of FAISS over inner products. recall: mean share of the exact top `k` found, on `asked` (Q, D)."""

    def __init__(self, vectors: Floats, asked: Floats, k: int = 20, effort: int = 128) -> None:
        if find_spec("faiss") is None:
            raise SettingsError(
                "faiss-cpu is not installed, so no approximate index can be made. Install it, or search exactly"
            )
        import faiss

        self.index: Any = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction, self.index.hnsw.efSearch = 100, effort
        self.index.add(vectors)
        self.recall = 0.0
        exact = Exact(vectors)
        hits = [np.isin(self.search(one, k).rows, exact.search(one, k).rows).mean() for one in asked]
        self.recall = float(np.mean(hits))

    def search(self, query: Floats, k: int) -> Found:
        scores, rows = self.index.search(query[None], k)
        there = rows[0] >= 0
        return Found(rows=rows[0][there], scores=scores[0][there], recall=self.recall, engine="faiss HNSW")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """engine: exact or faiss; seconds: an exact query would take by the bandwidth measured here; why: in words."""

    engine: str
    seconds: float
    why: str


def choose(items: int, width: int, bandwidth: float | None = None) -> Choice:
    """Which index `items` vectors of `width` float32 want. bandwidth: bytes a second; None measures it (0.1 s)."""
    seconds = items * width * 4 / (bandwidth or measured_bandwidth())
    told = f"an exact query reads {items * width * 4 / 1e6:.0f} MB, about {seconds * 1000:.1f} ms here"
    if items <= ABOVE or seconds <= BUDGET:
        return Choice(engine="exact", seconds=seconds, why=told)
    if find_spec("faiss") is None:
        return Choice(engine="exact", seconds=seconds, why=f"{told}; faiss-cpu would be quicker and is not installed")
    return Choice(
        engine="faiss", seconds=seconds, why=f"{told}, more than {BUDGET * 1000:.0f} ms: an approximate graph"
    )


def measured_bandwidth(megabytes: int = 64, width: int = 256) -> float:
    """Bytes a second of a matrix-vector product too large for the caches, best of three."""
    rows = megabytes * 1_000_000 // (4 * width)
    vectors, query = np.ones((rows, width), np.float32), np.ones(width, np.float32)
    best = np.inf
    for _ in range(3):
        begun = time.perf_counter()
        vectors @ query
        best = min(best, time.perf_counter() - begun)
    return vectors.nbytes / best
