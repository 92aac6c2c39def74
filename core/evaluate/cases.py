"""Cases: one held-out question each, with what a person needs to see why its answer was right or wrong.

A case is a held-out row of the catalogue: a query (its review, photos, sounds) that should lead to its product, or a
known user who should be shown the product they liked next. Cases are made once (core/evaluate/judge.py), kept as
Parquet in the workspace (core/evaluate/casebook.py), and read from there; nothing here loads a model.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.domain import Modality
from core.errors import ShapeError, UnknownNameError

FORMAT = 1
SHOWN = 5  # products kept of what was shown
ANYTHING, USERS = "anything", "users"  # kinds beside those of `core.evaluate.measure.KINDS`
STARS = "stars"  # no cases but ratings: core/evaluate/starbook.py
SCOPES = ("query", "user")  # who asks: a case's key tells a question from a known user
NEAR = 10  # a truth at rank 2 to 10 was nearly found
ORDERS: dict[str, str] = {
    "worst": "worst first: the largest loss",
    "surprising": "most surprising: one modality alone finds it, together they lose it",
    "near": "near misses: the smallest margin lost",
    "best": "best first: the smallest loss",
    "file": "in the order of the catalogue",
}


class Book(Protocol):
    """What is kept of a run's answers; about: among others the digest of its weights."""

    @property
    def about(self) -> Mapping[str, Any]: ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self: ...


B = TypeVar("B", bound=Book)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cases:
    """Q cases of one run over one catalogue, M modalities.

    about: run, digest of its weights, catalogue, version, protocol, split, kind, part, items. key (Q,) names a case in
    every run; row (Q,) of the catalogue's interactions; user, item (Q,) ids, item being the truth; warm (Q,) whether
    training knows the item; cluster (Q,) of the truth's item vector, twin (Q,) its cosine to the nearest other one.
    rank (Q,) of the truth, from 1; alone (Q, M) its rank when asked with that modality only, 0 where the case has none
    of it; present (Q, M). loss (Q,): cross-entropy of the truth among all candidates, nats; margin (Q,): score of the
    truth - score of the best other. blame (Q, M): exact Shapley values of the loss, positive where the modality misled;
    for_truth, for_shown (Q, M): those of the score of the truth and of the best other product. shown (Q, SHOWN) ids,
    best first, "" beyond the last.
    """

    about: Mapping[str, Any]
    modalities: tuple[Modality, ...]
    key: NDArray[np.str_]
    row: NDArray[np.int64]
    user: NDArray[np.str_]
    item: NDArray[np.str_]
    warm: NDArray[np.bool_]
    cluster: NDArray[np.int16]
    twin: NDArray[np.float32]
    rank: NDArray[np.int32]
    alone: NDArray[np.int32]
    present: NDArray[np.bool_]
    loss: NDArray[np.float32]
    margin: NDArray[np.float32]
    blame: NDArray[np.float32]
    for_truth: NDArray[np.float32]
    for_shown: NDArray[np.float32]
    shown: NDArray[np.str_]

    def __post_init__(self) -> None:
        for name in ARRAYS:
            if len(getattr(self, name)) != len(self.key):
                raise ShapeError(f"{len(self.key)} cases and {len(getattr(self, name))} of {name}; one each is needed")

    def __len__(self) -> int:
        return len(self.key)

    @property
    def surprise(self) -> NDArray[np.float64]:
        """(Q,) how many times further down the truth is than its best modality alone would have put it, as a log."""
        best = np.where(self.alone > 0, self.alone, np.iinfo(np.int32).max).min(1)
        return np.log(self.rank) - np.log(np.minimum(best, np.iinfo(np.int32).max))

    @property
    def pull(self) -> NDArray[np.float32]:
        """(Q, M) what each modality gave to what was shown rather than to the truth, in score units."""
        return self.for_shown - self.for_truth

    def values(self, metric: str) -> NDArray[np.float64]:
        """(Q,) recall@1, recall@10, mrr (higher is better) or loss (lower is better)."""
        if metric not in METRICS:
            raise UnknownNameError("metric", metric, METRICS)
        if metric == "loss":
            return self.loss.astype(np.float64)
        return 1.0 / self.rank if metric == "mrr" else (self.rank <= int(metric.split("@")[1])).astype(np.float64)

    def order(self, name: str) -> NDArray[np.int64]:
        """All places of cases in one of ORDERS; equal ones stay in file order."""
        if name == "worst":
            return np.argsort(-self.loss, kind="stable")
        if name == "best":
            return np.argsort(self.loss, kind="stable")
        if name == "surprising":
            return np.argsort(-self.surprise, kind="stable")
        if name == "near":
            near = np.where((self.rank > 1) & (self.rank <= NEAR), -self.margin, np.inf)
            return np.argsort(near, kind="stable")
        if name == "file":
            return np.arange(len(self))
        raise UnknownNameError("order", name, ORDERS)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {key: place for place, key in reversed(list(enumerate(self.key.tolist())))}  # of equal ones the first

    def place_of(self, key: str) -> int | None:
        return self._place.get(key)

    def among(self, keys: Iterable[str]) -> NDArray[np.bool_]:
        """(Q,) the cases that have one of these keys."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[[self._place[key] for key in keys if key in self._place]] = True
        return chosen

    def to_bytes(self) -> bytes:
        """As Parquet, one flat column a number; `about` in the file's own metadata."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in FLAT}
        for name in BY_MODALITY:
            columns |= {f"{name}_{m}": getattr(self, name)[:, at] for at, m in enumerate(self.modalities)}
        columns |= {f"shown_{place + 1}": self.shown[:, place] for place in range(self.shown.shape[1])}
        return as_parquet(columns, {"modalities": self.modalities, **self.about})

    @classmethod
    def from_bytes(cls, data: bytes) -> Cases:
        about, column = from_parquet(data)
        modalities = tuple(about.pop("modalities"))
        texts: dict[str, Any] = {name: np.asarray(column[name], dtype=np.str_) for name in ("key", "user", "item")}
        shown = sorted(name for name in column if name.startswith("shown_"))
        return cls(
            about=about,
            modalities=modalities,
            **texts,
            **{name: column[name] for name in FLAT if name not in texts},
            **{name: np.stack([column[f"{name}_{m}"] for m in modalities], 1) for name in BY_MODALITY},
            shown=np.stack([np.asarray(column[name], dtype=np.str_) for name in shown], 1),
        )


FLAT = ("key", "row", "user", "item", "warm", "cluster", "twin", "rank", "loss", "margin")
BY_MODALITY = ("alone", "present", "blame", "for_truth", "for_shown")
ARRAYS = (*FLAT, *BY_MODALITY, "shown")
METRICS = ("recall@10", "recall@1", "mrr", "loss")


def as_parquet(columns: Mapping[str, Any], about: Mapping[str, Any]) -> bytes:
    """Columns of equal length; `about` in the file's own metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    table = table.replace_schema_metadata({"fusescope": json.dumps({"format": FORMAT, **about})})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def from_parquet(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """about, and the columns by name. Raises OSError, ValueError or KeyError for a damaged file: Parquet tells by its
    checksums."""
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
    about = json.loads(table.schema.metadata[b"fusescope"])
    about.pop("format")
    return about, {name: table[name].to_numpy() for name in table.column_names}


def kept(path: Path, kind: type[B], weights: str) -> B | None:
    """The book of a kind in this file; None where there is none or a damaged one, or it was made with other weights."""
    try:
        book = kind.from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError):
        return None
    return book if book.about["digest"] == weights else None


def case_key(scope: str, user: str, item: str, timestamp: int | None) -> str:
    """16 hex digits that name a case in every run and after every re-import; scope is one of SCOPES."""
    return hashlib.sha256(f"{scope}\t{user}\t{item}\t{timestamp or ''}".encode()).hexdigest()[:16]


def compare(ours: Cases, other: Cases, k: int = 10) -> dict[str, NDArray[np.int64]]:
    """Places in `ours` of cases that both runs have: fixed (only the other finds it in the first k), broken, and the
    same either way (found, lost); `there` (P, 2) pairs their places."""
    theirs = np.array([-1 if (at := other.place_of(key)) is None else at for key in ours.key.tolist()], dtype=np.int64)
    both = np.flatnonzero(theirs >= 0)
    pairs = np.stack([both, theirs[both]], 1)
    before, after = ours.rank[pairs[:, 0]] <= k, other.rank[pairs[:, 1]] <= k
    groups = {"fixed": ~before & after, "broken": before & ~after, "found": before & after, "lost": ~before & ~after}
    return {name: pairs[chosen, 0] for name, chosen in groups.items()} | {"there": pairs}
