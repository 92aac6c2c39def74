"""What people say about cases: labels, notes, named slices, and how far two of them agree.

Values go in and out; rows stay in core/store. Every write is one short transaction, so that what was pressed before a
crash is kept, and two people, tabs or processes never lose each other's words.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from core.catalog.words import clean_fragment, masks_told
from core.errors import InputError, StoreError, TableError
from core.report.tables import as_csv
from core.store.values import Annotation, CaseRef, SavedSlice

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from core.domain import Catalogue
    from core.evaluate.casebook import CaseBook
    from core.evaluate.slices import Condition
    from core.workspace import Workspace

DEFAULT_LABELS: dict[str, str] = {
    "wrong photo": "a photo shows something else than the words say",
    "ambiguous text": "the words fit many products",
    "duplicate": "what was shown is the same product, listed twice",
    "model blind to colour": "what was shown has the right form in the wrong colour",
    "bad data": "title, price or photo of the product is broken",
    "fair answer": "what was shown answers the question as well",
}
Kept = TypeVar("Kept")
TRIES = 4  # each waits half a minute for the lock
MOST_AUTHOR, MOST_LABEL, MOST_LABELS, MOST_NOTE, MOST_AT_ONCE = 80, 40, 9, 2000, 1000
LABEL = re.compile(r"[^\x00-\x1f|]{1,40}")
COLUMNS = ("case", "user", "item", "author", "labels", "note", "updated")


# ---- labels and notes


def label_set(workspace: Workspace) -> dict[str, str]:
    """Label -> meaning, in the order of the keys 1 to 9: this workspace's own, else a first suggestion."""
    from core.store.labels import label_names

    return (label_names(workspace.store) if workspace.has_database else {}) or dict(DEFAULT_LABELS)


def save_label_set(workspace: Workspace, names: Mapping[str, str]) -> None:
    """Replace the label set; labels that were given stay. Raises InputError."""
    from core.store.labels import save_label_names

    checked = {_label(name): clean_fragment(meaning)[0][:200] for name, meaning in names.items()}
    if not 1 <= len(checked) <= MOST_LABELS:
        raise _refused(f"{len(checked)} labels came; 1 to {MOST_LABELS} were expected, one a key. Leave some out.")
    _write(workspace, lambda session: save_label_names(session, checked))


def put_label(
    workspace: Workspace, catalogue: str, cases: Sequence[CaseRef], author: str, label: str, *, present: bool = True
) -> int:
    """Give a label to up to 1 000 cases, or take it back; how many that changed. Raises InputError, StoreError."""
    from core.store.labels import put_label

    if len(cases) > MOST_AT_ONCE:
        raise _refused(f"{len(cases):,} cases at once; at most {MOST_AT_ONCE:,} were expected. Narrow the list.")
    who, what = author_name(author), _label(label)
    return _write(workspace, lambda session: put_label(session, catalogue, cases, who, what, present=present))


def put_note(workspace: Workspace, catalogue: str, case: CaseRef, author: str, note: str, version: int) -> str:
    """Keep a note, personal data masked, if the annotation still is at `version`; what was masked, such as "1 mail".

    Raises InputError, StoreError E-DB-CONFLICT when somebody changed it in the meantime.
    """
    from core.store.labels import put_note

    (text, steps), who = clean_fragment(note), author_name(author)
    _write(workspace, lambda session: put_note(session, catalogue, case, who, text[:MOST_NOTE], version))
    return masks_told(steps)


def put_seen(workspace: Workspace, catalogue: str, case: CaseRef, author: str) -> None:
    """Remember that this person has looked at a case."""
    from core.store.labels import put_seen

    who = author_name(author)
    _write(workspace, lambda session: put_seen(session, catalogue, case, who))


def annotations_of(workspace: Workspace, catalogue: str, keys: Sequence[str] | None = None) -> list[Annotation]:
    """All that was said about a catalogue's cases, or about these; opens no database that is not there."""
    from core.store.labels import list_annotations

    return list_annotations(workspace.store, catalogue, keys) if workspace.has_database else []


def annotations_mark(workspace: Workspace, catalogue: str) -> str:
    """Another text whenever `annotations_of` would answer otherwise; a thousandth of its work."""
    from core.store.labels import annotations_mark

    return annotations_mark(workspace.store, catalogue) if workspace.has_database else ""


def author_name(raw: str) -> str:
    """A name to sign with; a mail address stays, or all who sign with theirs would be one.

    Raises InputError when nothing is left of it.
    """
    name = " ".join(clean_fragment(raw, personal=False)[0].split())[:MOST_AUTHOR].strip()
    if not name:
        raise _refused("nobody signed; a name of one letter or more was expected. Fill in your name.")
    return name


def case_keys(catalogue: Catalogue) -> frozenset[str]:
    """Every key that a case of this catalogue can have. What was said under another one is about a row that is gone,
    after the catalogue was imported again for example; it stays, and is shown as such."""
    from core.evaluate.cases import SCOPES, case_key

    return frozenset(
        case_key(scope, row.user_id, row.item_id, row.timestamp) for row in catalogue.interactions for scope in SCOPES
    )


# ---- agreement


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Two people on the cases that both have seen, for one label: kappa is None where both always say the same."""

    label: str
    cases: int
    both: int
    only_first: int
    only_second: int
    kappa: float | None

    @property
    def neither(self) -> int:
        return self.cases - self.both - self.only_first - self.only_second


def agreement(said: Iterable[Annotation], first: str, second: str, labels: Iterable[str]) -> list[Agreement]:
    """Cohen's kappa of two people, a label at a time, over cases that both annotated.

    kappa = (observed - expected agreement) / (1 - expected), expected from how often each gives the label.
    Source: Cohen 1960.
    """
    by_author: dict[str, dict[str, set[str]]] = {first: {}, second: {}}
    for one in said:
        if one.author in by_author:
            by_author[one.author][one.case.key] = set(one.labels)
    shared = by_author[first].keys() & by_author[second].keys()
    return [_agreement(label, [(label in by_author[first][key], label in by_author[second][key]) for key in shared])
            for label in labels]  # fmt: skip


def _agreement(label: str, pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    count = len(pairs)
    both = sum(a and b for a, b in pairs)
    first, second = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    kappa = None
    if count:
        observed = sum(a == b for a, b in pairs) / count
        expected = (first * second + (count - first) * (count - second)) / count**2
        kappa = (observed - expected) / (1 - expected) if expected < 1 else None
    return Agreement(
        label=label, cases=count, both=both, only_first=first - both, only_second=second - both, kappa=kappa
    )


# ---- export and import


def annotation_rows(said: Iterable[Annotation]) -> list[dict[str, object]]:
    return [
        {
            "case": one.case.key, "user": one.case.user, "item": one.case.item, "author": one.author,
            "labels": "|".join(one.labels), "note": one.note, "updated": one.updated and one.updated.isoformat(),
        }
        for one in said
    ]  # fmt: skip


def annotations_csv(said: Iterable[Annotation]) -> bytes:
    rows = annotation_rows(said)
    return as_csv(rows or [dict.fromkeys(COLUMNS, None)])


def annotations_json(said: Iterable[Annotation]) -> bytes:
    return json.dumps(annotation_rows(said), ensure_ascii=False, indent=1).encode()


def read_annotations(data: bytes) -> list[Annotation]:
    """What `annotations_csv` or `annotations_json` wrote, or a person in that form. Raises TableError."""
    try:
        text = data.decode("utf-8-sig")
        rows = json.loads(text) if text.lstrip().startswith("[") else list(csv.DictReader(io.StringIO(text)))
        return [_annotation(row) for row in rows if any(row.values())]
    except (UnicodeDecodeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise TableError(
            "E-TAB-TYPE",
            "these are no labels: a CSV or JSON file with case, item, user, author, labels and note was expected. "
            "Export labels once to see its form.",
        ) from error


def import_annotations(workspace: Workspace, catalogue: str, given: Sequence[Annotation]) -> int:
    """Add labels and notes to what is there; a note of the same person stays, never overwritten. How many cases."""
    from core.store.labels import list_annotations, put_label, put_note, put_seen

    known = {(one.case.key, one.author): one for one in list_annotations(workspace.store, catalogue)}

    def add(session: Session) -> int:
        for one in given:
            who, note = author_name(one.author), clean_fragment(one.note)[0][:MOST_NOTE]
            before = known.get((one.case.key, who))
            put_seen(session, catalogue, one.case, who)
            if note and not (before and before.note):
                put_note(session, catalogue, one.case, who, note, before.version if before else 1)
            for label in one.labels:
                put_label(session, catalogue, [one.case], who, _label(label))
        return len(given)

    return _write(workspace, add)


def _annotation(row: Mapping[str, Any]) -> Annotation:
    cell = {name: str(row.get(name) or "").removeprefix("'") for name in COLUMNS}
    if not re.fullmatch(r"[0-9a-f]{16}", cell["case"]) or not cell["author"]:
        raise ValueError(cell["case"])
    labels = tuple(_label(label) for label in cell["labels"].split("|") if label)
    ref = CaseRef(key=cell["case"], user=cell["user"][:255], item=cell["item"][:255])
    return Annotation(case=ref, author=cell["author"], labels=labels, note=cell["note"])


# ---- named slices


def save_slice(
    workspace: Workspace, catalogue: str, name: str, conditions: Sequence[Condition], author: str
) -> SavedSlice:
    """Name a slice; the same conditions have the same link, whoever saves them. Raises InputError, StoreError."""
    from core.evaluate.slices import slice_id
    from core.store.labels import save_slice

    called = " ".join(clean_fragment(name)[0].split())[:120]
    if not called or not conditions:
        raise _refused("a slice without name or conditions cannot be kept. Name it, and choose at least one condition.")
    made = SavedSlice(
        id=slice_id(conditions), catalogue=catalogue, name=called, author=author_name(author),
        conditions=tuple((one.attribute, one.value) for one in conditions), created=datetime.now(UTC),
    )  # fmt: skip
    _write(workspace, lambda session: save_slice(session, made))
    return made


def saved_slices(workspace: Workspace, catalogue: str) -> list[SavedSlice]:
    """The newest first."""
    from core.store.labels import list_slices

    return list_slices(workspace.store, catalogue) if workspace.has_database else []


def find_slice(workspace: Workspace, book: CaseBook, ident: str) -> tuple[str, tuple[Condition, ...]]:
    """Name and conditions behind a slice's link; ("", ()) where neither a person nor the search knows it."""
    from core.evaluate.slices import Condition, slice_id

    for saved in saved_slices(workspace, book.catalogue.name):
        if saved.id == ident:
            return saved.name, tuple(Condition(attribute=a, value=v) for a, v in saved.conditions)
    for search in book.searches.values():
        for one in search.slices:
            if slice_id(one.conditions) == ident:
                return one.name, one.conditions
    return "", ()


def drop_slice(workspace: Workspace, catalogue: str, ident: str) -> None:
    from core.store.labels import drop_slice

    _write(workspace, lambda session: drop_slice(session, catalogue, ident))


def _write(workspace: Workspace, work: Callable[[Session], Kept]) -> Kept:
    """One transaction. Where the database stays busy it is tried again: a label must not be lost to a busy minute."""
    for attempt in range(TRIES):
        try:
            with workspace.store.writing() as session:
                return work(session)
        except StoreError as refused:
            if refused.code != "E-DB-BUSY" or attempt == TRIES - 1:
                raise
    raise AssertionError  # the last try returned or raised


def _label(raw: str) -> str:
    label = " ".join(raw.split())
    if not LABEL.fullmatch(label):
        raise _refused(f'"{label[:60]}" cannot be a label; 1 to {MOST_LABEL} letters without "|" were expected.')
    return label


def _refused(message: str) -> InputError:
    return InputError("E-INPUT-VALUE", message)
