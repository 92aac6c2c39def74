"""Renders the photos of shots.json with Cycles on the CPU; what is there already is skipped.

python -m sample_data.generator.render --shots sample_data/studio/shots.json --out sample_data/studio --size 256
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image, ImageFilter

from .scene import PRODUCT_INDEX, stage_customer, stage_studio

QUALITY = 84  # of the WebP files
SAMPLES = 8  # light paths a pixel before denoising; grain is below what the eye sees at 256 pixels


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences Blender's own lines on standard output."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)


def set_up(size: int, threads: int, folder: Path) -> Any:
    """The render settings of the whole run; returns the compositor node that writes masks."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    render.threads_mode, render.threads = "FIXED", threads
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    render.image_settings.compression = 0
    render.dither_intensity = 0.0
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    cycles.device = "CPU"
    cycles.samples, cycles.use_adaptive_sampling = SAMPLES, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "BALANCED"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 1, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 3, 6
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 3.0
    cycles.use_light_tree = False
    bpy.context.view_layer.use_pass_object_index = True
    bpy.context.view_layer.pass_alpha_threshold = 0.0  # glass belongs to the mask too
    return mask_writer(scene, folder)


def mask_writer(scene: Any, folder: Path) -> Any:
    """A compositor output that writes where the product is visible; muted for studio photos."""
    scene.use_nodes = True
    nodes, links = scene.node_tree.nodes, scene.node_tree.links
    nodes.clear()
    layers, picture = nodes.new("CompositorNodeRLayers"), nodes.new("CompositorNodeComposite")
    mask, writer = nodes.new("CompositorNodeIDMask"), nodes.new("CompositorNodeOutputFile")
    mask.index, mask.use_antialiasing = PRODUCT_INDEX, False
    writer.base_path = str(folder)
    writer.format.file_format, writer.format.color_mode = "PNG", "BW"
    writer.file_slots[0].path = "mask_"
    links.new(layers.outputs["Image"], picture.inputs["Image"])
    links.new(layers.outputs["IndexOB"], mask.inputs[0])
    links.new(mask.outputs[0], writer.inputs[0])
    return writer


def write_picture(picture: Image.Image, path: Path, **options: Any) -> None:
    """Saves atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part_", delete=False) as file:
        file.write(buffer.getvalue())
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def age_photo(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """What a phone does to a picture: softness, sensor noise, a little vignetting and a colour cast."""
    pixels = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 0.5))), np.float32) / 255
    side = np.linspace(-1, 1, pixels.shape[0])
    vignette = 1 - rng.uniform(0.03, 0.12) * (side[:, None] ** 2 + side[None] ** 2)
    cast = 1 + rng.uniform(-0.02, 0.02, 3)
    noise = rng.normal(0, rng.uniform(0.006, 0.018), pixels.shape)
    aged = pixels * vignette[..., None] * cast + noise
    return Image.fromarray((np.clip(aged, 0, 1) * 255 + 0.5).astype(np.uint8))


def render_shot(shot: dict[str, Any], out: Path, scratch: Path, writer: Any) -> None:
    """Renders one photo, and its mask where one is asked for."""
    scene = bpy.context.scene
    rng = np.random.default_rng(shot["seed"])
    scene.cycles.seed = int(shot["seed"]) % 2**31
    if shot["kind"] == "studio":
        stage_studio(shot["look"], int(shot["view"]), rng)
    else:
        stage_customer(shot, rng)
    writer.mute = shot["mask"] is None
    scene.render.filepath = str(scratch / "shot.png")
    with quiet():
        bpy.ops.render.render(write_still=True)
    with Image.open(scratch / "shot.png") as source:
        picture = source.convert("RGB")
    if shot["kind"] == "customer":
        picture = age_photo(picture, rng)
    if shot["mask"] is not None:
        drawn = scratch / f"mask_{scene.frame_current:04d}.png"
        with Image.open(drawn) as source:
            mask = source.convert("L").point(lambda value: 255 if value > 127 else 0).convert("1")
        write_picture(mask, out / shot["mask"], format="PNG", optimize=True)
    write_picture(picture, out / shot["file"], format="WEBP", quality=QUALITY, method=5)


def missing_shots(shots: list[dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """The shots of which a file is not there yet."""
    return [s for s in shots if not all((out / s[key]).exists() for key in ("file", "mask") if s[key] is not None)]


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=Path, required=True, help="shots.json")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets photos/, customer/ and masks/")
    parser.add_argument("--size", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--only", help="render this family alone")
    parser.add_argument("--limit", type=int, help="stop after this many shots")
    parser.add_argument("--stride", type=int, default=1, help="every K-th shot")
    parser.add_argument(
        "--offset", type=int, default=0, help="first shot of the stride; lets K processes share the work"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of Cycles")
    return parser.parse_args()


def main() -> int:
    """Renders what is missing; exit status 1 when a shot failed."""
    arguments = read_arguments()
    shots = json.loads(arguments.shots.read_text(encoding="utf-8"))[arguments.offset :: arguments.stride]
    if arguments.only:
        shots = [shot for shot in shots if shot["look"]["family"] == arguments.only]
    waiting = missing_shots(shots, arguments.out)[: arguments.limit]
    print(f"{len(waiting)} of {len(shots)} shots to render at {arguments.size} pixels", file=sys.stderr)
    failed, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        writer = set_up(arguments.size, arguments.threads, scratch)
        for number, shot in enumerate(waiting, 1):
            try:
                render_shot(shot, arguments.out, scratch, writer)
            except (KeyError, ValueError, RuntimeError, OSError) as error:
                failed += 1
                print(f"\n{shot['file']}: {error}", file=sys.stderr)
            spent = (time.monotonic() - start) / number
            left = spent * (len(waiting) - number) / 60
            print(
                f"\r{number}/{len(waiting)}  {spent:.2f} s a shot  {left:.1f} min left ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(f"\ndone, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
