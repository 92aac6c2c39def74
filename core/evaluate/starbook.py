"""Stars foretold, review by review: the book of a run that foretells ratings, as kept beside the books of cases.

    home/cases/RUN/VERSION-PROTOCOL-stars-PART.parquet

Two tasks, never in one table: `written`, the stars of a review that was read; `before`, those of any held-out rating of
which nothing was read. A confusion matrix counts both stars; a calibration curve compares how sure the run was of its
class with how often it was right; behind both stand the reviews themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import SettingsError, ShapeError
from core.evaluate.cases import STARS, as_parquet, case_key, from_parquet, kept
from core.evaluate.metrics import rating_classes
from core.evaluate.protocols import split_of
from core.evaluate.ratings import HELD, rated, star_probabilities
from core.files import weights_of, write_atomic

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseSet
    from core.evaluate.splits import Split
    from core.features import Features
    from core.pipeline import Pipeline
    from core.workspace import Workspace

MOST = 5  # stars
TASKS = {"written": "a review that was read", "before": "before anything is written"}
BINS = 10
FLAT = ("key", "row", "user", "item", "truth", "told")
OnStep = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Ratings of whose class the run was between `start` and `end` sure: how many, how sure on average, the share that
    was right with its 95 % interval (Wilson)."""

    start: float
    end: float
    count: int
    sure: float
    right: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class StarBook:
    """R held-out ratings. key (R,) as of cases; row (R,) of the catalogue's interactions; truth (R,) 1 to 5; told (R,)
    whether there was something to read; chances: task -> (R, 5), all 0 where the task was not asked."""

    about: Mapping[str, Any]
    key: NDArray[np.str_]
    row: NDArray[np.int64]
    user: NDArray[np.str_]
    item: NDArray[np.str_]
    truth: NDArray[np.int8]
    told: NDArray[np.bool_]
    chances: Mapping[str, NDArray[np.float32]]

    def __post_init__(self) -> None:
        wrong = [name for name in FLAT if len(getattr(self, name)) != len(self.key)]
        wrong += [task for task, values in self.chances.items() if values.shape != (len(self.key), MOST)]
        if wrong:
            raise ShapeError(f"{len(self.key)} ratings, and another number of {wrong[0]}; one each is needed")

    def __len__(self) -> int:
        return len(self.key)

    def asked(self, task: str) -> NDArray[np.bool_]:
        """(R,) ratings that this task is about."""
        return self.told if task == "written" else np.ones(len(self), dtype=bool)

    def foretold(self, task: str) -> NDArray[np.int8]:
        """(R,) the likeliest class, 1 to 5."""
        return (self.chances[task].argmax(1) + 1).astype(np.int8)

    def confusion(self, task: str) -> NDArray[np.int64]:
        """(5, 5) how many ratings of each true class (rows) were foretold as each (columns)."""
        asked = self.asked(task)
        places = (self.truth[asked] - 1).astype(np.int64) * MOST + self.foretold(task)[asked] - 1
        return np.bincount(places, minlength=MOST * MOST).reshape(MOST, MOST)

    def cell(self, task: str, truth: int, foretold: int) -> NDArray[np.int64]:
        """Places of the ratings of one cell, those of which the run was surest first."""
        inside = self.asked(task) & (self.truth == truth) & (self.foretold(task) == foretold)
        places = np.flatnonzero(inside)
        return places[np.argsort(-self.chances[task][places, foretold - 1], kind="stable")]

    def calibration(self, task: str, bins: int = BINS) -> tuple[Bin, ...]:
        """Bins of equal width that hold any rating, by how sure the run was of its class."""
        asked = self.asked(task)
        sure = self.chances[task].max(1)[asked].astype(np.float64)
        right = (self.foretold(task) == self.truth)[asked]
        where = np.minimum((sure * bins).astype(np.int64), bins - 1)
        return tuple(
            _bin(at / bins, (at + 1) / bins, sure[where == at], right[where == at]) for at in np.unique(where).tolist()
        )

    def numbers(self, task: str) -> dict[str, float]:
        """rows, accuracy, mae of the expected stars, and ece: the mean distance of sure and right over all ratings.
        Source of the last: Naeini et al. 2015."""
        asked = self.asked(task)
        expected = self.chances[task][asked] @ np.arange(1, MOST + 1)
        bins = self.calibration(task)
        return {
            "rows": int(asked.sum()),
            "accuracy": float((self.foretold(task) == self.truth)[asked].mean()),
            "mae": float(np.abs(expected - self.truth[asked]).mean()),
            "ece": sum(one.count * abs(one.right - one.sure) for one in bins) / max(1, int(asked.sum())),
        }

    def tasks(self) -> tuple[str, ...]:
        return tuple(task for task in TASKS if self.asked(task).any())

    def to_bytes(self) -> bytes:
        columns: dict[str, Any] = {name: getattr(self, name) for name in FLAT}
        columns |= {f"{task}_{star + 1}": self.chances[task][:, star] for task in TASKS for star in range(MOST)}
        return as_parquet(columns, self.about)

    @classmethod
    def from_bytes(cls, data: bytes) -> StarBook:
        about, column = from_parquet(data)
        words: dict[str, Any] = {name: np.asarray(column[name], dtype=np.str_) for name in ("key", "user", "item")}
        flat: dict[str, Any] = {name: column[name] for name in FLAT if name not in words}
        chances = {task: np.stack([column[f"{task}_{star + 1}"] for star in range(MOST)], 1) for task in TASKS}
        return cls(about=about, chances=chances, **words, **flat)


def _bin(start: float, end: float, sure: NDArray[np.float64], right: NDArray[np.bool_]) -> Bin:
    from scipy.stats import binomtest

    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Bin(
        start=start, end=end, count=len(right), sure=float(sure.mean()), right=float(right.mean()),
        low=float(interval.low), high=float(interval.high),
    )  # fmt: skip


def make_stars(workspace: Workspace, wanted: CaseSet, on_step: OnStep | None = None) -> StarBook:
    """Foretell every held-out rating, and keep that. Raises UnknownNameError, SettingsError, ModelError."""
    from core.features import catalogue_features
    from core.pipeline import open_pipeline

    tell = on_step or (lambda label, fraction: None)
    pipeline = open_pipeline(workspace, wanted.run, wanted.catalogue or None)
    split = split_of(pipeline, wanted.protocol)
    features = catalogue_features(
        pipeline.catalogue, pipeline.settings, workspace.vectors, modalities=pipeline.model.modalities,
        on_step=lambda label, fraction: tell(label, 0.9 * fraction),
    )  # fmt: skip
    book = star_book(pipeline, features, split, wanted.part)
    write_atomic(wanted.file(workspace), book.to_bytes())
    tell("done", 1.0)
    return book


def star_book(pipeline: Pipeline, features: Features, split: Split, part: str = "test") -> StarBook:
    """Raises SettingsError where the ranker foretells no stars, or no rating is held out."""
    if not hasattr(pipeline.model.ranker, "written"):
        raise SettingsError(f"the ranker of {pipeline.run} foretells no stars; choose a run whose ranker is rating")
    catalogue = pipeline.catalogue
    rows = rated(catalogue, split.rows(HELD[part]))
    if not rows:
        raise SettingsError(f"{catalogue.name} holds out no rating in {part} under {split.name}; choose another part")
    asked = [catalogue.interactions[row] for row in rows]
    told = np.array([any(features.interactions[row].values()) for row in rows], dtype=bool)
    written = np.zeros((len(rows), MOST), dtype=np.float32)
    if told.any():
        read = [row for row, has in zip(rows, told, strict=True) if has]
        written[told] = star_probabilities(pipeline, features, read, written=True)
    before = star_probabilities(pipeline, features, rows, written=False).astype(np.float32)
    return StarBook(
        about={
            "run": pipeline.run, "digest": pipeline.told["digests"]["model.safetensors"], "catalogue": catalogue.name,
            "version": catalogue.version, "protocol": split.name, "split": split.fingerprint.sha, "kind": STARS,
            "part": part,
        },
        key=np.array([case_key("query", one.user_id, one.item_id, one.timestamp) for one in asked]),
        row=np.array(rows, dtype=np.int64),
        user=np.array([one.user_id for one in asked]),
        item=np.array([one.item_id for one in asked]),
        truth=rating_classes([one.rating for one in asked]).astype(np.int8),
        told=told,
        chances={"written": written, "before": before},
    )  # fmt: skip


def load_stars(workspace: Workspace, wanted: CaseSet) -> StarBook | None:
    """The book that was made before; None where there is none or a damaged one, or the run was trained again since."""
    return kept(wanted.file(workspace), StarBook, weights_of(workspace.run_folder(wanted.run)))
