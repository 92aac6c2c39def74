"""How the database is reached: one engine that writes, one that reads, and every fault in our own words.

Measured: SQLAlchemy with SQLite as it comes loses most of 1000 concurrent increments without any error; a writer that
begins with BEGIN IMMEDIATE under WAL loses none, and readers on their own engine never wait for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from core.errors import StoreError
from core.store.postgres import address_of, fault, make_schema, server_engine

HEAD = "0005"  # newest revision in migrations/versions; a test compares the two
KNOWN = ("0001", "0002", "0003", "0004", "0005")
MIGRATIONS = Path(__file__).parent / "migrations"
WAIT = 30.0  # seconds a writer waits for another
SOON = 1.0  # seconds where a visitor waits too
FULL = "the disk is full; nothing of this step was kept. Free some space, then repeat it."
IN_USE = "the database is in use by another process and stayed so; nothing was changed. Try again in a moment."


class Store:
    """One database. `reading()` and `writing()` give short sessions; anything that will write begins with `writing`."""

    def __init__(self, url: str, *, wait: float = WAIT) -> None:
        self.url = address_of(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.readonly = self.url.query.get("mode") == "ro"
        self.write = _engine(self.url, "BEGIN IMMEDIATE", wait=wait, readonly=self.readonly)
        self.read = _engine(self.url, "BEGIN", wait=wait, readonly=True)

    @classmethod
    def open(cls, place: Path | str, *, wait: float = WAIT) -> Store:
        """Open a database file, or a URL as core/store/postgres.py knows them.

        A fresh one is made, an older one upgraded after a backup, a newer one refused.

        Raises StoreError E-DB-NEWER, E-DB-OLDER (older and not writable), E-DB-BROKEN, E-DB-BUSY, E-DISK-FULL.
        """
        store = cls(f"sqlite:///{place}" if isinstance(place, Path) else place, wait=wait)
        if store.file is not None and not store.readonly:
            store.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            store.prepare()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def file(self) -> Path | None:
        """The SQLite file, None for a server."""
        name = self.url.database if self.sqlite else None
        return Path(name.removeprefix("file:")) if name and name != ":memory:" else None

    @property
    def backups(self) -> Path | None:
        return self.file.parent / "backups" if self.file else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees the last commit and cannot write."""
        with self._told(), Session(self.read) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that holds the write lock from here and commits when its block ends well."""
        if self.readonly:
            raise self._readonly()
        with self._told(), Session(self.write) as session, session.begin():
            session.connection()  # takes the write lock now, not at the first statement
            yield session

    def prepare(self) -> None:
        """Bring the schema to HEAD. Two processes may do this at once: the second finds it done."""
        with self._told():
            version = self._version()
            if version == HEAD:
                return
            if version is not None and version not in KNOWN:
                raise StoreError(
                    "E-DB-NEWER",
                    f"the database was written by a newer Fusescope (schema {version}, this one knows {HEAD}). "
                    "Update Fusescope, or choose another workspace with --home.",
                )
            if self.readonly:
                raise StoreError(
                    "E-DB-OLDER",
                    f"the database has schema {version or 'none'}, {HEAD} is needed, and it is opened for reading "
                    "only. Open it once with write access: it is backed up and upgraded.",
                )
            if version is not None:
                self._back_up(version)
            elif not self.sqlite:
                make_schema(self.write, self.url)
            self._upgrade()

    def settle(self, *, rewrite: bool) -> None:
        """What was deleted leaves the log of changes, unless somebody reads it just now; rewrite: also waits for other
        writers and writes every page anew. Nothing on a server. Raises StoreError."""
        if self.file is None:
            return
        with self._told():
            connection = sqlite3.connect(self.file, timeout=WAIT if rewrite else SOON, isolation_level=None)
            try:
                if rewrite:
                    connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()

    def close(self) -> None:
        self.write.dispose()
        self.read.dispose()

    def _version(self) -> str | None:
        with self.read.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def _back_up(self, version: str) -> None:
        if self.file is None or self.backups is None:
            return
        self.backups.mkdir(exist_ok=True)
        target = self.backups / f"schema-{version}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite"
        connection = sqlite3.connect(self.file, timeout=WAIT, isolation_level=None)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        finally:
            connection.close()

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.write.begin() as connection:  # the lock is held from here: a second process waits, then finds HEAD
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except (SQLAlchemyError, sqlite3.Error, OSError, UnicodeDecodeError, JSONDecodeError) as error:
            raise self._in_words(error) from error

    def _in_words(self, error: Exception) -> StoreError:
        if not self.sqlite:
            return self._server_in_words(error)
        message = str(error.orig if isinstance(error, DBAPIError) else error).lower()
        if "disk is full" in message or "no space left" in message:
            return StoreError("E-DISK-FULL", FULL)
        if "readonly" in message or "read-only" in message or "permission denied" in message:
            return self._readonly()
        if isinstance(error, PoolTimeoutError) or "locked" in message or "busy" in message:
            return StoreError("E-DB-BUSY", IN_USE)
        return StoreError("E-DB-BROKEN", self._broken())

    def _server_in_words(self, error: Exception) -> StoreError:
        meaning, name = fault(error), self.url.render_as_string(hide_password=True)
        if meaning == "readonly":
            return self._readonly()
        if meaning == "full":
            return StoreError("E-DISK-FULL", FULL)
        if meaning == "busy" or isinstance(error, PoolTimeoutError):
            return StoreError("E-DB-BUSY", IN_USE)
        if meaning == "away":
            return StoreError(
                "E-DB-BUSY",
                f"{name}: the database server cannot be reached or is starting again; nothing was changed. Try again "
                "in a moment; if it stays so, look whether the server runs and whether FUSESCOPE_DATABASE is right.",
            )
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()
        return StoreError(
            "E-DB-BROKEN",
            f"{name}: the database answered what Fusescope cannot use ({said[0][:160] if said else 'nothing'}). "
            "Restore it from the server's backup, or choose another schema.",
        )

    def _readonly(self) -> StoreError:
        return StoreError(
            "E-DB-READONLY",
            "the database is open for reading only, so nothing can be saved. Give write access to the workspace, or "
            "choose another one with --home.",
        )

    def _broken(self) -> str:
        name = self.file.name if self.file else self.url.render_as_string(hide_password=True)
        copies = sorted(self.backups.glob("*.sqlite")) if self.backups and self.backups.is_dir() else []
        hint = (
            f"The newest backup is backups/{copies[-1].name} in the workspace: put it in its place."
            if copies
            else "There is no backup: move the file away and import the catalogues again."
        )
        return f"{name}: this cannot be read as a Fusescope database; it was damaged or is another kind of file. {hint}"


def _engine(url: URL, begin: str, *, wait: float, readonly: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return server_engine(url, wait=wait, readonly=readonly)
    engine = create_engine(url, pool_timeout=wait, connect_args={"timeout": wait})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(wait * 1000)}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if readonly:
            cursor.execute("PRAGMA query_only=ON")
        else:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten in the file, not only unlisted
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
