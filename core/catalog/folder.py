"""The canonical folder: items.csv, interactions.csv and media -> a Catalogue and a report of everything left out.

Rules row by row: SKIP leaves a row out, WARN keeps it, both are listed with file, row, line, column, value, reason and
fix; a table that cannot be used at all raises TableError and nothing is imported. Nothing is decoded here except the
first bytes of each medium; `verify_media` decodes. Nothing is ever fetched, and no path leads out of the folder.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.catalog.names import shown_bytes, shown_value
from core.catalog.photos import ENDINGS, ImageReader, photo_kind, read_image_safely
from core.catalog.report import ImportReport
from core.catalog.tables import Problem, Record, Table, plain_cell, problem, read_table
from core.catalog.words import clean_fragment
from core.domain import Catalogue, Interaction, Item, Modality
from core.errors import AddressError, PhotoError, TableError
from core.limits import LIMITS, MB

OnStep = Callable[[str, float], None]
ITEM_COLUMNS = ("item_id", "title", "description", "category", "price", "image", "images", "audio", "video")
INTERACTION_COLUMNS = (
    "user_id", "item_id", "rating", "timestamp", "review_title", "review_text", "image", "images", "split"
)  # fmt: skip
PHOTO_COLUMNS = ("image", "item_id", "split")
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
_MEDIA_COLUMNS: dict[Modality, tuple[str, ...]] = {
    "image": ("image", "images"),
    "audio": ("audio",),
    "video": ("video",),
}
_AREAS = {"image": "IMG", "audio": "AUD", "video": "VID"}
_MEDIA_ENDINGS = {*ENDINGS, "wav", "flac", "ogg", "oga", "opus", "mp3", "mp4", "m4v", "mov", "webm", "mkv"}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"-?[0-9]{1,17}")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].{1,40})?", re.DOTALL)
_UNITS = ((10**11, "seconds", 1_000.0), (10**14, "milliseconds", 1.0), (10**17, "microseconds", 0.001))
_DAY = 86_400_000


@dataclass(frozen=True, kw_only=True)
class PhotoView:
    """One more photo of a known item, from photos.csv; split is train, val, test or ""."""

    image: str
    item_id: str
    split: str


def read_folder(source: Path, name: str, *, on_step: OnStep | None = None) -> tuple[Catalogue, ImportReport]:
    """The catalogue in `source`, called `name`, and the report. Raises TableError or AddressError (nothing imported).

    Order of items = order of the item table. `version` is the sha256 of the tables and of the names and sizes of media.
    """
    step = on_step or (lambda label, share: None)
    tables = find_tables(source)
    work = _Import(source, step)
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
    for file, size in sorted(work.sizes.items()):
        version.update(f"{file}\0{size}\0".encode("utf-8", "surrogatepass"))
    work.report_unnamed_media()
    step("done", 1.0)
    catalogue = Catalogue(name=name, version=version.hexdigest(), root=source, items=items, interactions=interactions)
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


def verify_media(
    catalogue: Catalogue, on_step: OnStep | None = None, *, read: ImageReader = read_image_safely
) -> tuple[Problem, ...]:
    """Decode every picture of the catalogue once, two at a time; one Problem for each that cannot be used (E-IMG-*)."""
    named: dict[str, str] = {}
    for item in catalogue.items:
        named.update({file: f"items.csv, item {shown_value(item.item_id)}" for file in item.media.get("image", ())})
    for met in catalogue.interactions:
        named.update({f: f"interactions.csv, item {shown_value(met.item_id)}" for f in met.media.get("image", ())})

    def check(file: str) -> Problem | None:
        try:
            read((catalogue.root / file).read_bytes(), file)
        except PhotoError as error:
            return _media_problem(error.code, error.message, named[file], file)
        except OSError:
            return _media_problem(
                "N-ZIP-PAIR", "the file cannot be read. Put it back and import again.", named[file], file
            )
        return None

    problems = []
    with ThreadPoolExecutor(2) as pool:
        for done, found in enumerate(pool.map(check, named), 1):
            if found is not None:
                problems.append(found)
            if on_step:
                on_step("pictures", done / len(named))
    return tuple(problems)


def template_csv() -> dict[str, str]:
    """The tables a person can fill in: file name -> text with a header and example rows."""
    return {
        "items.csv": "item_id,title,description,category,price,images\r\n"
        'lamp-1,Blue desk lamp,"Warm light, bends in every direction.",Home > Lamps,39.90,'
        "photos/lamp-1_a.jpg|photos/lamp-1_b.jpg\r\n"
        "mug-1,Green mug,Holds heat and fits the hand.,Kitchen > Mugs,,photos/mug-1.jpg\r\n",
        "interactions.csv": "user_id,item_id,rating,timestamp,review_title,review_text,images\r\n"
        'anna,lamp-1,5,2024-03-01T10:00:00Z,Lovely light,"Warm, and the arm stays where I put it.",\r\n'
        "ben,lamp-1,,2024-03-02T09:30:00Z,,,\r\n"
        "ben,mug-1,4,2024-03-05T18:12:00Z,,Keeps tea hot.,customer/mug-1_ben.jpg\r\n",
        "photos.csv": "image,item_id,split\r\nmore/lamp-1_evening.jpg,lamp-1,test\r\n",
    }


def path_fault(path: str) -> str:
    """Why a media path of a table may not be used, "" where it may. Looks at the text alone."""
    if "\\" in path:
        return "has a backslash"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path):
        return "is a web address or a drive"
    if path.startswith(("/", "~")):
        return "does not start in the folder"
    if ".." in path.split("/"):
        return "leads out of the folder"
    return "holds a control character" if any(ord(letter) < 32 or ord(letter) == 127 for letter in path) else ""


# The import


class _Import:
    """One pass over one folder: the tables are read row by row, every problem goes to one list."""

    def __init__(self, source: Path, step: OnStep) -> None:
        self.source = source
        self.root = os.path.realpath(source)
        self.step = step
        self.problems: list[Problem] = []
        self.cleaned: Counter[str] = Counter()
        self.sizes: dict[str, int] = {}  # of every usable medium
        self.kinds: dict[str, Modality] = {}
        self.faults: dict[tuple[str, Modality], tuple[str, str, str] | None] = {}
        self.item_rows = self.interaction_rows = 0
        self.scale = ""

    # Items

    def read_items(self, data: bytes, name: str) -> tuple[Item, ...]:
        table = read_table(data, name, known=ITEM_COLUMNS, required=("item_id",), text=ITEM_COLUMNS)
        self.problems += table.problems
        self.item_rows = table.rows
        extra = [column for column in table.columns if column not in ITEM_COLUMNS]
        items: dict[str, Item] = {}
        rows: dict[str, Sequence[str]] = {}
        for done, record in enumerate(table.records):
            if done % 200 == 0:
                self.step("items", done / len(table.records))
            key = self._id(table, record, "item_id")
            if key is None:
                continue
            cells = [cell.strip() for cell in record.cells]
            if key in items:
                self._repeated_item(table, record, key, cells == rows[key])
                continue
            price = self._number(table, record, "price", least=0.0)
            if price is _BAD:
                continue
            rows[key] = cells
            items[key] = Item(
                item_id=key,
                title=self._words(table, record, "title"),
                price=price,
                description=self._words(table, record, "description"),
                media=self._media(table, record),
                category=self._plain(table.cell(record, "category")),
                attributes={column: self._plain(table.cell(record, column)) for column in extra},
            )
        self._list_look_alikes(table.name, "item_id", items)
        if not items:
            raise _no_good_row(table.name, self.problems)
        return tuple(items.values())

    def _repeated_item(self, table: Table, record: Record, key: str, same: bool) -> None:
        if same:
            self._tell(
                "N-ROW-DUP", table, record, "item_id", key, "stands there twice, all cells equal", "stored once."
            )
        else:
            self._tell(
                "E-ROW-DUP",
                table,
                record,
                "item_id",
                key,
                "was used by an earlier row with other cells",
                "give it an id of its own. The row was skipped, the first one kept.",
            )

    # Interactions

    def read_interactions(self, data: bytes, name: str, known: set[str]) -> tuple[Interaction, ...]:
        table = read_table(
            data, name, known=INTERACTION_COLUMNS, required=("user_id", "item_id"), text=INTERACTION_COLUMNS
        )
        self.problems += table.problems
        self.interaction_rows = table.rows
        self._check_units(table)
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
                self._tell(
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
        self._list_look_alikes(table.name, "user_id", {user for user, _ in kept})
        self._name_scale(table.name, [met.rating for met in kept.values() if met.rating is not None])
        return tuple(kept.values())

    def _interaction(self, table: Table, record: Record, known: set[str]) -> Interaction | None:
        user = self._id(table, record, "user_id")
        item = self._id(table, record, "item_id") if user is not None else None
        if user is None or item is None:
            return None
        if item not in known:
            self._tell(
                "E-ROW-REF",
                table,
                record,
                "item_id",
                item,
                "is not in the item table",
                "add the item, or correct the id. The row was skipped.",
            )
            return None
        rating = self._number(table, record, "rating")
        moment = self._moment(table, record) if rating is not _BAD else _BAD
        if rating is _BAD or moment is _BAD:
            return None
        return Interaction(
            user_id=user,
            item_id=item,
            rating=rating,
            timestamp=moment,
            media=self._media(table, record),
            review_title=self._words(table, record, "review_title"),
            review_text=self._words(table, record, "review_text"),
            split=table.cell(record, "split").strip(),
        )

    def _check_units(self, table: Table) -> None:
        units: dict[str, Record] = {}
        for record in table.records if "timestamp" in table.columns else ():
            cell = table.cell(record, "timestamp").strip()
            if _INTEGER.fullmatch(cell) and int(cell):
                unit = next((unit for below, unit, _ in _UNITS if abs(int(cell)) < below), "")
                units.setdefault(unit, record)
        units.pop("", None)
        if len(units) > 1:
            told = " and ".join(f"{unit} (line {record.line})" for unit, record in units.items())
            raise TableError(
                "E-TAB-TIME",
                f'{table.name}, column "timestamp": {told} in one column; one unit was '
                "expected. Write all of them in the same unit, or as 2024-03-01T10:00:00Z.",
            )

    def _moment(self, table: Table, record: Record):
        cell = table.cell(record, "timestamp").strip()
        if not cell:
            return None
        moment = _milliseconds(cell)
        if moment is None:
            self._tell(
                "E-ROW-TIME",
                table,
                record,
                "timestamp",
                cell,
                "is not a time",
                "write 2024-03-01T10:00:00Z, seconds since 1970, or leave it empty. The row was skipped.",
            )
            return _BAD
        if not 365 * _DAY <= moment <= time.time() * 1_000 + _DAY:
            which = "lies in the future" if moment > 365 * _DAY else "lies in 1970 or before, as an empty clock shows"
            self._tell("N-ROW-TIME", table, record, "timestamp", cell, which, "it was kept; check it.")
        return moment

    def _name_scale(self, table: str, ratings: list[float]) -> None:
        if not ratings:
            return
        low, high = min(ratings), max(ratings)
        if set(ratings) <= {0.0, 1.0}:
            self.scale = "0 or 1"
            if low == 0.0:
                ones = sum(ratings)
                self._tell_table(
                    "N-TAB-SCALE",
                    table,
                    "rating",
                    f"ratings are 0 or 1, {ones:,.0f} of {len(ratings):,} are 1",
                    "if they mean right or wrong instead of liked, read no taste from them.",
                )
        elif low >= 0.5 and high <= 5.0 and all((2 * rating).is_integer() for rating in ratings):
            self.scale = "1 to 5" if low >= 1.0 and all(rating.is_integer() for rating in ratings) else "0.5 to 5"
        else:
            self.scale = f"{low:g} to {high:g}"
            self._tell_table(
                "N-TAB-SCALE",
                table,
                "rating",
                f"ratings from {low:g} to {high:g} are none of the usual scales (0 or 1, 1 to 5, 0.5 to 5)",
                "check what the lowest and the highest mean.",
            )

    # More photos

    def read_photos(self, data: bytes, name: str, known: set[str]) -> None:
        table = read_table(data, name, known=PHOTO_COLUMNS, required=("image", "item_id"))
        self.problems += table.problems
        for record in table.records:
            item = self._id(table, record, "item_id")
            if item is not None and item not in known:
                self._tell(
                    "E-ROW-REF",
                    table,
                    record,
                    "item_id",
                    item,
                    "is not in the item table",
                    "add the item, or correct the id. The row was skipped.",
                )
            elif item is not None:
                self._usable(table, record, "image", "image", table.cell(record, "image").strip())

    # Cells

    def _id(self, table: Table, record: Record, column: str) -> str | None:
        came = table.cell(record, column)
        key = came.strip()
        fault = ""
        if not key:
            fault = "is empty"
        elif len(key) > LIMITS.id_characters:
            fault = f"has {len(key)} characters, at most {LIMITS.id_characters} were expected"
        elif not key.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in key):
            fault = "holds a control character"
        if fault:
            self._tell("E-ROW-ID", table, record, column, key, fault, "give the row an id. The row was skipped.")
            return None
        if key != came:
            self._tell("N-ROW-TRIM", table, record, column, came, "has spaces around it", "they were cut off.")
        return key

    def _number(self, table: Table, record: Record, column: str, least: float = -math.inf):
        cell = table.cell(record, column).strip()
        if not cell:
            return None
        value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
        if math.isfinite(value) and value >= least:
            return value + 0.0
        plain = re.sub(r"[^0-9,.-]", "", cell).replace(",", ".")
        better = (
            f"write {plain} or leave it empty" if _NUMBER.fullmatch(plain) and "/" not in cell else "leave it empty"
        )
        reason = "is below 0" if math.isfinite(value) else "is not a number"
        self._tell("E-ROW-VALUE", table, record, column, cell, reason, f"{better}. The row was skipped.")
        return _BAD

    def _words(self, table: Table, record: Record, column: str) -> str:
        text, steps = clean_fragment(plain_cell(table.cell(record, column)))
        self.cleaned.update(steps)
        return text

    def _plain(self, cell: str) -> str:
        cell = plain_cell(cell)
        if cell.isascii() and cell.isprintable():
            return cell.strip()
        text, steps = clean_fragment(cell, personal=False)
        self.cleaned.update(steps)
        return text

    # Media

    def _media(self, table: Table, record: Record) -> dict[Modality, tuple[str, ...]]:
        media = {}
        for modality, columns in _MEDIA_COLUMNS.items():
            named: dict[str, str] = {}
            for column in columns:
                if cell := table.cell(record, column):
                    named.update({path.strip(): column for path in cell.split("|") if path.strip() not in named})
            named.pop("", None)
            files = [path for path, column in named.items() if self._usable(table, record, column, modality, path)]
            if files:
                media[modality] = tuple(files)
        return media

    def _usable(self, table: Table, record: Record, column: str, modality: Modality, path: str) -> bool:
        """True where a medium may be used; otherwise the reason is listed at this row."""
        if (path, modality) not in self.faults:
            self.faults[path, modality] = self._media_fault(path, modality)
        found = self.faults[path, modality]
        if found is not None:
            code, reason, fix = found
            self._tell(code, table, record, column, path, reason, fix)
        return found is None

    def _media_fault(self, path: str, modality: Modality) -> tuple[str, str, str] | None:
        kept = "The item was kept without it."
        if wrong := path_fault(path):
            return "E-ROW-PATH", wrong, f"write a path inside the folder, such as photos/a1.jpg. {kept}"
        place = os.path.realpath(os.path.join(self.root, path))
        if not place.startswith(self.root + os.sep):
            return "E-ROW-PATH", "is a link that leads out of the folder", f"put the file itself there. {kept}"
        try:
            with open(place, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                head = file.read(300)
        except (OSError, ValueError):
            return "N-ZIP-PAIR", "is not in the folder", f"add the file, or correct the path. {kept}"
        if fault := _head_fault(head, size, modality):
            return f"E-{_AREAS[modality]}-{fault[0]}", fault[1], f"{fault[2]}. {kept}"
        self.sizes[path], self.kinds[path] = size, modality
        return None

    def report_unnamed_media(self) -> None:
        """One notice about media files that no row names."""
        unnamed = []
        for folder, _, files in os.walk(self.root):
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            for file in files:
                path = file if inside == "." else f"{inside}/{file}"
                if (
                    file.rpartition(".")[2].lower() in _MEDIA_ENDINGS
                    and path not in self.sizes
                    and not any((path, modality) in self.faults for modality in _AREAS)
                ):
                    unnamed.append(path)
        if unnamed:
            shown = ", ".join(shown_value(path) for path in sorted(unnamed)[:3])
            more = f" and {len(unnamed) - 3:,} more" if len(unnamed) > 3 else ""
            self._tell_table(
                "N-ZIP-PAIR",
                "media",
                "",
                f"{len(unnamed):,} media file{'s are' if len(unnamed) > 1 else ' is'} named by no row: {shown}{more}",
                "they were left out; name them in a row, or remove them.",
            )

    # Report

    def _tell(self, code: str, table: Table, record: Record, column: str, value: str, reason: str, fix: str) -> None:
        self.problems.append(problem(code, table.name, reason, fix, record=record, column=column, value=value))

    def _tell_table(self, code: str, table: str, column: str, reason: str, fix: str) -> None:
        self.problems.append(problem(code, table, reason, fix, column=column))

    def _list_look_alikes(self, table: str, column: str, keys: Iterable[str]) -> None:
        first: dict[str, str] = {}
        for key in keys:
            folded = unicodedata.normalize("NFC", key).casefold()
            if folded in first:
                self.problems.append(
                    problem(
                        "N-ROW-NEAR",
                        table,
                        f'looks like "{shown_value(first[folded])}"',
                        "both were kept; check that they are two.",
                        column=column,
                        value=key,
                    )
                )
            first.setdefault(folded, key)

    def report(self, items: tuple[Item, ...], interactions: tuple[Interaction, ...]) -> ImportReport:
        refused = tuple(found for found in self.problems if found.code.startswith("E-"))
        notices = tuple(found for found in self.problems if found.code.startswith("N-"))
        self.cleaned.update(found.code for found in notices)
        counts = Counter(self.kinds.values())
        return ImportReport(
            items=len(items),
            users=len({met.user_id for met in interactions}),
            interactions=len(interactions),
            media={modality: counts[modality] for modality in _AREAS if counts[modality]},
            refused=refused,
            notices=notices,
            cleaned=dict(self.cleaned),
            item_rows=self.item_rows,
            interaction_rows=self.interaction_rows,
            scale=self.scale,
        )


_BAD = object()  # a cell that cannot be converted; its row has been listed


def _milliseconds(cell: str) -> int | None:
    """UTC milliseconds of an ISO 8601 time or of an integer whose size tells its unit; None where it is neither."""
    if _INTEGER.fullmatch(cell):
        value = int(cell)
        return next((round(value * factor) for below, _, factor in _UNITS if abs(value) < below), None)
    if not cell.isascii() or not _ISO.fullmatch(cell):
        return None
    try:
        moment = datetime.fromisoformat(cell)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000)
    except (ValueError, OverflowError):
        return None


def _head_fault(head: bytes, size: int, modality: Modality) -> tuple[str, str, str] | None:
    """End of the code, reason and fix where the first bytes or the size of a medium already rule it out."""
    if not size:
        return "EMPTY", "is an empty file, 0 bytes", "copy it again"
    most = {"image": LIMITS.photo_bytes, "audio": LIMITS.audio_bytes, "video": LIMITS.video_bytes}[modality]
    if size > most:
        return "SIZE", f"has {shown_bytes(size)}, at most {most // MB} MB were expected", "save a smaller copy"
    if modality == "image":
        return None if photo_kind(head) else ("TYPE", "is no picture of a known type", "save it as JPEG, PNG or WebP")
    if modality == "audio":
        sound = head[:4] in (b"RIFF", b"RF64", b"fLaC", b"OggS") or head[:3] == b"ID3" or head[:2] in _MP3_STARTS
        return None if sound else ("TYPE", "is no sound of a known type", "save it as WAV, FLAC, Ogg or MP3")
    film = head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or head[:6] in (b"GIF87a", b"GIF89a")
    return None if film else ("TYPE", "is no film of a known type", "save it as MP4, WebM, MKV or a moving GIF")


_MP3_STARTS = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2")


def _no_good_row(table: str, problems: Sequence[Problem]) -> TableError:
    first = next((found for found in problems if found.code.startswith("E-")), None)
    if first is None:
        return TableError(
            "E-TAB-EMPTY",
            f"{table}: a header but no row; at least one was expected. Fill in a row and import that.",
        )
    return TableError(first.code, f"{first.where}: {first.message} No row of the table could be used.")


def _media_problem(code: str, message: str, where: str, file: str) -> Problem:
    reason, _, fix = message.partition(". ")
    return Problem(
        code=code,
        message=message,
        where=f"{where}, {shown_value(file)}",
        severity="WARN",
        file=where.split(",")[0],
        value=shown_value(file),
        reason=reason,
        fix=fix,
    )
