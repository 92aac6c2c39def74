"""Which figure speaks for a run, so that a grid is chosen from and a board sorted by the same one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

USERS = "users ndcg@10"
QUERIES = "mrr"
Metrics = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The names of one figure in both parts: what is chosen by, and what is then told."""

    validation: str
    test: str


def headline(all_metrics: Iterable[Metrics]) -> Headline | None:
    """The figure that all these runs have in both parts: the users' NDCG@10, else the MRR of queries."""
    found = [(set(one.get("validation", {})), set(one.get("test", {}))) for one in all_metrics]
    if not found:
        return None
    validation = set.intersection(*(held for held, _ in found))
    test = set.intersection(*(told for _, told in found))
    if USERS in validation & test:
        return Headline(validation=USERS, test=USERS)
    held = sorted(name for name in validation if name.endswith(f" {QUERIES}"))
    for name in held:
        _, kind, _ = name.split(" ")
        told = [f"{products} {kind} {QUERIES}" for products in ("cold", "warm", "all")]
        there = next((one for one in told if one in test), None)
        if there:
            return Headline(validation=name, test=there)
    return None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a search over runs gives: `by_validation` is the honest choice, `by_test` the "MMRec-compatible" one.

    gap: test figure of `by_test` - test figure of `by_validation`, never negative; of: how many were searched.
    """

    headline: Headline
    by_validation: str
    by_test: str
    gap: float
    of: int


def choose(runs: Sequence[tuple[str, Metrics]]) -> Choice | None:
    """runs: (name, metrics). None where they have no figure in common. The first of equals is taken."""
    found = headline(metrics for _, metrics in runs)
    if found is None:
        return None
    names = {name: metrics for name, metrics in runs}
    honest = max(names, key=lambda name: names[name]["validation"][found.validation])
    best = max(names, key=lambda name: names[name]["test"][found.test])
    gap = names[best]["test"][found.test] - names[honest]["test"][found.test]
    return Choice(headline=found, by_validation=honest, by_test=best, gap=gap, of=len(names))
