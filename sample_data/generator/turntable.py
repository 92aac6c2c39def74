"""Renders the frames of clips.json, a strip of pictures side by side for every clip; what is there already is skipped.

python -m sample_data.generator.turntable --clips sample_data/studio/clips.json --strips /tmp/strips
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from PIL import Image

from .clips import SIZE, strip_path
from .render import age_photo, quiet, set_up, write_picture
from .scene import PRODUCT_INDEX, stage_customer, stage_studio

ROOM_TO_TURN = 0.84  # of the lens of a photo: wide things need it when they stand crosswise
TARGET_HEIGHT = 0.4


def stage_turntable(clip: dict[str, Any], rng: np.random.Generator) -> Any:
    """The studio scene with some room around the product; returns the product, which is what turns."""
    stage_studio(clip["look"], 0, rng)
    camera = bpy.context.scene.camera.data
    camera.lens *= ROOM_TO_TURN
    camera.shift_x, camera.shift_y = camera.shift_x * ROOM_TO_TURN, camera.shift_y * ROOM_TO_TURN
    return next(thing for thing in bpy.data.objects if thing.pass_index == PRODUCT_INDEX)


def orbit(camera: Any, centre: Vector, degrees: float, lift: float) -> None:
    """Moves the camera on a circle around `centre`, its look turned with it; lift in scene units."""
    turn = np.radians(degrees)
    way = camera.location - centre
    camera.location = centre + Vector(
        (way.x * np.cos(turn) - way.y * np.sin(turn), way.x * np.sin(turn) + way.y * np.cos(turn), way.z + lift)
    )
    camera.rotation_euler.z += turn


def render_frame(scratch: Path) -> Image.Image:
    """The scene as it stands."""
    bpy.context.scene.render.filepath = str(scratch / "frame.png")
    with quiet():
        bpy.ops.render.render(write_still=True)
    with Image.open(scratch / "frame.png") as source:
        return source.convert("RGB")


def render_clip(clip: dict[str, Any], scratch: Path) -> list[Image.Image]:
    """All frames: the product turns before the studio camera, or a customer's camera walks round it on an arc."""
    rng = np.random.default_rng(clip["seed"])
    bpy.context.scene.cycles.seed = int(clip["seed"]) % 2**31
    steps = np.arange(clip["frames"]) / (clip["frames"] if clip["kind"] == "turntable" else clip["frames"] - 1)
    if clip["kind"] == "turntable":
        product = stage_turntable(clip, rng)
        frames = []
        for step in steps:
            product.rotation_euler.z = np.radians(clip["start"] + clip["turn"] * float(step))
            frames.append(render_frame(scratch))
        return frames
    stage_customer(clip, rng)
    product = next(thing for thing in bpy.data.objects if thing.pass_index == PRODUCT_INDEX)
    camera, centre = bpy.context.scene.camera, product.location + Vector((0, 0, TARGET_HEIGHT))
    frames, before = [], 0.0
    for step in steps:
        at = clip["start"] + clip["turn"] * float(step)
        orbit(camera, centre, at - before, float(rng.uniform(-0.015, 0.015)))
        before = at
        frames.append(age_photo(render_frame(scratch), np.random.default_rng(clip["seed"])))
    return frames


def join(frames: list[Image.Image]) -> Image.Image:
    """The frames side by side."""
    width, height = frames[0].size
    strip = Image.new("RGB", (width * len(frames), height))
    for place, frame in enumerate(frames):
        strip.paste(frame, (place * width, 0))
    return strip


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="clips.json")
    parser.add_argument("--strips", type=Path, required=True, help="folder that gets one picture strip a clip")
    parser.add_argument("--kind", choices=("turntable", "customer"), help="render this kind alone")
    parser.add_argument("--limit", type=int, help="stop after this many clips")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no clip after this time; run again to go on")
    parser.add_argument("--threads", type=int, default=2, help="threads of Cycles")
    return parser.parse_args()


def main() -> int:
    """Renders what is missing; exit status 1 when a clip failed."""
    arguments = read_arguments()
    clips = [
        clip
        for clip in json.loads(arguments.clips.read_text(encoding="utf-8"))
        if clip["rendered"] == clip["file"]
        and arguments.kind in (None, clip["kind"])
        and not strip_path(arguments.strips, clip).is_file()
    ][: arguments.limit]
    failed, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        set_up(SIZE, arguments.threads, Path(folder)).mute = True
        bpy.context.scene.render.use_persistent_data = True
        for number, clip in enumerate(clips):
            if time.monotonic() - start > arguments.seconds:
                print(f"{len(clips) - number} clips are left; run this again", file=sys.stderr)
                return 1
            try:
                strip = join(render_clip(clip, Path(folder)))
                write_picture(strip, strip_path(arguments.strips, clip), format="WEBP", quality=95, method=3)
            except (KeyError, ValueError, RuntimeError, OSError) as error:
                failed += 1
                print(f"{clip['file']}: {error}", file=sys.stderr)
    spent = time.monotonic() - start
    print(f"{len(clips)} clips, {failed} failed, {spent:.0f} s", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
