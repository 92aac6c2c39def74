"""The Models page's door to core and its caches: methods, the queue, curves, leaderboards. Loads torch for the names of
the methods, a model only when two runs are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.config import RunSettings
from core.domain import Query, Recommendation
from core.errors import FusescopeError
from core.figures_training import Interval
from core.jobs.queue import JobInfo
from pages.shared import access, services, wording

if TYPE_CHECKING:
    from core.evaluate.leaderboard import Board, Entry, Place
    from core.jobs.training import Choices

SHOWN_JOBS = 6
SHOWN_KINDS = ("train", "evaluate")
COMPARED = 10  # products of each list


@dataclass(frozen=True, kw_only=True)
class Training:
    """One line of the queue: a training, or a run that is measured. before: how many trainings work or wait ahead."""

    job: JobInfo
    before: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """One board that can be shown: a catalogue under one split."""

    catalogue: str
    protocol: str
    sha: str
    runs: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.catalogue} · {self.protocol} · split {self.sha[:8]}"


# ---- what can be trained


@st.cache_resource(max_entries=1, show_spinner=False)
def choices() -> Choices:
    from core.jobs.training import choices as registered

    return registered()


def step_title(name: str) -> str:
    """What a cleaning step is called on the page."""
    return wording.said(choices().clean[name])


def misfits(settings: RunSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why these settings cannot be trained, and what a person should know before."""
    catalogue = services.workspace().catalogue(settings.catalogue)
    return _misfits(settings.catalogue, catalogue.version, settings.protocol, settings.rank, settings.to_json())


@st.cache_data(max_entries=64, show_spinner=False)
def _misfits(
    catalogue: str, version: str, protocol: str, rank: str, settings: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from core.jobs import training

    wanted, shop = RunSettings.from_json(settings), services.workspace().catalogue(catalogue)
    refused = training.misfits(wanted, shop, choices())
    return refused, () if refused else training.remarks(wanted, shop, choices())


def start(settings: RunSettings, grid: Mapping[str, tuple[str, ...]] | None) -> JobInfo:
    """Raises JobError, StoreError."""
    from core.jobs.training import start_training

    return start_training(access.writable(), settings, grid)


# ---- the queue


def queue() -> tuple[Training, ...]:
    """What works or waits, in its order, then the newest that ended. Takes up trainings that died without a word."""
    from core.jobs.queue import jobs, take_up

    workspace = services.workspace()
    if not workspace.has_database:
        return ()
    take_up(workspace)
    found = [job for job in jobs(workspace) if job.kind in SHOWN_KINDS]
    active = sorted((job for job in found if job.active), key=lambda job: job.id)
    again = {(job.kind, job.target) for job in active}
    ended: dict[tuple[str, str], JobInfo] = {}
    for job in found:
        if not job.active and (job.kind, job.target) not in again:
            ended.setdefault((job.kind, job.target), job)
    order = [job.id for job in active if job.kind == "train"]
    lines = [Training(job=job, before=order.index(job.id) if job.id in order else 0) for job in active]
    return (*lines, *(Training(job=job, before=0) for job in [*ended.values()][:SHOWN_JOBS]))


def cancel(ident: int) -> None:
    from core.jobs.queue import cancel as stop

    stop(access.writable(), ident)


def resume(ident: int) -> None:
    from core.jobs.queue import resume as again

    again(access.writable(), ident)


def curves(job: JobInfo) -> tuple[str, tuple[dict[str, float], ...]]:
    """The run that a job works on now (of a search the latest one), and a row of figures for every epoch so far."""
    runs = services.workspace().home / "runs"
    if "--grid" in job.arguments:
        found = sorted(runs.glob(f"{job.target}-*/curves.jsonl"), key=lambda path: path.stat().st_mtime)
    else:
        found = [path for path in [runs / job.target / "curves.jsonl"] if path.is_file()]
    if not found:
        return job.target, ()
    return found[-1].parent.name, tuple(json.loads(line) for line in found[-1].read_text("utf-8").splitlines())


# ---- the leaderboard


def entries() -> tuple[Entry, ...]:
    """Every measured run; read again when a run appears, disappears or is measured anew."""
    workspace = services.workspace()
    later = workspace.home / "measured"
    seen = tuple((info.run, info.digest) for info in workspace.runs())
    return _entries(seen, tuple(sorted(path.name for path in later.glob("*"))) if later.is_dir() else ())


@st.cache_resource(max_entries=2, show_spinner=False)
def _entries(runs: tuple[tuple[str, str], ...], later: tuple[str, ...]) -> tuple[Entry, ...]:
    from core.evaluate.leaderboard import entries as read

    return read(services.workspace())


def rating_caution(made: Board) -> str:
    """What a board of foretold stars leaves out; "" for boards of anything else, and where nothing is left out."""
    if not made.subject.startswith("ratings"):
        return ""
    version = services.workspace().catalogue(made.catalogue).version
    return _rating_caution(made.catalogue, version, made.protocol, made.part)


@st.cache_data(max_entries=64, show_spinner=False)
def _rating_caution(catalogue: str, version: str, protocol: str, part: str) -> str:
    from core.evaluate.protocols import split_by
    from core.evaluate.ratings import only_likes

    shop = services.workspace().catalogue(catalogue)
    return only_likes(shop, split_by(protocol, shop), part)


def groups() -> tuple[Group, ...]:
    """All catalogues and splits that a measured run stands on, the one with most runs first."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for one in entries():
        found.setdefault((one.catalogue, one.fingerprint.sha), []).append(one)
    made = [
        Group(catalogue=catalogue, protocol=runs[0].protocol, sha=sha, runs=tuple(one.run for one in runs))
        for (catalogue, sha), runs in found.items()
    ]
    return tuple(sorted(made, key=lambda group: -len(group.runs)))


def subjects(group: Group, part: str) -> dict[str, tuple[str, ...]]:
    from core.evaluate.leaderboard import subjects as told

    return told([one for one in entries() if one.run in group.runs], part)


def board(group: Group, subject: str, metric: str, part: str, reference: str, over_seeds: bool) -> Board:
    """Raises SettingsError where the reference is not on the board."""
    state = tuple((one.run, len(one.measured)) for one in entries())
    return _board(state, group.catalogue, group.sha, subject, metric, part, reference, over_seeds)


@st.cache_resource(max_entries=32, show_spinner="Drawing 10,000 resamples for every run")
def _board(
    state: tuple, catalogue: str, sha: str, subject: str, metric: str, part: str, reference: str, over_seeds: bool
) -> Board:
    from core.evaluate.leaderboard import board as made

    return made(
        entries(), catalogue, sha, subject, metric, part=part, reference=reference, over_seeds=over_seeds
    )  # fmt: skip


def intervals(shown: Board) -> list[Interval]:
    return [
        Interval(
            name=place.name, value=place.value, low=place.low, high=place.high, reference=place.name == shown.reference
        )
        for place in shown.places
        if place.value is not None
    ]


def board_rows(shown: Board) -> list[dict[str, object]]:
    """One row a run, numbers unrounded, for the table and the download."""
    return [_row(place, shown) for place in shown.places]


def _row(place: Place, shown: Board) -> dict[str, object]:
    lists = {name: place.lists.get(name) for name in ("coverage", "gini", "novelty", "aplt", "popularity")}
    against = asdict(place.against) if place.against else {}
    return {
        "run": place.name, "aligner": place.align, "fuser": place.fuse, "ranker": place.rank,
        "seed": " ".join(map(str, place.seeds)), "settings": place.settings,
        "metric": f"{shown.subject} {shown.metric}", "part": shown.part,
        "value": place.value, "low": place.low, "high": place.high, "spread": place.spread,
        "reference": shown.reference, "difference": against.get("value"), "difference_low": against.get("low"),
        "difference_high": against.get("high"), "p_holm": place.p, "differ": place.differ, **lists,
        "catalogue": shown.catalogue, "protocol": shown.protocol, "split": shown.fingerprint.sha,
    }  # fmt: skip


def measure(run: str) -> JobInfo:
    """Keeps the values of a run that came without them, as a job. Raises JobError, StoreError."""
    from core.jobs.queue import start as begin

    return begin(access.writable(), "evaluate", run, ["--run", run, "--keep"])


def as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    from core.report.tables import as_csv as written

    return written(rows)


# ---- two runs side by side


def answers(runs: Sequence[str], query: Query) -> list[Recommendation | FusescopeError]:
    """The same question to every run; a refusal stands in the place of its answer."""
    found: list[Recommendation | FusescopeError] = []
    for run in runs:
        try:
            found.append(services.answer(run, query))
        except FusescopeError as refused:
            found.append(refused)
    return found


def run_names(catalogue: str | None = None) -> list[str]:
    return [run.run for run in services.runs() if catalogue in (None, run.catalogue)]


def catalogue_of(run: str) -> str:
    return next(one.catalogue for one in services.runs() if one.run == run)


def known_users(run: str) -> tuple[str, ...]:
    return services.shop(catalogue_of(run)).users


def told(metrics: Mapping[str, Any]) -> str:
    """The figures of a run that is done, in one line."""
    from core.evaluate.headline import headline

    found = headline([metrics])
    return f"{found.test} {metrics['test'][found.test]:.3f}" if found else ""
