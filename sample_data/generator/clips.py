"""Clips: which items have one, what it shows, and how rendered frames become a file.

A turntable clip shows the look of its item from all sides in one turn; photos show it from two. A customer clip shows
it at somebody's home while the camera walks round it. Neither shows what words or sounds alone tell.
"""

from __future__ import annotations

import hashlib
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from sample_data.generator.world import SURFACES, Item, World, choose, shuffle, stream

FRAMES, RATE, SIZE = 12, 8, 128  # frames a clip, frames a second, pixels
WARM_PER_FAMILY = 2
CUSTOMER_CLIPS = {True: 16, False: 12}  # of cold and of warm items
QUALITY = 24  # constant-quality level of VP9: 0 best, 63 worst
ADDS = (
    "all sides of the shape in one turn: handles, spouts, legs, arms and backs that two photos may hide; "
    "colour, pattern and material are the same as in the photos"
)


def list_clips(world: World) -> list[dict[str, object]]:
    """Every clip: a turntable for all cold items and for two warm ones a family, then customers' clips."""
    cold = {name for group in world.groups if group.cold for name in group.items}
    clips, rendered = [], {}
    for item in world.items:
        if item.item_id in cold | _pick_warm(world):
            first = rendered.setdefault((item.group_id, item.look_name), f"clips/{item.item_id}.webm")
            clips.append(_turntable(world.seed, item, first))
    rng = stream(world.seed, "customer clips")
    filmed: list[Item] = []
    for wanted, amount in CUSTOMER_CLIPS.items():
        deck = shuffle(rng, [item for item in world.items if (item.item_id in cold) == wanted])
        filmed += deck[:amount]
    clips += [_customer(world, item) for item in sorted(filmed, key=lambda item: item.item_id)]
    return clips


def _pick_warm(world: World) -> set[str]:
    """Of every family the items A1 and B2 of one warm group."""
    rng, chosen = stream(world.seed, "clips"), set()
    for family in dict.fromkeys(group.family for group in world.groups):
        options = [group for group in world.groups if group.family == family and not group.cold]
        if options:
            group = choose(rng, options)
            chosen |= {group.items[0], group.items[3]}
    return chosen


def _seed(seed: int, file: str) -> int:
    return int(hashlib.sha256(f"{seed}\t{file}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def _turntable(seed: int, item: Item, rendered: str) -> dict[str, object]:
    """rendered: the clip whose frames are used. Siblings of one look share them, varied by `read_frames`."""
    file = f"clips/{item.item_id}.webm"
    rng = stream(seed, f"clip {item.item_id}")
    return {
        "file": file,
        "item_id": item.item_id,
        "kind": "turntable",
        "seed": _seed(seed, file),
        "rendered": rendered,
        "frames": FRAMES,
        "start": round(float(rng.random()) * 360, 1),
        "turn": 360 if rng.random() < 0.5 else -360,
        "look": item.look.as_json(),
        "distractor": None,
        "surface": None,
        "fill": None,
    }


def _customer(world: World, item: Item) -> dict[str, object]:
    file = f"customer_clips/{item.item_id}_1.webm"
    rng = stream(world.seed, f"customer clip {item.item_id}")
    others = [other for other in world.items if other.look.family != item.look.family]
    arc = 40 + 30 * float(rng.random())
    side = 1 if rng.random() < 0.5 else -1
    return {
        "file": file,
        "item_id": item.item_id,
        "kind": "customer",
        "seed": _seed(world.seed, file),
        "rendered": file,
        "frames": FRAMES,
        "start": round(-side * arc / 2, 1),
        "turn": round(side * arc, 1),
        "look": item.look.as_json(),
        "distractor": choose(rng, others).look.as_json(),
        "surface": choose(rng, [name for name in SURFACES if name != "grass"]),
        "fill": round(0.14 + 0.18 * float(rng.random()), 3),
    }


def strip_path(folder: Path, clip: dict) -> Path:
    """Where the frames of a clip lie, side by side in one picture."""
    return folder / f"{str(clip['rendered']).replace('/', '_').removesuffix('.webm')}.webp"


def read_frames(strip: Path, clip: dict) -> list[Image.Image]:
    """The frames of a clip. Siblings of one look share a strip: the second begins elsewhere in the turn, turns its own
    way, and differs a little in crop and light."""
    with Image.open(strip) as opened:
        pixels = opened.convert("RGB")
    side = pixels.height
    frames = [pixels.crop((k * side, 0, (k + 1) * side, side)) for k in range(clip["frames"])]
    if clip["rendered"] == clip["file"]:
        return frames
    rng = np.random.default_rng(clip["seed"])
    begin, cut, light = int(rng.integers(1, len(frames))), int(rng.integers(2, 6)), float(rng.uniform(0.92, 1.08))
    frames = (frames[begin:] + frames[:begin])[:: 1 if rng.random() < 0.5 else -1]
    window = (cut, cut, side - int(rng.integers(0, 4)), side - int(rng.integers(0, 4)))
    return [ImageEnhance.Brightness(one.crop(window).resize((side, side))).enhance(light) for one in frames]


def encode(strip: Path, clip: dict) -> bytes:
    """A VP9 film in WebM of the frames of a strip. Raises ModuleNotFoundError where `av` is not installed."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="webm", options={"fflags": "+bitexact"}) as film:
        track = film.add_stream("libvpx-vp9", rate=RATE)
        track.width = track.height = SIZE
        track.pix_fmt = "yuv420p"
        track.time_base = track.codec_context.time_base = Fraction(1, RATE)
        track.codec_context.thread_count = 1
        track.options = {"crf": str(QUALITY), "b": "0", "row-mt": "0", "flags": "+bitexact"}
        for number, picture in enumerate(read_frames(strip, clip)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = number
            film.mux(track.encode(frame))
        film.mux(track.encode())
    return target.getvalue()
