"""Nearest vectors inside PostgreSQL (pgvector): one copy of a shop's vectors for all app servers, exact or by HNSW.

Vectors come by COPY, the graph after them. An approximate answer carries the recall that was measured on that very
graph when it was made; exact search stays as the referee. Sets of vectors are derived from runs, so they are made where
they are missing and belong to no migration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    inspect,
    select,
    true,
)
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import UserDefinedType

from core.errors import SettingsError
from core.store.engines import Store

LINKS, BUILT, EFFORT = 16, 64, 200  # of the graph: neighbours of a node; candidates when it is built, when it is asked
MOST_WIDE = 2000  # that pgvector makes a graph of
SETS = Table(
    "vector_sets", MetaData(), Column("name", String(63), primary_key=True), Column("size", Integer, nullable=False),
    Column("width", Integer, nullable=False), Column("recall", Float, nullable=False),
)  # fmt: skip
Floats = NDArray[np.float32]


class Vector(UserDefinedType[Any]):
    """pgvector's `vector(D)`; values are lists of floats."""

    cache_ok, render_bind_cast = True, True

    def __init__(self, width: int) -> None:
        self.width = width

    def get_col_spec(self, **_: Any) -> str:
        return f"vector({self.width})"

    def bind_processor(self, dialect: Any) -> Any:
        return lambda value: None if value is None else written(value)


def written(vector: Any) -> str:
    """As pgvector reads it."""
    return "[" + ",".join(repr(float(one)) for one in vector) + "]"


class PgVectors:
    """A set of unit vectors (N, D) by name. Raises SettingsError where the database has no pgvector."""

    def __init__(self, store: Store, name: str) -> None:
        if store.sqlite:
            raise SettingsError("vectors are searched in PostgreSQL only. Set FUSESCOPE_DATABASE, see docs/scale.md")
        self.store, self.name = store, f"vectors_{name}"

    def made(self) -> tuple[int, int, float] | None:
        """Items, width and recall of the graph; None where this set was not made yet."""
        with self.store.reading() as session:
            return self._made(session)

    def keep(
        self, vectors: Floats, asked: Floats, k: int = 20, *, family: str = "",
        wanted: Callable[[], bool] = lambda: True,
    ) -> float | None:  # fmt: skip
        """The whole set anew: rows by COPY, then the graph, then its recall on `asked` (Q, D), which is returned. One
        transaction: other servers see the set before or the set after.

        family: how the names of sets begin that this one takes the place of. wanted: asked once no other writer can
        come between; where it says no, nothing is kept and None is returned.
        """
        table = self._table(vectors.shape[1])
        with self.store.writing() as session:
            if not wanted():
                return None
            connection = session.connection()
            if not _has_vectors(connection):
                raise SettingsError("this PostgreSQL has no pgvector. Install the extension on the server, then repeat")
            SETS.create(connection, checkfirst=True)
            like = SETS.c.name.startswith(f"vectors_{family}", autoescape=True)
            _drop(session, like if family else SETS.c.name == self.name)
            connection.execute(CreateTable(table))
            self._copy(connection, vectors)
            _graph(table).create(connection)
            recall = float(np.mean([
                np.isin(self._near(session, table, one, k, exact=False)[0],
                        self._near(session, table, one, k, exact=True)[0]).mean()
                for one in asked
            ]))  # fmt: skip
            session.execute(insert(SETS).values(name=self.name, size=len(vectors), width=vectors.shape[1],
                                                recall=recall))  # fmt: skip
        return recall

    def _copy(self, connection: Any, vectors: Floats) -> None:
        from psycopg import sql

        copy = sql.SQL("COPY {} (item, place) FROM STDIN").format(sql.Identifier(self.name))
        with connection.connection.driver_connection.cursor() as cursor, cursor.copy(copy) as rows:
            for item, vector in enumerate(vectors.tolist()):
                rows.write_row((item, written(vector)))

    def search(self, query: Floats, k: int, *, exact: bool = False) -> tuple[NDArray[np.int64], Floats, float]:
        """Rows (k,) by falling inner product with their scores, and the recall that was measured on this very graph; 1
        where it was not used."""
        with self.store.reading() as session:
            known = self._made(session)
            if known is None:
                raise SettingsError(f"{self.name} is not in the database. Keep it first")
            rows, scores = self._near(session, self._table(known[1]), query, k, exact=exact)
        return rows, scores, 1.0 if exact else known[2]

    def _made(self, session: Session) -> tuple[int, int, float] | None:
        if not inspect(session.connection()).has_table(SETS.name):
            return None
        row = session.execute(select(SETS.c.size, SETS.c.width, SETS.c.recall).where(SETS.c.name == self.name))
        found = row.first()
        return (int(found[0]), int(found[1]), float(found[2])) if found else None

    def _near(
        self, session: Session, table: Table, query: Floats, k: int, *, exact: bool
    ) -> tuple[NDArray[np.int64], Floats]:
        settings = {"enable_indexscan": "off"} if exact else {"enable_indexscan": "on", "enable_seqscan": "off",
                                                              "hnsw.ef_search": str(max(EFFORT, k))}  # fmt: skip
        for name, value in settings.items():
            session.execute(select(func.set_config(name, value, True)))  # for this transaction alone
        apart = table.c.place.op("<#>", return_type=Float())(np.asarray(query, dtype=np.float64).tolist())
        order = (apart, table.c.item) if exact else (apart,)
        found = session.execute(select(table.c.item, apart).order_by(*order).limit(k)).all()
        session.execute(select(func.set_config("enable_seqscan", "on", True)))
        return np.array([row[0] for row in found], np.int64), np.array([-row[1] for row in found], np.float32)

    def _table(self, width: int) -> Table:
        if width > MOST_WIDE:
            raise SettingsError(f"vectors are {width} wide; pgvector makes graphs of up to {MOST_WIDE}")
        return Table(self.name, MetaData(), Column("item", Integer, primary_key=True, autoincrement=False),
                     Column("place", Vector(width), nullable=False))  # fmt: skip


def forget_sets(store: Store) -> int:
    """Every set of vectors leaves the database, since it can be made again; how many that were."""
    if store.sqlite:
        return 0
    with store.writing() as session:
        connection = session.connection()
        if not inspect(connection).has_table(SETS.name):
            return 0
        return _drop(session, true())


def _drop(session: Session, which: ColumnElement[bool]) -> int:
    names = list(session.execute(select(SETS.c.name).where(which)).scalars())
    for name in names:
        Table(name, MetaData()).drop(session.connection(), checkfirst=True)
    session.execute(delete(SETS).where(which))
    return len(names)


def _graph(table: Table) -> Index:
    return Index(
        f"{table.name}_hnsw", table.c.place, postgresql_using="hnsw", postgresql_ops={"place": "vector_ip_ops"},
        postgresql_with={"m": LINKS, "ef_construction": BUILT},
    )  # fmt: skip


def _has_vectors(connection: Any) -> bool:
    """Whether the extension is there, made now where the server has it and lets us."""
    from sqlalchemy import text

    found = connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")).scalar()
    if found:
        return True
    if not connection.execute(text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")).scalar():
        return False
    connection.execute(text("CREATE EXTENSION vector WITH SCHEMA public"))
    return True
