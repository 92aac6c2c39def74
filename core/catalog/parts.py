"""One part of a query -> what its encoder gets, through the one reader of its modality, and how many a query may hold.

Sounds and films are decoded in worker processes: their decoders are large and what comes is hostile. Photos of a query
are either our own copies or a person's own files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.catalog.clips import read_clip_safely
from core.catalog.copies import CALLED
from core.catalog.photos import read_image
from core.catalog.sounds import read_sound_safely
from core.catalog.words import clean_text, sentences
from core.domain import Modality, Notice
from core.errors import InputError
from core.limits import LIMITS

Reader = Callable[[bytes, str], tuple[Any, tuple[Notice, ...]]]
READ: Mapping[Modality, Reader] = {"image": read_image, "audio": read_sound_safely, "video": read_clip_safely}
MOST: Mapping[Modality, int] = {
    "image": LIMITS.query_photos, "audio": LIMITS.query_sounds, "video": LIMITS.query_clips,
}  # fmt: skip


def read_text(content: bytes, name: str) -> tuple[list[Any], tuple[Notice, ...]]:
    """The sentences of a cleaned text."""
    text, notices = clean_text(content, name)
    return list(sentences(text)), notices


def read_part(modality: Modality, content: bytes, name: str, number: int = 1) -> tuple[list[Any], tuple[Notice, ...]]:
    """The media of one part: sentences of a text, else the one photo, sound or clip; number: the how manieth it is.

    Raises InputError of its modality, and E-FILE-COUNT beyond what one query may hold.
    """
    if modality == "text":
        return read_text(content, name)
    if number > MOST[modality]:
        most = MOST[modality]
        words = f"{most} {CALLED[modality]}s are" if most > 1 else f"{CALLED[modality]} is"
        raise InputError("E-FILE-COUNT", f"{name}: the first {words} used, and more came. Ask again with this one.")
    medium, notices = READ[modality](content, name)
    return [medium], notices
