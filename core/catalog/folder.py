"""The canonical folder: items.csv, interactions.csv and media -> a Catalogue and a report of everything left out.

Rules row by row: SKIP leaves a row out, WARN keeps it, both are listed with file, row, line, column, value, reason and
fix; a table that cannot be used at all raises TableError and nothing is imported. Nothing is decoded here except the
first bytes of each medium; `verify_media` decodes. Nothing is ever fetched, and no path leads out of the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.catalog.ledger import BAD, Ledger, no_good_row
from core.catalog.media_paths import MediaFiles, path_fault
from core.catalog.reading import OnStep
from core.catalog.report import ImportReport
from core.catalog.tables import Record, Table, read_table, rename
from core.catalog.wording import read_words
from core.domain import Catalogue, Interaction, Item, Words
from core.errors import AddressError, TableError

ITEM_COLUMNS = ("item_id", "title", "description", "category", "price", "image", "images", "audio", "video")
INTERACTION_COLUMNS = (
    "user_id", "item_id", "rating", "timestamp", "review_title", "review_text", "image", "images", "audio", "video",
    "split",
)  # fmt: skip
ALIASES = {"weight": "rating", "datetime": "timestamp"}  # as RecTools names them
PHOTO_COLUMNS = ("image", "item_id", "split")
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True, kw_only=True)
class PhotoView:
    """One more photo of a known item, from photos.csv; split is train, val, test or ""."""

    image: str
    item_id: str
    split: str


def read_folder(
    source: Path, name: str, *, on_step: OnStep | None = None, uploaded: bool = False
) -> tuple[Catalogue, ImportReport]:
    """The catalogue in `source`, called `name`, and the report. Raises TableError or AddressError (nothing imported).

    Order of items = order of the item table. `version` is the sha256 of the tables and of the names and sizes of media.
    """
    step = on_step or (lambda label, share: None)
    tables = find_tables(source)
    work = CanonicalRows(source, step, uploaded)
    step("items", 0.0)
    item_path = tables.get("items")
    if item_path is None:
        raise TableError(
            "E-TAB-EMPTY",
            f"{source.name}: there is no items.csv; a table of items was expected. Put it "
            "in the folder, or download the template.",
        )
    item_bytes = item_path.read_bytes()
    items = work.read_items(item_bytes, item_path.name)
    version = hashlib.sha256(b"items\0" + hashlib.sha256(item_bytes).digest())
    interactions: tuple[Interaction, ...] = ()
    if path := tables.get("interactions"):
        step("interactions", 0.0)
        data = path.read_bytes()
        version.update(b"interactions\0" + hashlib.sha256(data).digest())
        interactions = work.read_interactions(data, path.name, {item.item_id for item in items})
    if path := tables.get("photos"):
        data = path.read_bytes()
        version.update(b"photos\0" + hashlib.sha256(data).digest())
        work.read_photos(data, path.name, {item.item_id for item in items})
    for file, size in sorted(work.media.sizes.items()):
        version.update(f"{file}\0{size}\0".encode("utf-8", "surrogatepass"))
    work.media.report_unnamed()
    words = read_words(source, work.ledger)
    if words != Words():
        version.update(repr(words).encode())
    step("done", 1.0)
    catalogue = Catalogue(
        name=name, version=version.hexdigest(), root=source, items=items, interactions=interactions, words=words
    )
    return catalogue, work.report(items, interactions)


def find_tables(source: Path) -> dict[str, Path]:
    """The tables of a folder by name without ending; CSV before TSV, JSON Lines and Parquet."""
    if not source.is_dir():
        raise AddressError(
            "E-INPUT-VALUE",
            f"{source.name}: this folder is not there; a folder with items.csv was expected. Check the name.",
        )
    found: dict[str, Path] = {}
    for ending in reversed(TABLE_ENDINGS):
        found.update({path.stem: path for path in source.glob(f"*{ending}") if path.is_file()})
    return found


def read_photos(source: Path) -> tuple[PhotoView, ...]:
    """The good rows of photos.csv: more photos of known items, () where there is no such table."""
    return tuple(
        PhotoView(image=row["image"], item_id=row["item_id"], split=row["split"])
        for row in read_side_table(source, "photos", PHOTO_COLUMNS, ("image", "item_id"))
        if not path_fault(row["image"])
    )


def read_side_table(source: Path, table: str, columns: Sequence[str], required: Sequence[str] = ()) -> tuple[dict, ...]:
    """The good rows of a side table (tags, related, photos) as dictionaries of text, () where it is not there."""
    path = find_tables(source).get(table)
    if path is None:
        return ()
    read = read_table(path.read_bytes(), path.name, known=columns, required=required or columns)
    return tuple({column: read.cell(record, column).strip() for column in columns} for record in read.records)


class CanonicalRows:
    """One pass over one folder: the tables are read row by row, every problem goes to one list."""

    def __init__(self, source: Path, step: OnStep, uploaded: bool) -> None:
        self.step, self.uploaded = step, uploaded
        self.ledger = Ledger()
        self.media = MediaFiles(source, self.ledger)
        self.item_rows = self.interaction_rows = 0

    # Items

    def read_items(self, data: bytes, name: str) -> tuple[Item, ...]:
        table = read_table(
            data, name, known=ITEM_COLUMNS, required=("item_id",), text=ITEM_COLUMNS, uploaded=self.uploaded
        )
        self.ledger.problems += table.problems
        self.item_rows = table.rows
        extra = [column for column in table.columns if column not in ITEM_COLUMNS]
        items: dict[str, Item] = {}
        rows: dict[str, Sequence[str]] = {}
        for done, record in enumerate(table.records):
            if done % 200 == 0:
                self.step("items", done / len(table.records))
            key = self.ledger.ident(table, record, "item_id")
            if key is None:
                continue
            cells = [cell.strip() for cell in record.cells]
            if key in items:
                self._repeated_item(table, record, key, cells == rows[key])
                continue
            price = self.ledger.number(table, record, "price", low=0.0)
            if price is BAD:
                continue
            rows[key] = cells
            items[key] = Item(
                item_id=key,
                title=self.ledger.words(table, record, "title"),
                price=price,
                description=self.ledger.words(table, record, "description"),
                media=self.media.of_row(table, record),
                category=self.ledger.plain(table.cell(record, "category")),
                attributes={column: self.ledger.plain(table.cell(record, column)) for column in extra},
            )
        self.ledger.list_look_alikes(table.name, "item_id", items)
        if not items:
            raise no_good_row(table.name, self.ledger.problems)
        return tuple(items.values())

    def _repeated_item(self, table: Table, record: Record, key: str, same: bool) -> None:
        if same:
            self.ledger.tell(
                "N-ROW-DUP", table, record, "item_id", key, "stands there twice, all cells equal", "stored once."
            )
        else:
            self.ledger.tell(
                "E-ROW-DUP",
                table,
                record,
                "item_id",
                key,
                "was used by an earlier row with other cells",
                "give it an id of its own. The row was skipped, the first one kept.",
            )

    # Interactions

    def read_interactions(self, data: bytes, name: str, known: set[str] | None) -> tuple[Interaction, ...]:
        """known: ids of the items, None where any id is one."""
        table = read_table(
            data,
            name,
            known=INTERACTION_COLUMNS,
            required=("user_id", "item_id"),
            text=INTERACTION_COLUMNS,
            uploaded=self.uploaded,
        )
        rename(table, ALIASES)
        self.ledger.problems += table.problems
        self.interaction_rows = table.rows
        self.ledger.check_units(table)
        kept: dict[tuple[str, str], Interaction] = {}
        for done, record in enumerate(table.records):
            if done % 1_000 == 0:
                self.step("interactions", done / len(table.records))
            met = self._interaction(table, record, known)
            if met is None:
                continue
            pair = met.user_id, met.item_id
            if pair in kept:
                earlier = kept[pair]
                self.ledger.tell(
                    "N-ROW-DUP",
                    table,
                    record,
                    "item_id",
                    met.item_id,
                    "was met by the same user in another row",
                    "the earliest of them is kept.",
                )
                if None in (met.timestamp, earlier.timestamp) or met.timestamp >= earlier.timestamp:  # type: ignore[operator]
                    continue
            kept[pair] = met
        self.ledger.list_look_alikes(table.name, "user_id", {user for user, _ in kept})
        self.ledger.name_scale(table.name, [met.rating for met in kept.values() if met.rating is not None])
        return tuple(kept.values())

    def _interaction(self, table: Table, record: Record, known: set[str] | None) -> Interaction | None:
        user = self.ledger.ident(table, record, "user_id")
        item = self.ledger.ident(table, record, "item_id") if user is not None else None
        if user is None or item is None:
            return None
        if known is not None and item not in known:
            self.ledger.tell(
                "E-ROW-REF",
                table,
                record,
                "item_id",
                item,
                "is not in the item table",
                "add the item, or correct the id. The row was skipped.",
            )
            return None
        rating = self.ledger.number(table, record, "rating")
        moment = self.ledger.moment(table, record) if rating is not BAD else BAD
        if rating is BAD or moment is BAD:
            return None
        return Interaction(
            user_id=user,
            item_id=item,
            rating=rating,
            timestamp=moment,
            media=self.media.of_row(table, record),
            review_title=self.ledger.words(table, record, "review_title"),
            review_text=self.ledger.words(table, record, "review_text"),
            split=table.cell(record, "split").strip(),
        )

    # More photos

    def read_photos(self, data: bytes, name: str, known: set[str]) -> None:
        table = read_table(data, name, known=PHOTO_COLUMNS, required=("image", "item_id"), uploaded=self.uploaded)
        self.ledger.problems += table.problems
        for record in table.records:
            item = self.ledger.ident(table, record, "item_id")
            if item is not None and item not in known:
                self.ledger.tell(
                    "E-ROW-REF",
                    table,
                    record,
                    "item_id",
                    item,
                    "is not in the item table",
                    "add the item, or correct the id. The row was skipped.",
                )
            elif item is not None:
                self.media.usable(table, record, "image", "image", table.cell(record, "image").strip())

    def report(self, items: tuple[Item, ...], interactions: tuple[Interaction, ...]) -> ImportReport:
        made = ImportReport(
            items=len(items),
            users=len({met.user_id for met in interactions}),
            interactions=len(interactions),
            media=self.media.counts(),
            cleaned=dict(self.ledger.cleaned),
            item_rows=self.item_rows,
            interaction_rows=self.interaction_rows,
            scale=self.ledger.scale,
        )
        made.note(self.ledger.problems)
        return made
