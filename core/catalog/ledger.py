"""The ledger of a reading: cells become values, and whatever is wrong or remarkable is listed with its place."""

from __future__ import annotations

import math
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from core.catalog.cells import better_number, id_fault, milliseconds, number, time_unit
from core.catalog.names import shown_value
from core.catalog.tables import Problem, Record, Table, plain_cell, problem
from core.catalog.words import clean_fragment
from core.errors import TableError

DAY = 86_400_000
BAD = object()  # a cell that cannot be converted; its row has been listed


class Ledger:
    """problems: in the order in which they were met. cleaned: what was mended, counted by step."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.cleaned: Counter[str] = Counter()
        self.scale = ""

    def tell(self, code: str, table: Table, record: Record, column: str, value: str, reason: str, fix: str) -> None:
        self.problems.append(problem(code, table.name, reason, fix, record=record, column=column, value=value))

    def tell_table(self, code: str, table: str, column: str, reason: str, fix: str) -> None:
        self.problems.append(problem(code, table, reason, fix, column=column))

    # ---- cells

    def ident(self, table: Table, record: Record, column: str) -> str | None:
        """The trimmed id, None where it is none."""
        came = table.cell(record, column)
        key = plain_cell(came.strip())
        fault = id_fault(key)
        if fault:
            self.tell("E-ROW-ID", table, record, column, key, fault, "give the row an id. The row was skipped.")
            return None
        if came.strip() != came:
            self.tell("N-ROW-TRIM", table, record, column, came, "has spaces around it", "they were cut off.")
        return key

    def number(self, table: Table, record: Record, column: str, low: float = -math.inf, high: float = math.inf):
        """The number, None where the cell is empty, BAD where it is no number from `low` to `high`."""
        cell = table.cell(record, column).strip()
        if not cell:
            return None
        value = number(cell)
        if low <= value <= high:
            return value
        reason = "is below 0" if value < low == 0 else f"is not from {low:g} to {high:g}"
        reason = "is not a number" if math.isnan(value) else reason
        self.tell("E-ROW-VALUE", table, record, column, cell, reason, f"{better_number(cell)}. The row was skipped.")
        return BAD

    def moment(self, table: Table, record: Record, column: str = "timestamp"):
        """UTC milliseconds, None where the cell is empty, BAD where it is no time."""
        cell = table.cell(record, column).strip()
        if not cell:
            return None
        moment = milliseconds(cell)
        if moment is None:
            self.tell(
                "E-ROW-TIME",
                table,
                record,
                column,
                cell,
                "is not a time",
                "write 2024-03-01T10:00:00Z, seconds since 1970, or leave it empty. The row was skipped.",
            )
            return BAD
        if not 365 * DAY <= moment <= time.time() * 1_000 + DAY:
            which = "lies in the future" if moment > 365 * DAY else "lies in 1970 or before, as an empty clock shows"
            self.tell("N-ROW-TIME", table, record, column, cell, which, "it was kept; check it.")
        return moment

    def words(self, table: Table, record: Record, column: str) -> str:
        """Free text: repaired, without markup, personal data masked."""
        text, steps = clean_fragment(plain_cell(table.cell(record, column)))
        self.cleaned.update(steps)
        return text

    def plain(self, cell: str) -> str:
        """A label: repaired, nothing masked."""
        cell = plain_cell(cell)
        if cell.isascii() and cell.isprintable():
            return cell.strip()
        text, steps = clean_fragment(cell, personal=False)
        self.cleaned.update(steps)
        return text

    # ---- columns

    def check_units(self, table: Table, column: str = "timestamp") -> None:
        """Raises TableError E-TAB-TIME where the integers of a column are of two units."""
        units: dict[str, Record] = {}
        for record in table.records if column in table.columns else ():
            unit = time_unit(table.cell(record, column).strip())
            if unit:
                units.setdefault(unit, record)
        if len(units) > 1:
            told = " and ".join(f"{unit} (line {record.line})" for unit, record in units.items())
            raise TableError(
                "E-TAB-TIME",
                f'{table.name}, column "{column}": {told} in one column; one unit was '
                "expected. Write all of them in the same unit, or as 2024-03-01T10:00:00Z.",
            )

    def list_look_alikes(self, table: str, column: str, keys: Iterable[str]) -> None:
        """Ids that differ in case or composition only."""
        first: dict[str, str] = {}
        for key in keys:
            folded = key.casefold() if key.isascii() else unicodedata.normalize("NFC", key).casefold()
            if folded in first:
                self.problems.append(
                    problem(
                        "N-ROW-NEAR",
                        table,
                        f'looks like "{shown_value(first[folded])}"',
                        "both were kept; check that they are two.",
                        column=column,
                        value=key,
                    )
                )
            first.setdefault(folded, key)

    def name_scale(self, table: str, ratings: Sequence[float]) -> None:
        """Says which scale the ratings are on, and asks where it is none of the usual ones."""
        if not ratings:
            return
        low, high = min(ratings), max(ratings)
        if set(ratings) <= {0.0, 1.0}:
            self.scale = "0 or 1"
            if low == 0.0:
                self.tell_table(
                    "N-TAB-SCALE",
                    table,
                    "rating",
                    f"ratings are 0 or 1, {sum(ratings):,.0f} of {len(ratings):,} are 1",
                    "if they mean right or wrong instead of liked, read no taste from them.",
                )
        elif low >= 0.5 and high <= 5.0 and all((2 * rating).is_integer() for rating in ratings):
            self.scale = "1 to 5" if low >= 1.0 and all(rating.is_integer() for rating in ratings) else "0.5 to 5"
        else:
            self.scale = f"{low:g} to {high:g}"
            self.tell_table(
                "N-TAB-SCALE",
                table,
                "rating",
                f"ratings from {low:g} to {high:g} are none of the usual scales (0 or 1, 1 to 5, 0.5 to 5)",
                "check what the lowest and the highest mean.",
            )


def no_good_row(table: str, problems: Sequence[Problem]) -> TableError:
    """What to say of a table of which nothing is left."""
    first = next((found for found in problems if found.code.startswith("E-")), None)
    if first is None:
        return TableError(
            "E-TAB-EMPTY",
            f"{table}: a header but no row; at least one was expected. Fill in a row and import that.",
        )
    return TableError(first.code, f"{first.where}: {first.message} No row of the table could be used.")
