"""What every importer takes and gives, and the ledger of those whose rows must all be good."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.catalog.arrays import Matrix
from core.catalog.ledger import Ledger
from core.catalog.report import ImportReport, stop_at_bad_rows
from core.catalog.tables import Problem, Record, Separated, Table, problem, read_table
from core.domain import Catalogue, Interaction, Item, Modality
from core.errors import TableError

OnStep = Callable[[str, float], None]
SPLITS = ("train", "validation", "test")
TABS = Separated(separator="\t")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """How to read: `uploaded` applies the limits of the page, `step` hears of the progress and may raise to stop."""

    uploaded: bool = False
    step: OnStep = field(default=lambda label, share: None)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A catalogue as it was read, its report, and the feature matrices that came with it, one row an item."""

    catalogue: Catalogue
    report: ImportReport
    matrices: Mapping[Modality, Matrix] = field(default_factory=dict)


class Benchmark(Ledger):
    """The rows of a benchmark as they are read; `reading` refuses all of them where any is bad."""

    def __init__(self, source: Path, name: str, ask: Ask) -> None:
        super().__init__()
        self.source, self.name, self.ask = source, name, ask
        self.items: dict[str, Item] = {}
        self.met: dict[tuple[str, str], Interaction] = {}
        self.left_out: list[Problem] = []  # rows whose loss the format forgives
        self.rows = self.item_rows = 0
        self.version = hashlib.sha256()

    def bytes_of(self, path: Path) -> bytes:
        """The bytes of a file of the source; they become part of the version."""
        data = path.read_bytes()
        self.version.update(path.name.encode("utf-8", "surrogatepass") + b"\0" + hashlib.sha256(data).digest())
        return data

    def table(self, path: Path, required: Sequence[str], shape: Separated, known: Sequence[str] = ()) -> Table:
        """A table; its bad rows are on the list."""
        read = read_table(
            self.bytes_of(path), path.name, known=known, required=required, uploaded=self.ask.uploaded, shape=shape
        )
        self.problems += read.problems
        return read

    def leave_out(
        self, code: str, table: Table, record: Record, column: str, value: str, reason: str, fix: str
    ) -> None:
        """A row that is missing from the catalogue, and listed, without ending the import."""
        self.left_out.append(problem(code, table.name, reason, fix, record=record, column=column, value=value))

    def add(self, table: Table, record: Record, met: Interaction) -> None:
        """A pair in two parts is a leak and stops the import; in one part the earliest of its rows is kept."""
        pair = met.user_id, met.item_id
        earlier = self.met.setdefault(pair, met)
        if earlier is met:
            return
        if earlier.split != met.split:
            reason = f"was met by user {met.user_id} in {earlier.split} and {met.split}"
            self.tell("E-ROW-DUP", table, record, "", met.item_id, reason, "keep the pair in one part.")
            return
        reason = "was met by the same user in another row"
        self.tell("N-ROW-DUP", table, record, "", met.item_id, reason, "the earliest of them is kept.")
        if None not in (met.timestamp, earlier.timestamp) and met.timestamp < earlier.timestamp:  # type: ignore[operator]
            self.met[pair] = met

    def known(self, item_ids: Collection[str]) -> None:
        """Items by id alone, in this order, where they have no row of their own."""
        for key in item_ids:
            self.items.setdefault(key, Item(item_id=key))

    def reading(self, matrices: Mapping[Modality, Matrix] | None = None) -> Reading:
        """The catalogue, or RowsRefusedError with all bad rows."""
        stop_at_bad_rows(self.problems)
        self.name_scale(self.source.name, [one.rating for one in self.met.values() if one.rating is not None])
        if not self.met and not self.items:
            raise TableError("E-TAB-EMPTY", f"{self.source.name}: no row; at least one was expected. Export it again.")
        met = tuple(self.met.values())
        catalogue = Catalogue(
            name=self.name, version=self.version.hexdigest(), root=self.source, items=tuple(self.items.values()),
            interactions=met,
        )  # fmt: skip
        report = ImportReport(
            items=len(catalogue.items), users=len({one.user_id for one in met}), interactions=len(met),
            item_rows=self.item_rows or len(catalogue.items), interaction_rows=self.rows, cleaned=dict(self.cleaned),
            scale=self.scale,
        )  # fmt: skip
        report.note((*self.problems, *self.left_out))
        report.cleaned |= cold_counts(catalogue)
        self.ask.step("done", 1.0)
        return Reading(catalogue=catalogue, report=report, matrices=matrices or {})


def header_line(path: Path) -> str:
    """The first line of a file, to tell formats apart."""
    with path.open("rb") as file:
        return file.readline(65_536).decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")


def cold_counts(catalogue: Catalogue) -> dict[str, int]:
    """What a ready-made split leaves without a training row; rankers that know ids alone cannot rank those."""
    trained = [one for one in catalogue.interactions if one.split == "train"]
    if not trained:
        return {}
    users, items = {one.user_id for one in trained}, {one.item_id for one in trained}
    counts = {
        "users without a training row": len({one.user_id for one in catalogue.interactions} - users),
        "items without a training row": sum(item.item_id not in items for item in catalogue.items),
    }
    return {what: count for what, count in counts.items() if count}
