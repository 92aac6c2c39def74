"""Commands that hand results to other tools: export."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.commands import Reply, add, run_options, workspace_of
from core.jobs.bar import Bar

if TYPE_CHECKING:
    from core.report.material import Material
    from core.workspace import Workspace

TARGETS = ("embedding-atlas", "spotlight", "projector", "rectools", "recbole")


def register(commands: Any) -> None:
    one = add(
        commands, "export", export, "write a run's items, lists and interactions for another tool",
        "export --run studio-default --to recbole --out vectors",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--to", required=True, choices=TARGETS, metavar="FORMAT", help=", ".join(TARGETS))
    one.add_argument("--out", required=True, type=Path, metavar="PATH",
                     help="a .parquet file (embedding-atlas, spotlight), otherwise a folder")  # fmt: skip


def export(options: argparse.Namespace) -> Reply:
    from core.report import bridges
    from core.report.material import material_of

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    try:
        material = material_of(
            workspace, options.run_name, options.catalogue, on_step=lambda label, done: bar.show(label, done, None)
        )
    finally:
        bar.close()
    if options.to == "embedding-atlas":
        material = with_places(workspace, material)
    written = bridges.export(options.to, material, options.out)
    answer = {"path": str(written.path), "rows": written.rows, "format": options.to, "notes": list(written.lines)}
    return Reply(answer=answer, lines=[f"{written.path}: {written.rows} rows", *written.lines])


def with_places(workspace: Workspace, material: Material) -> Material:
    """The places of the run's map, where one has been drawn for every item; else those of the two strongest axes."""
    from core.mapping.stored import FUSED, load_map

    drawn = load_map(workspace, material.run, material.catalogue.name)
    frame = None if drawn is None else drawn.frames.get("after-2")
    if drawn is None or frame is None or drawn.item_ids != tuple(material.item_ids):
        return replace(material, method="PCA")
    return replace(material, places=frame[:, drawn.slots.index(FUSED)], method=drawn.method)
