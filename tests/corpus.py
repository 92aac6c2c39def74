"""The bad-inputs corpus of ../shared/tools: its files, written once, and what its manifest expects of each."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "shared" / "tools" / "make_bad_inputs.py"
SEED = 7
GENERATED = Path(tempfile.gettempdir()) / f"fusescope-bad-inputs-{os.getuid()}"


def need_corpus() -> None:
    """Skips the calling module where the generator is not there."""
    if not TOOL.is_file():
        pytest.skip("the corpus generator ../shared/tools/make_bad_inputs.py is not there", allow_module_level=True)


@cache
def tool():
    """The generator as a module, for its constants."""
    spec = importlib.util.spec_from_file_location("make_bad_inputs", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_bad_inputs"] = module
    spec.loader.exec_module(module)
    return module


@cache
def folder() -> Path:
    """The whole corpus; kept between sessions under the generator's own time stamp, since making it takes 10 s."""
    place = GENERATED / f"{TOOL.stat().st_mtime_ns}-{SEED}"
    if not (place / "manifest.csv").is_file():
        GENERATED.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=GENERATED) as fresh:
            made = Path(fresh) / "corpus"
            done = subprocess.run([sys.executable, TOOL, made, "--seed", str(SEED)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            try:
                made.rename(place)
            except OSError:  # another session was quicker
                assert (place / "manifest.csv").is_file()
    return place


@cache
def manifest() -> tuple[dict[str, str], ...]:
    with (folder() / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def rows_of(kind: str):
    """The manifest's rows of a kind, as parameters named after their files."""
    return [pytest.param(row, id=row["file"]) for row in manifest() if row["kind"] == kind]


def name_of(row) -> str:
    """The name a person would upload the file under."""
    upload_as = json.loads(f'"{row["upload_as"]}"')
    return upload_as or row["file"].partition("/")[2].partition("_")[2]


def data_of(file: str) -> bytes:
    return (folder() / file).read_bytes()


def outcome(codes) -> tuple[str, str]:
    """How a manifest writes that something was kept with these codes."""
    return ("accept-with-notice" if codes else "accept", ",".join(sorted(codes)))


def expected(row) -> tuple[str, str]:
    return row["expected_outcome"], row["expected_code"]
