"""What a table is made of: rows of text cells that know their place, and problems that name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.catalog.names import shown_bytes, shown_value
from core.domain import Notice
from core.errors import TableError
from core.limits import LIMITS, MB

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class Problem(Notice):
    """One line of an import report. severity: SKIP (left out) or WARN (kept); row from 1 without the header, line as
    an editor counts, 0 where the whole table is meant; value is cut to 80 characters."""

    severity: str = "WARN"
    file: str = ""
    row: int = 0
    line: int = 0
    column: str = ""
    value: str = ""
    reason: str = ""
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row: its number from 1, the physical line it starts on, and its cells in the order of the columns."""

    row: int
    line: int
    cells: Sequence[str]


@dataclass(kw_only=True)
class Table:
    """The good rows of one table, and what was left out or remarkable on the way."""

    name: str
    columns: tuple[str, ...]
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rows: int = 0
    places: dict[str, int] = field(default_factory=dict)

    def cell(self, record: Record, column: str) -> str:
        """The text of a cell, "" where the table has no such column."""
        place = self.places.get(column)
        return "" if place is None else record.cells[place]


@dataclass(frozen=True, kw_only=True)
class Separated:
    """Text as a format fixes it: separator ("": the header line decides), names of the columns where there is no header
    line, and whether quotes mean anything."""

    separator: str = ""
    columns: tuple[str, ...] = ()
    quotes: bool = True


def problem(
    code: str,
    table: str,
    reason: str,
    fix: str,
    *,
    record: Record | None = None,
    column: str = "",
    value: str = "",
    severity: str = "",
) -> Problem:
    """A Problem with its sentence and place written out."""
    shown = shown_value(value)
    where = table
    if record is not None:
        where += f", row {record.row} (line {record.line})"
    if column:
        where += f', column "{shown_value(column)}"'
    quoted = f'"{shown}" ' if value else ""
    severity = severity or ("SKIP" if code.startswith("E-") else "WARN")
    return Problem(
        code=code,
        message=f"{quoted}{reason}; {fix}",
        where=where,
        severity=severity,
        file=table,
        row=record.row if record else 0,
        line=record.line if record else 0,
        column=column,
        value=shown,
        reason=reason,
        fix=fix,
    )


def safe_cell(text: str) -> str:
    """`text` as a CSV cell that no spreadsheet runs as a formula; `plain_cell` gives it back unchanged."""
    bare = text.lstrip("'")
    return "'" + text if bare.startswith(_FORMULA) else text


def plain_cell(cell: str) -> str:
    """What `safe_cell` was given."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def add_row(table: Table, record: Record) -> None:
    cells = record.cells
    if len(cells) != len(table.columns):
        reason = f"{len(cells)} cells under {len(table.columns)} columns"
        fix = "put cells with a separator inside in quotes, and write empty cells too. The row was skipped."
        table.problems.append(problem("E-ROW-FIELDS", table.name, reason, fix, record=record))
        return
    size = sum(map(len, cells))
    if size > LIMITS.row_bytes:
        reason = f"the row holds {shown_bytes(size)}, at most {LIMITS.row_bytes // MB} MB were expected"
        table.problems.append(
            problem("E-ROW-SIZE", table.name, reason, "shorten it. The row was skipped.", record=record)
        )
        return
    for column, cell in zip(table.columns, cells, strict=True):
        if "\0" in cell:
            reason = "holds a NUL character"
            table.problems.append(
                problem(
                    "E-ROW-NUL",
                    table.name,
                    reason,
                    "remove it. The row was skipped.",
                    record=record,
                    column=column,
                    value=cell,
                )
            )
            return
    table.records.append(record)


def checked_header(header: Sequence[str], shown: str) -> tuple[str, ...]:
    if len(header) > LIMITS.table_columns:
        raise TableError(
            "E-TAB-WIDE",
            f"{shown}: {len(header)} columns; at most {LIMITS.table_columns} were expected. "
            "Leave out those that are not needed.",
        )
    return tuple(header)


def not_a_table(shown: str, what: str, fix: str) -> TableError:
    return TableError(
        "E-TAB-TYPE", f"{shown}: this is {what}; CSV, JSON Lines or Parquet was expected. {fix} and import that."
    )
