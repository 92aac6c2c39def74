"""PostgreSQL by URL: the same tables and the same promises as SQLite, for several app servers on one store.

    postgresql://user@host/base?schema=shop     `schema` (made where absent) lets many workspaces share one database;
                                                "{home}" in it becomes 12 hex digits of the workspace's path
                               ...&mode=ro      browse only

A writer takes one advisory lock for its transaction, as BEGIN IMMEDIATE does: read-modify-write loses nothing. It runs
at READ COMMITTED, so that what it reads after it got the lock is the last commit. A reader sees one snapshot
(REPEATABLE READ), waits for nobody and cannot write.
"""

from __future__ import annotations

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateSchema

from core.errors import SettingsError

SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,55}")
NAMES = ("postgresql", "postgres")
BUSY = ("lock timeout", "deadlock", "too many clients", "could not serialize", "remaining connection slots")
AWAY = ("connection failed", "could not connect", "connection refused", "server closed", "terminating connection",
        "connection is lost", "starting up", "shutting down", "connection timeout", "connection is closed",
        "could not receive data", "failed to resolve", "connection was closed", "connection reset")  # fmt: skip


def for_home(url: str, home: Path) -> str:
    """The URL of the workspace in `home`: "{home}" in it stands for 12 hex digits of that path."""
    return url.replace("{home}", hashlib.sha256(str(home).encode()).hexdigest()[:12])


def address_of(url: str) -> URL:
    """The URL with our driver in it. Raises SettingsError for another database or an absent driver."""
    try:
        found = make_url(url)
    except ValueError as error:
        raise SettingsError(f"the database address is no URL ({error}); postgresql://user@host/base was expected. "
                            "Correct FUSESCOPE_DATABASE") from error  # fmt: skip
    backend = found.drivername.split("+")[0]
    if backend == "sqlite":
        return found
    if backend not in NAMES:
        raise SettingsError(f'database "{backend}" is not known; sqlite or postgresql was expected. '
                            "Correct FUSESCOPE_DATABASE")  # fmt: skip
    if find_spec("psycopg") is None:
        raise SettingsError("the database is PostgreSQL, and its driver is not installed. Install "
                            "requirements-postgres.txt, or unset FUSESCOPE_DATABASE to use SQLite")  # fmt: skip
    schema = str(found.query.get("schema", "public"))
    if not SCHEMA.fullmatch(schema):
        raise SettingsError(f'schema "{schema[:60]}" in the database address: small letters, digits and "_" were '
                            "expected, a letter first. Correct FUSESCOPE_DATABASE")  # fmt: skip
    return found.set(drivername="postgresql+psycopg")


def server_engine(url: URL, *, wait: float, readonly: bool) -> Engine:
    """An engine that keeps the promises of this module. url: as `address_of` gives it."""
    schema = str(url.query.get("schema", "public"))
    options = f"-c timezone=UTC -c search_path={schema},public -c lock_timeout={int(wait * 1000)}"
    if readonly:
        options += " -c default_transaction_read_only=on"
    engine = create_engine(
        url.difference_update_query(["schema", "mode"]),
        connect_args={"options": options, "connect_timeout": max(2, int(wait))},
        isolation_level="REPEATABLE READ" if readonly else "READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=wait,
    )
    if not readonly:
        key = int.from_bytes(hashlib.sha256(f"fusescope {schema}".encode()).digest()[:8], signed=True)

        @event.listens_for(engine, "begin")
        def one_writer(connection: Connection) -> None:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (key,))

    return engine


def make_schema(engine: Engine, url: URL) -> None:
    """The schema of this workspace, where the address names one that is not there. engine: one that writes."""
    schema = str(url.query.get("schema", "public"))
    with engine.begin() as connection:
        found = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": schema}).scalar()
        if not found:
            connection.execute(CreateSchema(schema))


def fault(error: Any) -> str:
    """What a message of the server means: "readonly", "full", "busy", "away", "damaged" (a table that is not ours),
    else "". error: as SQLAlchemy or the driver raised it."""
    said = str(getattr(error, "orig", None) or error).lower()
    for meaning, words in (
        ("readonly", ("read-only transaction", "permission denied")), ("full", ("no space left", "disk full")),
        ("busy", BUSY), ("away", AWAY),
    ):  # fmt: skip
        if any(word in said for word in words):
            return meaning
    return ""
