"""A run judged case by case: every held-out question scored under every subset of its modalities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import LIKED, Catalogue
from core.errors import SettingsError, UnknownNameError
from core.evaluate.cases import ANYTHING, SHOWN, USERS, Cases, case_key
from core.evaluate.measure import HELD, KINDS, query_vectors
from core.evaluate.metrics import target_ranks, top_items
from core.evaluate.protocols import split_of
from core.evaluate.splits import TEST, TRAIN, VALIDATION, Split
from core.explain.shapley import shapley
from core.features import Features, Media, catalogue_features
from core.pipeline import Pipeline, open_pipeline
from core.rank.multimodal import History

if TYPE_CHECKING:
    from core.evaluate.casebook import CaseSet
    from core.workspace import Workspace

ELEMENTS = 8_000_000  # scores held at a time
FEWEST_A_CLUSTER = 20
OnStep = Callable[[str, float], None]
Scores = NDArray[np.float32]


def judged_cases(workspace: Workspace, wanted: CaseSet, on_step: OnStep | None = None) -> tuple[Cases, Split]:
    """All cases of one kind, and the split that held them out. Raises UnknownNameError, SettingsError, ModelError."""
    tell = on_step or (lambda label, fraction: None)
    pipeline = open_pipeline(workspace, wanted.run, wanted.catalogue or None)
    split = split_of(pipeline, wanted.protocol)
    if wanted.kind == USERS:
        return user_cases(pipeline, split, wanted.part, tell), split
    held = split.rows(*HELD[wanted.part])  # only what is asked about is encoded
    asked = replace(pipeline.catalogue, interactions=tuple(pipeline.catalogue.interactions[row] for row in held))
    features = catalogue_features(asked, pipeline.settings, workspace.vectors, on_step=lambda s, f: tell(s, 0.6 * f))
    cases = query_cases(
        pipeline, features, split, wanted.kind, wanted.part, lambda s, f: tell(s, 0.6 + 0.4 * f), held.tolist()
    )
    return cases, split


def query_cases(
    pipeline: Pipeline, features: Features, split: Split, kind: str, part: str = "test", tell: OnStep | None = None,
    encoded: Sequence[int] | None = None,
) -> Cases:  # fmt: skip
    """Held-out rows that have everything `kind` asks for ("anything": at least one modality), as questions.

    encoded: the interactions that `features.interactions` belong to, all of them by default.
    Raises SettingsError where no row is left or the ranker answers no query, UnknownNameError for an unknown kind.
    """
    if kind != ANYTHING and kind not in KINDS:
        raise UnknownNameError("kind of cases", kind, [*KINDS, ANYTHING, USERS])
    if "query" not in pipeline.model.ranker.cases:
        raise SettingsError(f"the ranker of {pipeline.run} answers no query; choose the cases of its users")
    needs = KINDS.get(kind, ())
    rows, media = [], []
    for row, own in zip(range(len(split.labels)) if encoded is None else encoded, features.interactions, strict=True):
        given = {m: own[m] for m in (needs or pipeline.model.modalities) if own.get(m)}
        if split.labels[row] in HELD[part] and given and all(m in given for m in needs):
            rows.append(row)
            media.append(given)
    blocks = _query_blocks(pipeline, features, media)
    present = np.array([[bool(one.get(m)) for m in pipeline.model.modalities] for one in media], dtype=bool)
    return _judged(pipeline, split, kind, part, rows, present, blocks, tell)


def user_cases(pipeline: Pipeline, split: Split, part: str = "test", tell: OnStep | None = None) -> Cases:
    """Held-out likes of known users among the products that training knows; what else they met is no candidate.

    The modalities switched are the products' own. Raises SettingsError where there is none.
    """
    if not pipeline.at_home or "known user" not in pipeline.model.ranker.cases:
        raise SettingsError(f"run {pipeline.run} knows no user of {pipeline.catalogue.name}; choose cases of queries")
    catalogue = pipeline.catalogue
    trained = _trained(catalogue, split)
    label = {"test": TEST, "validation": VALIDATION}[part]
    rows = [
        row
        for row, (one, its) in enumerate(zip(catalogue.interactions, split.labels, strict=True))
        if its == label and (one.rating is None or one.rating >= LIKED)
        if one.user_id in pipeline.user_rows and one.item_id in trained
    ]
    position = catalogue.position()
    has = np.array([[bool(item.text) if m == "text" else bool(item.media.get(m)) for m in pipeline.model.modalities]
                    for item in catalogue.items])  # fmt: skip
    present = has[[position[catalogue.interactions[row].item_id] for row in rows]].reshape(len(rows), -1)
    return _judged(pipeline, split, USERS, part, rows, present, _user_blocks(pipeline, split, rows, trained), tell)


def _trained(catalogue: Catalogue, split: Split) -> set[str]:
    return {row.item_id for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == TRAIN}


def _step(pipeline: Pipeline) -> int:
    return max(1, ELEMENTS // (len(pipeline.item_ids) << len(pipeline.model.modalities)))


@torch.inference_mode()
def _query_blocks(pipeline: Pipeline, features: Features, media: Sequence[Media]) -> Iterator[Scores]:
    """Scores (2^M, b, N) of queries, block by block; bit j of the first axis says whether modality j was asked with."""
    modalities, items, step = pipeline.model.modalities, pipeline.items.vectors[-1], _step(pipeline)
    for start in range(0, len(media), step):
        part = media[start : start + step]
        rows = []
        for subset in range(1 << len(modalities)):
            kept = [m for bit, m in enumerate(modalities) if subset >> bit & 1]
            vectors = query_vectors(pipeline, features, [{m: one[m] for m in kept if m in one} for one in part])
            rows.append(pipeline.model.ranker.score_query(vectors, items).float().cpu().numpy())
        yield np.stack(rows)


@torch.inference_mode()
def _user_blocks(pipeline: Pipeline, split: Split, rows: Sequence[int], trained: set[str]) -> Iterator[Scores]:
    """Scores (2^M, b, N) of users' next item; -inf for what is no candidate."""
    catalogue, position, step = pipeline.catalogue, pipeline.catalogue.position(), _step(pipeline)
    unknown = [place for place, item in enumerate(catalogue.items) if item.item_id not in trained]
    met: dict[str, set[int]] = {}
    for one, label in zip(catalogue.interactions, split.labels, strict=True):
        if label:
            met.setdefault(one.user_id, set()).add(position[one.item_id])
    whole = pipeline.items.vectors[-1]
    for start in range(0, len(rows), step):
        asked = [catalogue.interactions[row] for row in rows[start : start + step]]
        users = [one.user_id for one in asked]
        history = History.of([pipeline.history(user) for user in users], [pipeline.user_row(user) for user in users])
        history = history.to(pipeline.device)
        scores = np.stack([
            pipeline.model.ranker.score_users(history, items, pipeline.known, whole).float().cpu().numpy()
            for items in pipeline.items.vectors
        ])  # fmt: skip
        for at, one in enumerate(asked):
            out = [*unknown, *(met[one.user_id] - {position[one.item_id]})]
            scores[:, at, out] = -np.inf
        yield scores


def _judged(
    pipeline: Pipeline, split: Split, kind: str, part: str, rows: Sequence[int], present: NDArray[np.bool_],
    blocks: Iterator[Scores], tell: OnStep | None,
) -> Cases:  # fmt: skip
    catalogue = pipeline.catalogue
    if not rows:
        raise SettingsError(
            f"{catalogue.name} has no held-out row for cases of {kind} in {part} under {split.name}; "
            "choose another kind or protocol"
        )
    position = catalogue.position()
    asked = [catalogue.interactions[row] for row in rows]
    truth = np.array([position[one.item_id] for one in asked])
    ids = np.array(pipeline.item_ids, dtype=np.str_)
    parts: list[dict[str, NDArray[Any]]] = []
    done = 0
    for scores in blocks:
        size = scores.shape[1]
        chosen = slice(done, done + size)
        parts.append(_block(scores, truth[chosen], present[chosen], ids))
        done += size
        if tell:
            tell("judging", done / len(rows))
    trained, scope = _trained(catalogue, split), "user" if kind == USERS else "query"
    return Cases(
        about={
            "run": pipeline.run, "digest": pipeline.told["digests"]["model.safetensors"], "catalogue": catalogue.name,
            "version": catalogue.version, "protocol": split.name, "split": split.fingerprint.sha, "kind": kind,
            "part": part, "items": len(catalogue.items),
        },
        modalities=tuple(pipeline.model.modalities),
        key=np.array([case_key(scope, one.user_id, one.item_id, one.timestamp) for one in asked]),
        row=np.array(rows, dtype=np.int64),
        user=np.array([one.user_id for one in asked]),
        item=np.array([one.item_id for one in asked]),
        warm=np.array([one.item_id in trained for one in asked]),
        cluster=_clusters(pipeline)[truth],
        twin=_twins(pipeline)[truth],
        present=present,
        **{name: np.concatenate([one[name] for one in parts]) for name in parts[0]},
    )  # fmt: skip


def _block(
    scores: Scores, truth: NDArray[np.int64], present: NDArray[np.bool_], ids: NDArray[np.str_]
) -> dict[str, NDArray[Any]]:
    """What a block of cases (2^M, b, N) shows, by the names of `Cases`."""
    whole, here = scores[-1], np.arange(len(truth))
    masked = ~np.isfinite(whole)
    found = top_items(whole, SHOWN + 1, masked)
    rival = np.where(found[:, 0] == truth, found[:, 1], found[:, 0])
    logits = scores.astype(np.float64)
    peak = logits.max(2, keepdims=True)
    total = np.log(np.exp(logits - peak).sum(2)) + peak[..., 0]  # (2^M, b)
    own = logits[:, here, truth]
    loss = total - own
    other = logits[:, here, np.maximum(rival, 0)]
    alone = np.zeros(present.shape, dtype=np.int32)
    for at in range(present.shape[1]):
        alone[:, at] = np.where(present[:, at], target_ranks(scores[1 << at], truth, masked), 0)
    return {
        "rank": target_ranks(whole, truth, masked).astype(np.int32),
        "alone": alone,
        "loss": loss[-1].astype(np.float32),
        "margin": (own[-1] - other[-1]).astype(np.float32),
        "blame": shapley(loss).T.astype(np.float32),
        "for_truth": shapley(own).T.astype(np.float32),
        "for_shown": shapley(other).T.astype(np.float32),
        "shown": np.where(found[:, :SHOWN] >= 0, ids[found[:, :SHOWN]], ""),
    }


def _clusters(pipeline: Pipeline, most: int = 12) -> NDArray[np.int16]:
    """(N,) cluster of every product's fused vector: k-means, seeded, at least 20 products a cluster on average."""
    from scipy.cluster.vq import kmeans2

    vectors = pipeline.items.vectors[-1].float().cpu().numpy()
    count = min(most, len(vectors) // FEWEST_A_CLUSTER)
    if count < 2:
        return np.zeros(len(vectors), dtype=np.int16)
    return kmeans2(vectors, count, minit="++", rng=np.random.default_rng(0))[1].astype(np.int16)


def _twins(pipeline: Pipeline) -> NDArray[np.float32]:
    """(N,) cosine of every product's fused vector to the most similar other product's."""
    vectors = pipeline.items.vectors[-1].float()
    if len(vectors) < 2:
        return np.zeros(len(vectors), dtype=np.float32)
    nearest = []
    for start in range(0, len(vectors), 1024):
        block = vectors[start : start + 1024] @ vectors.T
        block[torch.arange(len(block)), start + torch.arange(len(block))] = -1.0
        nearest.append(block.max(1).values)
    return torch.cat(nearest).cpu().numpy()
