"""A book of cases: the cases of one run, what is known about each, and the slices found, as kept in the workspace.

    home/cases/RUN/VERSION-PROTOCOL-KIND-PART.parquet       the cases (core/evaluate/cases.py)
                                             .npz           their attributes: one bit for every value and case
                                             .json          slices, by metric

A book is made by a job, once for a run, a version of its catalogue and a kind of cases; pages only read it.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.catalog.clean import Detection
from core.domain import Catalogue
from core.evaluate.attributes import Attribute, attributes
from core.evaluate.cases import ANYTHING, METRICS, USERS, Cases, kept
from core.evaluate.slices import Condition, Search, Slice, measure_slice, members, search_slices
from core.evaluate.splits import TRAIN, Split
from core.files import sealed, unsealed, weights_of, write_atomic
from core.prepare.findings import kept_faults

if TYPE_CHECKING:
    from core.workspace import Workspace

WORSE = {"loss": 1}  # every other metric is worse where it is lower


@dataclass(frozen=True, kw_only=True)
class CaseSet:
    """Which cases: of a run, under a protocol, of one kind ("review+photo", ..., "anything", "users") and part.

    protocol, catalogue: "" is the run's own.
    """

    run: str
    kind: str = ANYTHING
    part: str = "test"
    protocol: str = ""
    catalogue: str = ""

    def file(self, workspace: Workspace) -> Path:
        """Where the cases are kept; another version of the catalogue has another file. Raises UnknownNameError."""
        catalogue = workspace.catalogue(self.catalogue or workspace.run(self.run).catalogue)
        name = "-".join([catalogue.version[:16], self.protocol or "own", self.kind, self.part])
        return workspace.home / "cases" / self.run / f"{name}.parquet"

    def arguments(self) -> tuple[str, ...]:
        """The options of the command that makes these cases."""
        more = [("--protocol", self.protocol), ("--catalogue", self.catalogue)]
        given = ["--run", self.run, "--kind", self.kind, "--part", self.part]
        return (*given, *(word for pair in more if pair[1] for word in pair))

    @property
    def target(self) -> str:
        """The name of its job."""
        return " ".join(filter(None, [self.run, self.kind, self.part, self.protocol, self.catalogue]))


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseBook:
    """Cases of a catalogue, their attributes, and by metric the slices found."""

    cases: Cases
    catalogue: Catalogue
    attributes: tuple[Attribute, ...]
    searches: Mapping[str, Search]

    @property
    def groups(self) -> NDArray[np.str_]:
        """(Q,) what cases have in common and are drawn by: the user of a user's case, else the product."""
        return self.cases.user if self.cases.about["kind"] == USERS else self.cases.item

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """(Q,) `groups` as numbers: a hundred thousand words take a tenth of a second to sort, numbers next to none."""
        return np.unique(self.groups, return_inverse=True)[1]

    def members(self, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        return members(conditions, self.attributes, len(self.cases))

    def slice(self, conditions: Sequence[Condition], metric: str) -> Slice | None:
        """One slice as it stands here, tested alone; None where nobody, or everybody, is in it."""
        return measure_slice(conditions, self.members(conditions), self.cases.values(metric), self.codes)

    def text(self, place: int) -> str:
        """The words of a case's query."""
        return self.catalogue.interactions[int(self.cases.row[place])].text

    @cached_property
    def _hay(self) -> list[str]:
        titles = {item.item_id: item.title for item in self.catalogue.items}
        keys, items = self.cases.key.tolist(), self.cases.item.tolist()
        return [
            f"{self.text(place)} {titles.get(item, '')} {item} {key}".casefold()
            for place, (key, item) in enumerate(zip(keys, items, strict=True))
        ]

    def prepare(self) -> None:
        """Makes now what the first search, look for a case, and slice would wait for."""
        self.cases.place_of("")
        self.search("a word")
        self.codes.sum()

    def search(self, words: str) -> NDArray[np.bool_]:
        """(Q,) cases whose review, product title, product id or key holds all the words, case ignored."""
        wanted = words.casefold().split()
        if not wanted:
            return np.ones(len(self.cases), dtype=bool)
        return np.array([all(word in hay for word in wanted) for hay in self._hay], dtype=bool)


def make_book(
    workspace: Workspace, wanted: CaseSet, on_step: Callable[[str, float], None] | None = None
) -> CaseBook:  # fmt: skip
    """Judge the run, find the slices, keep both. Raises UnknownNameError, SettingsError, ModelError, StoreError."""
    from core.evaluate.judge import judged_cases

    tell = on_step or (lambda label, fraction: None)
    cases, split = judged_cases(workspace, wanted, lambda label, fraction: tell(label, 0.85 * fraction))
    catalogue = workspace.catalogue(cases.about["catalogue"])
    tell("finding slices", 0.85)
    book = book_of(cases, catalogue, split, kept_faults(workspace.vectors, catalogue) or ())
    path = wanted.file(workspace)
    searches = json.dumps({m: s.to_json() for m, s in book.searches.items()})
    write_atomic(path.with_suffix(".json"), sealed(searches.encode()))
    write_atomic(path.with_suffix(".npz"), sealed(_packed(book.attributes, len(cases))))
    write_atomic(path, cases.to_bytes())  # last: where it is, the others are
    tell("done", 1.0)
    return book


def book_of(cases: Cases, catalogue: Catalogue, split: Split, faults: Sequence[Detection] = ()) -> CaseBook:
    """Attributes and slices of cases that were just judged; faults: what cleaning found, where somebody looked."""
    trained = [row for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == TRAIN]
    known = attributes(
        cases, catalogue, Counter(row.item_id for row in trained), Counter(row.user_id for row in trained), faults
    )
    bare = CaseBook(cases=cases, catalogue=catalogue, attributes=known, searches={})
    searches = {
        metric: search_slices(cases.values(metric), bare.groups, known, metric=metric, worse=WORSE.get(metric, -1))
        for metric in METRICS
    }
    return CaseBook(cases=cases, catalogue=catalogue, attributes=known, searches=searches)


def load_book(workspace: Workspace, wanted: CaseSet) -> CaseBook | None:
    """The book that was made before; None where there is none or a damaged one, or the run was trained again since."""
    path = wanted.file(workspace)
    if not all(path.with_suffix(ending).is_file() for ending in (".parquet", ".npz", ".json")):
        return None
    packed, found = (unsealed(path.with_suffix(ending).read_bytes()) for ending in (".npz", ".json"))
    if packed is None or found is None:
        return None
    cases = kept(path, Cases, weights_of(workspace.run_folder(wanted.run)))
    if cases is None:
        return None
    searches = json.loads(found)
    return CaseBook(
        cases=cases,
        catalogue=workspace.catalogue(cases.about["catalogue"]),
        attributes=_unpacked(packed, len(cases)),
        searches={metric: Search.from_json(text) for metric, text in searches.items()},
    )


def _packed(known: Sequence[Attribute], count: int) -> bytes:
    names = [[one.name, list(one.values)] for one in known]
    masks = np.concatenate([one.masks for one in known]) if known else np.zeros((0, count), dtype=bool)
    sink = io.BytesIO()
    np.savez_compressed(sink, names=np.array(json.dumps(names)), masks=np.packbits(masks, axis=1))
    return sink.getvalue()


def _unpacked(data: bytes, count: int) -> tuple[Attribute, ...]:
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        names = json.loads(str(kept["names"]))
        masks = np.unpackbits(kept["masks"], axis=1, count=count).astype(bool)
    found, start = [], 0
    for name, values in names:
        found.append(Attribute(name=name, values=tuple(values), masks=masks[start : start + len(values)]))
        start += len(values)
    return tuple(found)
