"""Commands that ask a run: recommend, evaluate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from core.commands import Reply, add, count, query_of, query_options, run_options, workspace_of
from core.config import INDEXES
from core.domain import with_interval
from core.jobs.bar import Bar


def register(commands: Any) -> None:
    one = add(
        commands, "evaluate", evaluate, "metrics of a run with 95 %% intervals",
        "evaluate --run studio-default --products cold --query review+photo",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--protocol", help="how the data are split; the run's own by default")
    one.add_argument("--split", choices=("validation", "test"), default="test")
    one.add_argument("--query", choices=("review", "photo", "review+photo"), default="review+photo")
    one.add_argument("--products", choices=("all", "warm", "cold"), default="all")
    one.add_argument("--out", type=Path, metavar="FILE", help="write every case, query and user, as Parquet")
    one.add_argument("--keep", action="store_true", help="keep all values for the leaderboard (runs that lack them)")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)

    one = add(
        commands, "recommend", recommend, "ranked items for words, photos, a sound, a clip",
        'recommend --run studio-default --text "a mug that keeps tea warm" --image mug.jpg',
    )  # fmt: skip
    run_options(one)
    query_options(one)
    one.add_argument("--top", type=count, default=12, metavar="K", help="how many items (default 12)")
    one.add_argument("--index", choices=INDEXES, default="", help="who searches (default: FUSESCOPE_INDEX, else auto)")


def evaluate(options: argparse.Namespace) -> Reply:
    from core.evaluate.run import evaluate_run
    from core.jobs.work import working

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    given = {
        "catalogue": options.catalogue, "protocol": options.protocol, "split": options.split, "query": options.query,
        "products": options.products, "out": options.out, "keep": options.keep,
    }  # fmt: skip
    try:
        if options.job is None:
            answer = evaluate_run(
                workspace, options.run_name, **given, on_step=lambda label, done: bar.show(label, done, None)
            )  # fmt: skip
        else:
            with working(workspace, "evaluate", options.run_name, job=options.job, show=bar.show) as work:
                answer = evaluate_run(workspace, options.run_name, **given, on_step=work.step)
    finally:
        bar.close()
    told = {name: with_interval(one, ".4f") for name, one in answer["metrics"].items()}
    lines = [
        f"{options.run_name}, {options.split}, {options.products} products",
        *(f"{k:<14} {v}" for k, v in told.items()),
        *_new_item_lines(answer),
        *_rating_lines(answer),
    ]
    if answer.get("why"):
        lines.append(f"no figure of questions: {answer['why']}")
    elif len(lines) == 1:
        lines.append(f"no figure: {options.run_name} answers neither questions nor users under these settings")
    return Reply(answer=answer, lines=lines)


def _new_item_lines(answer: Mapping[str, Any]) -> list[str]:
    """Known users before items that were never trained on."""
    return [
        f"{one['users']} users' likes of new items, among {name}: "
        + ", ".join(f"{metric} {with_interval(one['metrics'][metric], '.4f')} (random {one['chance'][metric]:.4f})"
                    for metric in ("recall@20", "ndcg@10"))
        for name, one in answer.get("new_items", {}).items()
    ] + ([f"no figure of new items: {answer['new_items_why']}"] if answer.get("new_items_why") else [])  # fmt: skip


def _rating_lines(answer: Mapping[str, Any]) -> list[str]:
    """Stars foretold, beside what counting foretells."""
    lines = [
        f"ratings {task:<8} " + ", ".join(f"{name} {one['rating'][name]:.4f}" for name in ("accuracy", "mae", "rmse"))
        + f"; bias mae {one['bias']['mae']:.4f}; {one['rows']:,} rows"
        for task, one in answer.get("ratings", {}).items()
    ]  # fmt: skip
    return lines + ([f"note: {answer['caution']}"] if answer.get("caution") else [])


def recommend(options: argparse.Namespace) -> Reply:
    workspace = workspace_of(options)
    catalogue = options.catalogue or workspace.run(options.run_name).catalogue
    query = query_of(options, workspace.known_user(catalogue, options.user) if options.user else None)
    from core.database_index import open_indexed  # heavy: only when there is something to answer
    from core.fallback import recommend_anyway

    opened = partial(open_indexed, workspace, options.run_name, options.catalogue, index=options.index)
    found = recommend_anyway(
        opened(), lambda: opened(device="cpu"), query, top=options.top, without=tuple(options.without),
    )  # fmt: skip
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
        "notices": [asdict(notice) for notice in found.notices], "search": found.search or "exact",
    }  # fmt: skip
    lines = [
        f"{one.rank:>3}  {one.score:8.4f}  {one.item_id:<16} {one.title[:60]:<60}  "
        + ", ".join(f"{modality} {share:.0%}" for modality, share in one.shares.items())
        for one in found.items
    ]
    if found.distance and found.distance.unlike_anything:
        lines.insert(0, "this is unlike anything in this shop; the best of what is there:")
    if found.search:
        lines.append(f"search: {found.search}")
    return Reply(answer=answer, lines=lines)
