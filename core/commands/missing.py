"""The command about what is missing: simulate-missing."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from core.commands import Answer, Reply, add, workspace_of
from core.domain import MODALITIES, with_interval
from core.evaluate.missing_kept import HOW, WHEN
from core.jobs.bar import Bar


def register(commands: Any) -> None:
    one = add(
        commands, "simulate-missing", simulate_missing,
        "take a modality away, fill it in in every known way, and see what that costs",
        "simulate-missing --run studio-default --modality image --ratio 0.5",
    )  # fmt: skip
    one.add_argument("--run", dest="run_name", required=True, metavar="RUN")
    one.add_argument("--modality", required=True, choices=MODALITIES)
    one.add_argument("--ratio", type=float, action="append", required=True, metavar="R", help="share; may be repeated")
    one.add_argument("--how", choices=tuple(HOW), default="random", help="who loses it first")
    one.add_argument(
        "--when", choices=tuple(WHEN), default="items",
        help="products after training, held-out queries, or products before a training anew",
    )  # fmt: skip
    one.add_argument("--method", action="append", default=[], metavar="I", help="a way to fill in; default: all")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)


def simulate_missing(options: argparse.Namespace) -> Reply:
    from core.evaluate.missing import simulate
    from core.jobs.work import working

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    given = {"how": options.how, "when": options.when, "methods": options.method, "seed": options.seed}
    asked = (workspace, options.run_name, options.modality, options.ratio)
    try:
        if options.job is None:
            answer = simulate(*asked, **given, on_step=lambda label, done: bar.show(label, done, None))
        else:
            with working(workspace, "simulate-missing", options.run_name, job=options.job, show=bar.show) as work:
                answer = simulate(*asked, **given, on_step=work.step)
                work.finish(answer)
    finally:
        bar.close()
    return Reply(answer=answer, lines=lines_of(answer))


def lines_of(answer: Answer) -> list[str]:
    head = f"{answer['modality']} missing ({answer['when']}, {answer['how']}); kept = ndcg@10 over the complete data's"
    lines = [head, f"{'ratio':>5}  {'filled in by':<12} {'asked by':<9} {'part':<11} {'ndcg@10':<26} kept"]
    for row in answer["rows"]:
        value, left = row["metrics"]["ndcg@10"], row["kept"]
        share = ", ".join(f"{m} {one['value']:.0%}" for m, one in row["shares"].items())
        lines.append(
            f"{row['ratio']:>5.2f}  {row['method']:<12} {row['subject']:<9} {row['part']:<11} "
            f"{with_interval(value, '.4f')}  {with_interval(left)}  {share}" + ("  *" if row["chosen"] else "")
        )
    return [*lines, *(f"chosen on validation at {ratio}: {method}" for ratio, method in answer["chosen"].items())]
