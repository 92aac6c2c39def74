"""The Data page's door to core and its caches: facts of catalogues, findings of the cleaning steps, imports as jobs.

Loads no model: what needs vectors is looked for in a job of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.catalog.clean import STEPS, Detection, Mark
from core.domain import Catalogue, Modality
from core.errors import FusescopeError, InputError
from core.files import digest_bytes, write_atomic
from core.jobs.queue import JobInfo
from pages.shared import access, services, wording

if TYPE_CHECKING:
    from core.evaluate.splits import Fingerprint

AT_ONCE = 1_000  # items up to which a page compares photos itself; a job does it for more
SHOWN_JOBS = 6
KINDS = ("import", "clean")
SAMPLE_PHOTOS = 8


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a catalogue is, in numbers. info: its line in the list of catalogues. have: items by modality, presence: by
    what exactly they have; photos: title and file of some."""

    info: Any
    version: str
    items: int
    users: int
    interactions: int
    have: Mapping[Modality, int]
    presence: Mapping[tuple[Modality, ...], int]
    rated: int
    timed: int
    categories: int
    prices: tuple[float, float] | None
    photos: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the cleaning steps found; whole: also those that need vectors. scores: against what was planted."""

    detections: tuple[Detection, ...]
    whole: bool
    scores: Mapping[str, Mapping[str, float]]

    def step(self, name: str) -> Detection | None:
        return next((one for one in self.detections if one.step == name), None)


# ---- facts


def facts(name: str) -> Facts:
    """Raises UnknownNameError, StoreError."""
    info = next((one for one in services.catalogues() if one.name == name), None)
    catalogue = services.workspace().catalogue(name)
    return _facts(name, catalogue.version, info)


@st.cache_resource(max_entries=8, show_spinner=False)
def _facts(name: str, version: str, _info: Any) -> Facts:
    catalogue = services.workspace().catalogue(name)
    presence = Counter(modalities_of(catalogue, row) for row in range(len(catalogue.items)))
    have: Counter[Modality] = Counter()
    for present, count in presence.items():
        have.update(dict.fromkeys(present, count))
    prices = [item.price for item in catalogue.items if item.price is not None]
    shown = [
        (item.title or item.item_id, item.media["image"][0]) for item in catalogue.items if item.media.get("image")
    ]
    stride = max(1, len(shown) // SAMPLE_PHOTOS)
    return Facts(
        info=_info, version=version, items=len(catalogue.items),
        users=len({row.user_id for row in catalogue.interactions}), interactions=len(catalogue.interactions),
        have=dict(have), presence=dict(sorted(presence.items(), key=lambda pair: -pair[1])),
        rated=sum(row.rating is not None for row in catalogue.interactions),
        timed=sum(row.timestamp is not None for row in catalogue.interactions),
        categories=len({item.category for item in catalogue.items if item.category}),
        prices=(min(prices), max(prices)) if prices else None, photos=tuple(shown[::stride][:SAMPLE_PHOTOS]),
    )  # fmt: skip


def modalities_of(catalogue: Catalogue, row: int) -> tuple[Modality, ...]:
    item = catalogue.items[row]
    return (*(("text",) if item.text else ()), *(m for m in ("image", "audio", "video") if item.media.get(m)))


def protocols() -> Mapping[str, str]:
    from core.evaluate.protocols import TOLD

    return {name: wording.said(told) for name, told in TOLD.items()}


def fingerprint(name: str, protocol: str) -> Fingerprint:
    """Raises FusescopeError where the catalogue cannot be split so."""
    return _fingerprint(name, services.workspace().catalogue(name).version, protocol)


@st.cache_data(max_entries=32, show_spinner=False)
def _fingerprint(name: str, version: str, protocol: str) -> Fingerprint:
    from core.evaluate.protocols import split_by

    return split_by(protocol, services.workspace().catalogue(name)).fingerprint


def photo(catalogue: str, version: str, path: str, side: int = 220) -> bytes | None:
    """A thumbnail of any photo of a catalogue, None where it cannot be read."""
    return services._thumbnail(catalogue, version, path, side)


# ---- findings


def findings(name: str) -> Findings | None:
    """What is known so far: all steps where a job has looked, else those that tables and photos tell; None where even
    these need a job."""
    from core.prepare.findings import faults_file

    workspace = services.workspace()
    catalogue = workspace.catalogue(name)
    path = faults_file(workspace.vectors, catalogue)
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    if not changed and len(catalogue.items) > AT_ONCE:
        return None
    return _findings(name, catalogue.version, changed)


@st.cache_resource(max_entries=8, show_spinner="Comparing photos, words and prices")
def _findings(name: str, version: str, changed: int) -> Findings:
    from core.evaluate.truth import fault_scores, planted_truth
    from core.prepare.findings import kept_faults, table_faults

    workspace = services.workspace()
    catalogue = workspace.catalogue(name)
    kept = kept_faults(workspace.vectors, catalogue) if changed else None
    found = kept if kept is not None else table_faults(catalogue, workspace.vectors)
    truth = planted_truth(catalogue)
    scores = fault_scores(truth, found) if truth and truth.get("faults") else {}
    return Findings(detections=found, whole=kept is not None, scores=scores)


def look_deeper(name: str) -> JobInfo:
    """Starts the search for faults that need vectors. Raises JobError, StoreError."""
    from core.jobs.queue import start

    return start(access.writable(), "clean", name, ("--catalogue", name))


def marks_csv(found: Findings) -> bytes:
    """Every found place as a file that a spreadsheet will not execute."""
    from core.report.tables import as_csv

    return as_csv([_row(one.step, mark) for one in found.detections for mark in one.found])


def _row(step: str, mark: Mark) -> dict[str, object]:
    return {
        "step": step, "title": STEPS[step].title, "item_id": mark.item_id, "user_id": mark.user_id,
        "column": mark.column, "file": mark.file, "other": mark.other, "before": mark.before, "after": mark.after,
        "score": round(mark.score, 4), "reason": mark.reason,
    }  # fmt: skip


def rejects(name: str) -> bytes | None:
    """The list of everything the last import of this catalogue refused, None where nothing was."""
    from core.importing import rejects_file

    path = rejects_file(services.workspace(), name)
    return path.read_bytes() if path.is_file() else None


# ---- imports


def template() -> bytes:
    from core.catalog.template import template_zip

    return template_zip()


FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "Via")


def may_name_a_folder() -> bool:
    """Whether who looks at this page sits at this very machine: only then may a folder of it be named.

    Through a proxy on this machine everybody comes from 127.0.0.1, so whoever was forwarded sits elsewhere.
    """
    here = st.get_option("server.address") in ("127.0.0.1", "localhost", "::1")
    forwarded = any(st.context.headers.get(name) is not None for name in FORWARDED)
    return here and not forwarded and st.context.ip_address in (None, "127.0.0.1", "::1")


def suggested_name(file: str) -> str:
    """A name for a catalogue, from that of its file or folder."""
    stem = re.sub(r"[^a-z0-9_.-]+", "-", Path(file).stem.lower()).strip("-._")
    return stem[:64] or "shop"


def import_upload(name: str, file: str, data: bytes) -> JobInfo:
    """Keeps the upload in the workspace and starts its import. Raises InputError, JobError, StoreError."""
    from core.importing import UPLOADS

    workspace = access.writable()
    workspace.check_name(name, "catalogue")
    ending = Path(file).suffix.lower() if Path(file).suffix.lower() in (".zip", ".csv") else ".zip"
    kept = workspace.home / UPLOADS / f"{digest_bytes(data)[:32]}{ending}"
    if not kept.is_file():
        write_atomic(kept, data)
    return _start_import(name, kept, "--uploaded")


def import_path(name: str, path: str) -> JobInfo:
    """Imports a folder or zip of this machine. Raises InputError, JobError, StoreError."""
    workspace = access.writable()
    workspace.check_name(name, "catalogue")
    source = Path(path.strip()).expanduser()
    if not path.strip() or not source.is_absolute() or not source.exists():
        raise InputError(
            "E-INPUT-VALUE",
            f'"{path.strip()[:80]}": there is no such folder or zip on this machine; its whole path was expected. '
            "Copy it from your file manager.",
        )
    return _start_import(name, source)


def _start_import(name: str, source: Path, *more: str) -> JobInfo:
    from core.jobs.queue import start

    return start(access.writable(), "import", name, (str(source), "--name", name, "--format", "auto", *more))


def jobs() -> tuple[JobInfo, ...]:
    """Imports and searches for faults: what works first, then the newest that ended, one line a target."""
    from core.jobs.queue import jobs as listed

    workspace = services.workspace()
    if not workspace.has_database:
        return ()
    found: dict[tuple[str, str], JobInfo] = {}
    for job in listed(workspace):
        if job.kind in KINDS:
            found.setdefault((job.kind, job.target), job)
    return tuple(sorted(found.values(), key=lambda job: not job.active)[:SHOWN_JOBS])


def cancel(ident: int) -> None:
    from core.jobs.queue import cancel as stop

    stop(access.writable(), ident)


def resume(ident: int) -> FusescopeError | None:
    """What stood in the way, None when it goes on."""
    from core.jobs.queue import resume as again

    try:
        again(access.writable(), ident)
    except FusescopeError as reason:
        return reason
    return None


def told(info: Any) -> Mapping[str, Any]:
    """What the import said; empty for the bundled catalogue."""
    return dict(info.report) if info else {}
