"""The commands of `python -m core`, one file a group. A group has `register(commands)`, which adds its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.domain import MODALITIES, Part, Query
from core.errors import InputError
from core.workspace import Workspace

DONE, REFUSED = 0, 1

Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a command has to say: `answer` for a machine, `lines` for a person, and the exit status. silent: another
    process says it."""

    answer: Answer
    lines: Sequence[str]
    status: int = DONE
    silent: bool = False


def add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Reply], purpose: str, example: str
) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=purpose.capitalize() + ".", epilog=f"example: python -m core {example}"
    )
    one.add_argument("--home", type=Path, metavar="DIR", help="workspace (default FUSESCOPE_HOME, else .fusescope)")
    one.add_argument("--json", action="store_true", help="one JSON object on standard output")
    one.set_defaults(run=run)
    return one


def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


# ---- commands


def workspace_of(options: argparse.Namespace) -> Workspace:
    return Workspace.open(options.home)


def run_options(one: argparse.ArgumentParser) -> None:
    """Which run, over which catalogue."""
    one.add_argument("--run", dest="run_name", required=True, metavar="RUN")
    one.add_argument("--catalogue", help="rank another catalogue than the one the run was trained on")


def query_options(one: argparse.ArgumentParser) -> None:
    """What is asked: words, photos, a sound, a clip, a user, and what is left out."""
    one.add_argument("--text", default="", help="the words of a review")
    one.add_argument("--image", type=Path, action="append", default=[], metavar="F", help="a photo; may be repeated")
    one.add_argument("--audio", type=Path, action="append", default=[], metavar="F", help="a sound, up to 120 s")
    one.add_argument("--video", type=Path, action="append", default=[], metavar="F", help="a clip, up to 60 s")
    one.add_argument("--user", help="a known user, by the id of the catalogue's own table")
    one.add_argument(
        "--without", action="append", default=[], choices=MODALITIES, metavar="MODALITY",
        help="leave a modality out; may be repeated",
    )  # fmt: skip


def query_of(options: argparse.Namespace, user: str | None) -> Query:
    from core.limits import LIMITS

    given = (
        ("image", options.image, "photo", LIMITS.photo_bytes), ("audio", options.audio, "sound", LIMITS.audio_bytes),
        ("video", options.video, "clip", LIMITS.video_bytes),
    )  # fmt: skip
    media = tuple(
        Part(modality=m, content=read_file(path, called, most), name=path.name)
        for m, paths, called, most in given
        for path in paths
    )
    return Query(parts=Query.of(options.text).parts + media, user=user)


def read_file(path: Path, called: str, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most + 1)  # one byte too many is enough for the reader to refuse it
    except OSError:
        raise InputError(
            "E-INPUT-VALUE", f'"{path.name[:80]}": there is no such file to read; a {called} was expected.'
        ) from None


# ---- inside
