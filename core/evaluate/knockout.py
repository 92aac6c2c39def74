"""Is a modality needed at all? The run trained again without it, beside the same run trained again with everything.

Another question than taking a modality away from a trained run: a run that never had the photos learns to do without.
Source: the train-time knock-out of arXiv 2508.07399, by leaving the inputs out instead of making them constant.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import RunSettings
from core.domain import Catalogue, Modality
from core.errors import SettingsError
from core.evaluate.measure import KINDS
from core.evaluate.significance import bootstrap
from core.evaluate.vectors import MEASURED, Measured, unpack
from core.train.run import train_run

if TYPE_CHECKING:
    from core.workspace import Workspace

USERS, QUERIES = ("test users", "ndcg@10"), ("test ", "mrr")
PARTS = ("warm", "cold")
KINDS_BY_SIZE = tuple(sorted(KINDS, key=lambda kind: -len(KINDS[kind])))
Subjects = Mapping[str, Measured]
Tell = Callable[[str, float], None]


def retrained(
    workspace: Workspace, run: str, modalities: Sequence[Modality], seeds: Sequence[int], tell: Tell
) -> dict[Modality, dict[str, Any]]:  # fmt: skip
    """modality -> what the run loses when it is trained without it: "queries" (mrr) and "users" (ndcg@10), each a mean
    over `seeds` with an interval over products or users. Nothing is kept. Raises SettingsError for a single modality.
    """
    if len(modalities) < 2:
        raise SettingsError(f"run {run} reads one modality; without it there is nothing to train")
    info = workspace.run(run)
    catalogue, settings = workspace.catalogue(info.catalogue), run_settings(workspace, run)
    turns = [(seed, gone) for seed in seeds for gone in (None, *modalities)]
    found: dict[tuple[int, Modality | None], Subjects] = {}
    for number, (seed, gone) in enumerate(turns):
        label = f"training again, seed {seed}, " + (f"without {gone}" if gone else "with everything")
        tell(label, number / len(turns))
        shop = knocked_out(catalogue, gone) if gone else catalogue
        with tempfile.TemporaryDirectory(prefix="knockout-") as folder:
            out = Path(folder) / "run"
            train_run(shop, replace(settings, seed=seed), out, vectors=workspace.vectors)
            found[seed, gone] = unpack((out / MEASURED).read_bytes())
    return {
        gone: {"seeds": list(seeds), **lost([(found[seed, None], found[seed, gone]) for seed in seeds])}
        for gone in modalities
    }


def run_settings(workspace: Workspace, run: str) -> RunSettings:
    return RunSettings.from_values(json.loads((workspace.run_folder(run) / "run.json").read_text("utf-8"))["settings"])


def knocked_out(catalogue: Catalogue, gone: Modality) -> Catalogue:
    """The same shop, people and times without one modality of anything, under a version of its own."""

    def media(thing: Any) -> dict[Modality, tuple[str, ...]]:
        return {m: parts for m, parts in thing.media.items() if m != gone}

    words = gone == "text"
    nameless: dict[str, Any] = {"title": "", "description": ""} if words else {}
    items = tuple(replace(item, media=media(item), **nameless) for item in catalogue.items)
    silent: dict[str, Any] = {"review_title": "", "review_text": ""} if words else {}
    rows = tuple(replace(row, media=media(row), **silent) for row in catalogue.interactions)
    features = {m: matrix for m, matrix in catalogue.features.items() if m != gone}
    version = f"{catalogue.version}-without-{gone}"
    return replace(catalogue, items=items, interactions=rows, features=features, version=version)


def lost(pairs: Sequence[tuple[Subjects, Subjects]]) -> dict[str, Any]:
    """pairs: a seed's run with everything and its run without. Losses on the questions and users that both answered,
    each asked with all that the run reads, mean over seeds."""
    found: dict[str, Any] = {}
    for name, rows in (("queries", [queries(*pair) for pair in pairs]), ("users", [users(*pair) for pair in pairs])):
        seen = [set(row) for row in rows]
        common = sorted(set.intersection(*seen)) if seen else []
        if common:
            values = np.mean([[row[one][0] for one in common] for row in rows], axis=0)
            found[name] = asdict(bootstrap(values, [rows[0][one][1] for one in common]))
    return found


def users(whole: Subjects, without: Subjects) -> dict[str, tuple[float, str]]:
    subject, metric = USERS
    return differences(whole.get(subject), without.get(subject), metric)


def queries(whole: Subjects, without: Subjects) -> dict[str, tuple[float, str]]:
    found: dict[str, tuple[float, str]] = {}
    for part in PARTS:
        names = [f"{QUERIES[0]}{part} {kind}" for kind in KINDS_BY_SIZE]
        fullest, other = (next((one[name] for name in names if name in one), None) for one in (whole, without))
        found |= {f"{part} {key}": value for key, value in differences(fullest, other, QUERIES[1]).items()}
    return found


def differences(whole: Measured | None, without: Measured | None, metric: str) -> dict[str, tuple[float, str]]:
    """id -> (whole - without, group) of the rows that both have."""
    if whole is None or without is None:
        return {}
    other = dict(zip(without.ids, without.values[metric], strict=True))
    rows = zip(whole.ids, whole.groups, whole.values[metric], strict=True)
    return {key: (float(value - other[key]), group) for key, group, value in rows if key in other}
