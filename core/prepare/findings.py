"""What was found in a catalogue: the steps that need no vectors, and where all findings are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core.catalog.clean import Detection, changed_words, dead_paths, from_json, missing_parts, to_json
from core.catalog.duplicates import near_duplicates, photo_hashes
from core.catalog.folder import find_tables
from core.catalog.outliers import price_outliers, rating_outliers
from core.domain import Catalogue
from core.files import write_atomic

OnStep = Callable[[str, float], None]


def table_faults(catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None) -> tuple[Detection, ...]:
    """The steps that need tables and photos only: seconds for a few hundred items.

    Repaired words and dead paths are told by the tables in the catalogue's folder, or by what its import kept.
    """
    path = words_file(vectors, catalogue)
    if (catalogue.root / "items.csv").is_file():
        told = as_it_came(catalogue.root, catalogue)
    else:
        told = from_json(path.read_bytes()) if path.is_file() else missing_parts(catalogue)
    twice = near_duplicates(catalogue, photo_hashes(catalogue, on_step))
    return (*told, twice, price_outliers(catalogue), rating_outliers(catalogue))


def as_it_came(source: Path, catalogue: Catalogue) -> tuple[Detection, ...]:
    """What only the tables of `source`, which `catalogue` was read from, can tell: repaired words, dead paths."""
    return (*changed_words(source), *missing_parts(catalogue, dead_paths(source, catalogue)))


def keep_words(
    vectors: Path, catalogue: Catalogue, source: Path, read: Catalogue, user_key: Callable[[str], str]
) -> None:
    """At an import: keeps what `as_it_came` says, since the tables stay behind; people by their keyed hashes.

    catalogue: as it will be known here; read: as it was read from `source`.
    """
    if "items" not in find_tables(source):
        return
    found = [
        replace(one, marks=tuple(replace(m, user_id=user_key(m.user_id)) if m.user_id else m for m in one.marks))
        for one in as_it_came(source, read)
    ]
    write_atomic(words_file(vectors, catalogue), to_json(found))


def words_file(vectors: Path, catalogue: Catalogue) -> Path:
    return vectors / "faults" / f"words-{catalogue.name}-{catalogue.version[:16]}.json"


def kept_faults(vectors: Path, catalogue: Catalogue) -> tuple[Detection, ...] | None:
    """What was found in this very version of a catalogue before, None where nobody has looked yet."""
    path = faults_file(vectors, catalogue)
    return from_json(path.read_bytes()) if path.is_file() else None


def keep_faults(vectors: Path, catalogue: Catalogue, found: tuple[Detection, ...]) -> Path:
    return write_atomic(faults_file(vectors, catalogue), to_json(found))


def faults_file(vectors: Path, catalogue: Catalogue) -> Path:
    """Beside the encoded media; a new version of the catalogue is looked at anew."""
    return vectors / "faults" / f"{catalogue.name}-{catalogue.version[:16]}.json"
