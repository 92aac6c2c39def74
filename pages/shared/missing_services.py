"""The door of the missing-modality simulator to core: which runs, its job, what was measured before. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from core.domain import MODALITIES
from core.errors import FusescopeError
from core.evaluate import missing_kept
from core.evaluate.missing_kept import flat, kept_answers
from core.jobs.queue import JobInfo
from core.jobs.training import FILLED_BY
from pages.shared import access, services

KIND = "simulate-missing"
HOW, WHEN = missing_kept.HOW, missing_kept.WHEN
RATIOS = (0.1, 0.3, 0.5, 0.8)
NOT_MEDIA = ("interpolation",)  # of the ways to fill in: fills in stars


def modalities_of(run: str) -> tuple[str, ...]:
    """What a run reads, as its record tells; () where that cannot be read."""
    try:
        told = json.loads((services.workspace().run_folder(run) / "run.json").read_text("utf-8"))
    except (FusescopeError, OSError, ValueError):
        return ()
    return tuple(m for m in MODALITIES if m in told.get("widths", {}))


def runs() -> dict[str, tuple[str, ...]]:
    """Runs that read two modalities or more: of the others nothing is left where one is missing."""
    found = {known.run: modalities_of(known.run) for known in services.runs()}
    return {run: read for run, read in found.items() if len(read) > 1}


def ways(run: str) -> dict[str, str]:
    """Ways to fill in that this run can do -> what they are."""
    align = next(known.align for known in services.runs() if known.run == run)
    left_out = NOT_MEDIA if align == "adversarial" else (*NOT_MEDIA, "generator")
    return {name: told for name, told in FILLED_BY.items() if name not in left_out}


def start(
    run: str, modality: str, ratios: Sequence[float], how: str, when: str, methods: Sequence[str], seed: int
) -> JobInfo:
    """Raises JobError where this run is being simulated already, StoreError."""
    from core.jobs.queue import start as begin

    words = ["--run", run, "--modality", modality, "--how", how, "--when", when, "--seed", str(seed)]
    words += [word for ratio in ratios for word in ("--ratio", str(ratio))]
    words += [word for method in methods for word in ("--method", method)]
    return begin(access.writable(), KIND, run, words)


def job(run: str) -> JobInfo | None:
    """The newest simulation of this run."""
    from core.jobs.queue import jobs

    if not services.workspace().has_database:
        return None
    return next((one for one in jobs(services.workspace()) if (one.kind, one.target) == (KIND, run)), None)


def cancel(ident: int) -> None:
    from core.jobs.queue import cancel as stop

    stop(access.writable(), ident)


def resume(ident: int) -> None:
    from core.jobs.queue import resume as again

    again(access.writable(), ident)


def answers(run: str) -> list[dict[str, Any]]:
    """What was simulated for this run as it stands now. Reads a few small files."""
    catalogue = next(known.catalogue for known in services.runs() if known.run == run)
    return kept_answers(services.workspace(), run, services.workspace().catalogue(catalogue).version)


def as_csv(answer: dict[str, Any]) -> bytes:
    from core.report.tables import as_csv as written

    return written(flat(answer))


def as_rows(answer: dict[str, Any], subject: str, part: str) -> list[dict[str, Any]]:
    return [row for row in flat(answer) if (row["subject"], row["part"]) == (subject, part)]
