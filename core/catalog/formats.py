"""Formats that can be imported: `FORMATS` is the registry, `detect` recognises them, `read_source` reads any of them.

A format that cannot be told from its files (which column means what) is never guessed: it has to be named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.catalog.amazon import is_amazon, is_amazon_benchmark, read_amazon, read_amazon_benchmark
from core.catalog.arrays import Matrix
from core.catalog.feature_files import read_features
from core.catalog.folder import find_tables, read_folder
from core.catalog.headerless import BASKET, COLUMNS, cornac, read_elliot
from core.catalog.interactions_table import is_interactions, read_interactions
from core.catalog.lattice import is_lattice, read_lattice
from core.catalog.media_paths import path_fault
from core.catalog.mmrec import is_mmrec, read_mmrec
from core.catalog.names import shown_value
from core.catalog.reading import Ask, Reading
from core.catalog.recbole import is_recbole, read_recbole
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


def _is_folder(source: Path) -> bool:
    return source.is_dir() and "items" in find_tables(source)


def _read_folder(source: Path, name: str, ask: Ask) -> Reading:
    catalogue, report = read_folder(source, name, on_step=ask.step, uploaded=ask.uploaded)
    return Reading(catalogue=catalogue, report=report)


FORMATS: Mapping[str, Format] = {  # in the order in which they are looked for
    "folder": Format(title="folder with items.csv, interactions.csv and media", read=_read_folder, detect=_is_folder),
    "lattice": Format(title="LATTICE: train.json, val.json, test.json", read=read_lattice, detect=is_lattice),
    "mmrec": Format(title="MMRec: NAME.inter with x_label", read=read_mmrec, detect=is_mmrec),
    "recbole": Format(title="RecBole: atomic files with typed headers", read=read_recbole, detect=is_recbole),
    "amazon-benchmark": Format(
        title="Amazon Reviews 2023: NAME.train.csv, .valid.csv, .test.csv", read=read_amazon_benchmark,
        detect=is_amazon_benchmark,
    ),
    "amazon": Format(title="Amazon Reviews 2023: reviews and items as .jsonl", read=read_amazon, detect=is_amazon),
    "interactions": Format(
        title="one table of user_id, item_id, rating, timestamp", read=read_interactions, detect=is_interactions
    ),
    "elliot": Format(title="Elliot: train.tsv, validation.tsv, test.tsv without headers", read=read_elliot),
    **{
        f"cornac-{form.lower()}": Format(title=f"Cornac: {form} without a header, by tabs", read=cornac(form))
        for form in (BASKET, *COLUMNS)
    },
}  # fmt: skip


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
    """The catalogue in `source`, called `name`; `features` are vectors to mount, looked for in `source` first.

    Raises UnknownNameError for a format or modality that nobody knows, InputError where nothing can be imported.
    """
    ask, features = ask or Ask(), features or {}
    unknown = [modality for modality in features if modality not in MODALITIES]
    if unknown:
        raise UnknownNameError("modality", unknown[0], MODALITIES)
    if layout not in (AUTO, *FORMATS):
        raise UnknownNameError("format", layout, (AUTO, *FORMATS))
    if not source.exists():
        raise AddressError(
            "E-INPUT-VALUE",
            f'"{shown_value(source.name)}": there is no such folder; a catalogue folder was expected. Check the name.',
        )
    files = {modality: _found(source, path, ask.uploaded) for modality, path in features.items()}
    reading = FORMATS[_chosen(source, layout)].read(source, name, ask)
    item_ids = [item.item_id for item in reading.catalogue.items]
    matrices: dict[Modality, Matrix] = {}
    for modality, path in files.items():
        matrices[modality], told = read_features(path, item_ids)
        reading.report.note(told)
    reading.report.note(_unmounted(source, files))
    return replace(reading, matrices=matrices)


def _chosen(source: Path, layout: str) -> str:
    found = layout if layout != AUTO else detect(source)
    if not found and source.is_file():
        known = ", ".join(FORMATS)
        raise InputError(
            "E-TAB-TYPE",
            f"{shown_value(source.name)}: no format is recognised; a folder, a zip or a table was expected. "
            f"Name the format: {known}.",
        )
    return found or "folder"


def _found(source: Path, path: Path, uploaded: bool) -> Path:
    """The file to mount: inside the source, or, from the command line, anywhere."""
    inside = source / path
    if inside.exists() and not path_fault(path.as_posix()):
        return inside
    if uploaded or not path.exists():
        raise InputError(
            "E-ARR-EMPTY",
            f'"{shown_value(str(path))}": there is no such file in {shown_value(source.name)}; vectors of the items '
            "were expected. Check the name.",
        )
    return path


def _unmounted(source: Path, files: Mapping[Modality, Path]) -> Iterator[Problem]:
    """One notice about arrays that were given no modality."""
    taken = {path.resolve() for path in files.values()}
    arrays = sorted(source.glob("*.npy")) if source.is_dir() else []
    left = [shown_value(path.name) for path in arrays if path.resolve() not in taken]
    if left:
        reason = f"{len(left)} arrays stand for no modality: {', '.join(left[:3])}"
        yield problem("N-ZIP-PAIR", source.name, reason, f"say which, such as --features text={left[0]}.")
