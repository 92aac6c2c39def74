"""Commands about cases and the people who look at them: cases."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from core.commands import Answer, Reply, add, count, run_options, workspace_of
from core.jobs.bar import Bar

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseBook, CaseSet


def register(commands: Any) -> None:
    one = add(
        commands, "cases", cases, "judge every held-out question of a run, find the slices that do worse",
        "cases --run studio-default --kind review+photo",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--kind", default="anything", help="review, photo, review+photo, anything (default) or users")
    one.add_argument("--part", choices=("test", "validation"), default="test")
    one.add_argument("--protocol", default="", help="how the data are split; the run's own by default")
    one.add_argument("--metric", default="mrr", help="what slices are compared by: mrr, recall@1, recall@10 or loss")
    one.add_argument("--order", default="worst", help="worst (default), surprising, near or best")
    one.add_argument("--top", type=count, default=20, metavar="K", help="how many cases and slices to list")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)


def case_set(options: argparse.Namespace) -> CaseSet:
    from core.evaluate.casebook import CaseSet

    return CaseSet(
        run=options.run_name, kind=options.kind, part=options.part, protocol=options.protocol,
        catalogue=options.catalogue or "",
    )  # fmt: skip


def cases(options: argparse.Namespace) -> Reply:
    from core.errors import UnknownNameError
    from core.evaluate.casebook import load_book, make_book
    from core.evaluate.cases import METRICS
    from core.jobs.work import working

    if options.metric not in METRICS:
        raise UnknownNameError("metric", options.metric, METRICS)
    workspace, wanted, bar = workspace_of(options), case_set(options), Bar(sys.stderr)
    book = load_book(workspace, wanted)
    if book is None:
        try:
            with working(
                workspace, "cases", wanted.target, arguments=wanted.arguments(), job=options.job, show=bar.show
            ) as work:
                book = make_book(workspace, wanted, work.step)
                work.finish({"cases": len(book.cases)})
        finally:
            bar.close()
    answer = told(book, options.metric, options.order, options.top)
    answer["file"] = str(wanted.file(workspace))
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
    return Reply(answer=answer, lines=lines)


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
