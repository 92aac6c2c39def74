"""Commands about runs: runs, train."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from core.commands import Answer, Reply, add, workspace_of
from core.config import RunSettings
from core.domain import with_interval
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
    "standardise": "damped_pca, zscore, unit or whiten; fitted on training media, kept with the run",
    "drop_tokens": "chance that training misses a word or patch",
    "views": "altered versions of every training photo: cropped, recoloured, blurred",
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
            required=setting.name == "catalogue",
            help=f"{TOLD.get(setting.name, '')} (default {setting.default})".strip(),
        )  # fmt: skip
    one.add_argument("--name", help="what the run will be called; made from its settings by default")
    one.add_argument("--resume", action="store_true", help="go on from the last whole epoch of this --name")
    one.add_argument("--grid", action="store_true", help="all pairs, or those of --align A,B --fuse F,G")
    one.add_argument(
        "--minutes", type=float, default=0.0, help="--grid: begin no pair later than that; then go on again"
    )
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)
    one.set_defaults(wrong_usage=one.error)


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
    from core.train.parallel import follows, processes

    if options.rank is None and not options.grid:
        options.wrong_usage("--rank is missing; it is needed unless --grid tries pairs. Add --rank content, say")
    if options.grid and processes() > 1:
        options.wrong_usage("--grid trains one run after the other; torchrun shares the work of a single one")
    lists = {name: tuple(named.split(",")) for name in ("align", "fuse") if (named := getattr(options, name))}
    given = {one.name: getattr(options, one.name) for one in fields(RunSettings)}
    kept = {name: value for name, value in given.items() if value is not None and not (options.grid and name in lists)}
    settings = RunSettings(**kept)
    workspace, bar = workspace_of(options), Bar(sys.stderr)
    name = options.name or free_name(workspace, stem_of(settings, options.grid))
    if follows():
        return _followed(workspace, name, settings)
    arguments = [*arguments_of(settings, lists if options.grid else {}), "--name", name]
    arguments += ["--grid"] if options.grid else []
    try:
        with working(workspace, "train", name, arguments=arguments, job=options.job, show=bar.show) as work:
            if options.grid:
                answer = _grid(workspace, name, settings, lists, work.step, options.minutes)
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


def _followed(workspace: Workspace, run: str, settings: RunSettings) -> Reply:
    """A process of torchrun that is not the first: it works and keeps nothing."""
    from tempfile import TemporaryDirectory

    from core.train import train_run

    with TemporaryDirectory() as place:
        train_run(workspace.catalogue(settings.catalogue), settings, Path(place) / run, vectors=workspace.vectors)
    return Reply(answer={"run": run}, lines=[], silent=True)


def _grid(
    workspace: Workspace, name: str, settings: RunSettings, lists: Mapping[str, Any], step: Any, minutes: float
) -> Answer:
    from core.evaluate.headline import choose
    from core.train.grid import grid_rows, pairs, train_grid

    chosen = pairs(name, settings, lists.get("align", ()), lists.get("fuse", ()))
    records = train_grid(
        workspace.catalogue(settings.catalogue), name, chosen, workspace.new_run_folder, vectors=workspace.vectors,
        on_run=lambda record, folder: workspace.add_run(folder), minutes=minutes,
        on_step=lambda label, fraction, figures: step(label, fraction),
    )  # fmt: skip
    choice = choose([(record.run, record.metrics) for record in records])
    best = next((one for one in records if choice and one.run == choice.by_validation), records[0])
    return {
        **asdict(best), "seconds": sum(one.seconds for one in records), "grid": grid_rows(chosen, records),
        "choice": asdict(choice) if choice else None, "pairs": len(chosen),
        "board": _grid_board(workspace, [one.run for one in records], choice) if choice else None,
    }  # fmt: skip


def _grid_board(workspace: Workspace, names: list[str], choice: Any) -> dict[str, Any]:
    """Intervals of the test figures, and every pair against the one that validation chose, by Holm."""
    from core.evaluate.leaderboard import board, entry

    found = [one for one in (entry(workspace, name) for name in names) if one is not None]
    subject, _, metric = choice.headline.test.rpartition(" ")
    made = board(
        found, found[0].catalogue, found[0].fingerprint.sha, subject, metric, reference=choice.by_validation
    )  # fmt: skip
    return {
        "units": made.units, "floors": {name: asdict(value) for name, value in made.floors.items()},
        "places": {
            place.name: {
                "value": place.value, "low": place.low, "high": place.high, "p": place.p,
                "against": asdict(place.against) if place.against else None,
            }
            for place in made.places
        },
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
    """A table of all pairs with intervals and paired tests, then what was chosen and what a choice by test figures
    would claim; ready to be kept as Markdown."""
    choice, board = answer["choice"], answer["board"]
    rows, left = answer["grid"], answer["pairs"] - len(answer["grid"])
    more = [f"{left} of {answer['pairs']} pairs are left: the same command goes on"] if left else []
    if choice is None:
        return [*(f"{row['run']:<48} epoch {row['best_epoch']}" for row in rows), *more]
    held, told = choice["headline"]["validation"], choice["headline"]["test"]
    lines = ["| aligner | fuser | epoch | validation | test [95 %] | against the chosen [95 %] | p (Holm) | seconds |"]
    lines.append("|:--|:--|--:|--:|:--|:--|--:|--:|")
    for row in rows:
        place = board["places"][row["run"]]
        against = with_interval(place["against"], "+.4f") if place["against"] else "-"
        p = f"{place['p']:.4f}" if place["p"] is not None else "-"
        lines.append(
            f"| {row['align']} | {row['fuse']} | {row['best_epoch']} | {row['metrics']['validation'][held]:.4f} "
            f"| {with_interval(place, '.4f')} | {against} | {p} | {row['seconds']:.0f} |"
        )
    floors = ", ".join(f"{name} {with_interval(value, '.4f')}" for name, value in board["floors"].items())
    return [
        *lines, "",
        f"validation: {held}; test: {told}, over {board['units']} users or products; floors: {floors or 'none'}",
        f"chosen by validation: {choice['by_validation']}",
        f'best by test ("MMRec-compatible"): {choice["by_test"]}, {choice["gap"]:.4f} higher, {choice["of"]} searched',
        *more,
    ]  # fmt: skip
