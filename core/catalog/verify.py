"""Every medium of a catalogue decoded once, so that what cannot be used is known before anything is trained."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from core.catalog.clips import read_clip_safely
from core.catalog.names import shown_value
from core.catalog.photos import ImageReader, read_image_safely
from core.catalog.reading import OnStep
from core.catalog.sounds import read_sound_safely
from core.catalog.tables import Problem
from core.domain import Catalogue
from core.errors import InputError


def verify_media(
    catalogue: Catalogue, on_step: OnStep | None = None, *, read: ImageReader = read_image_safely
) -> tuple[Problem, ...]:
    """Decode every medium of the catalogue once, two at a time; one Problem for each that cannot be used (E-IMG-*,
    E-AUD-*, E-VID-*). read: how pictures are read."""
    readers = {"image": read, "audio": read_sound_safely, "video": read_clip_safely}
    named: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for table, rows in (("items.csv", catalogue.items), ("interactions.csv", catalogue.interactions)):
        for row in rows:
            for modality in readers:
                for file in row.media.get(modality, ()):
                    named[file], kinds[file] = f"{table}, item {shown_value(row.item_id)}", modality

    def check(file: str) -> Problem | None:
        try:
            readers[kinds[file]]((catalogue.root / file).read_bytes(), file)
        except InputError as error:
            return _media_problem(error.code, error.message, named[file], file)
        except OSError:
            return _media_problem(
                "N-ZIP-PAIR", "the file cannot be read. Put it back and import again.", named[file], file
            )
        return None

    problems = []
    with ThreadPoolExecutor(2) as pool:
        for done, found in enumerate(pool.map(check, named), 1):
            if found is not None:
                problems.append(found)
            if on_step:
                on_step("media", done / len(named))
    return tuple(problems)


def _media_problem(code: str, message: str, where: str, file: str) -> Problem:
    reason, _, fix = message.partition(". ")
    return Problem(
        code=code,
        message=message,
        where=f"{where}, {shown_value(file)}",
        severity="WARN",
        file=where.split(",")[0],
        value=shown_value(file),
        reason=reason,
        fix=fix,
    )
