"""All pairs of an aligner and a fuser, one run each, one after another: what is done already is not done again.

Media are encoded and read from the store once for all pairs. A search can be done in slices: `minutes` after its start
no further pair begins, and the same command goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.align import ALIGNERS
from core.config import RunSettings
from core.domain import Catalogue
from core.errors import SettingsError, UnknownNameError
from core.features import Features
from core.fuse import FUSERS
from core.train.run import OnStep, RunRecord, prepared_features, train_run


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One place of a grid: the settings of its run, and what the run is called."""

    run: str
    settings: RunSettings


def pairs(name: str, settings: RunSettings, aligners: Sequence[str], fusers: Sequence[str]) -> tuple[Pair, ...]:
    """All pairs of these lists, or of everything there is where a list is empty. Raises UnknownNameError."""
    for kind, asked, known in (("aligner", aligners, ALIGNERS), ("fuser", fusers, FUSERS)):
        for one in asked:
            if one not in known:
                raise UnknownNameError(kind, one, known)
    return tuple(
        Pair(run=f"{name}-{align}-{fuse}", settings=replace(settings, align=align, fuse=fuse))
        for align in aligners or ALIGNERS
        for fuse in fusers or FUSERS
    )


def finished(folder: Path, settings: RunSettings) -> RunRecord | None:
    """The run in `folder` as it was recorded, None where there is no whole one.

    Raises SettingsError where a run of this name has other settings.
    """
    path = folder / "run.json"
    if not path.is_file():
        return None
    told = json.loads(path.read_text("utf-8"))
    if "metrics" not in told:
        return None
    if RunSettings.from_values(told["settings"]) != settings:
        raise SettingsError(f'"{folder.name}" is a run already, with other settings; choose another --name')
    training = told["training"]
    return RunRecord(
        run=folder.name, epochs=len(training["curves"]) - 1, best_epoch=training["best_epoch"],
        metrics=told["metrics"], seconds=told.get("seconds", 0.0),
    )  # fmt: skip


def train_grid(
    catalogue: Catalogue, grid: str, all_pairs: Sequence[Pair], folder: Callable[[str], Path], *, vectors: Path,
    on_run: Callable[[RunRecord, Path], Any], on_step: OnStep, minutes: float = 0.0,
) -> tuple[RunRecord, ...]:  # fmt: skip
    """Trains what is not there yet and goes on with what was broken off; `on_run` is told of every run, old ones too.

    folder: run name -> where it is written. minutes: how long pairs may begin, 0 for all of them; the records of those
    that were not reached are missing.
    """
    records: list[RunRecord] = []
    ready: Features | None = None
    begun = time.monotonic()
    for number, pair in enumerate(all_pairs):
        out = folder(pair.run)

        def tell(label: str, fraction: float, figures: dict[str, float], number: int = number) -> None:
            of = f"run {number + 1} of {len(all_pairs)}, "
            on_step(of + label, (number + fraction) / len(all_pairs), figures)

        record = finished(out, pair.settings)
        if record is None and minutes and time.monotonic() - begun > 60 * minutes:
            continue
        if record is None:
            ready = ready or prepared_features(catalogue, pair.settings, vectors, tell)
            record = train_run(
                catalogue, pair.settings, out, vectors=vectors, on_step=tell, resume=True, grid=grid, ready=ready
            )  # fmt: skip
        on_run(record, out)
        records.append(record)
    return tuple(records)


def grid_rows(all_pairs: Sequence[Pair], records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """One row a trained pair: align, fuse, and what its record says."""
    kept: Mapping[str, RunRecord] = {record.run: record for record in records}
    return [
        {"align": pair.settings.align, "fuse": pair.settings.fuse, **asdict(kept[pair.run])}
        for pair in all_pairs
        if pair.run in kept
    ]
