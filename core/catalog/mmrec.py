"""MMRec folders: NAME.inter with integer ids and a split label, feature matrices beside it.

Source: enoche/MMRec; row k of a matrix belongs to item k. Matrices are mounted by name (`--features`), never guessed.
Pickled side files (user graphs, DGMRec's lists of missing items) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core.catalog.ledger import BAD
from core.catalog.reading import SPLITS, TABS, Ask, Benchmark, Reading, header_line
from core.catalog.tables import Record, Table
from core.catalog.words import clean_fragment
from core.domain import Interaction, Item
from core.errors import TableError

USER, ITEM, LABEL = "userID", "itemID", "x_label"
_WHOLE = re.compile(r"[0-9]{1,9}")
_LABELS = dict(zip(("0", "1", "2"), SPLITS, strict=True))


def is_mmrec(source: Path) -> bool:
    """A folder with a table NAME.inter whose header has no types."""
    return source.is_dir() and any(":" not in header_line(path) for path in source.glob("*.inter"))


def read_mmrec(source: Path, name: str, ask: Ask) -> Reading:
    """The folder `source`. Raises TableError: two tables, a missing column, a bad row, a gap in the ids."""
    book = Benchmark(source, name, ask)
    table = book.table(_the_table(source), (USER, ITEM, LABEL), TABS)
    book.rows = len(table.records)
    book.check_units(table)
    users, items = set(), set()
    for done, record in enumerate(table.records):
        if done % 10_000 == 0:
            ask.step("interactions", done / book.rows)
        user, item = _whole(book, table, record, USER), _whole(book, table, record, ITEM)
        rating, moment = book.number(table, record, "rating"), book.moment(table, record)
        label = table.cell(record, LABEL).strip()
        if label not in _LABELS:
            fix = "write 0 (train), 1 (validation) or 2 (test)."
            book.tell("E-ROW-VALUE", table, record, LABEL, label, "is no label", fix)
        if user is None or item is None or label not in _LABELS or BAD in (rating, moment):
            continue
        users.add(user)
        items.add(item)
        book.add(
            table,
            record,
            Interaction(user_id=str(user), item_id=str(item), rating=rating, timestamp=moment, split=_LABELS[label]),
        )
    raw = _mapping(book, source / "i_id_mapping.csv", ITEM)
    _without_gaps(book, table.name, USER, users | set(_mapping(book, source / "u_id_mapping.csv", USER)))
    _without_gaps(book, table.name, ITEM, items | set(raw))
    for number in range(max((*items, *raw), default=-1) + 1):
        attributes = {"raw_id": raw[number]} if number in raw else {}
        book.items[str(number)] = Item(item_id=str(number), attributes=attributes)
    _add_texts(book, source / "texts.tsv")
    return book.reading()


def _the_table(source: Path) -> Path:
    found = sorted(source.glob("*.inter"))
    own = [path for path in found if path.stem == source.name]
    if len(found) > 1 and len(own) != 1:
        names = ", ".join(path.name for path in found[:5])
        raise TableError(
            "E-TAB-COLUMN", f"{source.name}: {len(found)} tables ({names}); one .inter was expected. Leave one there."
        )
    return (own or found)[0]


def _whole(book: Benchmark, table: Table, record: Record, column: str) -> int | None:
    cell = table.cell(record, column).strip()
    if _WHOLE.fullmatch(cell):
        return int(cell)
    fix = "ids count from 0 here; map them first."
    book.tell("E-ROW-ID", table, record, column, cell, "is not a whole number from 0", fix)
    return None


def _without_gaps(book: Benchmark, table: str, column: str, ids: set[int]) -> None:
    if ids and max(ids) + 1 != len(ids):
        missing = next(number for number in range(max(ids)) if number not in ids)
        reason = f"{max(ids) + 1 - len(ids):,} ids below {max(ids)} are in no row, {missing} first"
        book.tell_table("E-ROW-ID", table, column, reason, "count from 0 without a gap, or name all in a mapping file.")


def _mapping(book: Benchmark, path: Path, column: str) -> Mapping[int, str]:
    """number -> raw id, from a mapping file; separated by tabs in spite of its name."""
    if not path.is_file():
        return {}
    table = book.table(path, (column,), TABS)
    raw = next((name for name in table.columns if name != column), column)
    found = {}
    for record in table.records:
        number = _whole(book, table, record, column)
        if number is not None:
            found[number] = table.cell(record, raw).strip()
    return found


def _add_texts(book: Benchmark, path: Path) -> None:
    """Names and words of the items, where a table texts.tsv tells them by itemID."""
    if not path.is_file():
        return
    table = book.table(path, (ITEM,), TABS)
    names, words = (_first(table, columns) for columns in (("title", "name"), ("text", "description")))
    other = [column for column in table.columns if column not in (ITEM, names, words)]
    for record in table.records:
        item = book.items.get(str(_whole(book, table, record, ITEM)))
        if item is None:
            continue
        title, text = (clean_fragment(table.cell(record, column))[0] for column in (names, words))
        told = {column: table.cell(record, column) for column in other}
        book.items[item.item_id] = replace(item, title=title, description=text, attributes={**item.attributes, **told})


def _first(table: Table, columns: Sequence[str]) -> str:
    return next((column for column in columns if column in table.columns), "")
