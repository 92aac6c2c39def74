"""Runs trained in this workspace, and queries that have a link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from core.store.engines import Store
from core.store.tables import QueryRow, RunRow
from core.store.values import RunInfo, SavedPart, SavedQuery


def save_run(session: Session, info: RunInfo) -> None:
    """Keep the run in the place of whatever had its name."""
    session.execute(delete(RunRow).where(RunRow.run == info.run))
    session.add(
        RunRow(
            run=info.run, catalogue=info.catalogue, align=info.align, fuse=info.fuse, rank=info.rank,
            metrics=dict(info.metrics), digest=info.digest, created=info.created,
        )
    )  # fmt: skip


def list_runs(store: Store) -> list[RunInfo]:
    """Runs of this workspace, the newest first."""
    with store.reading() as session:
        return [
            RunInfo(
                run=row.run, catalogue=row.catalogue, align=row.align, fuse=row.fuse, rank=row.rank,
                metrics=row.metrics, created=row.created, digest=row.digest,
            )
            for row in session.scalars(select(RunRow).order_by(RunRow.id.desc()))
        ]  # fmt: skip


def save_query(session: Session, query: SavedQuery) -> None:
    """Store a query under its id; the same query twice is one row, as old as it was last asked."""
    known = session.get(QueryRow, query.id)
    if known is not None:
        known.created = datetime.now(UTC)
    else:
        parts = [asdict(part) for part in query.parts]
        session.add(
            QueryRow(id=query.id, run=query.run, user_id=query.user, parts=parts, created=datetime.now(UTC))
        )  # fmt: skip


def load_query(store: Store, ident: str) -> SavedQuery | None:
    """The saved query, None if nobody saved it."""
    with store.reading() as session:
        row = session.get(QueryRow, ident)
        if row is None:
            return None
        parts = tuple(SavedPart(**part) for part in row.parts)
        return SavedQuery(id=row.id, run=row.run, user=row.user_id, parts=parts)


def forget_queries(
    session: Session, user: str | None, theirs: Callable[[Mapping[str, str]], bool]
) -> tuple[int, list[str]]:
    """Remove the questions of a user and those with a part (text, file) that is theirs; how many, and files that none
    else has."""
    return _drop_queries(
        session, lambda row: (user is not None and row.user_id == user) or any(map(theirs, row.parts))
    )  # fmt: skip


def any_expired(store: Store, before: datetime) -> bool:
    """Whether `expire_queries` would find one; takes no lock."""
    with store.reading() as session:
        return session.scalar(select(QueryRow.id).where(*_expired(before)).limit(1)) is not None


def expire_queries(session: Session, before: datetime) -> int:
    """Remove the questions that were last asked before a moment and that nobody kept; how many."""
    gone = list(session.scalars(select(QueryRow).where(*_expired(before))))
    for row in gone:
        session.delete(row)
    session.flush()
    return len(gone)


def files_of_queries(session: Session) -> set[str]:
    return {part["file"] for parts in session.scalars(select(QueryRow.parts)) for part in parts if part.get("file")}


def _expired(before: datetime) -> tuple[ColumnElement[bool], ...]:
    return QueryRow.kept.is_(False), QueryRow.created < before


def keep_query(session: Session, ident: str) -> None:
    """A question stays until it is forgotten; nothing where it is not there."""
    session.execute(update(QueryRow).where(QueryRow.id == ident).values(kept=True))


def query_is_kept(store: Store, ident: str) -> bool:
    with store.reading() as session:
        row = session.get(QueryRow, ident)
        return row is not None and row.kept


def _drop_queries(session: Session, drop: Callable[[QueryRow], bool]) -> tuple[int, list[str]]:
    gone: list[QueryRow] = []
    kept: list[QueryRow] = []
    for row in session.scalars(select(QueryRow)):
        (gone if drop(row) else kept).append(row)
    files = {part["file"] for row in gone for part in row.parts if part.get("file")}
    files -= {part["file"] for row in kept for part in row.parts if part.get("file")}
    for row in gone:
        session.delete(row)
    return len(gone), sorted(files)
