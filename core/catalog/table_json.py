"""JSON Lines: one object of plain values a line -> rows of cells. Numbers keep their spelling."""

from __future__ import annotations

import json
from collections.abc import Iterator

from core.catalog.names import shown_bytes, shown_value
from core.catalog.table_rows import Record, Table, add_row, checked_header, problem
from core.errors import TableError
from core.limits import LIMITS, MB


class _NotPlainError(ValueError):
    """A JSON value that a table cell cannot hold."""


def read_json_lines(letters: str, shown: str) -> Table:
    table = Table(name=shown, columns=())
    found: list[tuple[int, int, dict[str, str]]] = []
    for line, source in _json_sources(letters, table):
        table.rows += 1
        record = Record(row=table.rows, line=line, cells=())
        if isinstance(source, str) and len(source) > LIMITS.row_bytes:
            reason = f"the row holds {shown_bytes(len(source))}, at most {LIMITS.row_bytes // MB} MB were expected"
            table.problems.append(
                problem("E-ROW-SIZE", shown, reason, "shorten it. The row was skipped.", record=record)
            )
            continue
        try:
            cells = _plain_object(_loads(source) if isinstance(source, str) else source)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, _NotPlainError) else "this is not one whole JSON object"
            fix = "write one object of plain values a line. The row was skipped."
            table.problems.append(problem("E-ROW-JSON", shown, reason, fix, record=record))
            continue
        found.append((table.rows, line, cells))
    columns = tuple(dict.fromkeys(key for _, _, cells in found for key in cells))
    table.columns = checked_header(columns, shown)
    for row, line, cells in found:
        add_row(table, Record(row=row, line=line, cells=[cells.get(column, "") for column in columns]))
    if not table.rows:
        raise TableError("E-TAB-EMPTY", f"{shown}: no row; at least one was expected. Export it again.")
    return table


def _json_sources(letters: str, table: Table) -> Iterator[tuple[int, object]]:
    if letters.lstrip()[:1] == "[":
        try:
            whole = _loads(letters)
        except (ValueError, RecursionError):
            whole = None
        if isinstance(whole, list) and all(isinstance(entry, dict) for entry in whole) and whole:
            reason = f"is one array of {len(whole)} objects instead of lines"
            table.problems.append(problem("N-TAB-SHAPE", table.name, reason, "it was read as rows."))
            yield from enumerate(whole, 1)
            return
    for line, source in enumerate(letters.split("\n"), 1):
        if source.strip():
            yield line, source


def _loads(source: str) -> object:
    return json.loads(
        source, parse_constant=_refuse_constant, parse_int=str, parse_float=str, object_pairs_hook=_without_repeats
    )


def _refuse_constant(word: str) -> object:
    raise _NotPlainError(f"{word} is not a value")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
    if twice is not None:
        raise _NotPlainError(f'the key "{shown_value(twice)}" stands there twice')
    return dict(pairs)


def _plain_object(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _NotPlainError("this is not a JSON object")
    cells = {}
    for key, cell in value.items():
        if isinstance(cell, dict | list):
            raise _NotPlainError(f'"{shown_value(key)}" holds a list or an object')
        cells[key] = "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
    return cells
