"""Q4: one question of words, a photo, a sound of 5 s and a clip of 5 s, from bytes to ranked cards with shares.

The peer is the four encoders alone over media that were decoded outside the clock, so the cost is what decoding, in
workers with a memory cap, and everything behind the encoders add. What counts is the median, which must stay within the
limit. The shop is drawn: 324 products of random vectors, since only time is measured. Nothing is asked twice.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import material, query

PRODUCTS, SECONDS = 324, 5
WIDTHS = {"text": 384, "image": 1280, "audio": 1280, "video": 1280}


def sound(seed: int, rate: int = 44_100) -> bytes:
    """A stereo WAV: three falling tones in noise."""
    import soundfile

    rng, t = np.random.default_rng((3, seed)), np.arange(SECONDS * rate) / rate
    wave = sum(np.sin(2 * np.pi * hertz * t) * np.exp(-t) for hertz in rng.uniform(100, 5000, 3)) / 4
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([wave, wave], 1) + rng.normal(0, 0.01, (len(t), 2)), rate, format="WAV")
    return buffer.getvalue()


def clip(seed: int, width: int = 640, height: int = 360, rate: int = 25) -> bytes:
    """An H.264 film of a bright square that moves over shading."""
    import av

    rng, buffer = np.random.default_rng((4, seed)), io.BytesIO()
    ground = (rng.random((height // 8, width // 8, 3)) * 120).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(buffer, "w", format="mp4") as film:
        track: Any = film.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        for number in range(SECONDS * rate):
            picture = ground.copy()
            picture[100:220, 2 * number : 2 * number + 120] = 230
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            film.mux(track.encode(frame))
        film.mux(track.encode(None))
    return buffer.getvalue()


def question(step: int) -> Any:
    from core.domain import Query

    photo = material.photos(1, 60_000 + step, ((1600, 1200),))
    return Query.of(material.texts(1, step)[0], tuple(photo), sounds=(sound(step),), clips=(clip(step),))


def drawn_shop() -> Any:
    """A pipeline with the real encoders, an untrained model and products of random vectors."""
    import torch

    from core.config import RunSettings
    from core.domain import Catalogue, Item
    from core.model import Coalitions, Model
    from core.pipeline import Pipeline

    settings = RunSettings(catalogue="drawn", rank="content")
    items = tuple(Item(item_id=f"p{row}", title=f"product {row}") for row in range(PRODUCTS))
    shop = Catalogue(name="drawn", version="1", root=Path(), items=items)
    torch.manual_seed(0)
    model = Model(settings, WIDTHS, 0, PRODUCTS).eval().requires_grad_(False)
    vectors = torch.nn.functional.normalize(torch.randn(16, PRODUCTS, settings.width), dim=-1)
    told = {
        "run": "drawn", "settings": settings.__dict__, "widths": WIDTHS, "items": [item.item_id for item in items],
        "users": [], "data": {"catalogue": "drawn"}, "distances": {},
    }  # fmt: skip
    return Pipeline(told, model, shop, Coalitions(vectors=vectors, gates=torch.full((16, PRODUCTS, 4), 0.25)), "cpu")


class Ours(query.Ours):
    """As there, asked with four modalities."""

    def prepare(self, step: int) -> Any:
        return question(step)


@dataclass
class EncodersAlone:
    pipeline: Any
    label: str = "the four encoders alone, media decoded before"

    def prepare(self, step: int) -> Any:
        return self.pipeline.read(question(step))[0]

    def run(self, given: Any) -> Any:
        return self.pipeline.encode(given)

    def outcome(self, result: Any) -> Outcome:
        return {"modalities": np.asarray(sorted(result))}


@dataclass
class FourCase:
    size: Size = field(default_factory=Size)
    id: str = "Q4"
    title: str = "one query: words, photo, 5 s of sound, 5 s of film, end to end, warm"
    kind: str = "cost"
    items: int = 1
    floor: float = 4.0
    target: float = 2.0
    threads_used: bool = False
    limit_ms: float | None = 1500.0

    def missing(self) -> str:
        lacking = [name for name in ("av", "soundfile", "timm") if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(lacking)}" if lacking else ""

    def arm(self, name: str) -> Arm:
        import torch

        torch.set_num_threads(self.size.threads)
        return EncodersAlone(drawn_shop()) if name == "peer" else Ours(drawn_shop())

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """Both arms read all four, the ranking is in order, and the shares add up to the printed scores."""
        residual = float(np.abs(ours["explained"] - ours["scores"]).max())
        four = list(ours["players"]) == list(peer["modalities"]) == sorted(WIDTHS)
        ok = four and bool((np.diff(ours["scores"]) <= 1e-6).all()) and residual <= 1e-4
        return Sameness(ok=ok, detail=f"scores explained to {residual:.1e}")
