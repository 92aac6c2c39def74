"""What a ranking becomes when a modality is taken away or turned down: read off the coalition scores, nothing re-run.

Source: Owen 1972, "Multilinear extensions of games": score(w) is the expected score when modality j is present with
probability w_j. w = 1 is the model, w = 0 is the modality absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from core.domain import Modality, RankedItem, Recommendation
from core.explain.shapley import reweight, shapley


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One column of the comparison: the ranking by these modalities alone. `order` best first, all N items."""

    modalities: tuple[Modality, ...]
    order: tuple[str, ...]
    scores: Mapping[str, float]
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def place(self, item_id: str) -> int:
        """Rank of the item in this column, from 1."""
        return self._places[item_id]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {item_id: row + 1 for row, item_id in enumerate(self.order)})


def rank_alone(answer: Recommendation, modalities: tuple[Modality, ...]) -> Standing:
    """The ranking of all items with only these modalities of the query present; ties keep the order of the items."""
    row = sum(1 << bit for bit, player in enumerate(answer.players) if player in modalities)
    scores = np.asarray(answer.coalitions[row], dtype=np.float64)  # (N,)
    order = np.argsort(-scores, kind="stable")
    return Standing(
        modalities=modalities,
        order=tuple(answer.item_ids[column] for column in order),
        scores=dict(zip(answer.item_ids, scores.tolist(), strict=True)),
    )


def turn_down(answer: Recommendation, weights: Mapping[Modality, float], titles: Mapping[str, str]) -> Recommendation:
    """The answer with every modality at a weight in [0, 1]: re-ranked, with the Shapley values of the weighted game.

    titles: item_id -> title of every item, because other items may enter the list.
    """
    chosen = np.array([float(np.clip(weights.get(player, 1.0), 0.0, 1.0)) for player in answer.players])
    members = (np.arange(len(answer.coalitions))[:, None] >> np.arange(len(chosen))[None, :]) & 1  # (2^M, M)
    weighted = np.stack([reweight(answer.coalitions, chosen * member) for member in members])  # (2^M, N)
    phi = shapley(weighted)  # (M, N)
    top = np.argsort(-weighted[-1], kind="stable")[: len(answer.items)]
    known = {item.item_id: item for item in answer.items}
    items = tuple(
        _card(answer, column, place + 1, weighted, phi, known.get(answer.item_ids[column]), titles)
        for place, column in enumerate(top.tolist())
    )
    return replace(answer, items=items, coalitions=weighted)


def _card(
    answer: Recommendation,
    column: int,
    rank: int,
    scores: np.ndarray,
    phi: np.ndarray,
    known: RankedItem | None,
    titles: Mapping[str, str],
) -> RankedItem:
    item_id = answer.item_ids[column]
    total = float(np.abs(phi[:, column]).sum())
    values = {player: float(phi[row, column]) for row, player in enumerate(answer.players)}
    gates = known.gates if known else answer.items[0].gates if answer.scope == "query" and answer.items else {}
    return RankedItem(
        item_id=item_id,
        title=titles.get(item_id, item_id),
        rank=rank,
        score=float(scores[-1, column]),
        phi=values,
        shares={player: abs(value) / total if total else 0.0 for player, value in values.items()},
        gates=gates,
        base=float(scores[0, column]),
    )
