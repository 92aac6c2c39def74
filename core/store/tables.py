"""The tables, written to PostgreSQL's rules and kept in SQLite: lengths checked, UTC times, named constraints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ACTIVE = "state IN ('queued', 'running')"


class Words(TypeDecorator[str]):
    """Text that every database can keep: NUL and lone surrogates, which PostgreSQL refuses, are dropped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


class Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite forgets the zone, so it is put back on reading (connections to a server speak UTC)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class CatalogueRow(Base):
    """One imported catalogue; `features` are its feature matrices by modality, `report` is what the import cleaned and
    refused, as numbers and messages."""

    __tablename__ = "catalogues"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    version: Mapped[str] = mapped_column(String(64))
    items: Mapped[int] = mapped_column(Integer)
    users: Mapped[int] = mapped_column(Integer)
    interactions: Mapped[int] = mapped_column(Integer)
    media: Mapped[dict[str, int]] = mapped_column(JSON)
    features: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSON, default=dict)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Moment)


class ItemRow(Base):
    """`row` is the place in the item file and the index order everywhere."""

    __tablename__ = "items"
    __table_args__ = (Index("uq_items_item_id", "catalogue_id", "item_id", unique=True),)

    catalogue_id: Mapped[int] = mapped_column(ForeignKey("catalogues.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    item_id: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(Words)
    description: Mapped[str] = mapped_column(Words)
    category: Mapped[str] = mapped_column(Words)
    price: Mapped[float | None]
    attributes: Mapped[dict[str, str]] = mapped_column(JSON)


class InteractionRow(Base):
    """`user_id` is a keyed hash; `timestamp` is UTC milliseconds; `rating` NULL means unrated."""

    __tablename__ = "interactions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["catalogue_id", "item_row"], ["items.catalogue_id", "items.row"], name="fk_interactions_item",
            ondelete="CASCADE",
        ),
        Index("ix_interactions_user", "catalogue_id", "user_id"),
        Index("ix_interactions_item", "catalogue_id", "item_row"),
    )  # fmt: skip

    catalogue_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    row: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    user_id: Mapped[str] = mapped_column(String(255))
    item_row: Mapped[int] = mapped_column(Integer)
    rating: Mapped[float | None]
    timestamp: Mapped[int | None] = mapped_column(BigInteger)
    review_title: Mapped[str] = mapped_column(Words)
    review_text: Mapped[str] = mapped_column(Words)
    split: Mapped[str] = mapped_column(String(32))


class MediumRow(Base):
    """One photo, sound or clip of an item or of an interaction; `path` is relative to the media folder."""

    __tablename__ = "media"
    __table_args__ = (
        ForeignKeyConstraint(
            ["catalogue_id", "item_row"], ["items.catalogue_id", "items.row"], name="fk_media_item",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["catalogue_id", "interaction_row"], ["interactions.catalogue_id", "interactions.row"],
            name="fk_media_interaction", ondelete="CASCADE",
        ),
        CheckConstraint("(item_row IS NULL) <> (interaction_row IS NULL)", name="one_owner"),
        Index("ix_media_item", "catalogue_id", "item_row"),
        Index("ix_media_interaction", "catalogue_id", "interaction_row"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    catalogue_id: Mapped[int] = mapped_column(Integer)
    item_row: Mapped[int | None] = mapped_column(Integer)
    interaction_row: Mapped[int | None] = mapped_column(Integer)
    modality: Mapped[str] = mapped_column(String(16))
    position: Mapped[int] = mapped_column(Integer)
    path: Mapped[str] = mapped_column(String(1024))


class RunRow(Base):
    """A trained run; its folder lies under the workspace's `runs`, `digest` is the sha256 of its run.json."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[str] = mapped_column(String(128), unique=True)
    catalogue: Mapped[str] = mapped_column(String(64), index=True)
    align: Mapped[str] = mapped_column(String(32))
    fuse: Mapped[str] = mapped_column(String(32))
    rank: Mapped[str] = mapped_column(String(32))
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)
    digest: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(Moment)


class QueryRow(Base):
    """A query that has a link. `parts` names stored files by sha256 and keeps cleaned, redacted text; `kept`: until it
    is forgotten, else for LIMITS.question_hours since it was last asked."""

    __tablename__ = "queries"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    run: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[str | None] = mapped_column(String(255))
    parts: Mapped[list[dict[str, str]]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Moment)
    kept: Mapped[bool] = mapped_column(Boolean, default=False)


class JobRow(Base):
    """Long work. While it is queued or running, no second job of its kind and target can exist."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "uq_jobs_active", "kind", "target", unique=True, sqlite_where=text(ACTIVE), postgresql_where=text(ACTIVE)
        ),
        CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')", name="state"
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    target: Mapped[str] = mapped_column(String(128))
    arguments: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int | None] = mapped_column(Integer)
    fraction: Mapped[float]
    label: Mapped[str] = mapped_column(Words)
    remaining: Mapped[float | None]
    cancel: Mapped[bool]
    created: Mapped[datetime] = mapped_column(Moment)
    heartbeat: Mapped[datetime] = mapped_column(Moment)
    finished: Mapped[datetime | None] = mapped_column(Moment)
    code: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Words)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class AnnotationRow(Base):
    """What one person noted about one case; a row means that they have seen it. `version` counts its notes."""

    __tablename__ = "annotations"
    __table_args__ = (Index("uq_annotations_case", "catalogue", "case_key", "author", unique=True),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    catalogue: Mapped[str] = mapped_column(String(64))
    case_key: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[str] = mapped_column(String(255), index=True)
    item_id: Mapped[str] = mapped_column(String(255), index=True)
    author: Mapped[str] = mapped_column(String(80))
    note: Mapped[str] = mapped_column(Words)
    version: Mapped[int] = mapped_column(Integer)
    updated: Mapped[datetime] = mapped_column(Moment)


class LabelRow(Base):
    """One label that a person gave to a case."""

    __tablename__ = "labels"

    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id", ondelete="CASCADE"), primary_key=True)
    label: Mapped[str] = mapped_column(String(40), primary_key=True)
    created: Mapped[datetime] = mapped_column(Moment)


class LabelNameRow(Base):
    """The label set of this workspace, in the order of its keys 1 to 9."""

    __tablename__ = "label_names"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    meaning: Mapped[str] = mapped_column(Words)
    position: Mapped[int] = mapped_column(Integer)


class SliceRow(Base):
    """A slice that somebody named; `id` is that of its link."""

    __tablename__ = "slices"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    catalogue: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    conditions: Mapped[list[list[str]]] = mapped_column(JSON)
    author: Mapped[str] = mapped_column(String(80))
    created: Mapped[datetime] = mapped_column(Moment)


class ForgottenRow(Base):
    """A user or item that was removed, as a keyed digest that is used nowhere else; `runs` had learned from it."""

    __tablename__ = "forgotten"
    __table_args__ = (Index("uq_forgotten_digest", "catalogue", "digest", unique=True),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    catalogue: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))
    digest: Mapped[str] = mapped_column(String(64))
    runs: Mapped[list[str]] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(Moment)
