"""Which attributions are faithful, over many cases of a run: deletion and insertion against chance, by encoding the
words and pixels that are left anew (level "media") or by masking token states (level "states")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.catalog.clips import frames_in, without_frames
from core.catalog.parts import READ
from core.catalog.photos import read_image
from core.catalog.sounds import silence
from core.domain import Interaction, Item, Modality
from core.encode.states import States
from core.errors import InputError
from core.evaluate.measure import HELD
from core.evaluate.significance import bootstrap, holm, paired
from core.evaluate.splits import Split
from core.explain.attention import Weights
from core.explain.attribution import METHODS, attribute
from core.explain.counterfactual import cover, strike
from core.explain.faithfulness import (
    Trial,
    agreement,
    curves_of,
    lowers,
    masks_of,
    order_of,
    steps_of,
    trial_of,
    try_orders,
)
from core.features import Features, Media, parts_of
from core.pipeline import Pipeline
from core.scoring import PipelineScorer, case_scorer

LEVELS = ("media", "states")
TOP = 10  # explained items come from the model's own first ten
MODELS = 1  # randomised models a case; over many cases one is enough


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing and one item to explain. media: rows of `features`; contents: the sentence or path of each of them;
    group: what cases that are not independent share."""

    scope: str
    user: str | None
    target: int
    media: Media
    contents: Mapping[Modality, tuple[str, ...]]
    group: str


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """One case, one method, one modality: areas under its curves and, as means, under the random ones; the share of
    random orders whose deletion it beats; likeness to a randomised model; what cases that are not independent share."""

    deletion: float
    insertion: float
    rank_deletion: float
    random_deletion: float
    random_insertion: float
    random_rank_deletion: float
    beaten: float
    likeness: float
    group: str

    @classmethod
    def of(cls, trial: Trial, likeness: float, group: str) -> Faithfulness:
        return cls(
            deletion=trial.deletion.area, insertion=trial.insertion.area, rank_deletion=trial.deletion.rank_area,
            random_deletion=float(trial.random_deletion.mean()), random_insertion=float(trial.random_insertion.mean()),
            random_rank_deletion=float(trial.random_rank_deletion.mean()),
            beaten=float((trial.random_deletion > trial.deletion.area).mean()), likeness=likeness, group=group,
        )  # fmt: skip


def draw_cases(pipeline: Pipeline, features: Features, split: Split, count: int, seed: int) -> tuple[list[Case], str]:
    """Held-out queries that have everything the run reads, each with an item drawn from its first ten; known users and
    their first ten items where a run answers no queries, or there are none. Repeats nothing but the query."""
    generator = np.random.default_rng(seed)
    cases = query_cases(pipeline, features, split) if "query" in pipeline.model.ranker.cases else []
    scope = "query" if cases else "item"
    if not cases:
        cases = user_cases(pipeline, features)
    if not cases:
        raise InputError("E-INPUT-VALUE", "there is no held-out query and no known user to explain anything for.")
    order = generator.permutation(len(cases))
    pairs = [(row, place) for place in generator.permutation(TOP) for row in order][:count]
    drawn = [(cases[row], int(place)) for row, place in sorted(pairs)]
    found = []
    for case, place in drawn:
        scores = first_scores(pipeline, features, case)
        best = np.argsort(-scores, kind="stable")
        target = int(best[min(place, len(best) - 1)])
        found.append(with_target(pipeline, features, case, target))
    return found, scope


def query_cases(pipeline: Pipeline, features: Features, split: Split) -> list[Case]:
    found = []
    modalities = pipeline.model.modalities
    for row, own, label in zip(pipeline.catalogue.interactions, features.interactions, split.labels, strict=True):
        if label in HELD["test"] and all(own.get(m) for m in modalities):
            media = {m: own[m] for m in modalities}
            contents = contents_of(pipeline, row, media)
            found.append(Case(scope="query", user=None, target=-1, media=media, contents=contents, group=row.item_id))
    return found


def contents_of(pipeline: Pipeline, thing: Item | Interaction, media: Media) -> dict[Modality, tuple[str, ...]]:
    """The sentences and paths behind a thing's media, one a medium, in the same order; a modality is left out where
    that is not so: of a ready-made matrix, or where a file could not be read."""
    found = {m: tuple(dict.fromkeys(parts_of(thing, m))) for m in media if m not in pipeline.catalogue.features}
    return {m: parts for m, parts in found.items() if len(parts) == len(media[m])}


def user_cases(pipeline: Pipeline, features: Features) -> list[Case]:
    known = pipeline.user_rows if "known user" in pipeline.model.ranker.cases else {}
    return [Case(scope="item", user=user, target=-1, media={}, contents={}, group=user) for user in known]


def with_target(pipeline: Pipeline, features: Features, case: Case, target: int) -> Case:
    if case.scope == "query":
        return Case(**{**vars(case), "target": target})
    item = pipeline.catalogue.items[target]
    media = features.items[target]
    contents = contents_of(pipeline, item, media)
    return Case(**{**vars(case), "target": target, "media": media, "contents": contents})


def first_scores(pipeline: Pipeline, features: Features, case: Case) -> NDArray[np.float64]:
    return scorer_of(pipeline, features, case).whole_scores()[0].double().cpu().numpy()


def scorer_of(pipeline: Pipeline, features: Features, case: Case) -> PipelineScorer:
    media = {m: [features.states[m][row] for row in rows] for m, rows in case.media.items() if rows}
    read = {"text": list(case.contents["text"])} if "text" in case.contents else {}
    return case_scorer(pipeline, case.scope, media, read, case.target, case.user)


def trust(
    pipeline: Pipeline, features: Features, cases: Sequence[Case], *, draws: int, level: str, seed: int,
    tell: Callable[[str, float], None] = lambda label, fraction: None, methods: Sequence[str] = tuple(METHODS),
) -> dict[str, dict[Modality, dict[str, Any]]]:  # fmt: skip
    """method -> modality -> areas against chance with intervals over cases, adjusted p, and the verdict."""
    found = []
    for number, case in enumerate(cases):
        tell(f"case {number + 1} of {len(cases)}", number / len(cases))
        found.append(tried(pipeline, features, case, draws=draws, level=level, seed=seed + number, methods=methods))
    return verdicts(found)


Tried = Mapping[str, Mapping[Modality, Faithfulness]]  # one case: method -> modality -> what became of it


def tried(
    pipeline: Pipeline, features: Features, case: Case, *, draws: int, level: str, seed: int,
    methods: Sequence[str] = tuple(METHODS),
) -> Tried:  # fmt: skip
    """One case; a method that does not apply to the model, or a modality that changes nothing, is left out."""
    scorer = scorer_of(pipeline, features, case)
    weights = {name: own for name in methods if (own := attribute(scorer, name)) is not None}
    models = [scorer.randomised(seed * MODELS + k) for k in range(MODELS)]
    alike = {name: agreement(own, [attribute(model, name) for model in models]) for name, own in weights.items()}
    trials = trials_of(pipeline, scorer, case, oriented(scorer, weights), draws, level, seed)
    return {
        name: {m: Faithfulness.of(trial, alike[name][m], case.group) for m, trial in by_modality.items()}
        for name, by_modality in trials.items()
    }


def oriented(scorer: PipelineScorer, weights: Mapping[str, Weights]) -> dict[str, Weights]:
    below = {m: lowers(scorer, m) for m in scorer.players}
    return {
        name: {m: -own if below[m] and METHODS[name].signed else own for m, own in one.items()}
        for name, one in weights.items()
    }


def trials_of(
    pipeline: Pipeline, scorer: PipelineScorer, case: Case, orders: Mapping[str, Weights], draws: int, level: str,
    seed: int,
) -> dict[str, dict[Modality, Trial]]:  # fmt: skip
    if level == "states":
        return try_orders(scorer, orders, draws=draws, seed=seed)
    found: dict[str, dict[Modality, Trial]] = {name: {} for name in orders}
    generator = np.random.default_rng(seed)
    for m, units in scorer.units.items():
        if len(units) < 2 or m not in case.contents:
            continue
        steps = steps_of(len(units))
        ranked = [order_of(own[m], seed) for own in orders.values()]
        ranked += [generator.permutation(len(units)) for _ in range(draws)]
        masks = np.concatenate([masks_of(order, steps) for order in ranked])  # (2 O, S, n)
        flat, back = np.unique(masks.reshape(-1, len(units)), axis=0, return_inverse=True)
        scores = scorer.media_scores(m, encoded_again(pipeline, scorer, case, m, flat))[back.reshape(-1)]
        curves = curves_of(scores, scorer.target, steps / len(units), len(masks))
        if curves is not None:
            for number, name in enumerate(orders):
                found[name][m] = trial_of(curves, number, len(orders))
    return found


def encoded_again(
    pipeline: Pipeline, scorer: PipelineScorer, case: Case, m: Modality, kept: NDArray[np.bool_]
) -> list[list[States]]:
    """For each row of kept units (B, n): the media of that modality that are left, encoded from words and pixels."""
    units, contents = scorer.units[m], [EDITS[m][0](pipeline, one) for one in case.contents[m]]
    places = [[row for row, of in enumerate(units.parts) if of == number] for number in range(len(scorer.media[m]))]
    edited: list[Any] = []
    place: dict[tuple[int, bytes], int] = {}  # a sentence with the same words left is encoded once
    asked: list[list[int]] = []
    for keep in kept:
        asked.append([])
        for number, own in enumerate(places):
            if keep[own].any():
                key = number, keep[own].tobytes()
                if key not in place:
                    place[key] = len(edited)
                    gone = [units.spans[unit] for unit in own if not keep[unit]]
                    edited.append(EDITS[m][1](contents[number], gone, units.spans))
                asked[-1].append(place[key])
    states = [state.rounded() for state in pipeline.encoder(m).encode(edited)]
    return [[states[at] for at in row] for row in asked]


def photo_of(pipeline: Pipeline, path: str) -> Any:
    return read_image((pipeline.catalogue.root / path).read_bytes(), path)[0]


def medium_of(pipeline: Pipeline, path: str, modality: Modality) -> Any:
    return READ[modality]((pipeline.catalogue.root / path).read_bytes(), path)[0]


def painted(photo: Any, gone: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> Any:
    grid = (1 + max(row for row, _ in spans), 1 + max(column for _, column in spans))
    return cover(photo, gone, grid)


EDITS: dict[Modality, tuple[Callable[[Pipeline, str], Any], Callable[[Any, Any, Any], Any]]] = {
    "text": (lambda pipeline, text: text, lambda text, gone, spans: strike(text, gone)),
    "image": (photo_of, painted),
    "audio": (
        lambda pipeline, path: medium_of(pipeline, path, "audio"),
        lambda sound, gone, spans: silence(sound, [(start / 1000, end / 1000) for start, end in gone]),
    ),
    "video": (
        lambda pipeline, path: medium_of(pipeline, path, "video"),
        lambda clip, gone, spans: without_frames(clip, frames_in(clip, gone)),
    ),
}


def verdicts(cases: Sequence[Tried]) -> dict[str, dict[Modality, dict[str, Any]]]:
    """Differences to chance (deletion below 0 and insertion above 0 are good), Holm over all methods and modalities."""
    found: dict[str, dict[Modality, list[Faithfulness]]] = {}
    for case in cases:
        for name, apart in case.items():
            for m, one in apart.items():
                found.setdefault(name, {}).setdefault(m, []).append(one)
    told: dict[str, dict[Modality, dict[str, Any]]] = {}
    keys, ps = [], []
    for name, by_modality in found.items():
        for m, rows in by_modality.items():
            told.setdefault(name, {})[m], tests = summary(rows)
            keys += [(name, m, "deletion"), (name, m, "insertion")]
            ps += tests
    for (name, m, side), p in zip(keys, holm(ps), strict=True):
        told[name][m][f"{side}_p"] = p
    for name, methods in told.items():
        for m, each in methods.items():
            look = found.get("attention", {}).get(m) if name != "attention" else None
            each["reason"] = reason(each, worse_than(found[name][m], look) if look else "")
            each["passed"] = not each["reason"]
    return told


def summary(rows: Sequence[Faithfulness]) -> tuple[dict[str, Any], list[float]]:
    groups = [one.group for one in rows]
    columns = {name: np.array([getattr(one, name) for one in rows]) for name in AREAS}
    deletion, insertion = columns["deletion"], columns["insertion"]
    pairs = {
        name: paired(columns[name], columns[f"random_{name}"], groups)
        for name in ("deletion", "insertion", "rank_deletion")
    }
    likeness = np.array([one.likeness for one in rows])
    told: dict[str, Any] = {name: asdict(test.difference) for name, test in pairs.items()}
    told |= {
        "cases": len(rows),
        "areas": {
            "deletion": float(deletion.mean()), "random_deletion": float(columns["random_deletion"].mean()),
            "insertion": float(insertion.mean()), "random_insertion": float(columns["random_insertion"].mean()),
        },
        "percentile": asdict(bootstrap(columns["beaten"], groups)),
        "random_models": None if np.isnan(likeness).all() else asdict(bootstrap(likeness, groups)),
    }  # fmt: skip
    return told, [pairs[name].p if pairs[name].wilcoxon is None else pairs[name].wilcoxon for name in SIDES]  # type: ignore[misc]


SIDES = ("deletion", "insertion")
AREAS = (*SIDES, "rank_deletion", "random_deletion", "random_insertion", "random_rank_deletion", "beaten")


def worse_than(rows: Sequence[Faithfulness], look: Sequence[Faithfulness]) -> str:
    """A reason where an attribution is clearly worse than plain attention on the same cases."""
    groups = [r.group for r in rows]
    deletion = paired([r.deletion for r in rows], [r.deletion for r in look], groups)
    insertion = paired([r.insertion for r in rows], [r.insertion for r in look], groups)
    if deletion.difference.low > 0 or insertion.difference.high < 0:
        return "plain attention does better on the same cases"
    return ""


def reason(one: Mapping[str, Any], worse: str) -> str:
    """Why a method is not accepted, "" where it is."""
    alike = one["random_models"]
    if one["cases"] < 20:
        return f"only {one['cases']} cases"
    if one["deletion"]["high"] >= 0 or one["deletion_p"] >= 0.05:
        return "deletion is no better than chance"
    if one["insertion"]["low"] <= 0 or one["insertion_p"] >= 0.05:
        return "insertion is no better than chance"
    if alike is None:
        return "it never varies, so it cannot depend on the model"
    if abs(alike["value"]) > 0.2 or alike["low"] <= -0.5 or alike["high"] >= 0.5:
        return f"before models of random weights it looks alike (rank correlation {alike['value']:.2f})"
    return worse
