"""Runs trained in this workspace, and queries that have a link."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import delete, select
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
    """Keep a query under its id; the same query twice is one row."""
    if session.get(QueryRow, query.id) is None:
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
