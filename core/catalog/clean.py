"""Cleaning as named steps: what each looked at, what it found, how sure it is, and how to take it back.

A step only *marks* places; `prepared` makes a catalogue with chosen steps on. What a step replaces is kept with its
mark (`before`), so that a step can be switched off again; items never leave the catalogue. Steps that need vectors live
in `core/prepare`; all are listed here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.catalog.folder import find_tables
from core.catalog.redact import masked
from core.catalog.tables import Table, plain_cell, read_table
from core.catalog.words import clean_fragment, masks_told
from core.domain import Catalogue, Interaction, Item
from core.errors import UnknownNameError

ITEM_WORDS = ("title", "description")
REVIEW_WORDS = ("review_title", "review_text")
SHOWN_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class Step:
    """title and tells are for people; `does` says what `prepared` changes when the step is on, "" for a list only.

    reads: "words" repairs cells as they are read, "table" needs the tables and photos, "vectors" encoded media.
    """

    title: str
    tells: str
    does: str
    reads: str


STEPS: dict[str, Step] = {
    "mojibake": Step(
        title="Garbled letters", tells="UTF-8 that was read as Windows-1252 somewhere (ftfy)",
        does="the letters are put right", reads="words",
    ),
    "html": Step(
        title="Markup in words", tells="tags and entities of a web page", does="tags go, entities become letters",
        reads="words",
    ),
    "control": Step(
        title="Unseen characters", tells="control, turning and zero-width characters", does="they are dropped",
        reads="words",
    ),
    "personal": Step(
        title="Personal data", tells="mail and web addresses, phone, card and account numbers",
        does="they are masked; this cannot be switched off", reads="words",
    ),
    "no_words": Step(title="No words", tells="neither title nor description", does="", reads="table"),
    "no_photo": Step(title="No photo named", tells="the row names no picture", does="", reads="table"),
    "dead_path": Step(title="Photo not there", tells="the row names a picture that is missing", does="", reads="table"),
    "near_duplicate": Step(
        title="Listed twice", tells="nearly the same words and nearly the same photos (difference hash) as an "
        "earlier item", does="its interactions count for the earlier item", reads="table",
    ),
    "price_outlier": Step(
        title="Unlikely price", tells="log price far from the median of its category (robust z)",
        does="the price counts as unknown", reads="table",
    ),
    "rating_outlier": Step(
        title="Unlikely rating", tells="stars far from what this person gives and this item gets (robust z)", does="",
        reads="table",
    ),
    "wrong_photo": Step(
        title="Photo of something else", tells="the photo does not belong to the words and to the other photos, "
        "judged by a model that has not seen the item", does="the photo is left out", reads="vectors",
    ),
    "contradictory_review": Step(
        title="Words against stars", tells="the tone of the words is the opposite of the stars, judged by a model that "
        "has not seen the review", does="the words are left out, the stars stay", reads="vectors",
    ),
    "unusual": Step(
        title="Unlike the rest", tells="isolation forest and local outlier factor, per modality and jointly", does="",
        reads="vectors",
    ),
}  # fmt: skip
CELL_STEPS = {"N-TXT-FIXED": "mojibake", "html": "html", "entities": "html", "N-TXT-CLEAN": "control",
              "N-TXT-PII": "personal"}  # fmt: skip
ALWAYS_ON = ("personal",)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One suspicious place. score: higher is worse, comparable inside one step only. `user_id` names the interaction,
    `file` the photo, `other` the item it is compared with; before and after: the value as it came and as it is used."""

    item_id: str
    score: float
    user_id: str = ""
    column: str = ""
    file: str = ""
    other: str = ""
    before: str = ""
    after: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What one step saw: marks with their scores, the limit above which a place counts as found, and how many places
    were looked at (those without a mark have a score below every mark)."""

    step: str
    marks: tuple[Mark, ...]
    looked_at: int
    limit: float = 0.0

    @property
    def found(self) -> tuple[Mark, ...]:
        """Marks above the limit, worst first."""
        return tuple(sorted((mark for mark in self.marks if mark.score > self.limit), key=lambda mark: -mark.score))


def check_steps(names: Iterable[str]) -> tuple[str, ...]:
    """The names, if all are steps. Raises UnknownNameError."""
    chosen = tuple(names)
    for name in chosen:
        if name not in STEPS:
            raise UnknownNameError("cleaning step", name, STEPS)
    return chosen


# Cells


def changed_words(source: Path) -> tuple[Detection, ...]:
    """What reading the tables of `source` repaired in words, cell by cell: one Detection a step of CELL_STEPS.

    `before` keeps the cell as it came, with personal data masked.
    """
    marks: dict[str, list[Mark]] = {step: [] for step in dict.fromkeys(CELL_STEPS.values())}
    looked_at = 0
    tables = find_tables(source)
    for name, columns in (("items", ITEM_WORDS), ("interactions", REVIEW_WORDS)):
        if name not in tables:
            continue
        table = read_table(tables[name].read_bytes(), tables[name].name, known=("item_id", "user_id", *columns))
        present = [column for column in columns if column in table.columns]
        looked_at += len(table.records) * len(present)
        for column in present:
            for mark, steps in _changed_cells(table, column):
                for step, count in steps.items():
                    marks[step].append(replace(mark, score=float(count)))
    return tuple(Detection(step=step, marks=tuple(found), looked_at=looked_at) for step, found in marks.items())


def _changed_cells(table: Table, column: str) -> Iterable[tuple[Mark, Mapping[str, int]]]:
    for record in table.records:
        raw = plain_cell(table.cell(record, column))
        text, done = clean_fragment(raw)
        told = masks_told(done)
        steps: dict[str, int] = defaultdict(int)
        for code, count in done.items():
            if code in CELL_STEPS:
                steps[CELL_STEPS[code]] += count
        if steps:
            mark = Mark(
                item_id=table.cell(record, "item_id").strip(), user_id=table.cell(record, "user_id").strip(),
                column=column, score=1.0, before=masked(raw).text, after=text,
                reason=f"row {record.row}" + (f": {told} masked" if told else ""),
            )  # fmt: skip
            yield mark, steps


# Rows


def missing_parts(catalogue: Catalogue, dead: Sequence[tuple[str, str]] = ()) -> tuple[Detection, ...]:
    """Items without words, without a named photo, and (item_id, file) pairs that name a file which is not there."""
    lost = {item_id for item_id, _ in dead}
    wordless = [item.item_id for item in catalogue.items if not item.text]
    unseen = [item.item_id for item in catalogue.items if not item.media.get("image") and item.item_id not in lost]
    return (
        Detection(step="no_words", marks=_marked(wordless), looked_at=len(catalogue.items)),
        Detection(step="no_photo", marks=_marked(unseen), looked_at=len(catalogue.items)),
        Detection(
            step="dead_path", marks=tuple(Mark(item_id=item, file=file, score=1.0) for item, file in dead),
            looked_at=sum(len(item.media.get("image", ())) for item in catalogue.items) + len(dead),
        ),
    )  # fmt: skip


def dead_paths(source: Path, catalogue: Catalogue) -> tuple[tuple[str, str], ...]:
    """(item_id, file) of pictures that the item table of `source` names but its folder does not hold."""
    path = find_tables(source).get("items")
    if path is None:
        return ()
    table = read_table(path.read_bytes(), path.name, known=("item_id", "image", "images"))
    known = catalogue.position()
    lost: dict[tuple[str, str], None] = {}
    for record in table.records:
        item_id = table.cell(record, "item_id").strip()
        cells = (table.cell(record, column) for column in ("image", "images"))
        named = dict.fromkeys(file.strip() for cell in cells for file in cell.split("|") if file.strip())
        if item_id in known:
            usable = catalogue.items[known[item_id]].media.get("image", ())
            lost.update(dict.fromkeys((item_id, file) for file in named if file not in usable))
    return tuple(lost)


def _marked(item_ids: Iterable[str]) -> tuple[Mark, ...]:
    return tuple(Mark(item_id=item_id, score=1.0) for item_id in item_ids)


# On and off


def prepared(catalogue: Catalogue, detections: Iterable[Detection], on: Collection[str]) -> Catalogue:
    """The catalogue with the steps in `on` and no others: repaired cells of the other steps are put back as they came.

    Items, their order and the version stay; see STEPS for what each step changes.
    """
    found = {one.step: one.found for one in detections}
    raw: dict[tuple[str, str, str], str] = {}
    for step in set(CELL_STEPS.values()) - {*on, *ALWAYS_ON}:
        raw.update({(mark.user_id, mark.item_id, mark.column): mark.before for mark in found.get(step, ())})
    wrong = {(mark.item_id, mark.file) for mark in found.get("wrong_photo", ()) if "wrong_photo" in on}
    unpriced = {mark.item_id for mark in found.get("price_outlier", ()) if "price_outlier" in on}
    muted = {(m.user_id, m.item_id) for m in found.get("contradictory_review", ()) if "contradictory_review" in on}
    first = {mark.item_id: mark.other for mark in found.get("near_duplicate", ()) if "near_duplicate" in on}
    items = tuple(_prepared_item(item, raw, wrong, item.item_id in unpriced) for item in catalogue.items)
    rows = [_prepared_row(row, raw, (row.user_id, row.item_id) in muted) for row in catalogue.interactions]
    return replace(catalogue, items=items, interactions=_merged(rows, first) if first else tuple(rows))


def _prepared_item(
    item: Item, raw: Mapping[tuple[str, str, str], str], wrong: Collection[tuple[str, str]], unpriced: bool
) -> Item:
    words: dict[str, Any] = {c: raw["", item.item_id, c] for c in ITEM_WORDS if ("", item.item_id, c) in raw}
    photos = tuple(file for file in item.media.get("image", ()) if (item.item_id, file) not in wrong)
    media = {m: photos if m == "image" else files for m, files in item.media.items() if m != "image" or photos}
    return replace(item, **words, media=media, price=None if unpriced else item.price)


def _prepared_row(row: Interaction, raw: Mapping[tuple[str, str, str], str], muted: bool) -> Interaction:
    if muted:
        return replace(row, review_title="", review_text="")
    keys = {column: (row.user_id, row.item_id, column) for column in REVIEW_WORDS}
    words: dict[str, Any] = {column: raw[key] for column, key in keys.items() if key in raw}
    return replace(row, **words)


def _merged(rows: Iterable[Interaction], first: Mapping[str, str]) -> tuple[Interaction, ...]:
    """Rows of a repeated listing count for the first one; of two rows of one person for one item the earlier stays."""
    kept: dict[tuple[str, str], Interaction] = {}
    for row in rows:
        moved = replace(row, item_id=first.get(row.item_id, row.item_id))
        kept.setdefault((moved.user_id, moved.item_id), moved)
    return tuple(kept.values())


# Kept


def to_json(detections: Iterable[Detection]) -> bytes:
    """All marks; those of a step that scores every place are kept to four digits."""
    return json.dumps(
        [
            {"step": one.step, "looked_at": one.looked_at, "limit": one.limit, "marks": [_short(m) for m in one.marks]}
            for one in detections
        ],
        ensure_ascii=False,
    ).encode("utf-8", "replace")


def from_json(data: bytes) -> tuple[Detection, ...]:
    """What `to_json` wrote."""
    return tuple(
        Detection(
            step=one["step"], looked_at=one["looked_at"], limit=one["limit"],
            marks=tuple(Mark(**mark) for mark in one["marks"]),
        )
        for one in json.loads(data)
    )  # fmt: skip


def _short(mark: Mark) -> dict[str, Any]:
    told = {name: value for name, value in asdict(mark).items() if value != ""}
    return told | {"score": round(mark.score, 4)}
