"""How long a question lives: some hours after it was last asked, or until it is forgotten where somebody keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from core.files import disk_error
from core.limits import LIMITS

if TYPE_CHECKING:
    from core.workspace import Workspace


QUIET = timedelta(minutes=10)  # a younger file may be of a question that is just being asked


def sweep_questions(workspace: Workspace, now: datetime | None = None) -> int:
    """Remove questions that nobody kept LIMITS.question_hours after they were last asked, and what they brought; how
    many. Waits for nobody where there is nothing to remove. Raises StoreError, also where a file could not be removed:
    the next sweep that finds something tries again."""
    from core.store.runs import any_expired, expire_queries, files_of_queries

    moment = now or datetime.now(UTC)
    before = moment - timedelta(hours=LIMITS.question_hours)
    if not workspace.has_database or not any_expired(workspace.store, before):
        return 0
    with workspace.store.writing() as session:
        count = expire_queries(session, before)
        left = _drop_unnamed(workspace.home / "queries", files_of_queries(session), moment - QUIET)
    workspace.store.settle(rewrite=False)
    if left is not None:
        raise disk_error(left, "a photo, sound or clip of a question")
    return count


def _drop_unnamed(folder: Path, named: set[str], before: datetime) -> OSError | None:
    """Files that no question names and nobody wrote lately; what went wrong with one of them, after all were tried."""
    failed = None
    for path in folder.glob("??/*"):
        try:
            if path.name not in named and path.stat().st_mtime < before.timestamp():
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed = error
    return failed


def question_is_kept(workspace: Workspace, ident: str) -> bool:
    """Whether somebody asked that a question stay."""
    from core.store.runs import query_is_kept

    return query_is_kept(workspace.store, ident)


def keep_question(workspace: Workspace, ident: str) -> None:
    """A question stays until it is forgotten; nothing where it is not there. Raises StoreError."""
    from core.store.runs import keep_query

    with workspace.store.writing() as session:
        keep_query(session, ident)
