"""Parquet -> rows of cells; pages are checked against their checksums."""

from __future__ import annotations

from collections.abc import Sequence

from core.catalog.table_rows import Record, Table, add_row, checked_header, not_a_table
from core.errors import TableError


def read_parquet(data: bytes, shown: str, text: Sequence[str]) -> Table:
    if data[:4] != b"PAR1":
        raise not_a_table(shown, "no Parquet file", "Name it by what it is")
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
        checked_header(source.schema_arrow.names, shown)
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
        add_row(table, Record(row=row, line=row, cells=cells))
    return table


def _arrow_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)  # dates and times
