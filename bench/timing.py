"""Interleaved blocks -> one row: a ratio with its interval, a control of ours against ours, and whether it counts.

In a block the arms run A B B A, who is A drawn by lot; d = log of the ratio of the two sums. The row's ratio is the
exponential of the median d; its interval is a bootstrap of that median.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bench import machine
from bench.arms import Measure
from bench.case import Case, Outcome, Sameness

RESAMPLES = 10_000
FEWEST_BLOCKS = 3
STEAL_LIMIT, DRIFT_LIMIT, THREAD_LIMIT = 0.02, 0.10, 0.8
SHORTEST, LONGEST = 0.3, 3.0  # seconds that one measurement should last


class Runner(Protocol):
    label: str

    def measure(self, step: int, repeat: int) -> Measure: ...
    def outcome(self, step: int) -> Outcome: ...
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median over blocks with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Block:
    """One A B B A: what was found, and why it does not count (empty where it does)."""

    effect: float
    void: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is printed and kept of one case."""

    id: str
    title: str
    kind: str
    ours: str
    peer: str
    ratio: Spread | None
    control: Spread | None
    sameness: Sameness
    verdict: str
    blocks: int
    void: int
    ours_ms: dict[str, float]
    peer_ms: dict[str, float]
    items: int
    floor: float
    target: float
    limit_ms: float | None
    noise: str


def spread(effects: list[float], back: Callable[[float], float], seed: int = 0) -> Spread:
    """Median of the effects and its bootstrap interval, brought back to a ratio (or left in seconds)."""
    values = np.asarray(effects)
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(np.median(values[drawn], 1), (0.025, 0.975))
    return Spread(value=back(float(np.median(values))), low=back(float(low)), high=back(float(high)))


def effect(kind: str, ours: float, peer: float, runs: int) -> float:
    """Log ratio in the direction of the case, or extra seconds a run."""
    if kind == "extra":
        return (ours - peer) / runs
    return math.log(peer / ours) if kind == "speedup" else math.log(ours / peer)


def repeats(runner: Runner, clock: str) -> int:
    """How many runs make one measurement long enough; two warm-ups are thrown away before."""
    for step in (0, 1):
        runner.measure(step, 1)
    once = max(runner.measure(2, 1).total(clock), 1e-6)
    return max(1, min(math.ceil(SHORTEST / once), math.floor(LONGEST / once) or 1))


def one_block(
    case: Case, ours: Runner, peer: Runner, step: int, repeat: int, clock: str, rng: np.random.Generator
) -> Block:
    before, steal, begin = machine.probe(), machine.stolen(), time.perf_counter()
    first, second = (ours, peer) if rng.random() < 0.5 else (peer, ours)
    measures = [(runner, runner.measure(step, repeat)) for runner in (first, second, second, first)]
    wall = time.perf_counter() - begin
    mine = [measure for runner, measure in measures if runner is ours]
    theirs = [measure for runner, measure in measures if runner is peer]
    void = _void(case, mine, (machine.stolen() - steal) / wall, before.drift(machine.probe()), clock)
    sums = [sum(measure.total(clock) for measure in side) for side in (mine, theirs)]
    return Block(
        effect=effect(case.kind, sums[0], sums[1], 2 * repeat),
        void=void,
        ours=tuple(one for measure in mine for one in measure.wall),
        peer=tuple(one for measure in theirs for one in measure.wall),
    )


def _void(case: Case, mine: list[Measure], steal: float, drift: float, clock: str) -> str:
    if clock == "cpu":
        return ""
    if steal > STEAL_LIMIT:
        return f"steal {steal:.0%}"
    if drift > DRIFT_LIMIT:
        return f"probe drift {drift:.0%}"
    used = sum(measure.cpu for measure in mine) / max(sum(sum(measure.wall) for measure in mine), 1e-9)
    if case.threads_used and used < THREAD_LIMIT * 2:
        return f"only {used:.1f} cores for two threads"
    return ""


def compare(
    case: Case,
    ours: Runner,
    again: Runner | None,
    peer: Runner,
    *,
    pairs: int,
    deadline: float,
    clock: str,
    forced: bool,
) -> Row:
    """Run the blocks of one case. again: a second process of ours, for the control."""
    rng = np.random.default_rng(0)
    repeat = repeats(ours, clock)
    for runner in (peer, again):
        if runner:
            repeats(runner, clock)
    blocks: list[Block] = []
    controls: list[Block] = []
    sameness = case.same(ours.outcome(0), peer.outcome(0))
    for number in range(pairs):
        if number >= FEWEST_BLOCKS and time.monotonic() > deadline:
            break
        step = 3 + 2 * number
        blocks.append(one_block(case, ours, peer, step, repeat, clock, rng))
        if again:
            controls.append(one_block(case, ours, again, step + 1, repeat, clock, rng))
        if sameness.ok:
            sameness = case.same(ours.outcome(step), peer.outcome(step))
    return summarise(case, ours.label, peer.label, blocks, controls, sameness, forced)


def summarise(
    case: Case, ours: str, peer: str, blocks: list[Block], controls: list[Block], sameness: Sameness, forced: bool
) -> Row:
    """One row; no ratio where the outcomes differ or more than a third of the blocks is void (unless forced)."""
    void = [block for block in blocks if block.void]
    noisy = len(void) > len(blocks) / 3
    usable = blocks if forced and noisy else [block for block in blocks if not block.void]
    back = float if case.kind == "extra" else math.exp
    counted = sameness.ok and usable and (forced or not noisy)
    ratio = spread([block.effect for block in usable], back) if counted else None
    kept = [block for block in controls if forced or not block.void]
    control = spread([block.effect for block in kept], back) if counted and kept else None
    reasons = sorted({block.void for block in void})
    return Row(
        id=case.id, title=case.title, kind=case.kind, ours=ours, peer=peer, ratio=ratio, control=control,
        sameness=sameness, blocks=len(blocks), void=len(void), items=case.items, floor=case.floor, target=case.target,
        limit_ms=case.limit_ms, noise="; ".join(reasons[:3]),
        ours_ms=_milliseconds([one for block in usable for one in block.ours]),
        peer_ms=_milliseconds([one for block in usable for one in block.peer]),
        verdict=_verdict(case, ratio, control, sameness, noisy and not forced, usable),
    )  # fmt: skip


def _milliseconds(runs: list[float]) -> dict[str, float]:
    if not runs:
        return {}
    values = np.asarray(runs) * 1000
    named = {"min": values.min(), "median": np.median(values), "p95": np.quantile(values, 0.95)}
    return {name: round(float(value), 2) for name, value in named.items()}


def _verdict(
    case: Case, ratio: Spread | None, control: Spread | None, sameness: Sameness, noisy: bool, usable: list[Block]
) -> str:
    if not sameness.ok:
        return f"void: the arms differ ({sameness.detail})"
    if not usable and not noisy:
        return "not timed"
    if noisy or ratio is None:
        return "machine too noisy"
    if case.limit_ms is not None:
        median = float(np.median([one for block in usable for one in block.ours])) * 1000
        return f"{'within' if median <= case.limit_ms else 'over'} {case.limit_ms:g} ms"
    if control is None:
        return "no control"
    if beyond(case.kind, ratio, control, case.target):
        return "target"
    if beyond(case.kind, ratio, control, case.floor):
        return "floor kept"
    if case.kind != "speedup":
        return "over the floor"
    return "faster, under the floor" if beyond(case.kind, ratio, control, 1.0) else "no claim"


def beyond(kind: str, ratio: Spread, control: Spread, bound: float) -> bool:
    """Whether the whole interval keeps a bound, and by more than ours differs from itself.

    A bound that says "faster" (a speed-up of 1 or more, a cost of 1 or less) needs an interval outside the control's;
    any other bound must lie outside the control, or noise alone could keep or miss it.
    """
    if kind == "speedup":
        return ratio.low >= bound and (ratio.low > max(1.0, control.high) if bound >= 1 else control.low > bound)
    if kind == "cost" and bound <= 1:
        return ratio.high <= bound and ratio.high < min(1.0, control.low)
    return ratio.high <= bound and control.high < bound
