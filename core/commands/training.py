"""Commands about runs: runs, train."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from core.commands import Answer, Reply, add, workspace_of
from core.config import RunSettings
from core.errors import InputError
from core.jobs.bar import Bar, duration
from core.workspace import Workspace

TOLD = {  # what a person sets most; every other setting has its option too
    "catalogue": "what to train on",
    "rank": "popularity, content, multimodal ...",
    "align": "projection, concat, attention ...",
    "fuse": "weighted, transformer, stacking ...",
    "protocol": "who is held out: cold, random, leave-last, time, label or everything",
    "text_encoder": "minilm, a hub id or a folder",
    "image_encoder": "efficientnet_lite0, a hub id or a folder",
    "audio_encoder": "logmel_cnn, a hub id or a folder",
    "video_encoder": "frames_cnn, or what reads its frames",
    "unfreeze": "fine-tune so many of the last blocks of the text encoder",
    "seed": "of everything that is drawn",
    "epochs": "at most; training stops earlier when nothing gets better",
}
RECORD = ("run", "epochs", "best_epoch", "metrics", "seconds")  # what is told of a training


def register(commands: Any) -> None:
    add(commands, "runs", runs, "list the trained runs", "runs --json")
    one = add(
        commands, "train", train, "train one run, or one for every pair of an aligner and a fuser (--grid)",
        "train --catalogue studio --rank multimodal --fuse weighted --seed 1",
    )  # fmt: skip
    further = one.add_argument_group("further settings")
    for setting in fields(RunSettings):
        where = one if setting.name in TOLD else further
        kind = type(setting.default)
        where.add_argument(
            f"--{setting.name.replace('_', '-')}", type=kind, default=None, metavar=kind.__name__.upper(),
            required=setting.name in ("catalogue", "rank"),
            help=f"{TOLD.get(setting.name, '')} (default {setting.default})".strip(),
        )  # fmt: skip
    one.add_argument("--name", help="what the run will be called; made from its settings by default")
    one.add_argument("--resume", action="store_true", help="go on from the last whole epoch of this --name")
    one.add_argument("--grid", action="store_true", help="all pairs, or those of --align A,B --fuse F,G")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)


def runs(options: argparse.Namespace) -> Reply:
    from core.privacy import marked_runs

    workspace = workspace_of(options)
    marked = marked_runs(workspace)
    found = [
        {
            "run": one.run, "catalogue": one.catalogue, "align": one.align, "fuse": one.fuse, "rank": one.rank,
            "metrics": one.metrics, "created": one.created.isoformat(), "bundled": one.bundled,
            "learned_from_forgotten": one.run in marked,
        }
        for one in workspace.runs()
    ]  # fmt: skip
    lines = [
        f"{one['run']:<28} {one['catalogue']:<16} {one['align']} > {one['fuse']} > {one['rank']}"
        + ("  learned from what was forgotten since: train it again" if one["learned_from_forgotten"] else "")
        for one in found
    ]
    return Reply(answer={"runs": found}, lines=lines or ["none"])


def train(options: argparse.Namespace) -> Reply:
    from core.jobs.training import arguments_of, free_name, stem_of
    from core.jobs.work import working

    lists = {name: tuple(named.split(",")) for name in ("align", "fuse") if (named := getattr(options, name))}
    given = {one.name: getattr(options, one.name) for one in fields(RunSettings)}
    kept = {name: value for name, value in given.items() if value is not None and not (options.grid and name in lists)}
    settings = RunSettings(**kept)
    workspace, bar = workspace_of(options), Bar(sys.stderr)
    name = options.name or free_name(workspace, stem_of(settings, options.grid))
    arguments = [*arguments_of(settings, lists if options.grid else {}), "--name", name]
    arguments += ["--grid"] if options.grid else []
    try:
        with working(workspace, "train", name, arguments=arguments, job=options.job, show=bar.show) as work:
            if options.grid:
                answer = _grid(workspace, name, settings, lists, work.step)
            else:
                answer = _trained(workspace, name, settings, options.resume, work.step)
            work.finish(answer)
    finally:
        bar.close()
    return Reply(answer=answer, lines=_grid_lines(answer) if options.grid else _lines(answer))


def _trained(workspace: Workspace, run: str, settings: RunSettings, resume: bool, step: Any) -> Answer:
    from core.train import finished, train_run

    folder = workspace.new_run_folder(run)
    if any(info.run == run for info in workspace.runs()) and not resume:
        raise InputError("E-INPUT-VALUE", f'"{run}" is a run already; choose another --name.')
    catalogue = workspace.catalogue(settings.catalogue)
    record = finished(folder, settings) if resume else None
    if record is None:
        record = train_run(
            catalogue, settings, folder, vectors=workspace.vectors, resume=resume,
            on_step=lambda label, fraction, figures: step(label, fraction),
        )  # fmt: skip
    workspace.add_run(folder)
    return {name: getattr(record, name) for name in RECORD}


def _grid(workspace: Workspace, name: str, settings: RunSettings, lists: Mapping[str, Any], step: Any) -> Answer:
    from core.evaluate.headline import choose
    from core.train.grid import grid_rows, pairs, train_grid

    chosen = pairs(name, settings, lists.get("align", ()), lists.get("fuse", ()))
    records = train_grid(
        workspace.catalogue(settings.catalogue), name, chosen, workspace.new_run_folder, vectors=workspace.vectors,
        on_run=lambda record, folder: workspace.add_run(folder),
        on_step=lambda label, fraction, figures: step(label, fraction),
    )  # fmt: skip
    choice = choose([(record.run, record.metrics) for record in records])
    best = next((one for one in records if choice and one.run == choice.by_validation), records[0])
    return {
        **asdict(best), "seconds": sum(one.seconds for one in records), "grid": grid_rows(chosen, records),
        "choice": asdict(choice) if choice else None,
    }  # fmt: skip


def _lines(answer: Answer) -> list[str]:
    first = f"{answer['run']}: best epoch {answer['best_epoch']} of {answer['epochs']}, {duration(answer['seconds'])}"
    return [
        first,
        *(
            f"{part}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, float))
            for part, values in answer["metrics"].items()
            if isinstance(values, Mapping)
        ),
    ]


def _grid_lines(answer: Answer) -> list[str]:
    """A table of all pairs, then what was chosen and what a choice by test figures would claim."""
    choice = answer["choice"]
    if choice is None:
        return [f"{row['run']:<48} epoch {row['best_epoch']}" for row in answer["grid"]]
    held, told = choice["headline"]["validation"], choice["headline"]["test"]
    lines = [f"{'aligner':<14}{'fuser':<14}{'epoch':>6}  {'validation':>10}  {'test':>10}"]
    for row in answer["grid"]:
        parts = row["metrics"]
        figures = f"{parts['validation'][held]:>10.4f}  {parts['test'][told]:>10.4f}"
        lines.append(f"{row['align']:<14}{row['fuse']:<14}{row['best_epoch']:>6}  {figures}")
    return [
        *lines,
        f"validation: {held}; test: {told}",
        f"chosen by validation: {choice['by_validation']}",
        f'best by test ("MMRec-compatible"): {choice["by_test"]}, {choice["gap"]:.4f} higher, {choice["of"]} searched',
    ]
