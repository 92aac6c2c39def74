"""Long work as rows: one active job for every (kind, target), kept alive by a heartbeat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import JobError
from core.store.engines import Store
from core.store.tables import JobRow
from core.store.values import ACTIVE_STATES, JobInfo


def add_job(
    store: Store, kind: str, target: str, arguments: Sequence[str], host: str, most: int | None = None
) -> JobInfo | None:
    """A new queued job, or None when one of its kind and target is active.

    most: active jobs of its kind, this one too. Raises JobError E-QUEUE-FULL.
    """
    now = datetime.now(UTC)
    try:
        with store.writing() as session:
            row = JobRow(
                kind=kind, target=target, arguments=list(arguments), state="queued", host=host, pid=None, fraction=0.0,
                label="waiting to start", remaining=None, cancel=False, created=now, heartbeat=now, finished=None,
                code="", message="", result=None,
            )  # fmt: skip
            session.add(row)
            session.flush()
            active = select(func.count()).where(JobRow.kind == kind, JobRow.state.in_(ACTIVE_STATES))
            if most is not None and (session.scalar(active) or 0) > most:
                raise JobError("E-QUEUE-FULL", f"{most - 1} others wait for their turn already, and that is the most. "
                               "Wait until one is done, or cancel one that waits.")  # fmt: skip
            return _info(row)
    except IntegrityError:
        return None


def list_jobs(store: Store, *, active: bool = False, limit: int = 100) -> list[tuple[JobInfo, str]]:
    """The newest jobs first, each with the host it runs on."""
    wanted = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
    if active:
        wanted = wanted.where(JobRow.state.in_(ACTIVE_STATES))
    with store.reading() as session:
        return [(_info(row), row.host) for row in session.scalars(wanted)]


def load_job(store: Store, ident: int) -> tuple[JobInfo, str] | None:
    """One job and its host."""
    with store.reading() as session:
        row = session.get(JobRow, ident)
        return None if row is None else (_info(row), row.host)


def change_job(store: Store, ident: int, states: Iterable[str] = ACTIVE_STATES, **values: Any) -> bool:
    """Set columns of a job that is in one of `states`; False when it is not, or another one took its place."""
    try:
        with store.writing() as session:
            found = session.execute(
                update(JobRow).where(JobRow.id == ident, JobRow.state.in_(tuple(states))).values(**values)
            )
            return bool(found.rowcount)  # type: ignore[attr-defined]
    except IntegrityError:
        return False


def wants_cancel(store: Store, ident: int) -> bool:
    """Whether a person asked this job to stop."""
    with store.reading() as session:
        return bool(session.scalar(select(JobRow.cancel).where(JobRow.id == ident)))


def _info(row: JobRow) -> JobInfo:
    return JobInfo(
        id=row.id, kind=row.kind, target=row.target, arguments=tuple(row.arguments), state=row.state,
        fraction=row.fraction, label=row.label, remaining=row.remaining, pid=row.pid, created=row.created,
        heartbeat=row.heartbeat, finished=row.finished, code=row.code, message=row.message, result=row.result,
    )  # fmt: skip
