"""Commands about runs: runs, train."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from core.commands import Answer, Reply, add, count, workspace_of
from core.errors import InputError
from core.jobs.bar import Bar, duration
from core.workspace import Workspace


def register(commands: Any) -> None:
    add(commands, "runs", runs, "list the trained runs", "runs --json")
    one = add(
        commands, "train", train, "train one run", "train --catalogue studio --rank multimodal --fuse weighted --seed 1"
    )
    _settings(one)


def _settings(one: argparse.ArgumentParser) -> None:
    from core.config import RunSettings

    standard = RunSettings()
    one.add_argument("--catalogue", required=True, metavar="NAME")
    one.add_argument("--rank", required=True, metavar="R", help="popularity, content or multimodal")
    one.add_argument("--align", default=standard.align, metavar="A")
    one.add_argument("--fuse", default=standard.fuse, metavar="F", help="weighted or transformer")
    one.add_argument("--protocol", default=standard.protocol, metavar="P")
    one.add_argument("--text-encoder", default=standard.text_encoder, metavar="E", help="minilm, a hub id or a folder")
    one.add_argument(
        "--image-encoder", default=standard.image_encoder, metavar="E", help="efficientnet_lite0, a hub id or a folder"
    )
    one.add_argument("--seed", type=int, default=standard.seed)
    one.add_argument("--epochs", type=count, default=standard.epochs)
    one.add_argument("--name", help="what the run will be called; made from its settings by default")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)


def runs(options: argparse.Namespace) -> Reply:
    found = [
        {
            "run": one.run, "catalogue": one.catalogue, "align": one.align, "fuse": one.fuse, "rank": one.rank,
            "metrics": one.metrics, "created": one.created.isoformat(), "bundled": one.bundled,
        }
        for one in workspace_of(options).runs()
    ]  # fmt: skip
    lines = [f"{one['run']:<28} {one['catalogue']:<16} {one['align']} > {one['fuse']} > {one['rank']}" for one in found]
    return Reply(answer={"runs": found}, lines=lines or ["none"])


def train(options: argparse.Namespace) -> Reply:
    from core.jobs.work import working

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    run = options.name or workspace.free_run_name(f"{options.catalogue}-{options.rank}-{options.fuse}")
    try:
        with working(workspace, "train", run, arguments=_given(options, run), job=options.job, show=bar.show) as work:
            answer = _trained(workspace, run, options, work.step)
            work.finish(answer)
    finally:
        bar.close()
    lines = [
        f"{run}: best epoch {answer['best_epoch']} of {answer['epochs']}, {duration(answer['seconds'])}",
        *_metric_lines(answer["metrics"]),
    ]
    return Reply(answer=answer, lines=lines)


def _trained(workspace: Workspace, run: str, options: argparse.Namespace, step: Callable[[str, float], None]) -> Answer:
    from core.config import RunSettings
    from core.train import train_run

    folder = workspace.new_run_folder(run)
    if any(info.run == run for info in workspace.runs()):
        raise InputError("E-INPUT-VALUE", f'"{run}" is a run already; choose another --name.')
    settings = RunSettings(
        catalogue=options.catalogue, align=options.align, fuse=options.fuse, rank=options.rank,
        protocol=options.protocol, text_encoder=options.text_encoder, image_encoder=options.image_encoder,
        seed=options.seed, epochs=options.epochs,
    )  # fmt: skip
    catalogue = workspace.catalogue(options.catalogue)
    record = train_run(
        catalogue, settings, folder, vectors=workspace.vectors,
        on_step=lambda label, fraction, figures: step(label, fraction),
    )  # fmt: skip
    workspace.add_run(folder)
    return {
        "run": run, "epochs": record.epochs, "best_epoch": record.best_epoch, "metrics": record.metrics,
        "seconds": record.seconds,
    }  # fmt: skip


def _given(options: argparse.Namespace, run: str) -> tuple[str, ...]:
    """The options of a training, so that its job can be taken up again."""
    named = ("catalogue", "rank", "align", "fuse", "protocol", "text_encoder", "image_encoder", "seed", "epochs")
    pairs = [(f"--{name.replace('_', '-')}", str(getattr(options, name))) for name in named]
    return tuple(word for pair in (*pairs, ("--name", run)) for word in pair)


def _metric_lines(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, float))
        for part, values in metrics.items()
        if isinstance(values, Mapping)
    ]
