"""What each modality contributed to one item's score, rank and place in the list: exact, with its error. numpy only.

Everything is read off the scores of all items under all 2^M coalitions, in binary order of the players.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.domain import Modality
from core.explain.shapley import interactions, shapley, shares

EXACT = 1e-5  # of float32 scores; sums of places are exact
SMALL_SHARE = 0.05  # a change of sign below this share is no change


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """One value, split over the modalities: base + sum of phi = full.

    base, full: the value with none and with all of them. phi: exact Shapley values; alone: what a modality does by
    itself; shares: |phi| / sum |phi|, empty where the sum is too small to be shared out. pairs: interaction of every
    pair, above 0 where two only work together. residual: base + sum of phi - what is printed.
    """

    base: float
    full: float
    phi: Mapping[Modality, float]
    alone: Mapping[Modality, float]
    shares: Mapping[Modality, float]
    pairs: Mapping[tuple[Modality, Modality], float]
    residual: float

    @property
    def accepted(self) -> bool:
        return abs(self.residual) <= EXACT * max(1.0, abs(self.full), abs(self.base))

    @property
    def leader(self) -> Modality | None:
        """The modality that did most, either way."""
        return max(self.shares, key=lambda m: self.shares[m]) if self.shares else None


def contribution(values: ArrayLike, players: Sequence[Modality], printed: float | None = None) -> Contribution:
    """values (2^M,) of all coalitions. printed: the value a person was shown, the last of `values` by default."""
    values = np.asarray(values, dtype=np.float64)
    phi, between = shapley(values), interactions(values)
    told = float(values[-1]) if printed is None else printed
    shared = np.abs(phi).sum() >= 1e-6 * max(1.0, abs(values[-1]))
    return Contribution(
        base=float(values[0]),
        full=float(values[-1]),
        phi={m: float(phi[row]) for row, m in enumerate(players)},
        alone={m: float(values[1 << row] - values[0]) for row, m in enumerate(players)},
        shares={m: float(one) for m, one in zip(players, shares(phi), strict=True)} if shared else {},
        pairs={(a, b): float(between[i, j]) for i, a in enumerate(players) for j, b in enumerate(players) if i < j},
        residual=float(values[0] + phi.sum() - told),
    )


def places(scores: NDArray[np.float64], target: int) -> NDArray[np.int64]:
    """(B, N) -> (B,): the target's place from 1; equal scores stand by column, as in every printed list."""
    own = scores[:, target, None]
    return 1 + (scores > own).sum(1) + (scores[:, :target] == own).sum(1)


def spread(scores: NDArray[np.float64], players: Sequence[Modality], listed: Sequence[Modality]) -> NDArray[np.float64]:
    """(2^M, ...) of the players -> (2^M', ...) of those listed, in binary order: one that is no player is not read, so
    that with it and without it is the same row."""
    bits = {m: 1 << bit for bit, m in enumerate(players)}
    rows = [
        sum(bits.get(m, 0) for bit, m in enumerate(listed) if row >> bit & 1) for row in range(1 << len(listed))
    ]  # fmt: skip
    return scores[rows]


def contributions(
    scores: NDArray[np.float64],
    target: int,
    players: Sequence[Modality],
    *,
    top: int = 10,
    printed: float | None = None,
) -> dict[str, Contribution]:
    """scores (2^M, N) -> "score"; "rank", in places gained (its value is minus the place); "top_k", 1 inside the first
    `top` places, else 0. The three may disagree: a large change of the score may move no place."""
    found = places(scores, target)
    return {
        "score": contribution(scores[:, target], players, printed),
        "rank": contribution(-found, players),
        "top_k": contribution(found <= top, players),
    }


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The same split against several baselines. moved: largest change of a share; same_signs, same_leader: whether the
    baselines agree on them."""

    by_baseline: Mapping[str, Contribution]
    moved: float
    same_signs: bool
    same_leader: bool

    @property
    def depends(self) -> bool:
        """Whether the picture depends on what stands for "absent"."""
        return not (self.same_signs and self.same_leader)


def sensitivity(by_baseline: Mapping[str, Contribution]) -> Sensitivity:
    found = list(by_baseline.values())
    players = list(found[0].phi)
    moved = [abs(a.shares.get(m, 0) - b.shares.get(m, 0)) for m in players for a in found for b in found]
    clear = [{np.sign(one.phi[m]) for one in found if one.shares.get(m, 0) > SMALL_SHARE} for m in players]
    return Sensitivity(
        by_baseline=by_baseline,
        moved=max(moved, default=0.0),
        same_signs=all(len(signs) <= 1 for signs in clear),
        same_leader=len({one.leader for one in found}) == 1,
    )


def disagreement(gates: Mapping[Modality, float], shares: Mapping[Modality, float]) -> float:
    """How far the fuser's gates are from the measured shares: half the sum of differences, 0 alike, 1 opposed."""
    return sum(abs(gates.get(m, 0.0) - share) for m, share in shares.items()) / 2
