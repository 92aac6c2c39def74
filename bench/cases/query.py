"""query: one question of words and two photos, from bytes to ranked cards with shares, beside the encoding alone.

The peer only encodes (sentence-transformers and timm), so a cost near 1 means that aligning, fusing, ranking and the
exact Shapley values are nearly free. What counts is the median, which must stay within the limit.
Nothing is asked twice.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import material, peers

PHOTO_SIZES = ((1600, 1200), (800, 600))


def question(step: int) -> tuple[str, tuple[bytes, ...]]:
    return material.texts(1, step)[0], tuple(material.photos(2, 50_000 + step, PHOTO_SIZES))


@dataclass
class Ours:
    pipeline: Any
    label: str = "core.pipeline.recommend"

    def prepare(self, step: int) -> Any:
        from core.domain import Query

        text, photos = question(step)
        return Query.of(text, photos)

    def run(self, given: Any) -> Any:
        return self.pipeline.recommend(given, top=12)

    def outcome(self, result: Any) -> Outcome:
        scores = np.asarray([item.score for item in result.items])
        explained = np.asarray([item.base + sum(item.phi.values()) for item in result.items])
        return {"scores": scores, "explained": explained, "players": np.asarray(sorted(result.players))}


@dataclass
class EncodingAlone:
    texts: peers.SentenceTransformersPeer
    photos: peers.TimmPeer

    @property
    def label(self) -> str:
        return "sentence-transformers + timm, encoding alone"

    def prepare(self, step: int) -> Any:
        return question(step)

    def run(self, given: Any) -> Any:
        return self.texts([given[0]]), self.photos(given[1])

    def outcome(self, result: Any) -> Outcome:
        return {"text": result[0], "photos": result[1]}


@dataclass
class QueryCase:
    size: Size = field(default_factory=Size)
    id: str = "query"
    title: str = "one query, words and two photos, end to end, warm"
    kind: str = "cost"
    items: int = 1
    floor: float = 2.0
    target: float = 1.3
    threads_used: bool = False
    limit_ms: float | None = 300.0

    def missing(self) -> str:
        if importlib.util.find_spec("core.pipeline") is None:
            return "core.pipeline is not there yet"
        from core.config import SAMPLE

        if not (SAMPLE / "runs" / "studio-default" / "run.json").is_file():
            return "the bundled run studio-default is not there"
        return peers.lacking("sentence_transformers", "timm", "torchvision")

    def arm(self, name: str) -> Arm:
        import torch

        torch.set_num_threads(self.size.threads)
        if name == "peer":
            text, photos = question(999)
            return EncodingAlone(
                texts=peers.SentenceTransformersPeer([text], self.size.threads, (16,)),
                photos=peers.TimmPeer(photos, self.size.threads, (2,)),
            )
        from core.pipeline import open_pipeline
        from core.workspace import Workspace

        return Ours(pipeline=open_pipeline(Workspace.open(), "studio-default"))

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """Both arms read both modalities, the ranking is in order, and the shares add up to the printed scores."""
        residual = float(np.abs(ours["explained"] - ours["scores"]).max())
        ok = (
            set(ours["players"]) >= {"text", "image"}
            and len(peer["text"]) == 1
            and len(peer["photos"]) == 2
            and bool((np.diff(ours["scores"]) <= 1e-6).all())
            and residual <= 1e-4
        )
        return Sameness(ok=bool(ok), detail=f"scores explained to {residual:.1e}")
