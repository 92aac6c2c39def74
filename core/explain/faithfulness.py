"""How far an attribution may be trusted: deletion and insertion against chance, and whether it depends on the model.

Source: Petsiuk et al. 2018, "RISE"; steps of Chefer et al. 2021; randomisation of Adebayo et al. 2018. Only the
order of the parts is tested, and what is left after taking some away is unlike anything the model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import Modality
from core.explain.attention import Weights
from core.explain.contributions import places
from core.explain.scorer import Scorer, everything, masked_scores

FEW = 32  # up to so many parts every single one is a step
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
DRAWS = 20  # random orders
BEATEN = 0.95  # share of the random orders that must be beaten, 19 of 20
AGREES = 0.5  # |rank correlation| with a randomised model above which a picture does not depend on the model


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What is left of the score (1 whole, 0 nothing of this modality) and of 1 / log2(1 + rank), at each fraction."""

    fractions: NDArray[np.float64]
    score: NDArray[np.float64]
    rank: NDArray[np.float64]

    @property
    def area(self) -> float:
        return float(np.trapezoid(self.score, self.fractions))

    @property
    def rank_area(self) -> float:
        return float(np.trapezoid(self.rank, self.fractions))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One modality's order against random ones: its two curves, the mean of theirs (chance), and the area under each of
    theirs. A low deletion area and a high insertion area are good."""

    deletion: Curve
    insertion: Curve
    chance_deletion: Curve
    chance_insertion: Curve
    random_deletion: NDArray[np.float64]
    random_insertion: NDArray[np.float64]
    random_rank_deletion: NDArray[np.float64]
    random_rank_insertion: NDArray[np.float64]

    @property
    def beaten_deletion(self) -> float:
        """Share of the random orders that made the score fall more slowly."""
        return float((self.random_deletion > self.deletion.area).mean())

    @property
    def beaten_insertion(self) -> float:
        """Share of the random orders that made the score rise more slowly."""
        return float((self.random_insertion < self.insertion.area).mean())

    @property
    def passed(self) -> bool:
        return not self.reason

    @property
    def reason(self) -> str:
        """Why it is not told apart from chance, "" where it is."""
        sides = (
            ("taking away what it calls important lowered", self.beaten_deletion),
            ("giving back what it calls important raised", self.beaten_insertion),
        )
        for told, beaten in sides:
            if beaten < BEATEN:
                draws = len(self.random_deletion)
                return (
                    f"not told apart from chance: {told} the score faster than {round(beaten * draws)} of {draws} "
                    f"random orders did; {int(np.ceil(BEATEN * draws))} are needed"
                )
        return ""


def steps_of(count: int) -> NDArray[np.int64]:
    """How many parts are gone at each step: every number up to `FEW` parts, else the rounded fractions."""
    if count <= FEW:
        return np.arange(count + 1)
    return np.unique(np.round(np.array(FRACTIONS) * count).astype(np.int64))


def order_of(weights: NDArray[np.float64], seed: int = 0) -> NDArray[np.int64]:
    """Most important first; ties in seeded random order."""
    shuffled = np.random.default_rng(seed).permutation(len(weights))
    return shuffled[np.argsort(-weights[shuffled], kind="stable")]


def masks_of(order: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(2, steps, n): what is kept when the first parts are deleted, and when they alone are inserted."""
    place = np.argsort(order)
    gone = place[None] < steps[:, None]
    return np.stack([~gone, gone])


def try_orders(
    scorer: Scorer, orders: Mapping[str, Mapping[Modality, NDArray[np.float64]]], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, dict[Modality, Trial]]:
    """Deletion and insertion of several attributions at once, each modality apart, the others kept whole.

    orders: method -> weights. A modality is left out where the score with it is the score without it.
    """
    found: dict[str, dict[Modality, Trial]] = {name: {} for name in orders}
    generator = np.random.default_rng(seed)
    for m, units in scorer.units.items():
        count = len(units)
        if count < 2:
            continue
        steps = steps_of(count)
        by_method = [order_of(weights[m], seed) for weights in orders.values()]
        by_chance = [generator.permutation(count) for _ in range(draws)]
        masks = np.concatenate([masks_of(order, steps) for order in (*by_method, *by_chance)])  # (2 O, S, n)
        scores = masked_scores(scorer, others_whole(scorer, m, masks.reshape(-1, count)))
        curves = curves_of(scores, scorer.target, steps / count, len(masks))
        if curves is None:
            continue
        for number, name in enumerate(orders):
            found[name][m] = trial_of(curves, number, len(orders))
    return found


def trial_of(curves: Sequence[Curve], number: int, orders: int) -> Trial:
    """The trial of one order out of curves that hold `orders` orders and then the random ones, two curves each."""
    chance = curves[2 * orders :]
    return Trial(
        deletion=curves[2 * number],
        insertion=curves[2 * number + 1],
        random_deletion=np.array([one.area for one in chance[::2]]),
        random_insertion=np.array([one.area for one in chance[1::2]]),
        random_rank_deletion=np.array([one.rank_area for one in chance[::2]]),
        random_rank_insertion=np.array([one.rank_area for one in chance[1::2]]),
        chance_deletion=mean_curve(chance[::2]),
        chance_insertion=mean_curve(chance[1::2]),
    )


def mean_curve(curves: Sequence[Curve]) -> Curve:
    return Curve(
        fractions=curves[0].fractions,
        score=np.mean([one.score for one in curves], axis=0),
        rank=np.mean([one.rank for one in curves], axis=0),
    )


def others_whole(scorer: Scorer, m: Modality, kept: NDArray[np.bool_]) -> dict[Modality, torch.Tensor]:
    return {**everything(scorer, len(kept)), m: torch.from_numpy(kept)}


def curves_of(
    scores: NDArray[np.float64], target: int, fractions: NDArray[np.float64], count: int
) -> list[Curve] | None:
    """`count` curves, deletion and insertion by turns, from scores (count x steps, N); None where undefined: whole and
    empty score alike. Where the modality lowers the score the curve is turned, so that low deletion is good again."""
    own = scores[:, target].reshape(count, -1)
    full, empty = own[0, 0], own[0, -1]
    if abs(full - empty) < 1e-6 * max(1.0, abs(full)):
        return None
    ranked = (1 / np.log2(1 + places(scores, target))).reshape(count, -1)
    return [
        Curve(fractions=fractions, score=(row - empty) / (full - empty), rank=ranks)
        for row, ranks in zip(own, ranked, strict=True)
    ]


def lowers(scorer: Scorer, m: Modality) -> bool:
    """Whether the score is higher without this modality: an order by signed weights must then be turned round."""
    kept = everything(scorer, 2)
    kept[m][1] = False
    own = masked_scores(scorer, kept)[:, scorer.target]
    return bool(own[0] < own[-1])


def correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; NaN where one of the two does not vary."""
    from scipy.stats import rankdata

    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])


def agreement(weights: Weights, others: Sequence[Weights | None]) -> dict[Modality, float]:
    """Mean rank correlation of a picture with those of randomised models, a modality; NaN where it never varies."""
    found = {}
    for m, own in weights.items():
        each = [correlation(own, other[m]) for other in others if other is not None]
        each = [value for value in each if not np.isnan(value)]
        found[m] = float(np.mean(each)) if each else float("nan")
    return found


def depends_on_model(rho: float) -> bool:
    """A picture that stays the same before a model of random weights says nothing about the model."""
    return not np.isnan(rho) and abs(rho) <= AGREES
