"""Which items are looked at: all of them, or above a million those that an approximate graph finds, with its recall.

Nothing approximate is given without the recall that was measured for it on this very index.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingsError
from core.files import sealed, unsealed, write_atomic
from core.nearest import Index as ExactIndex

ABOVE = 1_000_000  # items; below nothing but exact search is worth its errors
BUDGET = 0.050  # seconds an exact answer may take
LINKS, BUILT, EFFORT = 32, 100, 256  # neighbours of a node of the graph; candidates when it is built, when it is asked
REACH = 200  # items that an approximate answer is chosen from
ASKED, NOISE = 64, 0.5  # questions that recall is measured with: an item plus noise of half its length
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """rows (k,) by falling score; scores (k,) inner products; recall: of the index; engine: of whom."""

    rows: NDArray[np.int64]
    scores: Floats
    recall: float
    engine: str

    def told(self) -> str:
        return f"approximate ({self.engine}), recall {self.recall:.3f} as measured on this index"


class Index(Protocol):
    """What finds items without comparing all of them, and knows how many it misses; None: compare them all."""

    def search(self, query: Floats, k: int) -> Shortlist | None: ...


class Graph:
    """HNSW of FAISS over inner products. recall: mean share of the exact top `k` found, on `asked` (Q, D)."""

    def __init__(self, vectors: Floats, asked: Floats, k: int = 20) -> None:
        faiss = _faiss()
        self.index: Any = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction, self.index.hnsw.efSearch = BUILT, EFFORT
        self.index.add(vectors)
        self.recall = 0.0
        exact = ExactIndex(vectors)
        hits = [np.isin(self.search(one, k).rows, exact.top(one, k).rows).mean() for one in asked]
        self.recall = float(np.mean(hits))

    def search(self, query: Floats, k: int) -> Shortlist:
        scores, rows = self.index.search(np.ascontiguousarray(query[None], dtype=np.float32), k)
        there = rows[0] >= 0
        return Shortlist(rows=rows[0][there], scores=scores[0][there], recall=self.recall, engine="faiss HNSW")

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads: the recall in eight bytes, then the graph as FAISS writes it."""
        return np.float64(self.recall).tobytes() + _faiss().serialize_index(self.index).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Graph:
        found = cls.__new__(cls)
        found.recall = float(np.frombuffer(data[:8], dtype=np.float64)[0])
        found.index = _faiss().deserialize_index(np.frombuffer(data[8:], dtype=np.uint8))
        return found


def _faiss() -> Any:
    if find_spec("faiss") is None:
        raise SettingsError(
            "faiss-cpu is not installed, so no approximate index can be made. Install it, or search exactly"
        )
    import faiss

    return faiss


@dataclass(frozen=True, kw_only=True)
class Choice:
    """engine: exact or faiss; seconds: an exact query would take by the bandwidth measured here; why: in words."""

    engine: str
    seconds: float
    why: str


def choose(items: int, width: int, bandwidth: float | None = None) -> Choice:
    """Which index `items` vectors of `width` float32 want. bandwidth: bytes a second; None measures it (0.1 s)."""
    if items <= ABOVE and bandwidth is None:
        return Choice(engine="exact", seconds=0.0, why=f"{items} items: up to {ABOVE} all are compared")
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


def graph_of(vectors: Floats, kept: Path | None) -> Graph | None:
    """The graph of these item vectors (N, D), from `kept` where it was made before; None where all are compared."""
    if choose(*vectors.shape).engine == "exact":
        return None
    data = unsealed(kept.read_bytes()) if kept is not None and kept.is_file() else None  # a damaged one is made again
    if data is not None:
        return Graph.from_bytes(data)
    made = Graph(vectors, questions(vectors))
    if kept is not None:
        write_atomic(kept, sealed(made.to_bytes()))
    return made


def questions(vectors: Floats) -> Floats:
    """(ASKED, D) unit rows near some of the items, and none of them."""
    draw = np.random.default_rng(0)
    near = vectors[draw.integers(0, len(vectors), ASKED)]
    noise = draw.normal(size=near.shape) / np.sqrt(near.shape[1])
    moved = near + NOISE * np.linalg.norm(near, axis=1, keepdims=True) * noise
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def best_columns(scores: Floats, k: int) -> NDArray[np.int64]:
    """Columns (k,) of the highest of scores (N,), equal ones by column: the head of a stable sort, without the sort."""
    k = min(k, len(scores))
    if k <= 0:
        return np.zeros(0, dtype=np.int64)
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    rows = np.flatnonzero(scores >= edge)  # ties at the edge are all here
    return rows[np.argsort(-scores[rows], kind="stable")][:k]
