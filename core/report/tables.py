"""A ranking as rows, and rows as a CSV that a spreadsheet will not execute."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from core.domain import Item, Recommendation

_RISKY = ("=", "+", "-", "@", "\t", "\r")


def ranking_rows(answer: Recommendation, items: Mapping[str, Item]) -> list[dict[str, object]]:
    """One row a card: what the card shows, numbers unrounded. Shares sum to 1; phi is signed, in score units."""
    rows: list[dict[str, object]] = []
    for ranked in answer.items:
        item = items.get(ranked.item_id)
        row: dict[str, object] = {
            "rank": ranked.rank,
            "item_id": ranked.item_id,
            "title": ranked.title,
            "category": item.category if item else "",
            "price": item.price if item else None,
            "score": ranked.score,
            "base": ranked.base,
        }
        for player in answer.players:
            row[f"phi_{player}"] = ranked.phi.get(player, 0.0)
        for player in answer.players:
            row[f"share_{player}"] = ranked.shares.get(player, 0.0)
        for player in answer.players:
            row[f"gate_{player}"] = ranked.gates.get(player)
        rows.append(row | {"run": answer.run, "catalogue": answer.catalogue, "device": answer.device})
    return rows


def as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    """RFC 4180 with CRLF in UTF-8 with mark; a text cell that starts with = + - @ tab or CR gets a leading '."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    columns = list(rows[0]) if rows else []
    writer.writerow([_safe(column) for column in columns])
    writer.writerows([_safe(row[column]) for column in columns] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _safe(cell: object) -> object:
    if cell is None:
        return ""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_RISKY) else cell
