"""How long a question lives: some hours after it was last asked, or until it is forgotten where somebody keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.limits import LIMITS
from core.privacy import drop_copies

if TYPE_CHECKING:
    from core.workspace import Workspace


def sweep_questions(workspace: Workspace, now: datetime | None = None) -> int:
    """Remove questions that nobody kept LIMITS.question_hours after they were last asked, and what they brought; how
    many. Raises StoreError."""
    from core.store.runs import expire_queries

    if not workspace.has_database:
        return 0
    with workspace.store.writing() as session:
        count, copies = expire_queries(session, (now or datetime.now(UTC)) - timedelta(hours=LIMITS.question_hours))
    drop_copies(workspace, copies)
    return count


def question_is_kept(workspace: Workspace, ident: str) -> bool:
    """Whether somebody asked that a question stay."""
    from core.store.runs import query_is_kept

    return query_is_kept(workspace.store, ident)


def keep_question(workspace: Workspace, ident: str) -> None:
    """A question stays until it is forgotten; nothing where it is not there. Raises StoreError."""
    from core.store.runs import keep_query

    with workspace.store.writing() as session:
        keep_query(session, ident)
