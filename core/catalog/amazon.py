"""Amazon Reviews 2023: review and item JSON Lines, joined on parent_asin, and the official benchmark CSV.

Source: hyp1231/AmazonReviews2023. Words of an item are its title, features, categories and description; reviews never
enter them. Addresses of pictures are kept as an attribute and never fetched. average_rating and rating_number were
counted over the test period too: they are attributes, no features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.catalog.cells import number
from core.catalog.ledger import BAD
from core.catalog.reading import SPLITS, Ask, Benchmark, Reading, header_line
from core.catalog.table_csv import decoded
from core.catalog.tables import Record, Separated, Table
from core.catalog.words import clean_fragment
from core.domain import Interaction, Item
from core.limits import LIMITS

CSV = ("user_id", "parent_asin", "rating", "timestamp")
HISTORY = "history"
TIMES = ("timestamp", "sort_timestamp", "sortTimestamp")
KEPT = ("main_category", "store", "average_rating", "rating_number", "subtitle", "author")
_PARTS = dict(zip(("train", "valid", "test"), SPLITS, strict=True))


def is_amazon(source: Path) -> bool:
    """JSON Lines with a parent_asin."""
    return any('"parent_asin"' in header_line(path) for path in _json_files(source))


def is_amazon_benchmark(source: Path) -> bool:
    """NAME.train.csv, NAME.valid.csv, NAME.test.csv."""
    return source.is_dir() and len(_parts_of(source)) == len(_PARTS)


def read_amazon(source: Path, name: str, ask: Ask) -> Reading:
    """Reviews and items below `source` (or one file of reviews). A review of an item without a line of its own is left
    out and listed; without any file of items they are known by id alone. Raises TableError for any other bad line."""
    book = Benchmark(source if source.is_dir() else source.parent, name, ask)
    files = _json_files(source)
    metas = [path for path in files if '"user_id"' not in header_line(path)]
    for path in metas:
        ask.step(path.name, 0.0)
        _read_items(book, path)
    for path in (path for path in files if path not in metas):
        ask.step(path.name, 0.3)
        _read_reviews(book, path, bool(metas))
    book.known([one.item_id for one in book.met.values()])
    return book.reading()


def read_amazon_benchmark(source: Path, name: str, ask: Ask) -> Reading:
    """The three files of one domain; a header line may be absent, a history column is not needed."""
    book = Benchmark(source, name, ask)
    for part, path in _parts_of(source).items():
        ask.step(path.name, SPLITS.index(part) / len(SPLITS))
        first = header_line(path).split(",")
        columns = (*CSV, HISTORY)[: len(first)]
        table = book.table(path, CSV, Separated(separator=",", columns=() if first[0] == CSV[0] else columns))
        book.rows += len(table.records)
        book.check_units(table)
        for record in table.records:
            user, item = book.ident(table, record, "user_id"), book.ident(table, record, "parent_asin")
            rating, moment = book.number(table, record, "rating", 1, 5), book.moment(table, record)
            if user is not None and item is not None and BAD not in (rating, moment):
                met = Interaction(user_id=user, item_id=item, rating=rating, timestamp=moment, split=part)
                book.add(table, record, met)
    book.known([one.item_id for one in book.met.values()])
    return book.reading()


def _json_files(source: Path) -> list[Path]:
    return sorted(source.glob("*.jsonl")) if source.is_dir() else [source] if source.suffix == ".jsonl" else []


def _parts_of(source: Path) -> dict[str, Path]:
    """part -> file, of the one domain in a folder."""
    found = {}
    for ending, part in _PARTS.items():
        paths = list(source.glob(f"*.{ending}.csv"))
        if len(paths) == 1:
            found[part] = paths[0]
    return found


# ---- JSON lines


def _lines(book: Benchmark, path: Path, required: tuple[str, ...]) -> Iterator[tuple[Table, Record, dict[str, Any]]]:
    """The good objects of a file, their cells as text. A cut last line costs that line only."""
    letters, told = decoded(book.bytes_of(path), path.name)
    book.problems += told
    sources = letters.split("\n")
    for line, source in enumerate(sources, 1):
        if not source.strip():
            continue
        table = Table(name=path.name, columns=("line",))
        record = Record(row=line, line=line, cells=())
        try:
            found = json.loads(source) if len(source) <= LIMITS.row_bytes else None
        except (ValueError, RecursionError):
            if line == len(sources):
                fix = "it was left out; download the file again."
                book.leave_out("E-ROW-JSON", table, record, "", "", "is cut", fix)
                continue
            found = None
        if not isinstance(found, dict):
            fix = "write one whole object a line. The row was skipped."
            book.tell("E-ROW-JSON", table, record, "", source[:80], "is not one whole JSON object", fix)
            continue
        plain = {key: cell for key, cell in found.items() if not isinstance(cell, dict | list)}
        cells = {key: "" if cell is None else str(cell) for key, cell in plain.items()}
        missing = next((column for column in required if not cells.get(column, "").strip()), None)
        if missing is not None:
            book.tell("E-ROW-ID", table, record, missing, "", "is missing", "it has to be there. The row was skipped.")
            continue
        table = Table(name=path.name, columns=tuple(cells), places={key: place for place, key in enumerate(cells)})
        yield table, Record(row=line, line=line, cells=list(cells.values())), found


def _read_items(book: Benchmark, path: Path) -> None:
    for table, record, told in _lines(book, path, ("parent_asin",)):
        book.item_rows += 1
        key = book.ident(table, record, "parent_asin")
        if key is None:
            continue
        if key in book.items:
            book.tell("N-ROW-DUP", table, record, "parent_asin", key, "stands there twice", "the first is kept.")
            continue
        words = " ".join(_texts(told, "features") + _texts(told, "categories") + _texts(told, "description"))
        price = number(table.cell(record, "price").strip().lstrip("$").replace(",", ""))
        book.items[key] = Item(
            item_id=key,
            title=book.words(table, record, "title"),
            description=clean_fragment(words)[0],
            category=" > ".join(_texts(told, "categories")),
            price=price if price >= 0 else None,
            attributes=_attributes(told),
        )


def _texts(told: Mapping[str, Any], key: str) -> list[str]:
    value = told.get(key) or []
    return [str(part).strip() for part in (value if isinstance(value, list) else [value]) if str(part).strip()]


def _attributes(told: Mapping[str, Any]) -> dict[str, str]:
    """What may be shown of an item beside its words, addresses of its pictures included."""
    details = told.get("details")
    if isinstance(details, str):
        try:
            details = json.loads(details)
        except (ValueError, RecursionError):
            details = {}
    kept = {key: str(told[key]) for key in KEPT if told.get(key) not in (None, "")}
    kept |= {key: str(value) for key, value in (details if isinstance(details, dict) else {}).items()
             if isinstance(value, str | int | float)}  # fmt: skip
    pictures = _addresses(told.get("images"))
    return {**kept, "image_urls": " ".join(pictures)} if pictures else kept


def _addresses(images: Any) -> list[str]:
    """Of a list of objects or an object of lists, the address of each picture in its best size."""
    sizes = ("hi_res", "large", "large_image_url", "thumb")
    if isinstance(images, dict):
        columns = [images.get(size) or [] for size in sizes]
        images = [dict(zip(sizes, row, strict=True)) for row in zip(*_padded(columns), strict=True)]
    rows = [row for row in images or [] if isinstance(row, dict)]
    return [str(address) for row in rows if (address := next((row[size] for size in sizes if row.get(size)), None))]


def _padded(columns: list[list[Any]]) -> list[list[Any]]:
    longest = max(len(column) for column in columns)
    return [[*column, *[None] * (longest - len(column))] for column in columns]


def _read_reviews(book: Benchmark, path: Path, items_known: bool) -> None:
    for table, record, _ in _lines(book, path, ("user_id", "parent_asin", "rating")):
        book.rows += 1
        user, item = book.ident(table, record, "user_id"), book.ident(table, record, "parent_asin")
        time = next((column for column in TIMES if table.cell(record, column).strip()), "timestamp")
        rating, moment = book.number(table, record, "rating", 1, 5), book.moment(table, record, time)
        if user is None or item is None or BAD in (rating, moment):
            continue
        if moment is None:
            book.tell("E-ROW-TIME", table, record, time, "", "is missing", "every review has a time. Download again.")
        elif items_known and item not in book.items:
            fix = "add its line to the items. The row was skipped."
            book.leave_out("E-ROW-REF", table, record, "parent_asin", item, "is not among the items", fix)
        else:
            title, text = (book.words(table, record, column) for column in ("title", "text"))
            book.add(table, record, Interaction(
                user_id=user, item_id=item, rating=rating, timestamp=moment, review_title=title, review_text=text
            ))  # fmt: skip
