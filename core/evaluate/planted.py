"""Planted faults among the first cases of a list: what a person who looks from the top sees of what is really broken.

For scoring only, like everything that reads truth.json: no list is ordered by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Catalogue
from core.evaluate.cases import Cases

FIRST = 50
LISTS = ("worst", "surprising")


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One kind of fault. planted: how many there are; touched: cases whose review or right product has one; seen: list
    -> how many of its first cases do; by_chance: how many would in any order."""

    planted: int
    touched: int
    seen: Mapping[str, int]
    by_chance: float


def sightings(cases: Cases, catalogue: Catalogue, truth: Mapping[str, Any], first: int = FIRST) -> dict[str, Sighting]:
    """Kind of fault -> what is seen of it in the first `first` cases of every one of LISTS."""
    tops = {name: cases.order(name)[:first] for name in LISTS}
    found = {}
    for kind, mask in touched_cases(cases, catalogue, truth).items():
        found[kind] = Sighting(
            planted=sum(one["kind"] == kind for one in truth["faults"]),
            touched=int(mask.sum()),
            seen={name: int(mask[top].sum()) for name, top in tops.items()},
            by_chance=float(mask.mean() * min(first, len(cases))),
        )
    return found


def touched_cases(cases: Cases, catalogue: Catalogue, truth: Mapping[str, Any]) -> dict[str, NDArray[np.bool_]]:
    """Kind -> (Q,) cases whose own review has a fault, or whose right product has; both listings of a duplicate."""
    pairs = [(str(user), str(item)) for user, item in zip(cases.user, cases.item, strict=True)]
    kinds = Counter(one["kind"] for one in truth["faults"])
    found = {}
    for kind in sorted(kinds):
        own = [one for one in truth["faults"] if one["kind"] == kind]
        reviews = {(one["user_id"], one["item_id"]) for one in own if one.get("user_id")}
        items = {one[name] for one in own if not one.get("user_id") for name in ("item_id", "of") if one.get(name)}
        found[kind] = np.array([pair in reviews or pair[1] in items for pair in pairs], dtype=bool)
    return found
