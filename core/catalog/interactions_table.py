"""One table of interactions (CSV, TSV, JSON Lines, Parquet) without a table of items: items are known by id alone.

Bad rows are left out and listed, as in the canonical folder. RecTools' `weight` and `datetime` are understood.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.catalog.folder import TABLE_ENDINGS, CanonicalRows, find_tables
from core.catalog.ledger import no_good_row
from core.catalog.reading import Ask, Reading
from core.domain import Catalogue, Item

TABLE = "interactions"


def interactions_file(source: Path) -> Path | None:
    """`source` itself where it is a table, or the interactions of a folder that has no items."""
    if source.is_file():
        return source if source.suffix.lower() in TABLE_ENDINGS else None
    tables = find_tables(source) if source.is_dir() else {}
    return tables.get(TABLE) if "items" not in tables else None


def is_interactions(source: Path) -> bool:
    return interactions_file(source) is not None


def read_interactions(source: Path, name: str, ask: Ask) -> Reading:
    """Items in the order in which rows name them. Raises TableError where no row is good."""
    path = interactions_file(source) or source
    work = CanonicalRows(path.parent, ask.step, ask.uploaded)
    data = path.read_bytes()
    interactions = work.read_interactions(data, path.name, None)
    if not interactions:
        raise no_good_row(path.name, work.ledger.problems)
    version = hashlib.sha256(b"interactions\0" + hashlib.sha256(data).digest()).hexdigest()
    items = tuple(Item(item_id=key) for key in dict.fromkeys(met.item_id for met in interactions))
    work.item_rows = len(items)
    catalogue = Catalogue(name=name, version=version, root=path.parent, items=items, interactions=interactions)
    return Reading(catalogue=catalogue, report=work.report(items, interactions))
