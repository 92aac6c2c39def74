"""`audit`: is each modality of a run really used, and which explanations are faithful? Kept with the workspace."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.domain import Modality
from core.errors import SettingsError
from core.evaluate.audits import keep_audit
from core.evaluate.knockout import retrained
from core.evaluate.measure import next_item
from core.evaluate.metrics import target_ranks
from core.evaluate.protocols import split_of
from core.evaluate.significance import bootstrap
from core.evaluate.splits import Split
from core.evaluate.trust import LEVELS, Case, draw_cases, query_cases, scorer_of, trust
from core.explain.scorer import in_scoring_path
from core.explain.usage import additive, perceptual
from core.features import Features, Media, catalogue_features
from core.model import Coalitions
from core.pipeline import Pipeline, open_pipeline

if TYPE_CHECKING:
    from core.workspace import Workspace

PERMUTATIONS = 5
THINGS = 300  # queries measured at most
PARTNERS = 100  # of each, for the interplay
CUT = 20
TOLD = {"media": "encoding the words and pixels that are left anew", "states": "masking token states"}
OnStep = Callable[[str, float, float | None], None]
Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Things:
    """What is exchanged: queries, or the items before known users. media: of each; metric: vectors (n, D) -> one value
    a query or user; groups: what values that are not independent share."""

    scope: str
    media: tuple[Media, ...]
    metric: Callable[[Tensor], Values]
    groups: tuple[str, ...] | None


def audit_run(
    workspace: Workspace, run: str, *, catalogue: str | None = None, cases: int = 100, draws: int = 20,
    level: str = "media", seed: int = 0, retrain: int = 0, on_step: OnStep | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Usage of every modality with intervals, and the verdict on every method; both are kept for the pages.

    retrain: how many seeds to train again with, with everything and without each modality (0: none).
    Raises UnknownNameError, ModelError, InputError where there is nothing to audit.
    """
    if level not in LEVELS:
        raise SettingsError(f"level {level}; expected one of {list(LEVELS)}")

    def tell(label: str, fraction: float) -> None:
        if on_step:
            on_step(label, fraction, None)

    pipeline = open_pipeline(workspace, run, catalogue)
    features = catalogue_features(
        pipeline.catalogue, pipeline.settings, workspace.vectors, modalities=pipeline.model.modalities
    )
    split = split_of(pipeline)
    drawn, scope = draw_cases(pipeline, features, split, cases, seed)
    things = things_of(pipeline, features, split, seed)
    audit = {
        "run": run,
        "catalogue": pipeline.catalogue.name,
        "scope": scope,
        "cases": len(drawn),
        "draws": draws,
        "level": level,
        "told": TOLD[level],
        "seed": seed,
        "things": len(things.media),
        "metric": f"ndcg@{CUT}",
        "modalities": usage(pipeline, features, things, drawn, seed, lambda label, part: tell(label, 0.3 * part)),
        "methods": trust(
            pipeline, features, drawn, draws=draws, level=level, seed=seed,
            tell=lambda label, part: tell(label, 0.3 + 0.7 * part),
        ),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    if retrain:
        seeds = range(retrain)
        for m, one in retrained(workspace, run, pipeline.model.modalities, seeds, tell).items():
            audit["modalities"][m]["retrained"] = one
    keep_audit(workspace, run, catalogue, audit)
    return audit


def things_of(pipeline: Pipeline, features: Features, split: Split, seed: int) -> Things:
    """Held-out queries with everything the run reads; without any, the items before known users."""
    asked = query_cases(pipeline, features, split) if "query" in pipeline.model.ranker.cases else []
    if not asked:
        return Things(scope="item", media=features.items, metric=user_metric(pipeline, split), groups=None)
    order = np.random.default_rng(seed).permutation(len(asked))[:THINGS]
    chosen = [asked[row] for row in sorted(order)]
    row_of = pipeline.catalogue.position()
    answers = np.array([row_of[case.group] for case in chosen])

    def metric(vectors: Tensor) -> Values:
        scores = pipeline.model.ranker.score_query(vectors, pipeline.items.vectors[-1]).cpu().numpy()
        return discounted(target_ranks(scores, answers))

    return Things(
        scope="query", media=tuple(case.media for case in chosen), metric=metric,
        groups=tuple(case.group for case in chosen),
    )  # fmt: skip


def discounted(ranks: NDArray[np.int64]) -> Values:
    """ndcg@CUT of a single right answer."""
    return np.where(ranks <= CUT, 1 / np.log2(1 + ranks), 0.0)


def user_metric(pipeline: Pipeline, split: Split) -> Callable[[Tensor], Values]:
    def metric(vectors: Tensor) -> Values:
        other = copy.copy(pipeline)
        other.items = Coalitions(vectors=vectors[None], gates=pipeline.items.gates[-1:])
        found = next_item(other, other.catalogue, split)
        if found is None:
            raise SettingsError("no known user has a held-out like; there is nothing to measure usage by")
        return np.asarray(found.ours[f"ndcg@{CUT}"])

    return metric


def usage(
    pipeline: Pipeline, features: Features, things: Things, cases: Sequence[Case], seed: int,
    tell: Callable[[str, float], None],
) -> dict[Modality, dict[str, Any]]:  # fmt: skip
    """modality -> perceptual score, inference-time ablation, EMAP gain, each with an interval; and the scoring path."""
    fuse = Fuse(pipeline, features)
    modalities, generator = pipeline.model.modalities, np.random.default_rng(seed)
    whole = things.metric(fuse(things.media))
    paths = [in_scoring_path(scorer_of(pipeline, features, case)) for case in cases[:5]]
    found: dict[Modality, dict[str, Any]] = {}
    for number, m in enumerate(modalities):
        tell(f"exchanging {m}", number / len(modalities))
        owners = [row for row, media in enumerate(things.media) if media.get(m)]
        exchanged = []
        for _ in range(PERMUTATIONS):
            given = dict(zip(owners, generator.permutation(owners), strict=True))
            swapped = [{**own, m: things.media[given[row]][m]} if row in given else own
                       for row, own in enumerate(things.media)]  # fmt: skip
            exchanged.append(things.metric(fuse(swapped)))
        without = things.metric(fuse([{k: rows for k, rows in own.items() if k != m} for own in things.media]))
        found[m] = {
            "perceptual": told(perceptual(whole, exchanged), things.groups),
            "ablation": told(whole - without, things.groups),
            "in_scoring_path": any(path.get(m, False) for path in paths),
        }
    gains: dict[Modality, dict[str, float]] = {}
    for m in modalities if len(modalities) > 1 else ():
        tell(f"interplay of {m} with the rest", 0.8)
        if len(modalities) == 2 and gains:  # one block against the other is the other against the one
            gains[m] = next(iter(gains.values()))
        else:
            gains[m] = told(whole - things.metric(interplay_free(fuse, things.media, m, seed)), things.groups)
        found[m]["emap_gain"] = gains[m]
    return found


def told(values: Values, groups: Sequence[str] | None) -> dict[str, float]:
    return asdict(bootstrap(values, groups))


def interplay_free(fuse: Fuse, media: Sequence[Media], m: Modality, seed: int) -> Tensor:
    """(n, D) vectors as if modality m and the rest only added up; partners drawn with the seed."""
    partners = np.random.default_rng(seed).permutation(len(media))[:PARTNERS]
    own, rest = [], []
    for one in media:
        own.append(fuse([{**media[row], m: one.get(m, ())} for row in partners]).mean(0))
        rest.append(fuse([{**one, m: media[row].get(m, ())} for row in partners]).mean(0))
    grand = torch.stack([own[row] for row in partners]).mean(0)
    return additive(torch.stack(own), torch.stack(rest), grand)


class Fuse:
    """Media rows of many things -> fused vectors (n, D); the media are standardised once."""

    def __init__(self, pipeline: Pipeline, features: Features) -> None:
        self.model, self.device = pipeline.model, pipeline.device
        self.banks = {m: features.bank(m) for m in self.model.modalities}
        for m, bank in self.banks.items():
            space = copy.deepcopy(self.model.space[m]).to("cpu")
            bank.transform(space, space.kept)

    @torch.inference_mode()
    def __call__(self, media: Sequence[Mapping[Modality, tuple[int, ...]]], block: int = 128) -> Tensor:
        pieces = []
        for start in range(0, len(media), block):
            part = media[start : start + block]
            here = {m: bank.batch([one.get(m, ()) for one in part]).to(self.device) for m, bank in self.banks.items()}
            pieces.append(self.model.fuse(self.model.align(here)).vector)
        return torch.cat(pieces)
