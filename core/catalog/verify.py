"""Every picture of a catalogue decoded once, so that what cannot be used is known before anything is trained."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from core.catalog.names import shown_value
from core.catalog.photos import ImageReader, read_image_safely
from core.catalog.reading import OnStep
from core.catalog.tables import Problem
from core.domain import Catalogue
from core.errors import PhotoError


def verify_media(
    catalogue: Catalogue, on_step: OnStep | None = None, *, read: ImageReader = read_image_safely
) -> tuple[Problem, ...]:
    """Decode every picture of the catalogue once, two at a time; one Problem for each that cannot be used (E-IMG-*)."""
    named: dict[str, str] = {}
    for item in catalogue.items:
        named.update({file: f"items.csv, item {shown_value(item.item_id)}" for file in item.media.get("image", ())})
    for met in catalogue.interactions:
        named.update({f: f"interactions.csv, item {shown_value(met.item_id)}" for f in met.media.get("image", ())})

    def check(file: str) -> Problem | None:
        try:
            read((catalogue.root / file).read_bytes(), file)
        except PhotoError as error:
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
                on_step("pictures", done / len(named))
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
