"""`explain`: the account of one item of one answer as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.domain import Modality, Query
from core.explain.attention import Weights
from core.explain.attribution import DEFAULT
from core.explain.contributions import Sensitivity
from core.explain.faithfulness import Trial
from core.explaining import Microscope, Verdict, grid_of, over_time

if TYPE_CHECKING:
    from core.pipeline import Pipeline


def explain(
    pipeline: Pipeline, query: Query, item_id: str, vectors: Path, *, baseline: str = "absent", method: str = DEFAULT,
    other: str | None = None, against: str | None = None, without: Sequence[Modality] = (),
) -> dict[str, Any]:  # fmt: skip
    """The account of one item as plain values, with its error; see `python -m core explain`. other: the item that
    stands where a modality is taken away; against: the item that is compared with; without: as `recommend` has it."""
    answer = pipeline.recommend(query, top=len(pipeline.item_ids), without=tuple(without))
    scope = Microscope(pipeline, query, item_id, answer, vectors, without=without)
    found, weights = scope.contributions(baseline, other), scope.weights(method)
    verdicts = scope.verdicts() | scope.verdicts(method)
    return {
        "run": pipeline.run,
        "item_id": item_id,
        "title": scope.item.title,
        "scope": scope.scorer.scope,
        "rank": scope.place,
        "score": scope.printed,
        "base": found["score"].base,
        "shapley": {name: one.phi for name, one in found.items()},
        "shares": found["score"].shares,
        "alone": found["score"].alone,
        "interactions": {"-".join(pair): value for pair, value in found["score"].pairs.items()},
        "residual": found["score"].residual,
        "accepted": found["score"].accepted,
        "baseline": baseline if other is None else "item",
        "baseline_item": other,
        "sensitivity": told_sensitivity(scope.sensitivity()),
        "in_scoring_path": scope.in_path,
        "gates": scope.gates,
        "gates_disagree_by": scope.disagreement,
        "method": method,
        "words": words_of(scope, weights),
        "patches": patches_of(scope, weights),
        "moments": over_time(scope, weights, "audio"),
        "frames": over_time(scope, weights, "video"),
        "faithfulness": told_verdicts(verdicts.get(method, {})),
        "methods": {name: told_verdicts(one) for name, one in verdicts.items()},
        "interventions": {m: vars(one) for m, one in scope.interventions.items()},
        "history": [vars(one) for one in scope.history],
        "against": None if against is None else told_difference(scope, against, method),
    }


def told_difference(scope: Microscope, other_id: str, method: str) -> dict[str, Any]:
    """Why not that one: of a query, words and patches hold the difference; before a user, each item has its own."""
    split, weights = scope.why_not(other_id, method)
    other = scope.beside(other_id)
    own = scope.scorer.scope == "item"
    return {
        "item_id": other_id, "title": other.item.title, "rank": other.place, "score": other.printed,
        "difference": split.full, "base": split.base, "shapley": split.phi, "residual": split.residual,
        "words": words_of(scope, weights), "patches": patches_of(scope, weights),
        "their_words": words_of(other, other.weights(method)) if own else [],
        "their_patches": patches_of(other, other.weights(method)) if own else [],
    }  # fmt: skip


def told_sensitivity(found: Sensitivity) -> dict[str, Any]:
    return {
        "shares": {name: one.shares for name, one in found.by_baseline.items()},
        "moved": found.moved,
        "same_signs": found.same_signs,
        "same_leader": found.same_leader,
    }


def told_verdicts(by_modality: Mapping[Modality, Verdict]) -> dict[str, Any]:
    """Areas over the modalities together (their mean), whether all passed, and each modality apart."""
    trials = [one.trial for one in by_modality.values() if one.trial]
    mean = {
        "deletion": [one.deletion.area for one in trials],
        "insertion": [one.insertion.area for one in trials],
        "random_deletion": [one.random_deletion.mean() for one in trials],
        "random_insertion": [one.random_insertion.mean() for one in trials],
        "rank_deletion": [one.deletion.rank_area for one in trials],
        "random_rank_deletion": [one.random_rank_deletion.mean() for one in trials],
    }
    return {
        **{name: float(np.mean(values)) if values else None for name, values in mean.items()},
        "passed": bool(by_modality) and all(one.passed for one in by_modality.values()),
        "level": "token states",
        "by_modality": {
            m: {
                **told_trial(one.trial),
                "random_models": None if np.isnan(one.likeness) else one.likeness,
                "passed": one.passed,
                "reason": one.reason,
            }
            for m, one in by_modality.items()
        },
    }


AREAS = ("deletion", "insertion", "random_deletion", "random_insertion", "rank_deletion", "rank_insertion",
         "random_rank_deletion", "random_rank_insertion", "beaten_deletion", "beaten_insertion")  # fmt: skip


def told_trial(trial: Trial | None) -> dict[str, float | None]:
    """Areas under the curves of score and of rank, and the shares of random orders that were beaten."""
    if trial is None:
        return dict.fromkeys(AREAS)
    values = (
        trial.deletion.area, trial.insertion.area, trial.random_deletion.mean(), trial.random_insertion.mean(),
        trial.deletion.rank_area, trial.insertion.rank_area, trial.random_rank_deletion.mean(),
        trial.random_rank_insertion.mean(), trial.beaten_deletion, trial.beaten_insertion,
    )  # fmt: skip
    return {name: float(value) for name, value in zip(AREAS, values, strict=True)}


def words_of(scope: Microscope, weights: Weights | None) -> list[dict[str, Any]]:
    units = scope.scorer.units.get("text")
    if units is None or weights is None:
        return []
    rows = zip(units.names, units.parts, units.spans, weights["text"], strict=True)
    return [
        {"text": name, "sentence": part, "start": at[0], "end": at[1], "weight": float(weight)}
        for name, part, at, weight in rows
    ]


def patches_of(scope: Microscope, weights: Weights | None) -> list[list[list[float]]]:
    """Per photo a grid of weights, rows from the top."""
    units = scope.scorer.units.get("image")
    if units is None or weights is None:
        return []
    return [grid_of(units, weights["image"], number).tolist() for number in range(1 + max(units.parts, default=-1))]
