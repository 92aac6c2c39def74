"""The command line: `python -m core COMMAND`. The same core as the app, without a screen.

Exit status: 0 done, 1 refused with a reason, 2 wrong usage. With --json, standard output holds one JSON object and
nothing else; whatever else there is to say goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from core.domain import MODALITIES, Part, Query
from core.errors import FusescopeError, InputError
from core.jobs.bar import Bar, duration
from core.store.values import CatalogueInfo
from core.workspace import BUNDLED_CATALOGUE, Workspace

DONE, REFUSED = 0, 1

Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a command has to say: `answer` for a machine, `lines` for a person, and the exit status."""

    answer: Answer
    lines: Sequence[str]
    status: int = DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    output = sys.stdout
    try:
        with redirect_stdout(sys.stderr):  # a library that prints must not spoil the JSON
            reply: Reply = options.run(options)
    except FusescopeError as error:
        return _refuse(error, options, output)
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return DONE if options.__dict__.get("job") is not None else REFUSED
    text = json.dumps(_plain(reply.answer), ensure_ascii=False) if options.json else "\n".join(reply.lines)
    output.write(f"{text}\n")
    return reply.status


def _refuse(error: FusescopeError, options: argparse.Namespace, output: TextIO) -> int:
    print(f"refused: {error}", file=sys.stderr)
    if options.json:
        refusal = {"where": "", "code": error.code, "reason": error.message}
        output.write(json.dumps({"error": refusal, "refused": [refusal]}, ensure_ascii=False) + "\n")
    return REFUSED


def parser() -> argparse.ArgumentParser:
    """All commands with their options; no heavy import happens here."""
    top = argparse.ArgumentParser(
        prog="python -m core", description="Fusescope: which word, which photo and which modality made it so."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add(commands, "doctor", doctor, "what is there, what is missing, and what that costs", "doctor --json")

    one = _add(
        commands, "import", import_catalogue, "read a catalogue folder, clean it, report, train a first run",
        "import ~/shop --name shop",
    )  # fmt: skip
    one.add_argument("source", type=Path, metavar="SOURCE", help="folder with items.csv, interactions.csv and photos")
    one.add_argument("--name", required=True, help="what the catalogue will be called here")
    one.add_argument("--format", choices=("auto", "folder"), default="auto", help="how SOURCE is laid out")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)

    _add(commands, "catalogues", catalogues, "list the catalogues", "catalogues --json")
    _add(commands, "runs", runs, "list the trained runs", "runs --json")

    one = _add(
        commands, "train", train, "train one run", "train --catalogue studio --rank multimodal --fuse weighted --seed 1"
    )
    _settings(one)

    one = _add(
        commands, "evaluate", evaluate, "metrics of a run with 95 %% intervals",
        "evaluate --run studio-default --products cold --query review+photo",
    )  # fmt: skip
    one.add_argument("--run", dest="run_name", required=True, metavar="RUN")
    one.add_argument("--catalogue", help="rank another catalogue than the one the run was trained on")
    one.add_argument("--protocol", help="how the data are split; the run's own by default")
    one.add_argument("--split", choices=("validation", "test"), default="test")
    one.add_argument("--query", choices=("review", "photo", "review+photo"), default="review+photo")
    one.add_argument("--products", choices=("all", "warm", "cold"), default="all")

    one = _add(
        commands, "recommend", recommend, "ranked items for words and photos",
        'recommend --run studio-default --text "a mug that keeps tea warm" --image mug.jpg',
    )  # fmt: skip
    one.add_argument("--run", dest="run_name", required=True, metavar="RUN")
    one.add_argument("--catalogue", help="rank another catalogue than the one the run was trained on")
    one.add_argument("--text", default="", help="the words of a review")
    one.add_argument("--image", type=Path, action="append", default=[], metavar="F", help="a photo; may be repeated")
    one.add_argument("--user", help="a known user, by the id of the catalogue's own table")
    one.add_argument(
        "--without", action="append", default=[], choices=MODALITIES, metavar="MODALITY",
        help="leave a modality out; may be repeated",
    )  # fmt: skip
    one.add_argument("--top", type=_count, default=12, metavar="K", help="how many items (default 12)")
    return top


def _add(
    commands: Any, name: str, run: Callable[[argparse.Namespace], Reply], purpose: str, example: str
) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=purpose.capitalize() + ".", epilog=f"example: python -m core {example}"
    )
    one.add_argument("--home", type=Path, metavar="DIR", help="workspace (default FUSESCOPE_HOME, else .fusescope)")
    one.add_argument("--json", action="store_true", help="one JSON object on standard output")
    one.set_defaults(run=run)
    return one


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
    one.add_argument("--epochs", type=_count, default=standard.epochs)
    one.add_argument("--name", help="what the run will be called; made from its settings by default")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


# ---- commands


def doctor(options: argparse.Namespace) -> Reply:
    """Exit status 1 when something that is needed is missing."""
    from core.doctor import examine

    found = examine(_workspace(options))
    marks = {True: "ok     ", False: "MISSING"}
    lines = [
        f"{marks[check.ok] if check.needed or check.ok else 'absent '} {check.name}: {check.detail}"
        for check in found.checks
    ]
    verdict = "everything that is needed is there" if found.ok else "something that is needed is missing"
    answer = {"ok": found.ok, "device": found.device, "checks": [asdict(check) for check in found.checks]}
    return Reply(answer=answer, lines=[*lines, verdict], status=DONE if found.ok else REFUSED)


def import_catalogue(options: argparse.Namespace) -> Reply:
    from core.jobs.work import working

    workspace, bar = _workspace(options), Bar(sys.stderr)
    given = (str(options.source.absolute()), "--name", options.name)
    try:
        with working(workspace, "import", options.name, arguments=given, job=options.job, show=bar.show) as work:
            done = workspace.import_folder(_folder(options.source), options.name, work.step)
            answer = {
                "catalogue": done.catalogue, "items": done.items, "users": done.users,
                "interactions": done.interactions, "media": done.media,
                "refused": [{"where": n.where, "code": n.code, "reason": n.message} for n in done.refused],
                "cleaned": done.cleaned, "rejects_file": done.rejects_file and str(done.rejects_file),
                "run": done.run, "encoded": done.encoded, "changed": done.changed,
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
        f"first run: {done.run}",
    ]
    return Reply(answer=answer, lines=lines)


def catalogues(options: argparse.Namespace) -> Reply:
    listed = _listed(_workspace(options))
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
    if any(one.bundled for one in workspace.catalogues()):
        workspace.catalogue(BUNDLED_CATALOGUE)  # read once, so that its version is known
    return workspace.catalogues()


def runs(options: argparse.Namespace) -> Reply:
    found = [
        {
            "run": one.run, "catalogue": one.catalogue, "align": one.align, "fuse": one.fuse, "rank": one.rank,
            "metrics": one.metrics, "created": one.created.isoformat(), "bundled": one.bundled,
        }
        for one in _workspace(options).runs()
    ]  # fmt: skip
    lines = [f"{one['run']:<28} {one['catalogue']:<16} {one['align']} > {one['fuse']} > {one['rank']}" for one in found]
    return Reply(answer={"runs": found}, lines=lines or ["none"])


def train(options: argparse.Namespace) -> Reply:
    from core.jobs.work import working

    workspace, bar = _workspace(options), Bar(sys.stderr)
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


def evaluate(options: argparse.Namespace) -> Reply:
    from core.evaluate.run import evaluate_run

    bar = Bar(sys.stderr)
    try:
        answer = evaluate_run(
            _workspace(options), options.run_name, catalogue=options.catalogue, protocol=options.protocol,
            split=options.split, query=options.query, products=options.products,
        )  # fmt: skip
    finally:
        bar.close()
    told = {
        name: f"{one['value']:.4f}  [{one['low']:.4f}, {one['high']:.4f}]" for name, one in answer["metrics"].items()
    }
    lines = [
        f"{options.run_name}, {options.split}, {options.products} products",
        *(f"{k:<14} {v}" for k, v in told.items()),
    ]
    return Reply(answer=answer, lines=lines)


def recommend(options: argparse.Namespace) -> Reply:
    workspace = _workspace(options)
    catalogue = options.catalogue or workspace.run(options.run_name).catalogue
    query = _query(options, workspace.known_user(catalogue, options.user) if options.user else None)
    from core.pipeline import open_pipeline  # heavy: only when there is something to answer

    found = open_pipeline(workspace, options.run_name, options.catalogue).recommend(
        query, top=options.top, without=tuple(options.without)
    )
    for notice in found.notices:
        print(f"{notice.where or 'note'}: {notice.message} ({notice.code})", file=sys.stderr)
    answer = {
        "run": found.run, "catalogue": found.catalogue, "device": found.device, "scope": found.scope,
        "items": [
            {
                "item_id": one.item_id, "title": one.title, "rank": one.rank, "score": one.score,
                "shares": one.shares, "gates": one.gates, "phi": one.phi, "base": one.base,
            }
            for one in found.items
        ],
        "distance": found.distance and {**asdict(found.distance), "unlike_anything": found.distance.unlike_anything},
        "timing_ms": found.timing_ms,
        "notices": [asdict(notice) for notice in found.notices],
    }  # fmt: skip
    lines = [
        f"{one.rank:>3}  {one.score:8.4f}  {one.item_id:<16} {one.title[:60]:<60}  "
        + ", ".join(f"{modality} {share:.0%}" for modality, share in one.shares.items())
        for one in found.items
    ]
    if found.distance and found.distance.unlike_anything:
        lines.insert(0, "this is unlike anything in this shop; the best of what is there:")
    return Reply(answer=answer, lines=lines)


def _query(options: argparse.Namespace, user: str | None) -> Query:
    photos = tuple(Part(modality="image", content=_read(path), name=path.name) for path in options.image)
    return Query(parts=Query.of(options.text).parts + photos, user=user)


def _read(path: Path) -> bytes:
    from core.limits import LIMITS

    try:
        with path.open("rb") as file:
            return file.read(LIMITS.photo_bytes + 1)  # one byte too many is enough for the reader to refuse it
    except OSError:
        raise InputError(
            "E-INPUT-VALUE", f'"{path.name[:80]}": there is no such file to read; a photo was expected.'
        ) from None


# ---- inside


def _folder(source: Path) -> Path:
    if not source.is_dir():
        raise InputError(
            "E-INPUT-VALUE", f'"{source.name[:80]}": there is no such folder; a catalogue folder was expected.'
        )
    return source


def _workspace(options: argparse.Namespace) -> Workspace:
    return Workspace.open(options.home)


def _metric_lines(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items() if isinstance(value, float))
        for part, values in metrics.items()
        if isinstance(values, Mapping)
    ]


def _plain(value: Any) -> Any:
    """Plain JSON: mappings, lists and finite numbers; a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(kept) for key, kept in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(kept) for kept in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return _plain(value.item())
    return value


if __name__ == "__main__":
    sys.exit(main())
