"""Commands about the aligned space: map, align-report."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from core.commands import Reply, add, run_options, workspace_of
from core.jobs.bar import Bar


def register(commands: Any) -> None:
    one = add(
        commands, "map", map_items, "coordinates of every item, with how true they are",
        "map --run studio-default --json",
    )  # fmt: skip
    run_options(one)
    one.add_argument("--before", action="store_true", help="the encoders' own spaces, before alignment")
    one.add_argument("--job", type=int, help=argparse.SUPPRESS)

    one = add(
        commands, "align-report", align_report, "the aligned space in numbers, and its worst pairs",
        "align-report --run studio-default",
    )  # fmt: skip
    run_options(one)
    one.add_argument(
        "--judge", choices=("others", "aligner"), default="others",
        help="of the worst pairs: a map fitted on the other items (default), or the distance after alignment",
    )  # fmt: skip


def map_items(options: argparse.Namespace) -> Reply:
    from core.jobs.work import working
    from core.mapping.make import make_map

    workspace, bar = workspace_of(options), Bar(sys.stderr)
    given = ("--run", options.run_name, *(("--catalogue", options.catalogue) if options.catalogue else ()))
    target = options.run_name if not options.catalogue else f"{options.run_name}/{options.catalogue}"
    try:
        with working(workspace, "map", target, arguments=given, job=options.job, show=bar.show) as work:
            drawn = make_map(workspace, options.run_name, options.catalogue, work.step)
            work.finish({"points": int(drawn.present.sum()), "method": drawn.method})
    finally:
        bar.close()
    state = "before" if options.before else "after"
    places = drawn.frames[f"{state}-2"]
    told = drawn.numbers[f"{state}-2"]
    points = [
        {
            "item_id": drawn.item_ids[row], "modality": drawn.slots[slot], "x": float(places[row, slot, 0]),
            "y": float(places[row, slot, 1]),
        }
        for row, slot in np.argwhere(~np.isnan(places[..., 0])).tolist()
    ]  # fmt: skip
    true = [name for name in ("trustworthiness", "continuity", "neighbours_kept") if name in told]
    gap = next(iter(drawn.report["gap"].values()), None)
    answer = {
        "run": drawn.run, "catalogue": drawn.catalogue, "method": drawn.method, "state": state,
        "items": len(drawn.item_ids), "of": drawn.of, "seed": drawn.seed, "points": points,
        "trustworthiness": told.get("trustworthiness"), "continuity": told.get("continuity"),
        "neighbours_kept": told.get("neighbours_kept"), "stability": drawn.numbers.get("stability"),
        "modality_gap": gap, "modality_gaps": drawn.report["gap"],
    }  # fmt: skip
    lines = [
        f"{drawn.run} over {drawn.catalogue}: {len(points)} points of {len(drawn.item_ids)} of {drawn.of} items, "
        f"{state} alignment, by {drawn.method}",
        *(f"{name:<16} {told[name]:.3f}" for name in true),
        *(
            f"gap {pair:<12} {one['before']:.3f} before, {one['after']:.3f} after (chance {one['chance']:.3f})"
            for pair, one in drawn.report["gap"].items()
        ),
    ]
    return Reply(answer=answer, lines=lines)


def align_report(options: argparse.Namespace) -> Reply:
    from core.mapping.make import run_spaces
    from core.mapping.report import space_report

    bar = Bar(sys.stderr)
    try:
        pipeline, spaces = run_spaces(
            workspace_of(options), options.run_name, options.catalogue, lambda label, at: bar.show(label, at, None)
        )
    finally:
        bar.close()
    report = space_report(spaces, pipeline.catalogue, judge=options.judge)
    answer = {"run": pipeline.run, "catalogue": pipeline.catalogue.name, **report}
    return Reply(answer=answer, lines=report_lines(answer))


def report_lines(answer: dict[str, Any]) -> list[str]:
    from core.mapping.report import JUDGES

    seen = answer["evaluated"]
    lines = [f"{answer['run']} over {answer['catalogue']}, on {seen['items']} of {seen['of']} items ({seen['which']})"]
    for pair, states in answer["pairs"].items():
        for state, one in states.items():
            found = ", ".join(
                f"recall@{k} {one[f'recall@{k}']['forward']:.3f} and {one[f'recall@{k}']['backward']:.3f} "
                f"(chance {one['chance'][f'recall@{k}']:.3f})"
                for k in (1, 10)
            )
            lines.append(f"{pair} {state}: {found}")
        gap, near = answer["gap"][pair], answer["alignment"][pair]
        lines.append(f"{pair} gap {gap['before']:.3f} -> {gap['after']:.3f} (chance {gap['chance']:.3f})")
        lines.append(
            f"{pair} alignment {near['before']:.3f} -> {near['after']:.3f} "
            f"(chance {near['chance_before']:.3f} -> {near['chance_after']:.3f})"
        )
    lines += [f"{m} uniformity {one['before']:.2f} -> {one['after']:.2f}" for m, one in answer["uniformity"].items()]
    for kind, parts in answer["faults"].items():
        for name, one in parts.items():
            auc = "none" if one["auc"] is None else f"{one['auc']:.3f}"
            lines.append(f"{kind}, {name}: AUC {auc} ({one['wrong']} wrong among {one['pairs']} pairs)")
    lines += [
        f"worst pairs {'-'.join(pair)} judged by {JUDGES[judge]}"
        for pair, judge in sorted({(tuple(one["modalities"]), one["judge"]) for one in answer["worst_pairs"]})
    ]
    lines += [
        f"worst pair {one['excess']:+.1f} sd, distance {one['distance']:.3f} {'-'.join(one['modalities'])} "
        f"{one['item_id']:<12} {one['title'][:60]}"
        for one in answer["worst_pairs"][:10]
    ]
    return lines
