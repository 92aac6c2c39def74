"""What came of an import: counts, what was left out, what needs a word."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.catalog.tables import Problem, safe_cell
from core.domain import Modality
from core.errors import TableError
from core.files import write_atomic

_REJECT_COLUMNS = ("severity", "code", "file", "row", "line", "column", "value", "reason", "fix")


@dataclass(kw_only=True)
class ImportReport:
    """What came of an import.

    media counts distinct files a modality; refused lists what was left out (codes E-), notices what was kept but needs
    a word (N-); cleaned counts every N- code and cleaning step; scale names the ratings ("1 to 5", "" without any).
    """

    items: int = 0
    users: int = 0
    interactions: int = 0
    media: dict[Modality, int] = field(default_factory=dict)
    refused: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()
    cleaned: dict[str, int] = field(default_factory=dict)
    item_rows: int = 0
    interaction_rows: int = 0
    scale: str = ""

    @property
    def summary(self) -> str:
        """Such as "37 of 40 items and 120 of 122 interactions imported, 5 problems listed"."""
        told = f"{self.items:,} of {self.item_rows:,} items"
        if self.interaction_rows:
            told += f" and {self.interactions:,} of {self.interaction_rows:,} interactions"
        listed = len(self.refused) + len(self.notices)
        return f"{told} imported" + (f", {listed:,} problem{'s' if listed > 1 else ''} listed" if listed else "")

    def note(self, problems: Iterable[Problem]) -> None:
        """More that was found after the tables were read."""
        more = tuple(problems)
        notices = tuple(found for found in more if not found.code.startswith("E-"))
        self.refused = (*self.refused, *(found for found in more if found.code.startswith("E-")))
        self.notices = (*self.notices, *notices)
        self.cleaned = dict(Counter(self.cleaned) + Counter(found.code for found in notices))

    def write_rejects(self, path: Path) -> Path:
        """Everything in refused and notices as CSV; no cell can run as a formula in a spreadsheet."""
        return write_rejects(path, (*self.refused, *self.notices))


class RowsRefusedError(TableError):
    """Nothing is imported, because rows of a benchmark are bad: with a row less it would be another benchmark.

    problems: all bad rows.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" {len(problems) - 1:,} more rows are bad." if len(problems) > 1 else ""
        message = f"{first.where}: {first.message}{more} Nothing was imported: a benchmark with a row less is another."
        super().__init__(first.code, message)
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:  # type: ignore[override]
        return type(self), (self.problems,)


def stop_at_bad_rows(problems: Iterable[Problem]) -> None:
    """Raise RowsRefusedError where any problem is a refusal (E-)."""
    bad = [stopped(found) for found in problems if found.code.startswith("E-")]
    if bad:
        raise RowsRefusedError(bad)


def stopped(found: Problem) -> Problem:
    """The same problem where it ends the import instead of leaving out a row."""
    fix, message = (text.replace(" The row was skipped.", "") for text in (found.fix, found.message))
    return replace(found, severity="STOP", fix=fix, message=message)


def write_rejects(path: Path, problems: Iterable[Problem]) -> Path:
    """Problems as a CSV file that a spreadsheet can open without running any of it."""
    page = io.StringIO()
    writer = csv.writer(page)
    writer.writerow(_REJECT_COLUMNS)
    for found in problems:
        writer.writerow([safe_cell(str(getattr(found, column))) for column in _REJECT_COLUMNS])
    return write_atomic(path, page.getvalue().encode("utf-8", "replace"))
