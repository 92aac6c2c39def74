"""Commands that ask why: explain, audit."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from core.commands import Reply, add, count, query_of, query_options, run_options, workspace_of
from core.domain import with_interval
from core.jobs.bar import Bar


def register(commands: Any) -> None:
    one = add(
        commands, "explain", explain, "why this item: modalities, words, patches, and how far to trust it",
        'explain --run studio-default --text "a mug that keeps tea warm" --item s009',
    )  # fmt: skip
    run_options(one)
    query_options(one)
    one.add_argument("--item", required=True, metavar="ID", help="the item to explain")
    one.add_argument(
        "--baseline", choices=("absent", "mean", "others"), default="absent",
        help="what stands where a modality is taken away (default absent)",
    )  # fmt: skip
    one.add_argument(
        "--baseline-item",
        metavar="ID",
        help="what stands where a modality is taken away: this item, not --baseline",
    )
    one.add_argument("--against", metavar="ID", help="why not that one: the difference to this other item")
    one.add_argument("--method", help="how words and patches are weighed; a wrong name lists the known")

    one = add(
        commands, "audit", audit, "is each modality used, and which explanations are faithful, by encoding anew",
        "audit --run studio-default --cases 100",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--cases", type=count, default=100, metavar="N", help="how many cases (default 100)")
    one.add_argument("--draws", type=count, default=20, metavar="N", help="random orders a case (default 20)")
    one.add_argument("--level", choices=("media", "states"), default="media", help="encode anew, or mask token states")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument(
        "--retrain", type=int, default=0, metavar="SEEDS",
        help="train again without each modality, with so many seeds (default 0: not at all; takes long)",
    )  # fmt: skip


def explain(options: argparse.Namespace) -> Reply:
    workspace = workspace_of(options)
    catalogue = options.catalogue or workspace.run(options.run_name).catalogue
    query = query_of(options, workspace.known_user(catalogue, options.user) if options.user else None)
    from core.account import explain as account  # heavy: only when there is something to explain
    from core.explain.attribution import DEFAULT
    from core.pipeline import open_pipeline

    pipeline = open_pipeline(workspace, options.run_name, options.catalogue)
    answer = account(
        pipeline, query, options.item, workspace.vectors,
        baseline=options.baseline, method=options.method or DEFAULT, other=options.baseline_item,
        against=options.against, without=tuple(options.without),
    )  # fmt: skip
    return Reply(answer=answer, lines=list(told(answer)))


def told(answer: dict[str, Any]) -> list[str]:
    """The account in lines for a person."""
    score = answer["shapley"]["score"]
    verdict = answer["faithfulness"]
    lines = [
        f"{answer['item_id']}  {answer['title']}  rank {answer['rank']}, score {answer['score']:.4f}",
        f"scope {answer['scope']}: {answer['base']:+.4f} with nothing, "
        + ", ".join(f"{value:+.4f} {m} ({answer['shares'].get(m, 0):.0%})" for m, value in score.items())
        + f"; residual {answer['residual']:+.1e}",
    ]
    lines += [f"{m} is not in the scoring path of this ranker: exactly 0"
              for m, inside in answer["in_scoring_path"].items() if not inside]  # fmt: skip
    words = sorted(answer["words"], key=lambda one: -abs(one["weight"]))[:8]
    if words:
        lines.append("words: " + ", ".join(f"{one['text']} {one['weight']:+.3f}" for one in words))
    lines += [f"photo {number}:\n" + "\n".join(" ".join(f"{v:+.2f}" for v in row) for row in grid)
              for number, grid in enumerate(answer["patches"], 1)]  # fmt: skip
    for m, one in verdict["by_modality"].items():
        lines.append(f"{answer['method']}, {m}: " + ("better than chance" if one["passed"] else one["reason"]))
    return lines + told_against(answer["against"])


def told_against(other: dict[str, Any] | None) -> list[str]:
    if other is None:
        return []
    parts = ", ".join(f"{value:+.4f} {m}" for m, value in other["shapley"].items())
    words = sorted(other["words"], key=lambda one: -abs(one["weight"]))[:8]
    theirs = sorted(other["their_words"], key=lambda one: -abs(one["weight"]))[:8]
    told = [f"against {other['item_id']}  {other['title']}  rank {other['rank']}: "
            f"difference {other['difference']:+.4f}, {other['base']:+.4f} with nothing, {parts}"]  # fmt: skip
    for whose, some in (("its words" if theirs else "words", words), ("the other's words", theirs)):
        if some:
            told.append(f"{whose}: " + ", ".join(f"{one['text']} {one['weight']:+.3f}" for one in some))
    return told


def audit(options: argparse.Namespace) -> Reply:
    from core.evaluate.audit import audit_run

    bar = Bar(sys.stderr)
    try:
        answer = audit_run(
            workspace_of(options), options.run_name, catalogue=options.catalogue, cases=options.cases,
            draws=options.draws, level=options.level, seed=options.seed, retrain=options.retrain, on_step=bar.show,
        )  # fmt: skip
    finally:
        bar.close()
    lines = [f"{options.run_name}: {answer['cases']} cases, {answer['level']}, seed {answer['seed']}"]
    for m, one in answer["modalities"].items():
        parts = [f"{name} {with_interval(value, '+.3f')}"
                 for name, value in one.items() if isinstance(value, dict) and "value" in value]  # fmt: skip
        parts += [f"retrained without it, {name} lose {with_interval(value, '+.3f')}"
                  for name, value in one.get("retrained", {}).items() if name != "seeds"]  # fmt: skip
        lines.append(f"{m:<6} in scoring path: {'yes' if one['in_scoring_path'] else 'NO'}; " + ", ".join(parts))
    for name, by_modality in answer["methods"].items():
        for m, one in by_modality.items():
            lines.append(
                f"{name:<20} {m:<6} deletion {with_interval(one['deletion'], '+.3f')}, "
                f"insertion {with_interval(one['insertion'], '+.3f')}: "
                + ("faithful" if one["passed"] else f"not shown to be: {one['reason']}")
            )
    return Reply(answer=answer, lines=lines)
