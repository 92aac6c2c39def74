"""Tables: the bytes of a CSV, JSON Lines or Parquet file -> rows of text cells, each with its row and line number.

Every cell is text until a column is converted, so that 00123 stays 00123 and NA stays NA. A bad row is left out and
listed; a bad table is refused with TableError. Order of checks: empty, signature, decode, separator, columns, rows.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from core.catalog.names import shown_bytes, shown_name, shown_value
from core.domain import Notice
from core.errors import TableError
from core.limits import LIMITS, MB

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # our own limit is by row and names the line
_NOT_TABLES = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it first"), (b"(\xb5/\xfd", "a Zstandard archive", "Unpack it first"),
    (b"BZh", "a bzip2 archive", "Unpack it first"), (b"\xfd7zXZ", "an xz archive", "Unpack it first"),
    (b"PK\3\4", "a workbook or zip archive", "Save the sheet as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "a workbook", "Save the sheet as CSV (UTF-8)"), (b"%PDF", "a PDF document", "Export CSV"),
    (b"PAR1", "a Parquet file", "Name it with the ending .parquet"), (b"\x89PNG", "a picture", "Choose the table"),
    (b"\xff\xd8\xff", "a picture", "Choose the table"), (b"SQLite format 3", "a database", "Export its table as CSV"),
)  # fmt: skip
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


def read_table(
    data: bytes,
    name: str,
    *,
    known: Sequence[str] = (),
    required: Sequence[str] = (),
    text: Sequence[str] = (),
    uploaded: bool = False,
    separator: str = "",
) -> Table:
    """The table in `data`; the ending of `name` says whether it is CSV/TSV, .jsonl or .parquet.

    known: columns whose odd spelling ("Item ID") is recognised; required: columns that must be there; text: columns
    that may not hold lists or records. uploaded: the limits of the page apply. separator: of the columns, where the
    format says it; otherwise the header line decides. Raises TableError E-TAB-*.
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
        table = _read_parquet(data, shown, text)
    else:
        letters, told = _decoded(data, shown)
        lines = shown.lower().endswith((".jsonl", ".ndjson", ".json"))
        table = _read_json_lines(letters, shown) if lines else _read_csv(letters, shown, separator)
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


# CSV


def _decoded(data: bytes, shown: str) -> tuple[str, list[Problem]]:
    _refuse_other_types(data, shown)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            told = problem("N-TAB-ENC", shown, "was UTF-16", "it was read as that; nothing to do.")
            return data.decode("utf-16"), [told]
        except UnicodeDecodeError as error:
            raise _not_text(shown, "UTF-16", error.start) from error
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8"), []
    except UnicodeDecodeError as error:
        if sum(byte < 32 and byte not in b"\t\n\r\f" for byte in data[:1_000]) > 2:
            raise _not_a_table(shown, "no text", "Choose the table") from error
        raise _not_text(shown, "UTF-8", error.start) from error


def _refuse_other_types(data: bytes, shown: str) -> None:
    for start, what, fix in _NOT_TABLES:
        if data.startswith(start):
            raise _not_a_table(shown, what, fix)
    head = data[:500].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise _not_a_table(shown, "a saved web page", "Download the table itself, after signing in if need be,")


def _not_a_table(shown: str, what: str, fix: str) -> TableError:
    return TableError(
        "E-TAB-TYPE", f"{shown}: this is {what}; CSV, JSON Lines or Parquet was expected. {fix} and import that."
    )


def _not_text(shown: str, expected: str, at: int) -> TableError:
    return TableError(
        "E-TAB-ENC",
        f"{shown}, byte {at}: not {expected}; text in UTF-8 was expected. Save it as CSV "
        "UTF-8 (in a spreadsheet: Save as, encoding Unicode UTF-8) and import that.",
    )


def _read_csv(letters: str, shown: str, expected: str) -> Table:
    lines = io.StringIO(letters, newline="")
    before, head = 0, ""
    separator = ""
    for line in lines:
        before += 1
        if re.fullmatch(r'"?sep=[,;\t|]"?\s*', line, re.IGNORECASE):
            separator = line.strip().strip('"')[4:5] or "\t"
        elif line.strip():
            head = line
            break
    if not head:
        raise TableError(
            "E-TAB-EMPTY",
            f"{shown}: only blank lines; a header and rows were expected. Export it again and import that.",
        )
    separator = separator or expected or max(",;\t|", key=lambda mark: re.sub('"[^"]*"', "", head).count(mark))
    lines = io.StringIO(letters, newline="")
    for _ in range(before - 1):
        next(lines)
    table = _read_separated(csv.reader(lines, delimiter=separator, strict=True), shown, before - 1)
    if separator not in (",", expected) and not shown.lower().endswith(".tsv"):
        spoken = {";": "semicolons", "\t": "tabs", "|": "pipes"}[separator]
        table.problems.insert(0, problem("N-TAB-DELIM", shown, f"is separated by {spoken}", "it was read as that."))
    return table


def _read_separated(reader, shown: str, skipped: int) -> Table:
    try:
        header = next(reader)
    except csv.Error as error:
        raise TableError(
            "E-TAB-HEADER",
            f"{shown}, line {skipped + 1}: a quote in the header is not closed; a header "
            "line was expected. Mend the quotes and import that.",
        ) from error
    table = Table(name=shown, columns=_checked_header(header, shown))
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return table
        except csv.Error as error:
            table.rows += 1
            record = Record(row=table.rows, line=line, cells=())
            open_end = "unexpected end" in str(error)
            lost = skipped + reader.line_num - line
            reason = "a quote is opened and never closed" if open_end else "a quote stands inside a cell"
            fix = "close it" if open_end else 'write "" for a quote inside quotes'
            also = f", and with it the {lost} lines after it" if open_end and lost else ""
            table.problems.append(
                problem("E-ROW-QUOTE", shown, reason, f"{fix}. The row was skipped{also}.", record=record)
            )
            continue
        if not cells or (len(cells) < 2 and not cells[0].strip()):
            continue
        table.rows += 1
        _add_row(table, Record(row=table.rows, line=line, cells=cells))


def _add_row(table: Table, record: Record) -> None:
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


def _checked_header(header: Sequence[str], shown: str) -> tuple[str, ...]:
    if len(header) > LIMITS.table_columns:
        raise TableError(
            "E-TAB-WIDE",
            f"{shown}: {len(header)} columns; at most {LIMITS.table_columns} were expected. "
            "Leave out those that are not needed.",
        )
    return tuple(header)


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


# JSON Lines


class _NotPlainError(ValueError):
    """A JSON value that a table cell cannot hold."""


def _read_json_lines(letters: str, shown: str) -> Table:
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
    table.columns = _checked_header(columns, shown)
    for row, line, cells in found:
        _add_row(table, Record(row=row, line=line, cells=[cells.get(column, "") for column in columns]))
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


# Parquet


def _read_parquet(data: bytes, shown: str, text: Sequence[str]) -> Table:
    if data[:4] != b"PAR1":
        raise _not_a_table(shown, "no Parquet file", "Name it by what it is")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise TableError(
            "E-TAB-TYPE",
            f"{shown}: this is a Parquet file, and pyarrow is not installed; CSV was "
            "expected. Install pyarrow, or save the table as CSV.",
        ) from error
    try:
        source = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        _checked_header(source.schema_arrow.names, shown)
        arrow = source.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        if "crc" in str(error).lower() or "checksum" in str(error).lower():
            raise TableError(
                "E-TAB-SUM",
                f"{shown}: a page does not match its checksum, so a byte changed on the way; "
                "an unchanged copy was expected. Copy the file again.",
            ) from error
        raise TableError(
            "E-TAB-BROKEN",
            f"{shown}: the Parquet file is damaged or cut; a whole one was expected. Copy or export it again.",
        ) from error
    table = Table(name=shown, columns=tuple(arrow.column_names), rows=arrow.num_rows)
    if not arrow.num_rows:
        raise TableError("E-TAB-EMPTY", f"{shown}: columns but no row; at least one was expected. Export it again.")
    columns = []
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        kind = column.type.storage_type if isinstance(column.type, pa.BaseExtensionType) else column.type
        if pa.types.is_nested(kind) and name in text:
            raise TableError(
                "E-TAB-COLUMN",
                f'{shown}, column "{name}": holds {kind}; text was expected. Join its '
                "parts with | and export it again.",
            )
        columns.append([_arrow_text(value) for value in column.to_pylist()])
    for row, cells in enumerate(zip(*columns, strict=True), 1):
        _add_row(table, Record(row=row, line=row, cells=cells))
    return table


def _arrow_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)  # dates and times
