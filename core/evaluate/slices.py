"""Slices: groups of cases that do worse (or better) than the rest, found by looking at every attribute and every pair.

Cases of one product are no independent draws, so a slice is judged over products: the variance of a difference is
that of its products' sums (cluster-robust), and the t distribution has one degree of freedom less than the smaller
side has products. All slices that were looked at count in Holm's correction. A pair is listed only if it differs
inside both of its parents too, so that one weak category does not drag all its intersections along.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluate.attributes import Attribute
from core.evaluate.significance import holm

FEWEST_CASES, FEWEST_PRODUCTS = 15, 6
ALPHA = 0.05
RESAMPLES = 2000
MOST_PAIRS = 6000
BLOCK = 4_000_000
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One answer to one question about a case."""

    attribute: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Cases that meet all conditions. value: mean of the metric, rest: of all others, difference = value - rest with
    its 95 % interval; p as tested, holm after correction; groups: how many products (or users) it spans."""

    conditions: tuple[Condition, ...]
    size: int
    groups: int
    value: float
    rest: float
    low: float
    high: float
    p: float
    holm: float

    @property
    def difference(self) -> float:
        return self.value - self.rest

    @property
    def name(self) -> str:
        return " and ".join(f"{one.attribute}: {one.value}" for one in self.conditions)

    @property
    def found(self) -> bool:
        return self.holm < ALPHA

    @property
    def cost(self) -> float:
        """How far the slice moves the sum of the metric: its size times its difference."""
        return self.size * self.difference


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was found: slices, the dearest first, and how many were looked at; worse is -1 where less is worse."""

    metric: str
    slices: tuple[Slice, ...]
    tested: int
    worse: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Search:
        told = json.loads(text)
        slices = tuple(
            Slice(**{**one, "conditions": tuple(Condition(**its) for its in one["conditions"])})
            for one in told.pop("slices")
        )
        return cls(slices=slices, **told)


def slice_id(conditions: Sequence[Condition]) -> str:
    """10 hex digits: the same conditions have the same link, whoever saved them."""
    told = json.dumps(sorted([one.attribute, one.value] for one in conditions))
    return hashlib.sha256(told.encode()).hexdigest()[:10]


def members(conditions: Sequence[Condition], known: Sequence[Attribute], count: int) -> Mask:
    """(Q,) cases that meet all conditions; nobody meets an attribute or value that these cases do not have."""
    chosen = np.ones(count, dtype=bool)
    for one in conditions:
        its = next((its for its in known if its.name == one.attribute), None)
        if its is None or one.value not in its.values:
            return np.zeros(count, dtype=bool)
        chosen &= its.masks[its.values.index(one.value)]
    return chosen


def search_slices(
    values: NDArray[np.floating[Any]], groups: Sequence[str] | NDArray[np.str_], known: Sequence[Attribute], *,
    metric: str, worse: int = -1, show: int = 200, seed: int = 0,
) -> Search:  # fmt: skip
    """Every value of every attribute, and every pair of two attributes, against the rest of the cases.

    values (Q,) of the metric; groups (Q,) the product (or user) a case belongs to. Listed are those found and the
    `show` dearest of the others. Ordered by cost in the direction that is worse.
    """
    tester = _Tester.of(values, groups)
    singles = [
        ((Condition(attribute=one.name, value=value),), mask)
        for one in known
        for value, mask in zip(one.values, one.masks, strict=True)
        if tester.big_enough(mask)
    ]
    pairs = _pairs(singles, tester)
    ps = [tester.p(mask) for _, mask in singles] + [tester.pair_p(mask, *parents) for _, mask, parents in pairs]
    adjusted = holm(ps)
    tried = [*singles, *((conditions, mask) for conditions, mask, _ in pairs)]
    cost = [mask.sum() * tester.difference(mask) * worse for _, mask in tried]
    order = np.argsort(-np.asarray(cost), kind="stable").tolist() if tried else []
    listed = [at for at in order if adjusted[at] < ALPHA] + [at for at in order if adjusted[at] >= ALPHA][:show]
    slices = [tester.slice(tried[at][0], tried[at][1], ps[at], adjusted[at], seed) for at in listed]
    return Search(metric=metric, slices=tuple(slices), tested=len(tried), worse=worse)


def measure_slice(
    conditions: Sequence[Condition], chosen: Mask, values: NDArray[np.floating[Any]],
    groups: Sequence[str] | NDArray[np.str_], seed: int = 0,
) -> Slice | None:  # fmt: skip
    """One slice that a person named, tested alone (holm = p); None where it or the rest is empty."""
    tester = _Tester.of(values, groups)
    if chosen.all() or not chosen.any():
        return None
    p = tester.p(chosen)
    return tester.slice(tuple(conditions), chosen, p, p, seed)


class _Tester:
    """Differences between cases inside and outside of a mask, with products drawn as wholes."""

    def __init__(self, values: Floats, member: NDArray[np.int64], groups: int) -> None:
        self.values, self.member, self.groups = values, member, groups
        self.sums = np.bincount(member, values, groups)
        self.counts = np.bincount(member, minlength=groups).astype(np.float64)

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]], groups: Sequence[str] | NDArray[np.str_]) -> _Tester:
        names, member = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
        return cls(np.asarray(values, dtype=np.float64), member, len(names))

    def big_enough(self, mask: Mask) -> bool:
        size = int(mask.sum())
        if not FEWEST_CASES <= size <= len(mask) - FEWEST_CASES:
            return False
        return min(self.reach(mask), self.reach(~mask)) >= FEWEST_PRODUCTS

    def reach(self, mask: Mask) -> int:
        return int((np.bincount(self.member[mask], minlength=self.groups) > 0).sum())

    def difference(self, mask: Mask) -> float:
        return float(self.values[mask].mean() - self.values[~mask].mean())

    def p(self, mask: Mask, within: Mask | None = None) -> float:
        """Two-sided p of mask against the rest (of `within`); 1 where a side is too small to say."""
        from scipy.stats import t

        inside = mask if within is None else mask & within
        outside = ~mask if within is None else ~mask & within
        sides = []
        influence = np.zeros(self.groups)
        for chosen, sign in ((inside, 1.0), (outside, -1.0)):
            if chosen.sum() < 2:
                return 1.0
            values = self.values[chosen]
            sides.append(values.mean())
            influence += sign * np.bincount(self.member[chosen], values - values.mean(), self.groups) / len(values)
        free = min(self.reach(inside), self.reach(outside)) - 1
        if free < 1:
            return 1.0
        spread = float(np.sqrt((influence**2).sum() * (free + 1) / free))
        if spread == 0:
            return 1.0 if sides[0] == sides[1] else 0.0
        return float(2 * t.sf(abs(sides[0] - sides[1]) / spread, free))

    def pair_p(self, mask: Mask, first: Mask, second: Mask) -> float:
        """A pair must differ from the rest, and from the rest of each parent: the largest of the three counts."""
        return max(self.p(mask), self.p(mask, first), self.p(mask, second))

    def slice(self, conditions: tuple[Condition, ...], mask: Mask, p: float, adjusted: float, seed: int) -> Slice:
        low, high = self.interval(mask, seed)
        return Slice(
            conditions=conditions, size=int(mask.sum()), groups=self.reach(mask), p=p, holm=adjusted,
            value=float(self.values[mask].mean()), rest=float(self.values[~mask].mean()), low=low, high=high,
        )  # fmt: skip

    def interval(self, mask: Mask, seed: int) -> tuple[float, float]:
        """95 % percentile interval of the difference, products drawn with replacement."""
        sums = np.bincount(self.member[mask], self.values[mask], self.groups)
        counts = np.bincount(self.member[mask], minlength=self.groups).astype(np.float64)
        rng, step, found = np.random.default_rng(seed), max(1, BLOCK // self.groups), []
        for start in range(0, RESAMPLES, step):
            size = min(step, RESAMPLES - start)
            drawn = rng.multinomial(self.groups, np.full(self.groups, 1 / self.groups), size=size).astype(np.float64)
            inside, outside = drawn @ counts, drawn @ (self.counts - counts)
            good = (inside > 0) & (outside > 0)
            means = (drawn @ sums)[good] / inside[good] - (drawn @ (self.sums - sums))[good] / outside[good]
            found.append(means)
        low, high = np.quantile(np.concatenate(found), (0.025, 0.975))
        return float(low), float(high)


Pair = tuple[tuple[Condition, ...], Mask, tuple[Mask, Mask]]


def _pairs(singles: Sequence[tuple[tuple[Condition, ...], Mask]], tester: _Tester) -> list[Pair]:
    """Pairs of two attributes that are neither too small nor one of their parents over again."""
    found: list[Pair] = []
    for (first, a), (second, b) in combinations(singles, 2):
        if first[0].attribute == second[0].attribute:
            continue
        both = a & b
        size = int(both.sum())
        if size < FEWEST_CASES or min(a.sum(), b.sum()) - size < FEWEST_CASES or not tester.big_enough(both):
            continue
        found.append(((*first, *second), both, (a, b)))
        if len(found) >= MOST_PAIRS:
            break
    return found
