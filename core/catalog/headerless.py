"""Tables without a header: Cornac's readers and Elliot's splits. What a column means is never guessed, it is named.

Source: PreferredAI/cornac, `Reader.read(path, fmt)`; sisinflab/elliot. Ids are text, separated by tabs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.catalog.ledger import BAD
from core.catalog.reading import SPLITS, Ask, Benchmark, Reading
from core.catalog.tables import Record, Separated, Table
from core.domain import Interaction
from core.errors import TableError

COLUMNS = {
    "UIR": ("user_id", "item_id", "rating"),
    "UIRT": ("user_id", "item_id", "rating", "timestamp"),
    "UIReview": ("user_id", "item_id", "review_text"),
}
BASKET = "UI"  # a user and any number of items a line
ELLIOT = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}


def cornac(form: str) -> Callable[[Path, str, Ask], Reading]:
    """The reader of one of Cornac's forms."""

    def read(source: Path, name: str, ask: Ask) -> Reading:
        if not source.is_file():
            raise TableError("E-TAB-TYPE", f"{source.name}: one file of {form} lines was expected. Choose the file.")
        book = Benchmark(source.parent, name, ask)
        if form == BASKET:
            _read_baskets(book, source)
        else:
            _read_rows(book, source, COLUMNS[form], "")
        book.known([one.item_id for one in book.met.values()])
        return book.reading()

    return read


def read_elliot(source: Path, name: str, ask: Ask) -> Reading:
    """A folder with train.tsv, validation.tsv (val.tsv) and test.tsv: user, item, rating and, where given, time."""
    book = Benchmark(source, name, ask)
    for part in SPLITS:
        path = next((source / f"{stem}.tsv" for stem in ELLIOT[part] if (source / f"{stem}.tsv").is_file()), None)
        if path is None and part != "validation":
            raise TableError(
                "E-TAB-EMPTY", f"{source.name}: there is no {part}.tsv; the split was expected to have it."
            )
        if path is not None:
            with path.open("rb") as file:
                columns = COLUMNS["UIRT" if file.readline(65_536).count(b"\t") > 2 else "UIR"]
            _read_rows(book, path, columns, part)
    book.known([one.item_id for one in book.met.values()])
    return book.reading()


def _read_rows(book: Benchmark, path: Path, columns: tuple[str, ...], part: str) -> None:
    table = book.table(path, columns, Separated(separator="\t", columns=columns, quotes=False))
    book.rows += len(table.records)
    book.check_units(table)
    for record in table.records:
        user, item = book.ident(table, record, "user_id"), book.ident(table, record, "item_id")
        rating, moment = _must(book, table, record, "rating"), _must(book, table, record, "timestamp")
        if user is None or item is None or BAD in (rating, moment):
            continue
        words = book.words(table, record, "review_text")
        met = Interaction(
            user_id=user, item_id=item, rating=rating, timestamp=moment, review_text=words, split=part
        )  # fmt: skip
        book.add(table, record, met)


def _must(book: Benchmark, table: Table, record: Record, column: str):
    """The value of a column of these formats, which may not be empty; None where the format has no such column."""
    if column not in table.columns:
        return None
    if not table.cell(record, column).strip():
        book.tell("E-ROW-VALUE", table, record, column, "", "is empty", "fill it in, or choose another format.")
        return BAD
    return book.moment(table, record, column) if column == "timestamp" else book.number(table, record, column)


def _read_baskets(book: Benchmark, path: Path) -> None:
    lines = book.table(path, ("line",), Separated(separator="\x1f", columns=("line",), quotes=False))
    for line in lines.records:
        user, *items = line.cells[0].split("\t")
        for item in items:
            book.rows += 1
            table = Table(name=lines.name, columns=("user_id", "item_id"), places={"user_id": 0, "item_id": 1})
            record = Record(row=line.row, line=line.line, cells=(user, item))
            met = book.ident(table, record, "user_id"), book.ident(table, record, "item_id")
            if met[0] is not None and met[1] is not None:
                book.add(table, record, Interaction(user_id=met[0], item_id=met[1]))
