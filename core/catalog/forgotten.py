"""A catalogue without what was forgotten: the rows of a person, or an item with everything that was said about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from core.domain import Catalogue


def remaining(catalogue: Catalogue, gone: Callable[[str, str], bool]) -> Catalogue:
    """What stays, under a version of its own. gone: ("user" or "item", id) -> whether it was forgotten.

    `Catalogue.gone` names the rows that items had, so that whoever counted by the old rows can follow.
    """
    rows = tuple(row for row, item in enumerate(catalogue.items) if gone("item", item.item_id))
    items = {item.item_id for item in catalogue.items} - {catalogue.items[row].item_id for row in rows}
    users = {one.user_id for one in catalogue.interactions}
    users -= {user for user in users if gone("user", user)}
    kept = tuple(one for one in catalogue.interactions if one.item_id in items and one.user_id in users)
    if not rows and len(kept) == len(catalogue.interactions):
        return catalogue
    told = f"{catalogue.version}\0{','.join(map(str, rows))}\0{len(kept)}\0"
    left = "\0".join(sorted(users)) + "\0".join(item.item_id for item in catalogue.items if item.item_id in items)
    return replace(
        catalogue,
        version=hashlib.sha256((told + left).encode("utf-8", "replace")).hexdigest(),
        items=tuple(item for item in catalogue.items if item.item_id in items),
        interactions=kept,
        gone=rows,
    )


def tombstone(catalogue: str, kind: str, ident: str) -> str:
    """What is hashed, with the workspace's key, to remember a removal; nothing else has this form."""
    return "\0".join(("forgotten", catalogue, kind, ident))


def follow(
    history: Sequence[tuple[int, float | None]], gone: tuple[int, ...]
) -> list[tuple[int, float | None]]:  # fmt: skip
    """(item row, rating) pairs by the rows that items have now; those that are gone are left out."""
    return [(row - sum(one < row for one in gone), rating) for row, rating in history if row not in gone]
