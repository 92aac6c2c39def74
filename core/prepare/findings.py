"""What was found in a catalogue: the steps that need no vectors, and where all findings are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.catalog.clean import Detection, changed_words, dead_paths, from_json, missing_parts, to_json
from core.catalog.duplicates import near_duplicates, photo_hashes
from core.catalog.outliers import price_outliers, rating_outliers
from core.domain import Catalogue
from core.files import write_atomic

OnStep = Callable[[str, float], None]


def table_faults(catalogue: Catalogue, on_step: OnStep | None = None) -> tuple[Detection, ...]:
    """The steps that need tables and photos only: seconds for a few hundred items.

    Repaired words and dead paths can be told where the tables lie in the catalogue's folder.
    """
    folder = catalogue.root
    here = (folder / "items.csv").is_file()
    words = changed_words(folder) if here else ()
    missing = missing_parts(catalogue, dead_paths(folder, catalogue) if here else ())
    twice = near_duplicates(catalogue, photo_hashes(catalogue, on_step))
    return (*words, *missing, twice, price_outliers(catalogue), rating_outliers(catalogue))


def kept_faults(vectors: Path, catalogue: Catalogue) -> tuple[Detection, ...] | None:
    """What was found in this very version of a catalogue before, None where nobody has looked yet."""
    path = faults_file(vectors, catalogue)
    return from_json(path.read_bytes()) if path.is_file() else None


def keep_faults(vectors: Path, catalogue: Catalogue, found: tuple[Detection, ...]) -> Path:
    return write_atomic(faults_file(vectors, catalogue), to_json(found))


def faults_file(vectors: Path, catalogue: Catalogue) -> Path:
    """Beside the encoded media; a new version of the catalogue is looked at anew."""
    return vectors / "faults" / f"{catalogue.name}-{catalogue.version[:16]}.json"
