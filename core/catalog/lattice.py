"""LATTICE splits (also MMSSL, MMHCL): train.json, val.json and test.json, each {"user": [item, ...]} of whole numbers.

Source: CRIPAC-DIG/LATTICE. The folder, its `5-core` or its `0-core` (item cold start) is read. Items count from 0 to
the largest number in the three files. Raw ids got their numbers from an unordered set: features fit one build only.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from core.catalog.names import shown_value
from core.catalog.reading import SPLITS, Ask, Benchmark, Reading
from core.catalog.tables import Record, Table
from core.domain import Interaction, Item
from core.errors import TableError

FILES = ("train.json", "val.json", "test.json")
FOLDERS = (".", "5-core", "0-core")
_WHOLE = re.compile(r"[0-9]{1,9}")


def lattice_folder(source: Path) -> Path | None:
    """Where the three files are."""
    places = (source / folder for folder in FOLDERS) if source.is_dir() else ()
    return next((place for place in places if all((place / file).is_file() for file in FILES)), None)


def is_lattice(source: Path) -> bool:
    return lattice_folder(source) is not None


def read_lattice(source: Path, name: str, ask: Ask) -> Reading:
    """The split below `source`. Raises TableError: a pair in two files, anything that is no whole number from 0."""
    folder = lattice_folder(source)
    if folder is None:
        raise TableError("E-TAB-EMPTY", f"{source.name}: {', '.join(FILES)} were expected. Put them in the folder.")
    book = Benchmark(source, name, ask)
    largest = -1
    for part, file in zip(SPLITS, FILES, strict=True):
        ask.step(file, SPLITS.index(part) / len(SPLITS))
        largest = max(largest, _read_part(book, folder / file, part))
    raw = _raw_ids(source / "item_list.txt") or _raw_ids(folder / "item_list.txt")
    for number in range(largest + 1):
        attributes = {"raw_id": raw[number]} if number in raw else {}
        book.items[str(number)] = Item(item_id=str(number), attributes=attributes)
    return book.reading()


def _read_part(book: Benchmark, path: Path, part: str) -> int:
    """The largest item of one file."""
    table, largest = Table(name=path.name, columns=("user", "item")), -1
    for user, items in _users(book.bytes_of(path), path.name).items():
        if not _WHOLE.fullmatch(user) or not isinstance(items, list):
            reason = "is no user: a whole number from 0 with a list of items"
            book.tell_table("E-ROW-ID", table.name, f'$["{shown_value(user)}"]', reason, 'write {"0": [1, 2]}.')
            continue
        for place, item in enumerate(items):
            book.rows += 1
            record = Record(row=book.rows, line=1, cells=(user, str(item)))
            if not isinstance(item, int) or isinstance(item, bool) or not 0 <= item < 10**9:
                column = f'$["{user}"][{place}]'
                reason = "is not a whole number from 0"
                book.tell("E-ROW-ID", table, record, column, str(item), reason, "items count from 0 here.")
                continue
            largest = max(largest, item)
            book.add(table, record, Interaction(user_id=user, item_id=str(item), split=part))
    return largest


def _users(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        place = f", byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        place = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else place
        raise TableError(
            "E-TAB-BROKEN", f"{name}{place}: this is not whole JSON; an object of lists was expected. Copy it again."
        ) from error
    if not isinstance(found, dict):
        raise TableError("E-TAB-BROKEN", f'{name}: an object {{"user": [items]}} was expected. Export it again.')
    return found


def _raw_ids(path: Path) -> dict[int, str]:
    """number -> raw id, from lines `raw number`."""
    if not path.is_file():
        return {}
    lines = (line.split() for line in path.read_text("utf-8", "replace").splitlines())
    return {int(cells[1]): cells[0] for cells in lines if len(cells) == 2 and _WHOLE.fullmatch(cells[1])}
