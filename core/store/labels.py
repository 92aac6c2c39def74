"""What people say about cases: labels, notes, the label set, named slices; and what was forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import StoreError
from core.store.engines import Store
from core.store.tables import AnnotationRow, ForgottenRow, LabelNameRow, LabelRow, SliceRow
from core.store.values import Annotation, CaseRef, Forgotten, SavedSlice


def put_label(
    session: Session, catalogue: str, cases: Iterable[CaseRef], author: str, label: str, *, present: bool = True
) -> int:
    """Give a label to cases, or take it back; how many that changed. Never loses what somebody else wrote."""
    changed = 0
    for case in cases:
        row = _row(session, catalogue, case, author)
        there = session.get(LabelRow, (row.id, label))
        if present == (there is not None):
            continue
        if there is None:
            session.add(LabelRow(annotation_id=row.id, label=label, created=datetime.now(UTC)))
        else:
            session.delete(there)
        _touch(session, row.id)
        changed += 1
    return changed


def put_note(session: Session, catalogue: str, case: CaseRef, author: str, note: str, version: int) -> None:
    """Keep a note if the annotation is still at `version` (0: none was there). Raises StoreError E-DB-CONFLICT."""
    row = _row(session, catalogue, case, author)
    now = datetime.now(UTC)
    changed = session.execute(
        update(AnnotationRow)
        .where(AnnotationRow.id == row.id, AnnotationRow.version == max(version, 1))
        .values(note=note, version=AnnotationRow.version + 1, updated=now)
    )
    if not changed.rowcount:  # type: ignore[attr-defined]
        raise StoreError(
            "E-DB-CONFLICT",
            f"this case was changed at {row.updated:%H:%M:%S} UTC, in another tab or by another person who signs as "
            f"{author}; your note was not saved over it. Copy your words, load the case again, then save.",
        )


def put_seen(session: Session, catalogue: str, case: CaseRef, author: str) -> None:
    _row(session, catalogue, case, author)


def list_annotations(
    store: Store, catalogue: str, keys: Sequence[str] | None = None, *, author: str | None = None
) -> list[Annotation]:
    """All annotations of a catalogue, by case and author; of these cases, by this author, where given."""
    wanted = select(AnnotationRow).where(AnnotationRow.catalogue == catalogue)
    if keys is not None:
        wanted = wanted.where(AnnotationRow.case_key.in_(keys))
    if author is not None:
        wanted = wanted.where(AnnotationRow.author == author)
    with store.reading() as session:
        rows = list(session.scalars(wanted.order_by(AnnotationRow.case_key, AnnotationRow.author)))
        labels = defaultdict(list)
        mine = wanted.with_only_columns(AnnotationRow.id).scalar_subquery()
        for ident, label in session.execute(
            select(LabelRow.annotation_id, LabelRow.label)
            .where(LabelRow.annotation_id.in_(mine))
            .order_by(LabelRow.created, LabelRow.label)
        ):
            labels[ident].append(label)
        return [
            Annotation(
                case=CaseRef(key=row.case_key, user=row.user_id, item=row.item_id), author=row.author,
                labels=tuple(labels[row.id]), note=row.note, version=row.version, updated=row.updated,
            )
            for row in rows
        ]  # fmt: skip


def annotations_mark(store: Store, catalogue: str) -> str:
    """Another text whenever anything was said, changed or removed: what a reader of many annotations keeps them by."""
    told = select(
        func.count(), func.max(AnnotationRow.id), func.sum(AnnotationRow.version), func.max(AnnotationRow.updated)
    ).where(AnnotationRow.catalogue == catalogue)
    with store.reading() as session:
        return str(tuple(session.execute(told).one()))


def label_names(store: Store) -> dict[str, str]:
    """Label -> its meaning, in the order of the keys; {} where nobody made a set yet."""
    with store.reading() as session:
        return {row.name: row.meaning for row in session.scalars(select(LabelNameRow).order_by(LabelNameRow.position))}


def save_label_names(session: Session, names: dict[str, str]) -> None:
    """The whole label set; labels that were given stay as they are."""
    session.execute(delete(LabelNameRow))
    session.add_all(
        LabelNameRow(name=name, meaning=meaning, position=place) for place, (name, meaning) in enumerate(names.items())
    )


def save_slice(session: Session, one: SavedSlice) -> None:
    """Keep a slice under its id; the same conditions under a new name are renamed."""
    session.merge(
        SliceRow(
            id=one.id, catalogue=one.catalogue, name=one.name, conditions=[list(pair) for pair in one.conditions],
            author=one.author, created=one.created,
        )
    )  # fmt: skip


def drop_slice(session: Session, catalogue: str, ident: str) -> None:
    session.execute(delete(SliceRow).where(SliceRow.catalogue == catalogue, SliceRow.id == ident))


def list_slices(store: Store, catalogue: str) -> list[SavedSlice]:
    """Named slices of a catalogue, the newest first."""
    with store.reading() as session:
        return [
            SavedSlice(
                id=row.id, catalogue=row.catalogue, name=row.name, author=row.author, created=row.created,
                conditions=tuple((attribute, value) for attribute, value in row.conditions),
            )
            for row in session.scalars(
                select(SliceRow).where(SliceRow.catalogue == catalogue).order_by(SliceRow.created.desc(), SliceRow.id)
            )
        ]  # fmt: skip


def forget_annotations(session: Session, catalogue: str, *, user: str | None = None, item: str | None = None) -> int:
    """Remove what people said about cases of a user or item; how many annotations that were."""
    column, value = (AnnotationRow.user_id, user) if user is not None else (AnnotationRow.item_id, item)
    where = (AnnotationRow.catalogue == catalogue, column == value)
    count = session.scalar(select(func.count()).select_from(AnnotationRow).where(*where)) or 0
    session.execute(delete(AnnotationRow).where(*where))
    return count


def add_forgotten(session: Session, one: Forgotten) -> None:
    """Remember a removal; the same one twice is one row, with the runs of both."""
    row = session.scalar(
        select(ForgottenRow).where(ForgottenRow.catalogue == one.catalogue, ForgottenRow.digest == one.digest)
    )
    if row is None:
        session.add(
            ForgottenRow(
                catalogue=one.catalogue, kind=one.kind, digest=one.digest, runs=list(one.runs), created=one.created
            )
        )
    else:
        row.runs = sorted({*row.runs, *one.runs})


def list_forgotten(store: Store) -> list[Forgotten]:
    with store.reading() as session:
        return [
            Forgotten(
                catalogue=row.catalogue, kind=row.kind, digest=row.digest, runs=tuple(row.runs), created=row.created
            )
            for row in session.scalars(select(ForgottenRow).order_by(ForgottenRow.id))
        ]


def _row(session: Session, catalogue: str, case: CaseRef, author: str) -> AnnotationRow:
    """The annotation of this person on this case, made (at version 1) where there is none."""
    wanted = select(AnnotationRow).where(
        AnnotationRow.catalogue == catalogue, AnnotationRow.case_key == case.key, AnnotationRow.author == author
    )
    found = session.scalar(wanted)
    if found is None:
        made = AnnotationRow(
            catalogue=catalogue, case_key=case.key, user_id=case.user, item_id=case.item, author=author, note="",
            version=1, updated=datetime.now(UTC),
        )  # fmt: skip
        try:
            with session.begin_nested():
                session.add(made)
            found = made
        except IntegrityError:  # a server lets two people insert at once; the second takes the first one's row
            found = session.scalars(wanted).one()
    return found


def _touch(session: Session, ident: int) -> None:
    session.execute(update(AnnotationRow).where(AnnotationRow.id == ident).values(updated=datetime.now(UTC)))
