"""Commands about what is there: doctor, import, add-item, catalogues."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.catalog.formats import AUTO, FORMATS
from core.catalog.report import RowsRefusedError
from core.cluster import ENGINES, INLINE
from core.commands import DONE, REFUSED, Reply, add, workspace_of
from core.domain import MODALITIES
from core.files import write_atomic
from core.importing import import_source, rejects_file
from core.jobs.bar import Bar
from core.store.values import CatalogueInfo
from core.workspace import Workspace

CELLS = ("item_id", "title", "description", "category", "price")
MEDIA = ("image", "audio", "video")


def register(commands: Any) -> None:
    add(commands, "doctor", doctor, "what is there, what is missing, and what that costs", "doctor --json")

    one = add(
        commands, "import", import_catalogue, "read a catalogue, clean it, report, train a first run",
        "import ~/lfm2k --name lfm2k --format mmrec --features text=text_feat.npy",
    )  # fmt: skip
    one.add_argument("source", type=Path, nargs="?", metavar="SOURCE", help="folder, zip or table; see --format")
    one.add_argument("--name", help="what the catalogue will be called here")
    one.add_argument("--format", choices=(AUTO, *FORMATS), default=AUTO, help="how SOURCE is laid out (default auto)")
    one.add_argument(
        "--features", type=mounted, action="append", default=[], metavar="MODALITY=FILE",
        help="vectors of the items that stand for a modality: .npy, .itememb, .parquet or a folder; may be repeated",
    )  # fmt: skip
    one.add_argument(
        "--engine", choices=ENGINES, default=INLINE, help="who encodes: this process, or Ray actors (docs/scale.md)"
    )
    one.add_argument("--template", type=Path, metavar="FILE", help="only write a zip with example tables to fill in")
    one.set_defaults(usage=one.error)
    one.add_argument("--uploaded", action="store_true", help=argparse.SUPPRESS)
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)
    one = add(
        commands, "add-item", add_one, "one more item for an imported catalogue; its runs rank it at once",
        'add-item --catalogue shop --item-id mug-9 --title "A blue mug" --image mug.jpg',
    )  # fmt: skip
    one.add_argument("--catalogue", required=True, help="an imported catalogue")
    one.add_argument("--item-id", required=True, help="an id that no item of it has")
    for column in CELLS[1:]:
        one.add_argument(f"--{column}", default="", help=f"the cell {column}, as in items.csv")
    for modality in MEDIA:
        one.add_argument(f"--{modality}", type=Path, action="append", default=[], metavar="FILE", help="repeatable")
    add(commands, "catalogues", catalogues, "list the catalogues", "catalogues --json")


def doctor(options: argparse.Namespace) -> Reply:
    """Exit status 1 when something that is needed is missing."""
    from core.doctor import examine

    found = examine(workspace_of(options))
    marks = {True: "ok     ", False: "MISSING"}
    lines = [
        f"{marks[check.ok] if check.needed or check.ok else 'absent '} {check.name}: {check.detail}"
        for check in found.checks
    ]
    verdict = "everything that is needed is there" if found.ok else "something that is needed is missing"
    answer = {"ok": found.ok, "device": found.device, "checks": [asdict(check) for check in found.checks]}
    return Reply(answer=answer, lines=[*lines, verdict], status=DONE if found.ok else REFUSED)


def mounted(text: str) -> tuple[str, Path]:
    """MODALITY=FILE."""
    modality, equals, file = text.partition("=")
    if modality not in MODALITIES or not equals or not file:
        raise argparse.ArgumentTypeError(f'"{text}" is not MODALITY=FILE with one of {", ".join(MODALITIES)}')
    return modality, Path(file)


def import_catalogue(options: argparse.Namespace) -> Reply:
    if options.template:
        from core.catalog.template import template_zip

        path = write_atomic(options.template, template_zip())
        return Reply(answer={"path": str(path)}, lines=[f"{path}: fill in the tables, then import the zip"])
    if options.source is None or not options.name:
        options.usage("SOURCE and --name are required, or --template")
    try:
        return _imported(options)
    except RowsRefusedError as error:
        rejects = rejects_file(workspace_of(options), options.name)
        refused = [{"where": n.where, "code": n.code, "reason": n.message} for n in error.problems]
        answer = {
            "catalogue": options.name, "refused": refused, "rejects_file": str(rejects),
            "error": {"where": "", "code": error.code, "reason": error.message},
        }  # fmt: skip
        return Reply(answer=answer, lines=[f"refused: {error}", f"all {len(refused)}: {rejects}"], status=REFUSED)


def _imported(options: argparse.Namespace) -> Reply:
    from core.jobs.work import working

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    features = {m: file if not (options.source / file).exists() else options.source / file
                for m, file in options.features}  # fmt: skip
    mounts = [word for m, file in features.items() for word in ("--features", f"{m}={file.absolute()}")]
    given = [str(options.source.absolute()), "--name", options.name, "--format", options.format, *mounts]
    given += ["--uploaded"] if options.uploaded else []
    given += ["--engine", options.engine] if options.engine != INLINE else []
    try:
        with working(workspace, "import", options.name, arguments=given, job=options.job, show=bar.show) as work:
            done = import_source(
                workspace, options.source, options.name, work.step, layout=options.format, features=features,
                uploaded=options.uploaded, engine=options.engine,
            )  # fmt: skip
            answer = {
                "catalogue": done.catalogue, "items": done.items, "users": done.users,
                "interactions": done.interactions, "media": done.media,
                "refused": [{"where": n.where, "code": n.code, "reason": n.message} for n in done.refused],
                "cleaned": done.cleaned, "rejects_file": done.rejects_file and str(done.rejects_file),
                "run": done.run, "encoded": done.encoded, "changed": done.changed, "split": dict(done.split),
            }  # fmt: skip
            work.finish({**answer, "refused": len(done.refused)})
    finally:
        bar.close()
    lines = [
        f"{done.catalogue}: {done.items} items, {done.users} users, {done.interactions} interactions, "
        + ", ".join(f"{count} {modality}" for modality, count in done.media.items()),
        f"encoded {done.encoded}; " + ("ready" if done.changed else "nothing changed"),
        *(f"cleaned: {what} {count}" for what, count in done.cleaned.items()),
        *(f"refused: {notice.where}: {notice.message} ({notice.code})" for notice in done.refused[:100]),
        *([f"all {len(done.refused)} refusals: {done.rejects_file}"] if done.refused else []),
        *(
            ["split: {train:,} train, {validation:,} validation, {test:,} test, sha {sha}".format(**done.split)]
            if done.split
            else []
        ),
        f"first run: {done.run}",
    ]
    return Reply(answer=answer, lines=lines)


def add_one(options: argparse.Namespace) -> Reply:
    from core.adding import add_item

    bar = Bar(sys.stderr)
    try:
        done = add_item(
            workspace_of(options), options.catalogue, {name: getattr(options, name) for name in CELLS},
            {m: files for m in MEDIA if (files := getattr(options, m))},
            lambda label, at: bar.show(label, at, None),
        )  # fmt: skip
    finally:
        bar.close()
    media = {m: len(paths) for m, paths in done.item.media.items()}
    answer = {
        "catalogue": done.catalogue, "item_id": done.item.item_id, "items": done.items, "media": media,
        "encoded": done.encoded,
        "notices": [{"where": one.where, "code": one.code, "reason": one.message} for one in done.notices],
    }  # fmt: skip
    lines = [f"{done.catalogue}: {done.item.item_id} added, {done.items} items; its runs rank it without training"]
    return Reply(answer=answer, lines=[*lines, *(f"{one.where}: {one.message} ({one.code})" for one in done.notices)])


def catalogues(options: argparse.Namespace) -> Reply:
    listed = _listed(workspace_of(options))
    found = [
        {
            "name": one.name, "items": one.items, "users": one.users, "interactions": one.interactions,
            "media": one.media, "version": one.version, "bundled": one.bundled,
        }
        for one in listed
    ]  # fmt: skip
    lines = [
        f"{one.name:<20} {one.items:>7} items {one.users:>7} users {one.interactions:>8} interactions  "
        + ", ".join(f"{count} {modality}" for modality, count in one.media.items())
        for one in listed
    ]
    return Reply(answer={"catalogues": found}, lines=lines or ["none"])


def _listed(workspace: Workspace) -> list[CatalogueInfo]:
    for one in workspace.catalogues():
        if one.bundled:
            workspace.catalogue(one.name)  # read once, so that its version is known
    return workspace.catalogues()
