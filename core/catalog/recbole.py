"""RecBole's atomic files: NAME.inter with typed headers, optional NAME.item, or parts NAME.part1.inter, .part2, .part3.

Source: RUCAIBox/RecBole. A header cell is `name:type`. Parts are train, validation and test in the order of their
numbers. A column `label` or `split` with those names is taken as the split.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.catalog.cells import number
from core.catalog.ledger import BAD
from core.catalog.names import shown_value
from core.catalog.reading import SPLITS, Ask, Benchmark, Reading, header_line
from core.catalog.tables import Record, Separated, Table, problem
from core.domain import Interaction, Item
from core.errors import TableError

TYPES = ("token", "token_seq", "float", "float_seq")
SHAPE = Separated(separator="\t", quotes=False)
TITLES = ("title", "name", "movie_title", "product_title")
WORDS = ("description", "text", "summary")
LABELS = ("label", "split")
UNREAD = (".user", ".kg", ".link", ".net")


def is_recbole(source: Path) -> bool:
    """A folder with a .inter table whose header has types."""
    return source.is_dir() and any(":" in header_line(path) for path in source.glob("*.inter"))


def read_recbole(source: Path, name: str, ask: Ask) -> Reading:
    """The folder `source`. Raises TableError: unknown types, missing columns, any bad row."""
    book = Benchmark(source, name, ask)
    tables = _tables(source)
    for path in sorted(source.glob("*.item"))[:1]:
        _read_items(book, path)
    for at, path in enumerate(tables):
        ask.step("interactions", at / len(tables))
        _read_interactions(book, path, SPLITS[at] if len(tables) > 1 else "")
    book.known([one.item_id for one in book.met.values()])
    left = sorted(path.name for path in source.iterdir() if path.suffix in UNREAD)
    if left:
        reason = f"are not used: {', '.join(map(shown_value, left[:4]))}"
        book.problems.append(problem("N-ZIP-PAIR", source.name, reason, "items and interactions are all that is read."))
    return book.reading()


def _tables(source: Path) -> list[Path]:
    """One table, or the parts of one in order."""
    found = sorted(source.glob("*.inter"))
    parts = [path for path in found if ".part" in path.name]
    whole = [path for path in found if ".part" not in path.name]
    chosen = parts if parts and not whole else whole
    if len(chosen) != 1 and not (chosen == parts and len(parts) <= len(SPLITS)):
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise TableError(
            "E-TAB-COLUMN", f"{source.name}: tables {names}; one .inter, or up to three parts, was expected. Choose."
        )
    return chosen


def _typed(book: Benchmark, path: Path, *required: str) -> tuple[Table, dict[str, str]]:
    """The table with plain column names, and the type of each."""
    table = book.table(path, (), SHAPE)
    types: dict[str, str] = {}
    for cell in table.columns:
        column, _, kind = cell.partition(":")
        if kind not in TYPES or not column:
            raise TableError(
                "E-TAB-HEADER",
                f'{table.name}: the header cell "{shown_value(cell)}" came; name:type with one of {", ".join(TYPES)} '
                "was expected. Correct it.",
            )
        types[column] = kind
    table.columns = tuple(types)
    table.places = {column: place for place, column in enumerate(table.columns)}
    for column in required:
        if types.get(column) != "token":
            raise TableError("E-TAB-COLUMN", f"{table.name}: no column {column}:token; it must be there. Name it so.")
    return table, types


def _read_interactions(book: Benchmark, path: Path, part: str) -> None:
    table, _ = _typed(book, path, "user_id", "item_id")
    book.rows += len(table.records)
    book.check_units(table)
    label = next((column for column in LABELS if column in table.columns), "")
    for record in table.records:
        user, item = book.ident(table, record, "user_id"), book.ident(table, record, "item_id")
        rating, moment = book.number(table, record, "rating"), _moment(book, table, record)
        split = part or table.cell(record, label).strip()
        if user is None or item is None or BAD in (rating, moment):
            continue
        met = Interaction(user_id=user, item_id=item, rating=rating, timestamp=moment, split=split)
        book.add(table, record, met)


def _moment(book: Benchmark, table: Table, record: Record) -> Any:
    """RecBole writes times as floats: 964981247.0 and 964981247.25 are seconds with a fraction."""
    whole, dot, part = table.cell(record, "timestamp").strip().partition(".")
    if not dot or not part.isdigit():
        return book.moment(table, record)
    place = table.places["timestamp"]
    cells = [whole if at == place else cell for at, cell in enumerate(record.cells)]
    moment = book.moment(table, replace(record, cells=cells))
    return moment if moment in (None, BAD) else moment + round(1_000 * float(f"0.{part}"))


def _read_items(book: Benchmark, path: Path) -> None:
    table, types = _typed(book, path, "item_id")
    book.item_rows = len(table.records)
    title, words = (next((c for c in names if c in table.columns), "") for names in (TITLES, WORDS))
    lengths: dict[str, int] = {}
    for record in table.records:
        key, price = book.ident(table, record, "item_id"), book.number(table, record, "price", low=0.0)
        for column, kind in types.items():
            if kind == "float_seq":
                _check_sequence(book, table, record, column, lengths)
        if key is None or price is BAD:
            continue
        if key in book.items:
            book.tell("E-ROW-DUP", table, record, "item_id", key, "stands there twice", "keep one row.")
            continue
        rest = [c for c in table.columns if c not in ("item_id", "price", title, words) and types[c] != "float_seq"]
        book.items[key] = Item(
            item_id=key,
            title=book.words(table, record, title),
            description=book.words(table, record, words),
            price=price,
            attributes={c: book.plain(table.cell(record, c)) for c in rest},
        )


def _check_sequence(book: Benchmark, table: Table, record: Record, column: str, lengths: dict[str, int]) -> None:
    parts = table.cell(record, column).split()
    ragged = len(parts) != lengths.setdefault(column, len(parts))
    if ragged or any(number(part) != number(part) for part in parts):
        reason = f"has {len(parts)} numbers, {lengths[column]} were expected" if ragged else "holds what is no number"
        book.tell("E-ROW-VALUE", table, record, column, table.cell(record, column), reason, "make all equally long.")
