"""What the store tells about itself: small frozen values, free of SQLAlchemy, so that a page may show them cheaply."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.domain import Catalogue, Interaction, Item

ACTIVE_STATES = ("queued", "running")


@dataclass(frozen=True, kw_only=True)
class CatalogueInfo:
    """One line of the list of catalogues; `media` counts files by modality. `report` is what its import said."""

    name: str
    items: int
    users: int
    interactions: int
    media: Mapping[str, int]
    version: str
    bundled: bool = False
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """One line of the list of runs; `metrics` as in its run.json; `digest` is the sha256 of that file."""

    run: str
    catalogue: str
    align: str
    fuse: str
    rank: str
    metrics: Mapping[str, Any]
    created: datetime
    bundled: bool = False
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """Long work as it stands: state is queued, running, done, failed, cancelled or interrupted.

    fraction in [0, 1]; remaining in seconds, None while nobody can know; code and message say why it failed.
    """

    id: int
    kind: str
    target: str
    arguments: tuple[str, ...]
    state: str
    fraction: float
    label: str
    remaining: float | None
    pid: int | None
    created: datetime
    heartbeat: datetime
    finished: datetime | None
    code: str
    message: str
    result: Mapping[str, Any] | None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE_STATES


@dataclass(frozen=True, kw_only=True)
class SavedPart:
    """One part of a saved query: its words, or the file that keeps it, named by sha256."""

    modality: str
    text: str = ""
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class SavedQuery:
    """A query that has a link."""

    id: str
    run: str
    user: str | None
    parts: tuple[SavedPart, ...]


@dataclass(frozen=True, kw_only=True)
class CaseRef:
    """A case as people refer to it: its key, and whose it is, so that it can be forgotten with them."""

    key: str
    user: str
    item: str


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What one person noted about one case. `version` is to be handed back when it is changed."""

    case: CaseRef
    author: str
    labels: tuple[str, ...] = ()
    note: str = ""
    version: int = 0
    updated: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SavedSlice:
    """A slice that somebody named; conditions are (attribute, value) pairs."""

    id: str
    catalogue: str
    name: str
    conditions: tuple[tuple[str, str], ...]
    author: str
    created: datetime


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """One removal: the keyed digest of what was removed and the runs that had learned from it."""

    catalogue: str
    kind: str
    digest: str
    runs: tuple[str, ...]
    created: datetime


def count_media(catalogue: Catalogue) -> dict[str, int]:
    """Different files of items and interactions, by modality; of a feature matrix the items that have a row."""
    files: dict[str, set[str]] = defaultdict(set)
    owners: tuple[Item | Interaction, ...] = (*catalogue.items, *catalogue.interactions)
    for owner in owners:
        for modality, paths in owner.media.items():
            files[modality].update(paths)
    counts = {modality: len(paths) for modality, paths in files.items() if paths}
    counts |= {modality: matrix.items for modality, matrix in catalogue.features.items()}
    return dict(sorted(counts.items()))
