"""One item of one answer under the microscope. Everything is measured on demand and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.domain import MODALITIES, Modality, Query, Recommendation
from core.editing import as_png as as_png
from core.editing import edited, moments_of
from core.errors import InputError
from core.explain.attention import Weights, attention_maps, cross_attention
from core.explain.attribution import DEFAULT, METHODS, attribute, difference, pair_interactions
from core.explain.contributions import (
    Contribution,
    Sensitivity,
    contribution,
    contributions,
    disagreement,
    places,
    sensitivity,
    spread,
)
from core.explain.counterfactual import Unseating, unseat
from core.explain.faithfulness import DRAWS, Trial, agreement, depends_on_model, lowers, try_orders
from core.explain.scorer import in_scoring_path
from core.explain.surrogate import Surrogate, imitate
from core.features import parts_of
from core.scoring import PipelineScorer, column_of, item_media, scorer_for

if TYPE_CHECKING:
    from core.pipeline import Pipeline

BASELINES = {"absent": "nothing", "mean": "the average item", "others": "other items"}
OTHERS = 20  # items drawn for the baseline "others" and for interventions
RANDOM_MODELS = 3
TOP = 10


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one method on this case, a modality: its order against chance, its likeness to random models."""

    trial: Trial | None
    likeness: float
    draws: int = DRAWS

    @property
    def reason(self) -> str:
        """Why it is not to be trusted here, "" where it is."""
        if self.trial is None:
            return "taking this modality away does not change the score, so there is nothing to explain"
        if not depends_on_model(self.likeness):
            if np.isnan(self.likeness):
                return "it says the same of every part, whatever the model"
            return f"before models of random weights it looks much the same (rank correlation {self.likeness:.2f})"
        return self.trial.reason

    @property
    def passed(self) -> bool:
        return not self.reason


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """do(modality := another item's): the mean loss of score over `draws` items, with its 95 % interval."""

    effect: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True, kw_only=True)
class Met:
    """One item of a user's history: what the score of the explained item would have lost without it."""

    item_id: str
    title: str
    rating: float | None
    effect: float


class Microscope:
    """One item of one answer. Cheap to make; each measurement is made once, when it is asked for."""

    def __init__(
        self, pipeline: Pipeline, query: Query, item_id: str, answer: Recommendation, vectors: Path,
        scorer: PipelineScorer | None = None, without: Sequence[Modality] = (),
    ) -> None:  # fmt: skip
        """answer: what `recommend` said to the query without these modalities, with the scores of all items. vectors:
        the vector store. scorer: of the same query and item, where the caller has it."""
        self.pipeline, self.query, self.item_id, self.answer, self.vectors = pipeline, query, item_id, answer, vectors
        self.scorer: PipelineScorer = scorer or scorer_for(pipeline, query, item_id, vectors, without)
        self.without = tuple(without)
        self.item = pipeline.catalogue.items[self.scorer.target]
        self._weights: dict[str, Weights | None] = {}
        self._verdicts: dict[str, dict[Modality, Verdict]] = {}
        self._between: dict[tuple[Modality, Modality], tuple[np.ndarray, str]] = {}
        self._by_baseline: dict[str, dict[str, Contribution]] = {}
        self._beside: dict[str, Microscope] = {}

    @property
    def players(self) -> tuple[Modality, ...]:
        return self.scorer.players

    @cached_property
    def unread(self) -> tuple[Modality, ...]:
        """What the catalogue has and the run does not read: it cannot be in the scoring path."""
        catalogue = self.pipeline.catalogue
        left = (m for m in MODALITIES if m not in (*self.pipeline.model.modalities, *self.without))
        return tuple(
            m for m in left if m in catalogue.features or any(parts_of(item, m) for item in catalogue.items)
        )  # fmt: skip

    @cached_property
    def listed(self) -> tuple[Modality, ...]:
        """What the contributions name: the players and, where an item's own modalities are switched, the unread ones,
        which get exactly 0."""
        beside = self.unread if self.scorer.scope == "item" else ()
        return tuple(m for m in MODALITIES if m in (*self.players, *beside))

    @property
    def printed(self) -> float:
        """The score that `recommend` shows for this item."""
        return float(self.answer.coalitions[-1, self.scorer.target])

    @cached_property
    def place(self) -> int:
        return int(places(self.answer.coalitions[-1:], self.scorer.target)[0])

    # ---- modalities

    def contributions(self, baseline: str = "absent", other: str | None = None) -> dict[str, Contribution]:
        """Score, rank and top-k membership, split over the modalities. The residual is against the printed score.

        other: an item whose media stand where a modality is taken away, in place of the baseline; a modality that it
        does not have is absent."""
        if baseline not in BASELINES:
            raise InputError("E-INPUT-VALUE", f'unknown baseline "{baseline}"; known: {", ".join(BASELINES)}')
        key = baseline if other is None else f"item:{other}"
        if key not in self._by_baseline:
            scores = spread(self._coalitions(baseline, other), self.players, self.listed)
            self._by_baseline[key] = contributions(
                scores, self.scorer.target, self.listed, top=TOP, printed=self.printed
            )  # fmt: skip
        return self._by_baseline[key]

    def _coalitions(self, baseline: str, other: str | None) -> Any:
        if other is not None:
            row = column_of(self.pipeline, other)
            return self.scorer.coalitions(item_media(self.pipeline, [row], self.vectors)[0])
        if baseline == "others" and self.players:
            if not self.others:
                told = "no other item has everything that this one has, so none can stand in its place."
                raise InputError("E-INPUT-VALUE", told)
            return np.mean([self.scorer.coalitions(media) for media in self.others], axis=0)
        return self.scorer.coalitions("mean" if baseline == "mean" else None)

    @cached_property
    def others(self) -> list[dict[Modality, Sequence[Any]]]:
        """All media of items drawn with a fixed seed among those that have all the players."""
        if not self.players:
            return []
        catalogue, target = self.pipeline.catalogue, self.scorer.target
        able = [
            row for row, item in enumerate(catalogue.items)
            if row != target and all(m in catalogue.features or parts_of(item, m) for m in self.players)
        ]  # fmt: skip
        drawn = np.random.default_rng(0).permutation(len(able))[:OTHERS]
        media = item_media(self.pipeline, [able[row] for row in sorted(drawn)], self.vectors)
        return [{m: own[m] for m in self.players} for own in media if all(own.get(m) for m in self.players)]

    def sensitivity(self) -> Sensitivity:
        """The split of the score against every baseline that can be had."""
        usable = [name for name in BASELINES if name != "others" or self.others]
        return sensitivity({name: self.contributions(name)["score"] for name in usable})

    @cached_property
    def in_path(self) -> dict[Modality, bool]:
        """Of every modality: whether any score depends on it."""
        return in_scoring_path(self.scorer) | dict.fromkeys(self.unread, False)

    @cached_property
    def gates(self) -> dict[Modality, float]:
        return self.scorer.gates()

    @property
    def disagreement(self) -> float:
        return disagreement(self.gates, self.contributions()["score"].shares)

    @cached_property
    def interventions(self) -> dict[Modality, Intervention]:
        """What the score loses when one modality becomes another item's: an intervention, not a correlation."""
        own, target, found = self.scorer.media, self.scorer.target, {}
        for m in self.players if len(self.others) >= 2 else ():
            scores = self.scorer.of_media([own, *({**own, m: other[m]} for other in self.others)])[:, target]
            lost = scores[0] - scores[1:]
            drawn = np.random.default_rng(0).integers(0, len(lost), (2000, len(lost)))
            low, high = np.quantile(lost[drawn].mean(1), [0.025, 0.975])
            found[m] = Intervention(effect=float(lost.mean()), low=float(low), high=float(high), draws=len(lost))
        return found

    # ---- words and patches

    def weights(self, method: str = DEFAULT) -> Weights | None:
        """A weight for every word, patch, moment and frame; None where the method does not apply to this model."""
        if method not in self._weights:
            self._weights[method] = attribute(self.scorer, method)
        return self._weights[method]

    @cached_property
    def maps(self) -> dict[str, Weights]:
        return attention_maps(self.scorer)

    def between(self, rows: Modality, columns: Modality) -> tuple[np.ndarray, str]:
        """(n, n') how words and patches go together: cross attention, or measured by leaving out pairs."""
        if (rows, columns) not in self._between:
            read = cross_attention(self.scorer, rows, columns)
            told = "interaction" if read is None else "attention"
            found = pair_interactions(self.scorer, rows, columns) if read is None else read
            self._between[rows, columns] = found, told
        return self._between[rows, columns]

    def verdicts(self, *names: str) -> dict[str, dict[Modality, Verdict]]:
        """These methods (by default all that apply and are not slow) against random orders and random models; masking
        is at the token states."""
        wanted = names or tuple(name for name, method in METHODS.items() if not method.slow)
        missing = [name for name in wanted if name not in self._verdicts]
        if missing:
            self._verdicts |= self._judged(missing)
        return {name: self._verdicts[name] for name in wanted if name in self._verdicts}

    def _judged(self, names: Sequence[str]) -> dict[str, dict[Modality, Verdict]]:
        found = {name: weights for name in names if (weights := self.weights(name)) is not None}
        if not found:
            return {}
        below = {m: lowers(self.scorer, m) for m in self.players}
        orders = {
            name: {m: -own if below[m] and METHODS[name].signed else own for m, own in weights.items()}
            for name, weights in found.items()
        }
        trials = try_orders(self.scorer, orders)
        models = [self.scorer.randomised(seed) for seed in range(RANDOM_MODELS)]
        alike = {name: agreement(found[name], [attribute(model, name) for model in models]) for name in found}
        return {
            name: {m: Verdict(trial=trials[name].get(m), likeness=alike[name][m]) for m in self.players}
            for name in found
        }

    def beside(self, other_id: str) -> Microscope:
        """Any other item of the catalogue before the same query or user."""
        if other_id not in self._beside:
            scorer = self.scorer.towards(column_of(self.pipeline, other_id)) if self.scorer.scope == "query" else None
            self._beside[other_id] = Microscope(
                self.pipeline, self.query, other_id, self.answer, self.vectors, scorer, self.without
            )  # fmt: skip
        return self._beside[other_id]

    def why_not(self, other_id: str, method: str = DEFAULT) -> tuple[Contribution, Weights | None]:
        """The difference of two items' scores, split over modalities, and over words and patches of the query (scope
        "query"). Before a known user (scope "item") each item has words and patches of its own: the weights are those
        of this item, and `beside(other_id).weights(method)` has the other's."""
        other = self.beside(other_id)
        listed = tuple(m for m in MODALITIES if m in (*self.listed, *other.listed))
        mine, theirs = (
            spread(one.scorer.coalitions(), one.players, listed)[:, one.scorer.target] for one in (self, other)
        )
        split = contribution(mine - theirs, listed, self.printed - other.printed)
        weights, against = self.weights(method), other.weights(method)
        if weights is None or against is None or self.scorer.scope == "item":
            return split, weights
        return split, difference(weights, against)

    @cached_property
    def history(self) -> tuple[Met, ...]:
        """What each item of a known user's history did to the score, the largest effect first."""
        if self.query.user is None:
            return ()
        effects = self.scorer.history_effects()
        items = self.pipeline.catalogue.items
        met = [
            Met(
                item_id=items[row].item_id, title=items[row].title or items[row].item_id, rating=rating, effect=float(e)
            )
            for (row, rating), e in zip(self.pipeline.history(self.query.user), effects, strict=True)
        ]
        return tuple(sorted(met, key=lambda one: -abs(one.effect)))

    # ---- what if

    @cached_property
    def unseating(self) -> Unseating:
        """The smallest change found that costs this item its first place, at the token states."""
        return unseat(self.scorer)

    def without_units(self, gone: Mapping[Modality, Iterable[int]]) -> Query:
        """The query with these words struck, patches painted over, moments silent and frames gone: to be asked again,
        for the true answer."""
        return edited(self.query, self.scorer, gone)

    @cached_property
    def surrogate(self) -> Surrogate:
        """A logistic regression on facts of the items that imitates this ranking."""
        scores = np.asarray(self.answer.coalitions[-1], dtype=np.float64)
        return imitate(self.pipeline.catalogue.items, scores, top=max(TOP, len(scores) // 10))


def over_time(scope: Microscope, weights: Weights | None, modality: Modality) -> list[list[dict[str, Any]]]:
    """Per sound (or clip) its moments (frames) in order, each with its place, its weight, and how much was looked at
    it where the model has attention."""
    looked = scope.maps.get("rollout") or scope.maps.get("pooling") or {}
    own = None if weights is None else weights.get(modality)
    return moments_of(scope.scorer.units.get(modality), own, looked.get(modality))


def grid_of(units: Any, weights: np.ndarray, number: int) -> np.ndarray:
    """(rows, columns) weights of one medium."""
    own = [row for row, of in enumerate(units.parts) if of == number]
    grid = np.zeros(tuple(1 + max(units.spans[row][axis] for row in own) for axis in (0, 1)))
    for row in own:
        grid[units.spans[row]] = weights[row]
    return grid
