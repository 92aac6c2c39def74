"""D1: a map of 10,000 vectors in a process that has just started, beside umap-learn at its defaults."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import peers
from bench.cases.search import clustered

ROOT = Path(__file__).resolve().parents[2]
NEIGHBOURS = 15
OURS = """
import sys, numpy as np
from core.explain.map import nearest, pca_places, umap_places
vectors = np.load(sys.argv[1], allow_pickle=False)
near = nearest(vectors)
np.save(sys.argv[2], umap_places(near, 2, 0, pca_places(vectors, 2)))
"""
PEER = """
import sys, numpy as np, umap
np.save(sys.argv[2], umap.UMAP(metric="cosine", n_jobs=-1).fit_transform(np.load(sys.argv[1], allow_pickle=False)))
"""


@dataclass
class Drawing:
    """Starts a Python, draws the map, ends. JIT caches are as a user has them: none is kept by umap-learn."""

    label: str
    code: str
    vectors: NDArray[np.float32]
    folder: Any = field(default_factory=tempfile.TemporaryDirectory)

    def prepare(self, step: int) -> Any:
        file = Path(self.folder.name) / "vectors.npy"
        if not file.is_file():
            np.save(file, self.vectors)
        return file, Path(self.folder.name) / f"places-{step}.npy"

    def run(self, given: Any) -> Any:
        command = [sys.executable, "-W", "ignore", "-c", self.code, *map(str, given)]
        subprocess.run(command, cwd=ROOT, env=dict(os.environ), check=True, stdout=subprocess.DEVNULL)
        return given[1]

    def outcome(self, result: Any) -> Outcome:
        places = np.load(result, allow_pickle=False)
        result.unlink()
        return {"trust": np.asarray(trustworthiness(self.vectors, places))}


def trustworthiness(vectors: NDArray[np.float32], places: NDArray[np.float32]) -> float:
    """Of 1,500 drawn points among themselves, 15 neighbours; one judge for both arms. Source: scikit-learn."""
    from sklearn.manifold import trustworthiness as judge

    drawn = np.random.default_rng(0).permutation(len(vectors))[:1500]
    return float(judge(vectors[drawn], places[drawn], n_neighbors=NEIGHBOURS, metric="cosine"))


@dataclass
class MapCase:
    size: Size = field(default_factory=Size)
    id: str = "D1"
    title: str = "map of 10,000 x 384, cold process"
    kind: str = "cost"
    floor: float = 0.35
    target: float = 0.10
    threads_used: bool = False
    limit_ms: float | None = None

    @property
    def items(self) -> int:
        return 200 if self.size.smoke else 10_000

    def missing(self) -> str:
        return peers.lacking("umap")

    def arm(self, name: str) -> Arm:
        label, code = ("core.explain.map", OURS) if name == "ours" else ("umap-learn, defaults", PEER)
        return Drawing(label, code, clustered(self.items))

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        mine, other = float(ours["trust"]), float(peer["trust"])
        return Sameness(ok=mine >= other - 0.005, detail=f"trustworthiness {mine:.4f}, peer {other:.4f}")
