"""CSV and its like: bytes -> letters -> rows of cells. A row with too many or too few cells never shifts a column."""

from __future__ import annotations

import csv
import io
import re
import sys

from core.catalog.table_rows import Problem, Record, Separated, Table, add_row, checked_header, not_a_table, problem
from core.errors import TableError

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # our own limit is by row and names the line
_NOT_TABLES = (
    (b"\x1f\x8b", "a gzip archive", "Unpack it first"), (b"(\xb5/\xfd", "a Zstandard archive", "Unpack it first"),
    (b"BZh", "a bzip2 archive", "Unpack it first"), (b"\xfd7zXZ", "an xz archive", "Unpack it first"),
    (b"PK\3\4", "a workbook or zip archive", "Save the sheet as CSV (UTF-8)"),
    (b"\xd0\xcf\x11\xe0", "a workbook", "Save the sheet as CSV (UTF-8)"), (b"%PDF", "a PDF document", "Export CSV"),
    (b"PAR1", "a Parquet file", "Name it with the ending .parquet"), (b"\x89PNG", "a picture", "Choose the table"),
    (b"\xff\xd8\xff", "a picture", "Choose the table"), (b"SQLite format 3", "a database", "Export its table as CSV"),
)  # fmt: skip


def decoded(data: bytes, shown: str) -> tuple[str, list[Problem]]:
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
            raise not_a_table(shown, "no text", "Choose the table") from error
        raise _not_text(shown, "UTF-8", error.start) from error


def _refuse_other_types(data: bytes, shown: str) -> None:
    for start, what, fix in _NOT_TABLES:
        if data.startswith(start):
            raise not_a_table(shown, what, fix)
    head = data[:500].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise not_a_table(shown, "a saved web page", "Download the table itself, after signing in if need be,")


def _not_text(shown: str, expected: str, at: int) -> TableError:
    return TableError(
        "E-TAB-ENC",
        f"{shown}, byte {at}: not {expected}; text in UTF-8 was expected. Save it as CSV "
        "UTF-8 (in a spreadsheet: Save as, encoding Unicode UTF-8) and import that.",
    )


def read_csv(letters: str, shown: str, shape: Separated) -> Table:
    """Rows of `letters`; a line `sep=;` in front, or the most frequent mark of the header line, is the separator."""
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
    expected = shape.separator
    separator = separator or expected or max(",;\t|", key=lambda mark: re.sub('"[^"]*"', "", head).count(mark))
    lines = io.StringIO(letters, newline="")
    for _ in range(before - 1):
        next(lines)
    quoted = csv.reader(lines, delimiter=separator, strict=True)
    reader = quoted if shape.quotes else csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    table = _read_separated(reader, shown, before - 1, shape.columns)
    if separator not in (",", expected) and not shown.lower().endswith(".tsv"):
        spoken = {";": "semicolons", "\t": "tabs", "|": "pipes"}[separator]
        table.problems.insert(0, problem("N-TAB-DELIM", shown, f"is separated by {spoken}", "it was read as that."))
    return table


def _read_separated(reader, shown: str, skipped: int, columns: tuple[str, ...]) -> Table:
    try:
        header = columns or next(reader)
    except csv.Error as error:
        raise TableError(
            "E-TAB-HEADER",
            f"{shown}, line {skipped + 1}: a quote in the header is not closed; a header "
            "line was expected. Mend the quotes and import that.",
        ) from error
    table = Table(name=shown, columns=checked_header(header, shown))
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
        add_row(table, Record(row=table.rows, line=line, cells=cells))
