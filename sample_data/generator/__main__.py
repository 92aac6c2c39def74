"""Makes the Studio catalogue: `python -m sample_data.generator {write,render,check,all}`, from the project root."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from sample_data.generator.check import check_folder, measure_reference
from sample_data.generator.faults import copy_photos
from sample_data.generator.tables import build_studio, make_files, write_atomically

STUDIO = Path("sample_data/studio")
RENDERER = Path(".venv-studio/bin/python")


def write(seed: int, folder: Path) -> None:
    """Text, tables, truth and the list of shots: all but the pictures."""
    studio = build_studio(seed)
    for name, content in make_files(studio, measure_reference(studio)).items():
        write_atomically(folder / name, content)
        print(f"{folder / name}: {len(content)} bytes")


def render(folder: Path, size: int) -> int:
    """Pictures that are missing, by the renderer in its own environment; then those of the near-duplicates."""
    if not RENDERER.is_file():
        print(
            f"{RENDERER} is not there. Make it: python3.11 -m venv .venv-studio && .venv-studio/bin/pip install "
            "-r sample_data/generator/requirements.txt",
            file=sys.stderr,
        )
        return 1
    command = [
        str(RENDERER),
        "-m",
        "sample_data.generator.render",
        "--shots",
        str(folder / "shots.json"),
        "--out",
        str(folder),
        "--size",
        str(size),
    ]
    code = subprocess.run(command, check=False).returncode
    return code or copy_near_duplicates(folder)


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
        choices=("write", "render", "twins", "check", "all"),
        help="twins: only the photos of the near-duplicates",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=STUDIO)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args(arguments)
    code = 0
    if options.command in {"write", "all"}:
        write(options.seed, options.out)
    if options.command in {"render", "all"}:
        code = render(options.out, options.size)
    if options.command == "twins":
        code = copy_near_duplicates(options.out)
    if options.command in {"check", "all"} and not code:
        code = check(options.out)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
