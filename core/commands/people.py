"""Commands about cases and the people who look at them: cases, report, forget."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.commands import DONE, REFUSED, Answer, Reply, add, count, run_options, workspace_of
from core.errors import AddressError, InputError, UnknownNameError
from core.jobs.bar import Bar

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseBook, CaseSet
    from core.evaluate.planted import Sighting
    from core.workspace import Workspace

Kept = TypeVar("Kept")


def register(commands: Any) -> None:
    one = add(
        commands, "cases", cases, "judge every held-out question of a run, find the slices that do worse",
        "cases --run studio-default --kind review+photo",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--kind", default="anything", help="review, photo, review+photo, anything, users, stars")
    one.add_argument("--part", choices=("test", "validation"), default="test")
    one.add_argument("--protocol", default="", help="how the data are split; the run's own by default")
    one.add_argument("--metric", default="mrr", help="what slices are compared by: mrr, recall@1, recall@10 or loss")
    one.add_argument("--order", default="worst", help="worst (default), surprising, near or best")
    one.add_argument("--top", type=count, default=20, metavar="K", help="how many cases and slices to list")
    one.add_argument("--faults", action="store_true", help="planted faults among the first 50, where a truth ships")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)

    one = add(
        commands, "report", report, "one HTML file about a case, a slice, a saved question or a whole run",
        "report --run studio-default --kind review+photo --out run.html",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--kind", default="review+photo", help="which cases; made first where nobody did")
    one.add_argument("--part", choices=("test", "validation"), default="test")
    one.add_argument("--protocol", default="", help="how the data are split; the run's own by default")
    what = one.add_mutually_exclusive_group()
    what.add_argument("--case", metavar="ID", help="one case, by the id that `cases` prints")
    what.add_argument("--slice", dest="slice_id", metavar="ID", help="one slice, by the id in its link")
    what.add_argument("--query", metavar="ID", help="one saved question, by the id in its link")
    one.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the page is written")

    one = add(
        commands, "forget", forget, "remove a user or an item everywhere in the workspace",
        "forget --catalogue studio --user u001",
    )  # fmt: skip
    one.add_argument("--catalogue", required=True, metavar="NAME")
    who = one.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", help="by the id of the catalogue's own table")
    who.add_argument("--item", metavar="ID")


def case_set(options: argparse.Namespace) -> CaseSet:
    from core.evaluate.casebook import CaseSet

    return CaseSet(
        run=options.run_name, kind=options.kind, part=options.part, protocol=options.protocol,
        catalogue=options.catalogue or "",
    )  # fmt: skip


def book_of(workspace: Workspace, options: argparse.Namespace) -> CaseBook:
    """The cases that were made before, or made now as a job."""
    from core.evaluate.casebook import load_book, make_book

    book = load_book(workspace, case_set(options))
    return book or made(workspace, options, make_book, lambda one: len(one.cases))


def made(
    workspace: Workspace, options: argparse.Namespace, make: Callable[..., Kept], size: Callable[[Kept], int]
) -> Kept:
    """Made now, as a job that the page can follow."""
    from core.jobs.work import working

    wanted, job, bar = case_set(options), getattr(options, "job", None), Bar(sys.stderr)
    try:
        with working(workspace, "cases", wanted.target, arguments=wanted.arguments(), job=job, show=bar.show) as work:
            book = make(workspace, wanted, work.step)
            work.finish({"cases": size(book)})
    finally:
        bar.close()
    return book


def stars(workspace: Workspace, options: argparse.Namespace) -> Reply:
    """Of a run that foretells ratings: confusion matrix and calibration of both tasks."""
    from core.evaluate.starbook import load_stars, make_stars

    book = load_stars(workspace, case_set(options)) or made(workspace, options, make_stars, len)
    tasks = {
        task: {
            **book.numbers(task), "confusion": book.confusion(task).tolist(),
            "calibration": [asdict(one) for one in book.calibration(task)],
        }
        for task in book.tasks()
    }  # fmt: skip
    lines = []
    for task, one in tasks.items():
        lines.append(f"{task}: {one['rows']:,} ratings, accuracy {one['accuracy']:.4f}, MAE {one['mae']:.4f}, "
                     f"calibration error {one['ece']:.4f}; true stars down, foretold across")  # fmt: skip
        lines += [f"{star} " + "".join(f"{cell:>8,}" for cell in row) for star, row in enumerate(one["confusion"], 1)]
    answer: Answer = {**book.about, "cases": len(book), "tasks": tasks}
    return Reply(answer={**answer, "file": str(case_set(options).file(workspace))}, lines=lines)


def cases(options: argparse.Namespace) -> Reply:
    from core.evaluate.cases import METRICS, STARS

    if options.metric not in METRICS:
        raise UnknownNameError("metric", options.metric, METRICS)
    workspace = workspace_of(options)
    if options.kind == STARS:
        return stars(workspace, options)
    book = book_of(workspace, options)
    answer = told(book, options.metric, options.order, options.top)
    answer["file"] = str(case_set(options).file(workspace))
    lines = [
        f"{len(book.cases):,} cases of {options.run_name}: "
        + ", ".join(f"{name} {value:.4f}" for name, value in answer["metrics"].items()),
        *(f"{one['rank']:>6}  {one['case']}  {one['item']:<16} {one['title'][:50]}" for one in answer["worst"]),
        f"{answer['tested']:,} slices looked at; those found, and the dearest others ({options.metric}):",
        *(
            f"{'found' if one['found'] else '     '} {one['value']:.3f} against {one['rest']:.3f} "
            f"[{one['low']:+.3f}, {one['high']:+.3f}] Holm p {one['holm']:.2g}, {one['size']:,} cases: {one['name']}"
            for one in answer["slices"]
        ),
    ]
    if options.faults:
        from core.evaluate.planted import FIRST

        seen = planted(book)
        answer["planted"] = {kind: asdict(one) for kind, one in seen.items()}
        lines += [f"planted faults among the first {FIRST} cases of each list, of all cases that a fault touches:"]
        lines += [
            f"{kind:<21} planted {one.planted:>3}  touches {one.touched:>5,} cases  "
            + "  ".join(f"{name} {number:>2}" for name, number in one.seen.items())
            + f"  by chance {one.by_chance:.1f}"
            for kind, one in seen.items()
        ]
    return Reply(answer=answer, lines=lines)


def planted(book: CaseBook) -> dict[str, Sighting]:
    """Kind of planted fault -> what is seen of it from the top. Raises InputError where no truth ships."""
    from core.evaluate.planted import sightings
    from core.evaluate.truth import planted_truth

    truth = planted_truth(book.catalogue)
    if truth is None:
        raise InputError(
            "E-INPUT-VALUE", f'"{book.catalogue.name}" has no truth.json, so nobody knows what is wrong in it; the '
            "bundled catalogue was expected. Leave --faults out.",
        )  # fmt: skip
    return sightings(book.cases, book.catalogue, truth)


def told(book: CaseBook, metric: str, order: str, top: int) -> Answer:
    """A book as plain values: its size and metrics, the first cases in an order, and its slices."""
    from core.evaluate.cases import METRICS

    its, titles = book.cases, {item.item_id: item.title for item in book.catalogue.items}
    search = book.searches[metric]
    return {
        **its.about,
        "cases": len(its),
        "metrics": {name: float(its.values(name).mean()) for name in METRICS},
        "tested": search.tested,
        "slices": [
            {
                "name": one.name, "size": one.size, "groups": one.groups, "value": one.value, "rest": one.rest,
                "low": one.low, "high": one.high, "p": one.p, "holm": one.holm, "found": one.found,
                "conditions": [[its.attribute, its.value] for its in one.conditions],
            }
            for one in search.slices[:top]
        ],
        "worst": [
            {
                "case": str(its.key[at]), "user": str(its.user[at]), "item": str(its.item[at]),
                "title": titles.get(str(its.item[at]), ""), "rank": int(its.rank[at]), "loss": float(its.loss[at]),
                "alone": {m: int(its.alone[at, j]) for j, m in enumerate(its.modalities) if its.alone[at, j]},
                "blame": {m: float(its.blame[at, j]) for j, m in enumerate(its.modalities)},
                "shown": [str(one) for one in its.shown[at] if one],
            }
            for at in its.order(order)[:top]
        ],
    }  # fmt: skip


def report(options: argparse.Namespace) -> Reply:
    from core.files import write_atomic

    data, rows = _page(workspace_of(options), options)
    path = write_atomic(options.out.absolute(), data)
    return Reply(
        answer={"path": str(path), "rows": rows, "bytes": len(data)},
        lines=[f"{path}: {len(data) / 1000:,.0f} kB, {rows:,} rows; it opens in any browser, without network"],
    )


def _page(workspace: Workspace, options: argparse.Namespace) -> tuple[bytes, int]:
    """The page that was asked for, and how many cases or products it is about."""
    from core.people import annotations_of, find_slice
    from core.report import page

    if options.query:
        from core.pipeline import open_pipeline
        from core.report.moments import timed

        query, _ = workspace.query(options.query)
        pipeline = open_pipeline(workspace, options.run_name, options.catalogue)
        answer = pipeline.recommend(query)
        told = timed(pipeline, query, answer, workspace.vectors)
        return page.query_page(workspace, query, answer, pipeline.catalogue, told), len(answer.items)
    book = book_of(workspace, options)
    if options.case:
        place = book.cases.place_of(options.case)
        if place is None:
            raise AddressError("E-URL-ITEM", f'no case "{options.case[:40]}" among the {len(book.cases):,} here.')
        said = annotations_of(workspace, book.catalogue.name, [options.case])
        return page.case_page(workspace, book, [place], title=f"Case {options.case}", said=said), 1
    if options.slice_id:
        name, conditions = find_slice(workspace, book, options.slice_id)
        if not conditions:
            raise AddressError("E-URL-ITEM", f'no slice is known under "{options.slice_id[:40]}" here.')
        found = page.slice_page(workspace, book, conditions, name=name, metric="mrr")
        return found, int(book.members(conditions).sum())
    return page.run_page(workspace, options.run_name, book), len(book.cases)


def forget(options: argparse.Namespace) -> Reply:
    """Exit status 1 where something still holds a trace."""
    from core.privacy import forget

    done = forget(workspace_of(options), options.catalogue, user=options.user, item=options.item)
    answer = {
        "catalogue": done.catalogue, "rows": done.rows, "files": done.files, "vectors": done.vectors,
        "runs_affected": list(done.runs), "left": list(done.left),
    }  # fmt: skip
    lines = [
        f"{done.rows:,} rows and {done.vectors:,} vectors removed, {done.files:,} files removed or rewritten",
        *([f"trained on it, and marked so: {', '.join(done.runs)}"] if done.runs else []),
        *(f"STILL THERE: {place}" for place in done.left),
        "searched the whole workspace: nothing is left" if not done.left else "remove these by hand, then run it again",
    ]
    return Reply(answer=answer, lines=lines, status=REFUSED if done.left else DONE)
