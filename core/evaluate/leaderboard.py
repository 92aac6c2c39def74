"""Which run is better on which data: all runs of one catalogue and split beside their floors, with intervals and
paired tests. Everything comes from the values that were kept with the runs; no model is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import RunSettings
from core.domain import Estimate
from core.errors import FusescopeError, SettingsError, UnknownNameError
from core.evaluate.headline import Choice, choose
from core.evaluate.significance import bootstrap, holm, paired
from core.evaluate.splits import Fingerprint
from core.evaluate.vectors import MEASURED, Measured, unpack
from core.files import read_verified

if TYPE_CHECKING:
    from core.workspace import Workspace

USERS = "users"
FEWEST_UNITS = 2  # to draw from


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A run as a board sees it. measured: "test users", "test cold photo" ... -> values; empty where none are kept."""

    run: str
    catalogue: str
    protocol: str
    fingerprint: Fingerprint
    settings: Mapping[str, Any]
    grid: str
    metrics: Mapping[str, Mapping[str, float]]
    measured: Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True)
class Place:
    """One line of a board. settings: those that are not as usual, beside methods and seed.

    value: None where the run has no such figure. low, high: None where no values are kept.
    against: mean difference to the reference on the same users or queries; p: two-sided, adjusted by Holm over all
    comparisons of the board; differ: how many users or products differ at all; spread: standard deviation over seeds.
    """

    name: str
    runs: tuple[str, ...]
    align: str
    fuse: str
    rank: str
    seeds: tuple[int, ...]
    grid: str
    settings: str
    value: float | None
    low: float | None = None
    high: float | None = None
    against: Estimate | None = None
    p: float | None = None
    differ: int = 0
    spread: float | None = None
    lists: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Board:
    """All runs of a catalogue under one split, best first, and what they are to be held against.

    units: over how many users or products the intervals are drawn. floors: popularity, chance, oracle. choices: per
    search over pairs, what validation chooses and what a choice by test figures would claim.
    """

    catalogue: str
    protocol: str
    fingerprint: Fingerprint
    subject: str
    metric: str
    part: str
    reference: str
    units: int
    places: tuple[Place, ...]
    floors: Mapping[str, Estimate]
    choices: Mapping[str, Choice]

    @property
    def caution(self) -> str:
        """Why these numbers are weak; empty where they are not."""
        if self.subject == USERS:
            return self.fingerprint.caution
        if 0 < self.units < 30:
            return f"{self.units} products are asked for: too few for a headline number, at least 30 are needed"
        return ""


def entries(workspace: Workspace) -> tuple[Entry, ...]:
    """Every measured run of the workspace; a run whose files are damaged is left out."""
    found = []
    for info in workspace.runs():
        try:
            one = entry(workspace, info.run)
        except FusescopeError:
            continue
        if one is not None:
            found.append(one)
    return tuple(found)


def entry(workspace: Workspace, run: str) -> Entry | None:
    """None for a run of which nothing was held out. Raises ModelError, UnknownNameError."""
    folder = workspace.run_folder(run)
    told = json.loads((folder / "run.json").read_text("utf-8"))
    data = told["data"]
    if not any(told.get("metrics", {}).values()):
        return None
    fields = Fingerprint.__dataclass_fields__
    return Entry(
        run=run,
        catalogue=data["catalogue"],
        protocol=told["settings"]["protocol"],
        fingerprint=Fingerprint(**{name: data["split"][name] for name in fields}),
        settings=told["settings"],
        grid=told.get("grid", ""),
        metrics=told["metrics"],
        measured=measured_of(workspace, folder, told),
    )


def measured_of(workspace: Workspace, folder: Path, told: Mapping[str, Any]) -> Mapping[str, Measured]:
    """The values kept with a run, or measured later in this workspace; empty where there are none."""
    if MEASURED in told["digests"]:
        return unpack(read_verified(folder / MEASURED, told["digests"][MEASURED]))
    later = measured_later(workspace, told)
    return unpack(later.read_bytes()) if later.is_file() else {}


def measured_later(workspace: Workspace, told: Mapping[str, Any]) -> Path:
    """Where the values of a run are kept that came without: named by its weights and its split."""
    name = f"{told['digests']['model.safetensors'][:16]}-{told['data']['split']['sha']}.safetensors"
    return workspace.home / "measured" / name


def subjects(of: Iterable[Entry], part: str = "test") -> dict[str, tuple[str, ...]]:
    """What can be compared in a part: subject ("users", "cold review+photo" ...) -> its metrics, best known first."""
    found: dict[str, dict[str, None]] = {}
    for one in of:
        for name in one.metrics.get(part, {}):
            subject, _, metric = name.rpartition(" ")
            if subject != "lists":
                found.setdefault(subject, {})[metric] = None
        for name, measured in one.measured.items():
            if name.startswith(f"{part} "):
                found.setdefault(name.removeprefix(f"{part} "), {}).update(dict.fromkeys(measured.values))
    return {subject: tuple(metrics) for subject, metrics in sorted(found.items(), key=lambda pair: pair[0] != USERS)}


def board(
    all_entries: Sequence[Entry], catalogue: str, sha: str, subject: str, metric: str, *, part: str = "test",
    reference: str = "", over_seeds: bool = False,
) -> Board:  # fmt: skip
    """The board of one catalogue and split. reference: what the others are tested against, by default the best.

    over_seeds: runs that differ in their seed alone are one line, every user's value averaged over seeds first.
    Raises UnknownNameError for a catalogue and split that no run has, SettingsError for a reference not on the board.
    """
    mine = [one for one in all_entries if (one.catalogue, one.fingerprint.sha) == (catalogue, sha)]
    if not mine:
        known = {f"{one.catalogue} {one.fingerprint.sha}" for one in all_entries}
        raise UnknownNameError("board", f"{catalogue} {sha}", known)
    lines = [
        _line(group, subject, metric, part) for group in (_by_settings(mine) if over_seeds else [[x] for x in mine])
    ]
    lines.sort(key=lambda line: -np.inf if line[0].value is None else -line[0].value)
    lines.sort(key=lambda line: line[0].value is None)
    names = [place.name for place, _ in lines]
    chosen = reference or next((place.name for place, values in lines if values is not None), "")
    if chosen and chosen not in names:
        raise SettingsError(f'"{chosen}" is not on this board; choose one of {", ".join(names)}')
    of_reference = next((values for place, values in lines if place.name == chosen), None)
    measured = next((values for _, values in lines if values is not None), None)
    return Board(
        catalogue=catalogue, protocol=mine[0].protocol, fingerprint=mine[0].fingerprint, subject=subject,
        metric=metric, part=part, reference=chosen, units=len(set(measured.groups)) if measured else 0,
        places=_tested(lines, chosen, of_reference), floors=_floors(mine, subject, metric, part),
        choices=_choices(mine),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Values:
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: NDArray[np.float64]

    def at(self, ids: Sequence[str]) -> NDArray[np.float64]:
        place = {name: row for row, name in enumerate(self.ids)}
        return self.values[[place[name] for name in ids]]


def _line(group: Sequence[Entry], subject: str, metric: str, part: str) -> tuple[Place, _Values | None]:
    first, name = group[0], f"{subject} {metric}"
    means = [one.metrics.get(part, {}).get(name) for one in group]
    known = [value for value in means if value is not None]
    lists = {k.removeprefix("lists "): v for k, v in first.metrics.get(part, {}).items() if k.startswith("lists ")}
    settings = first.settings
    label = first.run if len(group) == 1 else f"{settings['align']} + {settings['fuse']} + {settings['rank']}"
    place = Place(
        name=label if len(group) == 1 else f"{label}, {len(group)} seeds", runs=tuple(one.run for one in group),
        align=settings["align"], fuse=settings["fuse"], rank=settings["rank"], grid=first.grid,
        settings=unusual(settings),
        seeds=tuple(one.settings["seed"] for one in group), value=float(np.mean(known)) if known else None,
        lists=lists,
    )  # fmt: skip
    tables = [one.measured.get(f"{part} {subject}") for one in group]
    there = [one for one in tables if one is not None and metric in one.values]
    if len(there) < len(group):
        return place, None
    ids = there[0].ids
    stacked = [_Values(ids=one.ids, groups=one.groups, values=one.values[metric]).at(ids) for one in there]
    values = _Values(ids=ids, groups=there[0].groups, values=np.mean(stacked, 0))
    spread = float(np.std([np.nanmean(one) for one in stacked], ddof=1)) if len(stacked) > 1 else None
    told = bootstrap(values.values, values.groups)
    return replace(place, value=told.value, low=told.low, high=told.high, spread=spread), values


def unusual(settings: Mapping[str, Any]) -> str:
    """The settings of a run that differ from what its ranker and loss usually need, beside what a board shows anyway:
    "epochs 12, width 64"."""
    standard = RunSettings(**{name: settings[name] for name in ("rank", "loss") if name in settings})
    shown = {"catalogue", "protocol", "align", "fuse", "rank", "seed", "threads"}
    given = {name: value for name, value in settings.items() if name not in shown}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value != getattr(standard, name, None))


def _tested(
    lines: Sequence[tuple[Place, _Values | None]], reference: str, of_reference: _Values | None
) -> tuple[Place, ...]:
    """Every line against the reference on what both were asked, p adjusted over all of them."""
    tests = {}
    for place, values in lines:
        if of_reference is None or values is None or place.name == reference:
            continue
        here = set(values.ids)
        both = [name for name in of_reference.ids if name in here]
        if len(both) < FEWEST_UNITS:
            continue
        group = dict(zip(of_reference.ids, of_reference.groups, strict=True))
        tests[place.name] = paired(values.at(both), of_reference.at(both), [group[name] for name in both])
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    return tuple(
        replace(place, against=tests[place.name].difference, p=adjusted[place.name], differ=tests[place.name].nonzero)
        if place.name in tests
        else place
        for place, _ in lines
    )


def _floors(mine: Sequence[Entry], subject: str, metric: str, part: str) -> dict[str, Estimate]:
    """popularity, chance and the oracle on the same users or queries, from the first run that has them."""
    found: dict[str, Estimate] = {}
    for one in mine:
        measured = one.measured.get(f"{part} {subject}")
        if measured is None:
            continue
        for name, table in measured.floors.items():
            if metric in table and name not in found:
                found[name] = bootstrap(table[metric], measured.groups)
        if metric in measured.about and "chance" not in found:
            value = measured.about[metric]
            found["chance"] = Estimate(value=value, low=value, high=value)
    return found


def _choices(mine: Sequence[Entry]) -> dict[str, Choice]:
    grids: dict[str, list[Entry]] = {}
    for one in mine:
        if one.grid:
            grids.setdefault(one.grid, []).append(one)
    found = {grid: choose([(one.run, one.metrics) for one in runs]) for grid, runs in grids.items() if len(runs) > 1}
    return {grid: choice for grid, choice in found.items() if choice is not None}


def _by_settings(mine: Sequence[Entry]) -> list[list[Entry]]:
    """Runs that differ in their seed alone, together; a seed that was trained twice counts once."""
    groups: dict[str, dict[int, Entry]] = {}
    for one in mine:
        rest = {name: value for name, value in one.settings.items() if name != "seed"}
        groups.setdefault(json.dumps(rest, sort_keys=True), {}).setdefault(one.settings["seed"], one)
    return [list(group.values()) for group in groups.values()]
