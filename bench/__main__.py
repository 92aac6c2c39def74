"""python -m bench [--ids E1,E5 | --suite headline] [--minutes 10] [--json FILE] [--check [--allow-missing E2]]"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from bench.arms import Inline, Worker
from bench.case import Case, Size
from bench.cases import CASES, HEADLINE, build
from bench.timing import Row, Spread, compare
from core.files import write_atomic

RESULTS = Path(__file__).resolve().parent / "results"
BUSY_LIMIT = 0.05
SMOKE = Size(smoke=True, threads=1)


def main(words: list[str] | None = None) -> int:
    asked = read_arguments(words)
    size = Size(smoke=asked.smoke, threads=1 if asked.clock == "cpu" else asked.threads)
    named = asked.ids.split(",") if asked.ids else tuple(CASES) if asked.suite == "all" else HEADLINE
    forgiven = frozenset(filter(None, asked.allow_missing.split(",")))
    if unknown := forgiven - set(CASES):
        raise SystemExit(f"--allow-missing: unknown {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
    chosen = [build(name, size) for name in named]
    noise = refuse_noise(asked)
    before, rows, skipped = machine.probe(), [], {}
    deadline = time.monotonic() + 60 * asked.minutes
    for number, case in enumerate(chosen):
        if reason := case.missing():
            skipped[case.id] = reason
            print(f"{case.id} skipped: {reason}", file=sys.stderr)
            continue
        share = time.monotonic() + max(0.0, deadline - time.monotonic()) / (len(chosen) - number)
        rows.append(smoke(case) if asked.smoke else measure(case, asked, size, share))
        print(line(rows[-1]), flush=True)
    after = machine.probe()
    print(f"P {before.flops / 1e9:.0f} G  B {before.read / 1e9:.1f} G  drift {before.drift(after):.0%}", flush=True)
    report = {
        "command": " ".join(("python -m bench", *(sys.argv[1:] if words is None else words))),
        "machine": machine.describe(size.threads) | {"clock": asked.clock, "busy": noise},
        "probe": {"before": machine.as_json(before), "after": machine.as_json(after)},
        "rows": [asdict(row) for row in rows],
        "skipped": skipped,
        "smoke": asked.smoke,
    }
    if not asked.smoke or asked.json:
        file = Path(asked.json) if asked.json else RESULTS / f"{time.strftime('%Y-%m-%d-%H%M')}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, (json.dumps(report, indent=1) + "\n").encode())
        write_atomic(file.with_suffix(".md"), (markdown(report) + "\n").encode())
        print(table(rows, skipped))
    missed = missed_rows(rows, skipped, forgiven, asked.smoke)
    if asked.check and missed:
        print("check failed: " + "; ".join(f"{name}: {why}" for name, why in missed.items()), file=sys.stderr)
    return 1 if asked.check and missed else 0


def read_arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--ids", default="", help=f"comma-separated, of {', '.join(CASES)}")
    choice.add_argument("--suite", choices=("headline", "all"), default="headline")
    parser.add_argument("--pairs", type=int, default=15, help="blocks of A B B A a case")
    parser.add_argument("--minutes", type=float, default=10, help="for all cases; at least three blocks each are run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall",
        help="cpu: one pinned core and the CPU's own clock, for a machine that others use too",
    )  # fmt: skip
    parser.add_argument("--json", default="", help="where the report goes; default bench/results/DATE.json")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when a floor is missed, a row skipped or the arms differ"
    )
    parser.add_argument("--allow-missing", default="", help="rows that --check lets be skipped, with commas")
    parser.add_argument("--force", action="store_true", help="measure on a busy machine and say so")
    parser.add_argument("--smoke", action="store_true", help="tiny data, one run, no time: for the test suite")
    return parser.parse_args(words)


def refuse_noise(asked: argparse.Namespace) -> str:
    """What else is running, in words; ends the program where it is too much and not forced."""
    if asked.smoke:
        return ""
    share, process = machine.busy()
    if share > BUSY_LIMIT and not asked.force and asked.clock == "wall":
        raise SystemExit(
            f"{share:.0%} of the cores are in use ({process}). Stop that, measure with --clock cpu, or add --force."
        )
    return f"{share:.0%} {process}".strip()


def measure(case: Case, asked: argparse.Namespace, size: Size, deadline: float) -> Row:
    elsewhere = getattr(case, "peer_python", str)()  # where the peer has an environment of its own
    arms = [
        Worker(case.id, name, size, asked.clock, elsewhere if name == "peer" else "")
        for name in ("ours", "ours", "peer")
    ]
    try:
        return compare(
            case, arms[0], arms[1], arms[2],
            pairs=asked.pairs, deadline=deadline, clock=asked.clock, forced=asked.force,
        )  # fmt: skip
    finally:
        for arm in arms:
            arm.close()


def smoke(case: Case) -> Row:
    """One run of both arms in this process: form and equality, no time."""
    from bench.timing import summarise

    elsewhere = getattr(case, "peer_python", str)()
    ours = Inline(case.arm("ours"))
    peer = Worker(case.id, "peer", SMOKE, "wall", elsewhere) if elsewhere else Inline(case.arm("peer"))
    try:
        sameness = case.same(ours.outcome(0), peer.outcome(0))
    finally:
        peer.close()
    return summarise(case, ours.label, peer.label, [], [], sameness, forced=False)


def missed_rows(rows: list[Row], skipped: dict[str, str], forgiven: frozenset[str], smoke: bool) -> dict[str, str]:
    """Why the check fails, by row: a floor that is not kept, or nothing measured and that not allowed."""
    passed = ("target", "floor kept", "within") + (("not timed",) if smoke else ())
    missed = {name: f"skipped ({why})" for name, why in skipped.items() if name not in forgiven}
    return missed | {row.id: row.verdict for row in rows if not row.verdict.startswith(passed)}


def table(rows: list[Row], skipped: dict[str, str]) -> str:
    """The rows as Markdown, for the README."""
    lines = ["| id | what | against | ratio | A/A | floor | target | verdict |", "| --- " * 8 + "|"]
    for row in rows:
        ratio, control = (
            f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "-"
            for found in (row.ratio, row.control)
        )
        limits = f"{row.floor:g} | {row.target:g}"
        lines.append(f"| {row.id} | {row.title} | {row.peer} | {ratio} | {control} | {limits} | {row.verdict} |")
    return "\n".join((*lines, *(f"| {name} | | | | | | | skipped: {why} |" for name, why in skipped.items())))


def markdown(report: dict[str, Any]) -> str:
    """The report for people: command, machine, table."""
    about = report["machine"]
    rows = [
        Row(**row | {key: row[key] and Spread(**row[key]) for key in ("ratio", "control")}) for row in report["rows"]
    ]
    told = f"`{report['command']}`, {about['cpu']}, {about['cores']} cores, {about['threads']} threads, clock "
    told += f"{about['clock']}; others used {about['busy'] or '0%'}. Speed-ups: peer / ours; costs: ours / peer."
    return f"# Ratios against peers\n\n{told}\n\n{table(rows, report['skipped'])}"


def line(row: Row) -> str:
    """One row for people."""
    sign = {"speedup": "x", "cost": "cost x", "extra": "+"}[row.kind]
    unit = " s" if row.kind == "extra" else ""
    found = f"{sign}{row.ratio.value:.2f}{unit} [{row.ratio.low:.2f} {row.ratio.high:.2f}]" if row.ratio else "no ratio"
    control = f"A/A {row.control.value:.2f} [{row.control.low:.2f} {row.control.high:.2f}]" if row.control else "A/A -"
    times = f"ours {row.ours_ms['median']:g} ms, peer {row.peer_ms['median']:g} ms" if row.ours_ms else ""
    equal = f"{row.sameness.detail} {'ok' if row.sameness.ok else 'DIFFERENT'}"
    void = f"{row.blocks} pairs ({row.void} void{': ' + row.noise if row.noise else ''})"
    return "  ".join(
        part for part in (row.id, f"vs {row.peer}", found, control, times, equal, void, row.verdict) if part
    )


if __name__ == "__main__":
    sys.exit(main())
