"""R1: one exact question against the vectors of a whole shop, beside the best of FAISS, usearch, numpy and torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import peers

Search = Callable[[NDArray[np.float32]], Any]
WIDTH, TOP, ASKED = 384, 20, 16


@cache
def clustered(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """(rows, 384) unit vectors about 200 centres: without clusters every quantiser looks better than it is."""
    rng = np.random.default_rng((3, seed))
    centres = rng.normal(size=(200, WIDTH)).astype(np.float32)
    found = centres[rng.integers(0, len(centres), rows)]
    found += 0.9 * rng.standard_normal(found.shape, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def questions(vectors: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """(16, 384), near what is there, others for every step."""
    rng = np.random.default_rng((4, step))
    near = vectors[rng.integers(0, len(vectors), ASKED)]
    return near + 0.02 * rng.standard_normal(near.shape, dtype=np.float32)


@dataclass
class Searching:
    """Asks one question after the other."""

    label: str
    vectors: NDArray[np.float32]
    search: Search

    def prepare(self, step: int) -> Any:
        return questions(self.vectors, step)

    def run(self, given: Any) -> Any:
        return given, [self.search(one) for one in given]

    def outcome(self, result: Any) -> Outcome:
        given, found = result
        rows = np.asarray(found, dtype=np.int64)
        return {"rows": rows, "scores": np.einsum("qkd,qd->qk", self.vectors[rows].astype(np.float64), given)}


def choices(vectors: NDArray[np.float32], threads: int) -> dict[str, Search]:
    """Every peer in every number of threads, ready to be asked."""
    return {
        name: search
        for known in (with_numpy, with_torch, with_faiss, with_usearch)
        for name, search in known(vectors, threads).items()
    }


def with_numpy(vectors: NDArray[np.float32], threads: int) -> dict[str, Search]:
    def search(asked: NDArray[np.float32]) -> Any:
        scores = vectors @ asked
        near = np.argpartition(-scores, TOP)[:TOP]
        return near[np.argsort(-scores[near], kind="stable")]

    return {"numpy": search}


def with_torch(vectors: NDArray[np.float32], threads: int) -> dict[str, Search]:
    import torch

    torch.set_num_threads(threads)
    held = torch.from_numpy(vectors)
    return {"torch": lambda asked: (held @ torch.from_numpy(asked)).topk(TOP).indices.numpy()}


def with_faiss(vectors: NDArray[np.float32], threads: int) -> dict[str, Search]:
    if peers.lacking("faiss"):
        return {}
    import faiss

    index = faiss.IndexFlatIP(WIDTH)
    index.add(vectors)

    def by(count: int) -> Search:
        def search(asked: NDArray[np.float32]) -> Any:
            faiss.omp_set_num_threads(count)
            return index.search(asked[None], TOP)[1][0]

        return search

    return {f"faiss flat ({count} threads)": by(count) for count in sorted({1, threads})}


def with_usearch(vectors: NDArray[np.float32], threads: int) -> dict[str, Search]:
    if peers.lacking("usearch"):
        return {}
    from usearch.index import MetricKind, search

    def by(count: int) -> Search:
        return lambda asked: search(vectors, asked, TOP, MetricKind.IP, exact=True, threads=count).keys

    return {f"usearch exact ({count} threads)": by(count) for count in sorted({1, threads})}


@dataclass
class SearchCase:
    """R1 at 100,000 vectors; kind: see `Case`."""

    size: Size = field(default_factory=Size)
    rows: int = 100_000
    id: str = "R1"
    title: str = (
        "exact search by core.nearest.Index (a recommendation scores by a plain product instead), 384 wide, 20 best, "
        "one question at a time, 100,000 vectors"
    )
    kind: str = "speedup"
    floor: float = 1.2
    target: float = 4.0
    threads_used: bool = False
    limit_ms: float | None = None
    items: int = ASKED

    def missing(self) -> str:
        return peers.lacking_anywhere("faiss", "usearch")

    def peer_python(self) -> str:
        return peers.python_with("faiss") or ""

    def vectors(self) -> NDArray[np.float32]:
        return clustered(2000 if self.size.smoke else self.rows)

    def arm(self, name: str) -> Arm:
        import torch

        torch.set_num_threads(self.size.threads)
        vectors = self.vectors()
        if name == "ours":
            from core.nearest import Index

            index = Index(vectors)
            return Searching("core.nearest.Index", vectors, lambda asked: index.top(asked, TOP).rows)
        known, trial = choices(vectors, self.size.threads), questions(vectors, 999)
        names = list(known)
        best = names[peers.fastest(range(len(names)), lambda at: [known[names[at]](one) for one in trial])]
        return Searching(f"{best}, the fastest of {', '.join(names)}", vectors, known[best])

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """Class A: the same rows; only scores closer than 1e-5 may change places."""
        apart = float(np.abs(ours["scores"] - peer["scores"]).max())
        equal = float((ours["rows"] == peer["rows"]).mean())
        return Sameness(ok=apart <= 1e-5, detail=f"{equal:.2%} of places hold the same row, scores apart {apart:.0e}")


@dataclass
class SmallSearchCase(SearchCase):
    """R1 at 10,000: fits the cache of most processors."""

    rows: int = 10_000
    id: str = "R1-10k"
    title: str = "exact search, 384 wide, 20 best, one question at a time, 10,000 vectors (in cache)"
    target: float = 1.2
    floor: float = 0.5
