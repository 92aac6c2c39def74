"""Slices: groups of cases that do worse (or better) than the rest, found by looking at every attribute and every pair.

Cases of one product are no independent draws, so a difference is judged against how much products differ anyway (a
random effect of the product). All slices that were looked at count in Holm's correction. A pair is listed only if it
differs inside both of its parents too, so that one weak category does not drag all its intersections along.
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
MOST_LISTED = 200
MOST_DRAWN = 1000  # beyond it products are drawn in bundles: an interval of 20,000 products in a fraction of a second
BLOCK = 4_000_000
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Groups = Sequence[str] | NDArray[np.str_] | NDArray[np.int64]  # what a case belongs to, by name or by number


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
    """slices in order, at most 200 of those found; how many were looked at and found; worse is -1 where less of the
    metric is worse."""

    metric: str
    slices: tuple[Slice, ...]
    tested: int
    worse: int
    found: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Search:
        told = json.loads(text)
        slices = tuple(
            Slice(**{**one, "conditions": tuple(Condition(**its) for its in one["conditions"])})
            for one in told.pop("slices")
        )
        return cls(slices=slices, **{"found": sum(one.found for one in slices), **told})


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
    values: NDArray[np.floating[Any]], groups: Groups, known: Sequence[Attribute], *,
    metric: str, worse: int = -1, show: int = 60, seed: int = 0,
) -> Search:  # fmt: skip
    """Every value of every attribute, and every pair of two attributes, against the rest of the cases.

    values (Q,) of the metric; groups (Q,) the product (or user) a case belongs to. Listed are the 200 surest of those
    found and the `show` dearest of the others: first those found to be worse, the surest first, so that a slice stands
    before what contains it; then those found to be better; then the others by cost. Singles and pairs are two families
    with half of the error each, so that the many pairs do not hide a single.
    """
    tester = _Tester.of(values, groups)
    singles = _singles(known, tester)
    pairs = _pairs(singles, tester)
    masks = [mask for _, mask in singles]
    single_ps, pair_ps = tester.ps(np.arange(len(tester.values)), masks), _pair_ps(tester, masks, pairs)
    ps = [*single_ps, *pair_ps]
    adjusted = [min(1.0, 2 * p) for p in (*holm(single_ps), *holm(pair_ps))]
    tried: list[tuple[int, ...]] = [*((at,) for at in range(len(singles))), *pairs]

    def members_of(at: int) -> Mask:
        return np.logical_and.reduce([masks[one] for one in tried[at]])

    cost = [worse * tester.cost(members_of(at)) for at in range(len(tried))]
    found = sorted((at for at, p in enumerate(adjusted) if p < ALPHA), key=lambda at: (cost[at] <= 0, ps[at]))
    others = sorted((at for at, p in enumerate(adjusted) if p >= ALPHA), key=lambda at: -cost[at])
    listed = [*found[:MOST_LISTED], *others[:show]]
    intervals = tester.intervals([members_of(at) for at in listed], seed)
    slices = [
        tester.slice(tuple(singles[one][0] for one in tried[at]), members_of(at), ps[at], adjusted[at], interval)
        for at, interval in zip(listed, intervals, strict=True)
    ]
    return Search(metric=metric, slices=tuple(slices), tested=len(tried), worse=worse, found=len(found))


def measure_slice(
    conditions: Sequence[Condition], chosen: Mask, values: NDArray[np.floating[Any]],
    groups: Groups, seed: int = 0,
) -> Slice | None:  # fmt: skip
    """One slice that a person named, tested alone (holm = p); None where it or the rest is empty."""
    tester = _Tester.of(values, groups)
    if chosen.all() or not chosen.any():
        return None
    p = tester.ps(np.arange(len(chosen)), [chosen])[0]
    return tester.slice(tuple(conditions), chosen, p, p, tester.intervals([chosen], seed)[0])


class _Tester:
    """Differences between cases inside and outside of masks, with products drawn as wholes."""

    def __init__(self, values: Floats, member: NDArray[np.int64], groups: int) -> None:
        self.values, self.member, self.groups = values, member, groups

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]], groups: Groups) -> _Tester:
        names, member = np.unique(np.asarray(groups), return_inverse=True)
        return cls(np.asarray(values, dtype=np.float64), member, len(names))

    def big_enough(self, mask: Mask) -> bool:
        size = int(mask.sum())
        if not FEWEST_CASES <= size <= len(mask) - FEWEST_CASES:
            return False
        return min(self.reach(mask), self.reach(~mask)) >= FEWEST_PRODUCTS

    def reach(self, mask: Mask) -> int:
        return int((np.bincount(self.member[mask], minlength=self.groups) > 0).sum())

    def cost(self, mask: Mask) -> float:
        """How far the cases of a mask move the sum of the metric: their number times their difference to the rest."""
        size, own = int(mask.sum()), float(self.values[mask].sum())
        return own - size * (float(self.values.sum()) - own) / (len(mask) - size)

    def ps(self, among: NDArray[np.int64], masks: Sequence[Mask]) -> list[float]:
        """Two-sided p of every mask against the rest of the cases `among`; 1 where a side is too small to say.

        A model with a random effect of the product: Var(difference) = tau^2 sum_g (sum of a product's weights)^2 +
        sigma^2 sum of squared weights, where a case weighs 1 / inside or -1 / outside. Both variances are estimated on
        all cases, so that a slice of few products, or of cases that happen to be all alike, cannot look certain.
        """
        from scipy.sparse import csr_matrix
        from scipy.stats import t

        values, member = self.values[among], self.member[among]
        between, within, products = _variances(values, member)
        count = csr_matrix((np.ones(len(among)), (member, np.arange(len(among)))), shape=(self.groups, len(among)))
        sizes = np.bincount(member, minlength=self.groups)
        found: list[float] = []
        step = max(1, BLOCK // max(1, len(among)))
        for start in range(0, len(masks), step):
            inside = np.stack([mask[among] for mask in masks[start : start + step]]).astype(np.float64)  # (S, n)
            n1, n0 = inside.sum(1), len(among) - inside.sum(1)
            counts = (count @ inside.T).T  # (S, G)
            with np.errstate(divide="ignore", invalid="ignore"):
                weights = counts / n1[:, None] - (sizes - counts) / n0[:, None]
                spread = np.sqrt(between * (weights**2).sum(1) + within * (1 / n1 + 1 / n0))
                difference = inside @ values / n1 - (values.sum() - inside @ values) / n0
                p = 2 * t.sf(np.abs(difference) / spread, products - 1)
            good = (n1 > 1) & (n0 > 1) & (products > 1) & (spread > 0)
            found += np.where(good, p, 1.0).tolist()
        return found

    def slice(
        self, conditions: tuple[Condition, ...], mask: Mask, p: float, adjusted: float, interval: tuple[float, float]
    ) -> Slice:
        return Slice(
            conditions=conditions, size=int(mask.sum()), groups=self.reach(mask), p=p, holm=adjusted,
            value=float(self.values[mask].mean()), rest=float(self.values[~mask].mean()), low=interval[0],
            high=interval[1],
        )  # fmt: skip

    def intervals(self, masks: Sequence[Mask], seed: int) -> list[tuple[float, float]]:
        """95 % percentile intervals of the differences, products (or bundles of them) drawn with replacement."""
        if not masks:
            return []
        member, groups = bundled(self.member, self.groups)
        sums = np.stack([np.bincount(member[m], self.values[m], groups) for m in masks], 1)  # (G, S)
        counts = np.stack([np.bincount(member[m], minlength=groups) for m in masks], 1).astype(np.float64)
        all_sums = np.bincount(member, self.values, groups)[:, None]
        all_counts = np.bincount(member, minlength=groups)[:, None]
        rng, step, means = np.random.default_rng(seed), max(1, BLOCK // groups), []
        for start in range(0, RESAMPLES, step):
            size = min(step, RESAMPLES - start)
            drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=size).astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                inside = (drawn @ sums) / (drawn @ counts)
                outside = (drawn @ (all_sums - sums)) / (drawn @ (all_counts - counts))
            means.append(inside - outside)
        low, high = np.nanquantile(np.concatenate(means), (0.025, 0.975), axis=0)
        return list(zip(low.tolist(), high.tolist(), strict=True))


def bundled(member: NDArray[np.int64], groups: int, most: int = MOST_DRAWN) -> tuple[NDArray[np.int64], int]:
    """(Q,) the bundle of every case, and how many there are: products as they are up to `most` of them, else dealt into
    `most` bundles with seed 0. Bundles of whole products are as independent as products; only fewer are drawn."""
    if groups <= most:
        return member, groups
    return np.random.default_rng(0).permutation(np.arange(groups) % most)[member], most


def _variances(values: Floats, member: NDArray[np.int64]) -> tuple[float, float, int]:
    """Variance between and within products by the moments of a one-way analysis of variance, and how many products."""
    _, own = np.unique(member, return_inverse=True)
    sizes = np.bincount(own).astype(np.float64)
    means = np.bincount(own, values) / sizes
    products, count = len(sizes), len(values)
    if count <= products or products < 2:
        return 0.0, float(values.var(ddof=1)) if count > 1 else 0.0, products
    within = float(((values - means[own]) ** 2).sum() / (count - products))
    typical = (count - (sizes**2).sum() / count) / (products - 1)
    above = float((sizes * (means - values.mean()) ** 2).sum() / (products - 1))
    return max(0.0, (above - within) / typical), within, products


def _singles(known: Sequence[Attribute], tester: _Tester) -> list[tuple[Condition, Mask]]:
    """Every value of every attribute, big enough to judge; cases that two of them share exactly count once."""
    found: list[tuple[Condition, Mask]] = []
    seen: set[bytes] = set()
    for one in known:
        for value, mask in zip(one.values, one.masks, strict=True):
            packed = np.packbits(mask).tobytes()
            if packed in seen or not tester.big_enough(mask):
                continue
            seen |= {packed, np.packbits(~mask).tobytes()}
            found.append((Condition(attribute=one.name, value=value), mask))
    return found


def _pairs(singles: Sequence[tuple[Condition, Mask]], tester: _Tester) -> list[tuple[int, int]]:
    """Pairs of two attributes that are neither too small nor one of their parents over again."""
    found = []
    for a, b in combinations(range(len(singles)), 2):
        if singles[a][0].attribute == singles[b][0].attribute:
            continue
        both = singles[a][1] & singles[b][1]
        size = int(both.sum())
        smaller = min(int(singles[a][1].sum()), int(singles[b][1].sum()))
        if size >= FEWEST_CASES and smaller - size >= FEWEST_CASES and tester.big_enough(both):
            found.append((a, b))
    return found[:MOST_PAIRS]


def _pair_ps(tester: _Tester, masks: Sequence[Mask], pairs: Sequence[tuple[int, int]]) -> list[float]:
    """A pair must differ from the rest, and from the rest of each parent: the largest of the three counts."""
    everybody, ps = np.arange(len(tester.values)), np.zeros(len(pairs))
    for parent in sorted({one for pair in pairs for one in pair}):
        own = [at for at, pair in enumerate(pairs) if parent in pair]
        first = [at for at in own if pairs[at][0] == parent]
        ps[first] = np.maximum(ps[first], tester.ps(everybody, [masks[parent] & masks[pairs[at][1]] for at in first]))
        others = [masks[pairs[at][0] if pairs[at][1] == parent else pairs[at][1]] for at in own]
        inside = tester.ps(np.flatnonzero(masks[parent]), others)  # of the parent's cases, those of the other as well
        ps[own] = np.maximum(ps[own], inside)
    return ps.tolist()
