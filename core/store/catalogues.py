"""Imported catalogues: kept whole in one transaction, given back as they were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core.domain import Catalogue, FeatureMatrix, Interaction, Item, Words
from core.store.engines import Store
from core.store.tables import CatalogueRow, InteractionRow, ItemRow, MediumRow
from core.store.values import CatalogueInfo, count_media

BATCH = 2_000  # rows of one INSERT


def save_catalogue(session: Session, catalogue: Catalogue, report: Mapping[str, Any]) -> None:
    """Put `catalogue` in the place of whatever had its name. The caller's transaction makes it all or nothing."""
    session.execute(delete(CatalogueRow).where(CatalogueRow.name == catalogue.name))
    head = CatalogueRow(
        name=catalogue.name,
        version=catalogue.version,
        items=len(catalogue.items),
        users=len({one.user_id for one in catalogue.interactions}),
        interactions=len(catalogue.interactions),
        media=count_media(catalogue),
        features={modality: asdict(matrix) for modality, matrix in catalogue.features.items()},
        report={**report, **({"words": asdict(catalogue.words)} if catalogue.words != Words() else {})},
        created=datetime.now(UTC),
    )
    session.add(head)
    session.flush()
    _insert(session, ItemRow, (_item_values(head.id, row, item) for row, item in enumerate(catalogue.items)))
    position = catalogue.position()
    _insert(
        session,
        InteractionRow,
        (_interaction_values(head.id, row, position, one) for row, one in enumerate(catalogue.interactions)),
    )
    _insert(session, MediumRow, _media_values(head.id, catalogue))


def load_catalogue(store: Store, name: str, root: Path) -> Catalogue | None:
    """The catalogue `name` with its media below `root`, None if there is none."""
    with store.reading() as session:
        head = session.scalar(select(CatalogueRow).where(CatalogueRow.name == name))
        if head is None:
            return None
        of_items, of_interactions = _media(session, head.id)
        items = tuple(
            Item(
                item_id=row.item_id, title=row.title, description=row.description, category=row.category,
                price=row.price, media=of_items.get(row.row, {}), attributes=row.attributes,
            )
            for row in session.execute(
                select(*_columns(ItemRow)).where(ItemRow.catalogue_id == head.id).order_by(ItemRow.row)
            )
        )  # fmt: skip
        interactions = tuple(
            Interaction(
                user_id=row.user_id, item_id=items[row.item_row].item_id, rating=row.rating, timestamp=row.timestamp,
                review_title=row.review_title, review_text=row.review_text, media=of_interactions.get(row.row, {}),
                split=row.split,
            )
            for row in session.execute(
                select(*_columns(InteractionRow))
                .where(InteractionRow.catalogue_id == head.id)
                .order_by(InteractionRow.row)
            )
        )  # fmt: skip
        return Catalogue(
            name=name, version=head.version, root=root, items=items, interactions=interactions,
            features={modality: FeatureMatrix(**matrix) for modality, matrix in head.features.items()},
            words=Words(**head.report.get("words", {})),
        )  # fmt: skip


def list_catalogues(store: Store) -> list[CatalogueInfo]:
    """Imported catalogues by name."""
    with store.reading() as session:
        return [
            CatalogueInfo(
                name=row.name, items=row.items, users=row.users, interactions=row.interactions, media=row.media,
                version=row.version, report=row.report,
            )
            for row in session.scalars(select(CatalogueRow).order_by(CatalogueRow.name))
        ]  # fmt: skip


def _columns(table: type) -> tuple[Any, ...]:
    return tuple(table.__table__.columns)  # type: ignore[attr-defined]


def _insert(session: Session, table: type, rows: Iterable[dict[str, Any]]) -> None:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        session.execute(insert(table), batch)


def _item_values(catalogue: int, row: int, item: Item) -> dict[str, Any]:
    return {
        "catalogue_id": catalogue, "row": row, "item_id": item.item_id, "title": item.title,
        "description": item.description, "category": item.category, "price": item.price,
        "attributes": dict(item.attributes),
    }  # fmt: skip


def _interaction_values(catalogue: int, row: int, position: Mapping[str, int], one: Interaction) -> dict[str, Any]:
    return {
        "catalogue_id": catalogue, "row": row, "user_id": one.user_id, "item_row": position[one.item_id],
        "rating": one.rating, "timestamp": one.timestamp, "review_title": one.review_title,
        "review_text": one.review_text, "split": one.split,
    }  # fmt: skip


def _media_values(catalogue: int, source: Catalogue) -> Iterable[dict[str, Any]]:
    owners: tuple[tuple[str, Sequence[Item | Interaction]], ...] = (
        ("item_row", source.items),
        ("interaction_row", source.interactions),
    )
    for column, things in owners:
        for row, thing in enumerate(things):
            for modality, paths in thing.media.items():
                for position, path in enumerate(paths):
                    yield {
                        "catalogue_id": catalogue, "item_row": None, "interaction_row": None, column: row,
                        "modality": modality, "position": position, "path": path,
                    }  # fmt: skip


Media = dict[int | None, dict[str, tuple[str, ...]]]


def _media(session: Session, catalogue: int) -> tuple[Media, Media]:
    of_items: Media = defaultdict(dict)
    of_interactions: Media = defaultdict(dict)
    rows = session.execute(
        select(MediumRow.item_row, MediumRow.interaction_row, MediumRow.modality, MediumRow.path)
        .where(MediumRow.catalogue_id == catalogue)
        .order_by(MediumRow.position, MediumRow.id)
    )
    for item, interaction, modality, path in rows:
        owner = of_interactions[interaction] if item is None else of_items[item]
        owner[modality] = (*owner.get(modality, ()), path)
    return of_items, of_interactions
