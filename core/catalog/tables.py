"""Tables: the bytes of a CSV, JSON Lines or Parquet file -> rows of text cells, each with its row and line number.

Every cell is text until a column is converted, so that 00123 stays 00123 and NA stays NA. A bad row is left out and
listed; a bad table is refused with TableError. Order of checks: empty, signature, decode, separator, columns, rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.catalog.names import shown_bytes, shown_name, shown_value
from core.catalog.table_csv import decoded, read_csv
from core.catalog.table_json import read_json_lines
from core.catalog.table_parquet import read_parquet
from core.catalog.table_rows import Problem, Record, Separated, Table, plain_cell, problem, safe_cell
from core.errors import TableError
from core.limits import LIMITS, MB

__all__ = ["Problem", "Record", "Separated", "Table", "plain_cell", "problem", "read_table", "rename", "safe_cell"]

BY_HEADER = Separated()


def read_table(
    data: bytes,
    name: str,
    *,
    known: Sequence[str] = (),
    required: Sequence[str] = (),
    text: Sequence[str] = (),
    uploaded: bool = False,
    shape: Separated = BY_HEADER,
) -> Table:
    """The table in `data`; the ending of `name` says whether it is CSV/TSV, .jsonl or .parquet.

    known: columns whose odd spelling ("Item ID") is recognised; required: columns that must be there; text: columns
    that may not hold lists or records. uploaded: the limits of the page apply. shape: what a format says of its
    separated text; otherwise the header line decides. Raises TableError E-TAB-*.
    """
    shown = shown_name(name, "table")
    if not data:
        raise TableError(
            "E-TAB-EMPTY",
            f"{shown}: the file is empty, 0 bytes arrived; a table was expected. Export it again and import that.",
        )
    if uploaded and len(data) > LIMITS.table_bytes:
        raise TableError(
            "E-TAB-SIZE",
            f"{shown}: {shown_bytes(len(data))} arrived; at most {LIMITS.table_bytes // MB} MB can be uploaded. "
            f"Import it from the command line: python -m core import {shown}.",
        )
    if shown.lower().endswith(".parquet"):
        table = read_parquet(data, shown, text)
    else:
        letters, told = decoded(data, shown)
        lines = shown.lower().endswith((".jsonl", ".ndjson", ".json"))
        table = read_json_lines(letters, shown) if lines else read_csv(letters, shown, shape)
        table.problems[:0] = told
    if uploaded and table.rows > LIMITS.table_rows:
        raise TableError(
            "E-TAB-ROWS",
            f"{shown}: {table.rows:,} rows; at most {LIMITS.table_rows:,} can be uploaded. "
            f"Import it from the command line: python -m core import {shown}.",
        )
    _name_columns(table, known)
    missing = [column for column in required if column not in table.columns]
    if missing:
        found = ", ".join(shown_value(column) for column in table.columns[:12]) or "none"
        raise TableError(
            "E-TAB-COLUMN",
            f'{shown}: no column "{missing[0]}", found: {found}; {" and ".join(required)} '
            f'must be there. Rename the column that holds it to "{missing[0]}".',
        )
    return table


def rename(table: Table, aliases: Mapping[str, str]) -> None:
    """Reads columns under the names that other tools give them, where our own name is not there."""
    meant = {old: new for old, new in aliases.items() if old in table.columns and new not in table.columns}
    if meant:
        told = "; ".join(f'"{old}" is read as {new}' for old, new in meant.items())
        table.problems.append(problem("N-TAB-MAP", table.name, told, "check that this is what was meant."))
        table.columns = tuple(meant.get(column, column) for column in table.columns)
        table.places = {column: place for place, column in enumerate(table.columns)}


def _name_columns(table: Table, known: Sequence[str]) -> None:
    """Spaces around names go; a known name in another spelling is recognised; unnamed columns are left out."""
    by_letters = {re.sub(r"[^a-z0-9]", "", column): column for column in known}
    names, guessed = [], []
    stripped = [re.sub(r"\s+", " ", column.replace("\ufeff", "")).strip() for column in table.columns]
    for name in stripped:
        meant = by_letters.get(re.sub(r"[^a-z0-9]", "", name.lower()))
        if meant and meant != name and meant not in stripped:
            guessed.append(f'"{shown_value(name)}" is read as {meant}')
            name = meant
        names.append(name)
    twice = next((name for name in names if name and names.count(name) > 1), "")
    if twice:
        raise TableError(
            "E-TAB-HEADER",
            f'{table.name}: two columns are named "{shown_value(twice)}"; every column '
            "needs a name of its own. Rename or remove one.",
        )
    unnamed = [at for at, name in enumerate(names) if not name]
    if unnamed:
        guessed.append(f"column {', '.join(str(at + 1) for at in unnamed[:5])} has no name and is left out")
        kept = [at for at, name in enumerate(names) if name]
        names = [names[at] for at in kept]
        table.records = [Record(row=r.row, line=r.line, cells=[r.cells[at] for at in kept]) for r in table.records]
    if guessed:
        table.problems.append(
            problem("N-TAB-MAP", table.name, "; ".join(guessed), "check that this is what was meant.")
        )
    table.columns = tuple(names)
    table.places = {name: place for place, name in enumerate(names)}
