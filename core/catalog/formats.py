"""Formats that can be imported: `FORMATS` is the registry, `detect` recognises them, `read_source` reads any of them.

A format that cannot be told from its files (which column means what) is never guessed: it has to be named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.catalog.arrays import Matrix, read_matrix
from core.catalog.folder import find_tables, read_folder
from core.catalog.mmrec import is_mmrec, read_mmrec
from core.catalog.names import shown_value
from core.catalog.reading import Ask, Reading
from core.catalog.tables import Problem, problem
from core.domain import MODALITIES, Modality
from core.errors import AddressError, InputError, UnknownNameError

AUTO = "auto"


def never(source: Path) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Format:
    """title: for people. read: source, name of the catalogue, how -> Reading. detect: does a source look like it?"""

    title: str
    read: Callable[[Path, str, Ask], Reading]
    detect: Callable[[Path], bool] = never


def _read_folder(source: Path, name: str, ask: Ask) -> Reading:
    catalogue, report = read_folder(source, name, on_step=ask.step)
    return Reading(catalogue=catalogue, report=report)


FORMATS: Mapping[str, Format] = {  # in the order in which they are looked for
    "folder": Format(
        title="folder with items.csv", read=_read_folder, detect=lambda source: "items" in find_tables(source)
    ),
    "mmrec": Format(title="MMRec: .inter with split labels, feature matrices", read=read_mmrec, detect=is_mmrec),
}


def detect(source: Path) -> str:
    """The format of a folder or file, "" where none is recognised."""
    return next((name for name, one in FORMATS.items() if one.detect(source)), "")


def read_source(
    source: Path,
    name: str,
    layout: str = AUTO,
    *,
    features: Mapping[Modality, Path] | None = None,
    ask: Ask | None = None,
) -> Reading:
    """The catalogue in `source`, called `name`; `features` are .npy files to mount, one row an item.

    Raises UnknownNameError for a format or modality that nobody knows, InputError where nothing can be imported.
    """
    unknown = [modality for modality in features or {} if modality not in MODALITIES]
    if unknown:
        raise UnknownNameError("modality", unknown[0], MODALITIES)
    if layout not in (AUTO, *FORMATS):
        raise UnknownNameError("format", layout, (AUTO, *FORMATS))
    if not source.exists():
        raise AddressError(
            "E-INPUT-VALUE",
            f'"{shown_value(source.name)}": there is no such folder; a catalogue folder was expected. Check the name.',
        )
    chosen = layout if layout != AUTO else detect(source) or "folder"
    reading = FORMATS[chosen].read(source, name, ask or Ask())
    matrices: dict[Modality, Matrix] = dict(reading.matrices)
    for modality, path in (features or {}).items():
        if not path.is_file():
            raise InputError("E-ARR-EMPTY", f'"{shown_value(path.name)}": there is no such file; a .npy file for '
                             f"{modality} was expected. Check the name.")  # fmt: skip
        matrices[modality], told = read_matrix(path, len(reading.catalogue.items))
        reading.report.note(told)
    reading.report.note(_unmounted(source, features or {}))
    return replace(reading, matrices=matrices)


def _unmounted(source: Path, features: Mapping[Modality, Path]) -> Iterator[Problem]:
    """One notice about arrays that were given no modality."""
    taken = {path.resolve() for path in features.values()}
    arrays = sorted(source.glob("*.npy")) if source.is_dir() else []
    left = [shown_value(path.name) for path in arrays if path.resolve() not in taken]
    if left:
        reason = f"{len(left)} arrays stand for no modality: {', '.join(left[:3])}"
        yield problem("N-ZIP-PAIR", source.name, reason, f"say which, such as --features text={left[0]}.")
