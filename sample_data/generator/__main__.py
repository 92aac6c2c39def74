"""Makes the Studio catalogue, from the project root: `python -m sample_data.generator` and a command of `COMMANDS`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from sample_data.generator.check import check_folder
from sample_data.generator.faults import copy_photos
from sample_data.generator.media import write_clips, write_sounds
from sample_data.generator.reference import measure_reference
from sample_data.generator.shop import build_studio
from sample_data.generator.tables import make_files, write_atomically

STUDIO = Path("sample_data/studio")
RENDERER = Path(".venv-studio/bin/python")
COMMANDS = {
    "write": "text, tables, truth, shots.json and clips.json",
    "sounds": "the taps of all items and the customers' own",
    "render": "photos and masks that are missing, then the near-duplicates' photos",
    "clips": "turntable and customer clips that are missing",
    "twins": "only the photos of the near-duplicates",
    "check": "every count and limit",
    "all": "write, sounds, render, clips, check",
}


def write(seed: int, folder: Path) -> None:
    """Text, tables, truth and the list of shots: all but the pictures."""
    studio = build_studio(seed)
    for name, content in make_files(studio, measure_reference(studio)).items():
        write_atomically(folder / name, content)
        print(f"{folder / name}: {len(content)} bytes")


def sounds(folder: Path) -> None:
    """Sounds that are missing."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    made = sum(1 for _ in write_sounds(build_studio(truth["generator"]["seed"]), folder))
    print(f"{made} sounds made")


def film(folder: Path, strips: Path) -> int:
    """Clips that are missing: frames by the renderer, which goes on where it stopped, then films of them."""
    clips = ["sample_data.generator.turntable", "--clips", str(folder / "clips.json"), "--strips", str(strips)]
    if code := run_renderer(clips):
        return code
    made, missing = write_clips(folder, strips)
    print(f"{made} clips made, {missing} not rendered yet")
    return int(missing > 0)


def render(folder: Path, size: int) -> int:
    """Pictures that are missing, by the renderer in its own environment; then those of the near-duplicates."""
    shots = ["--shots", str(folder / "shots.json"), "--out", str(folder), "--size", str(size)]
    return run_renderer(["sample_data.generator.render", *shots]) or copy_near_duplicates(folder)


def run_renderer(module: list[str]) -> int:
    """Runs a module with its arguments where Blender is installed."""
    if not RENDERER.is_file():
        print(
            f"{RENDERER} is not there. Make it: python3.11 -m venv .venv-studio && .venv-studio/bin/pip install "
            "-r sample_data/generator/requirements.txt",
            file=sys.stderr,
        )
        return 1
    return subprocess.run([str(RENDERER), "-m", *module], check=False).returncode


def copy_near_duplicates(folder: Path) -> int:
    """Photos of the near-duplicates, made from those of their originals."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    twins = {name: item["duplicate_of"] for name, item in truth["items"].items() if item["duplicate_of"]}
    try:
        made = copy_photos(folder, twins, truth["generator"]["seed"])
    except FileNotFoundError as error:
        print(f"{error.filename} is not rendered yet; render it, then run this again.", file=sys.stderr)
        return 1
    print(f"{len(made)} photos of {len(twins)} near-duplicates made from their originals")
    return 0


def check(folder: Path) -> int:
    """Prints every count; 1 if a limit is broken."""
    findings = check_folder(folder)
    for finding in findings:
        mark = {True: "ok    ", False: "BROKEN", None: "      "}[finding.holds]
        limit = f"  [{finding.limit}]" if finding.limit else ""
        print(f"{mark} {finding.name}: {finding.value}{limit}")
    return int(any(finding.holds is False for finding in findings))


def main(arguments: list[str] | None = None) -> int:
    """Exit code of the command."""
    parser = argparse.ArgumentParser(prog="python -m sample_data.generator", description=__doc__)
    parser.add_argument(
        "command",
        choices=tuple(COMMANDS),
        help="; ".join(f"{name}: {what}" for name, what in COMMANDS.items()),
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=STUDIO)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--strips", type=Path, help="folder of the rendered frames of clips (default: a temporary one)")
    options = parser.parse_args(arguments)
    code = 0
    if options.command in {"write", "all"}:
        write(options.seed, options.out)
    if options.command in {"sounds", "all"}:
        sounds(options.out)
    if options.command in {"render", "all"}:
        code = render(options.out, options.size)
    if options.command in {"clips", "all"} and not code:
        strips = options.strips or Path(tempfile.gettempdir()) / f"studio-strips-{options.out.name}"
        code = film(options.out, strips)
    if options.command == "twins":
        code = copy_near_duplicates(options.out)
    if options.command in {"check", "all"} and not code:
        code = check(options.out)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
