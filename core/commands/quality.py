"""Commands about the quality of data: clean, truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from core.catalog.clean import STEPS, Detection
from core.commands import Reply, add, workspace_of
from core.domain import Catalogue
from core.errors import InputError
from core.jobs.bar import Bar
from core.workspace import Workspace

SHOWN = 20


def register(commands: Any) -> None:
    one = add(commands, "clean", clean, "look for faults in a catalogue, step by step", "clean --catalogue studio")
    one.add_argument("--catalogue", required=True, metavar="NAME", help="its name here, or a catalogue folder")
    one.add_argument("--again", action="store_true", help="look again, though this version was looked at before")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)
    one = add(
        commands, "truth", truth, "compare what was measured with what was planted in a catalogue",
        "truth --run studio-default --json",
    )  # fmt: skip
    one.add_argument("--run", dest="run_name", metavar="RUN", help="whose catalogue is meant")
    one.add_argument("--catalogue", metavar="NAME", help="its name here, or a catalogue folder with a truth.json")


def clean(options: argparse.Namespace) -> Reply:
    from core.jobs.work import working
    from core.prepare.faults import known_faults

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    catalogue = catalogue_of(workspace, options.catalogue)
    given = ("--catalogue", options.catalogue, *(["--again"] if options.again else []))
    try:
        with working(workspace, "clean", catalogue.name, arguments=given, job=options.job, show=bar.show) as work:
            found = known_faults(catalogue, workspace.vectors, work.step, again=options.again)
            answer = {"catalogue": catalogue.name, "version": catalogue.version, "steps": counts(found)}
            work.finish(answer)
    finally:
        bar.close()
    lines = [
        f"{STEPS[one.step].title}: {len(one.found)} of {one.looked_at:,} places looked at; {STEPS[one.step].tells}"
        for one in found
    ]
    listed = {
        one.step: [
            {name: value for name, value in vars(mark).items() if value != "" and name not in ("before", "after")}
            for mark in one.found[:SHOWN]
        ]
        for one in found
    }
    return Reply(answer={**answer, "list": listed}, lines=lines)


def truth(options: argparse.Namespace) -> Reply:
    """Of the run's catalogue, or of the one that is named."""
    from core.evaluate.truth import fault_scores, planted_truth
    from core.prepare.faults import known_faults

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    if not options.run_name and not options.catalogue:
        raise InputError("E-INPUT-VALUE", "neither a run nor a catalogue was named; --run or --catalogue was expected.")
    name = options.catalogue or workspace.run(options.run_name).catalogue
    catalogue = catalogue_of(workspace, name)
    known = planted_truth(catalogue)
    if known is None:
        raise InputError(
            "E-INPUT-VALUE",
            f'"{catalogue.name}": it has no truth.json, so nothing is known to compare with. '
            "Name the bundled catalogue, or a folder that the generator of sample_data wrote.",
        )
    try:
        found = known_faults(catalogue, workspace.vectors, lambda label, fraction: bar.show(label, fraction, None))
    finally:
        bar.close()
    scores = fault_scores(known, found)
    lines = [
        f"{kind:<21} planted {one['planted']:>3}  found {one['found']:>3}  precision {one['precision']:.3f}  "
        f"recall {one['recall']:.3f}  F1 {one['f1']:.3f}  AUC {one['auc']:.4f}"
        for kind, one in scores.items()
    ]
    measured = told_of_run(workspace, options.run_name) if options.run_name else {}
    lines += [f"{name}: {told}" for name, told in measured.items()]
    answer = {"run": options.run_name, "catalogue": catalogue.name, "faults": scores, **measured}
    return Reply(answer=answer, lines=lines)


def told_of_run(workspace: Workspace, run: str) -> dict[str, Any]:
    """What a run measures of what was planted: shares, words, the strongest patch."""
    from core.evaluate.truth_shares import measured_truth

    return measured_truth(workspace, run)


def counts(found: tuple[Detection, ...]) -> dict[str, dict[str, int]]:
    return {one.step: {"found": len(one.found), "looked_at": one.looked_at} for one in found}


def catalogue_of(workspace: Workspace, name: str) -> Catalogue:
    """A catalogue of the workspace, or the canonical folder of that path."""
    folder = Path(name).expanduser()
    if name not in {info.name for info in workspace.catalogues()} and (folder / "items.csv").is_file():
        from core.catalog.folder import read_folder

        return read_folder(folder, folder.name)[0]
    return workspace.catalogue(name)
