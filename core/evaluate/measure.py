"""A run measured: can it find the product behind a held-out query, and the next item of a user?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import Catalogue, Modality
from core.errors import SettingsError
from core.evaluate.metrics import rank_metrics, retrieval_metrics, target_ranks
from core.evaluate.splits import ASKED, COLD, TEST, TRAIN, VALIDATION, Split
from core.evaluate.truth import planted_truth, true_utility
from core.features import Features, Media
from core.pipeline import Pipeline
from core.rank.multimodal import History

KINDS: dict[str, tuple[Modality, ...]] = {"review": ("text",), "photo": ("image",), "review+photo": ("text", "image")}
PRODUCTS = ("all", "warm", "cold")
HELD = {"test": (TEST, COLD, ASKED), "validation": (VALIDATION,)}
LIKED = 3.5


@dataclass(frozen=True, kw_only=True)
class HeldQueries:
    """Held-out queries: their media, the item row that answers each, and the product they are grouped by."""

    media: tuple[Media, ...]
    answers: NDArray[np.int64]
    products: tuple[str, ...]

    def only(self, modalities: Sequence[Modality]) -> tuple[Media, ...]:
        return tuple({m: rows for m, rows in media.items() if m in modalities} for media in self.media)


def held_queries(
    catalogue: Catalogue, features: Features, split: Split, kind: str, products: str = "all", part: str = "test"
) -> HeldQueries:
    """Held-out rows that have everything `kind` asks for. Raises SettingsError for an unknown kind."""
    if kind not in KINDS or products not in PRODUCTS:
        raise SettingsError(f"query {kind}, products {products}: expected one of {list(KINDS)} and of {list(PRODUCTS)}")
    trained = {row.item_id for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == TRAIN}
    position, media, answers, names = catalogue.position(), [], [], []
    for row, own, label in zip(catalogue.interactions, features.interactions, split.labels, strict=True):
        warm = row.item_id in trained
        wanted = label in HELD[part] and products in ("all", "warm" if warm else "cold")
        if wanted and all(own.get(m) for m in KINDS[kind]):
            media.append({m: own[m] for m in KINDS[kind]})
            answers.append(position[row.item_id])
            names.append(row.item_id)
    return HeldQueries(media=tuple(media), answers=np.array(answers, dtype=np.int64), products=tuple(names))


@torch.inference_mode()
def query_vectors(pipeline: Pipeline, features: Features, media: Sequence[Media], block: int = 64) -> torch.Tensor:
    """Fused vectors (Q, D) of queries whose media are in `features`, by the very path of a live query."""
    model, banks = pipeline.model, {m: features.bank(m) for m in pipeline.model.modalities}
    pieces = []
    for start in range(0, len(media), block):
        part = media[start : start + block]
        encoded = {m: bank.batch([one.get(m, ()) for one in part]).to(pipeline.device) for m, bank in banks.items()}
        pieces.append(model.fuse(model.align(model.standardise(encoded))).vector)
    return torch.cat(pieces)


def query_metrics(
    pipeline: Pipeline, features: Features, queries: HeldQueries, modalities: Sequence[Modality]
) -> dict[str, NDArray[np.float64]]:
    """Metric -> (Q,): recall@1, @5, @10 and mrr with all items as candidates, asking with these modalities only."""
    vectors = query_vectors(pipeline, features, queries.only(modalities))
    scores = pipeline.model.ranker.score_query(vectors, pipeline.items.vectors[-1]).cpu().numpy()
    return retrieval_metrics(target_ranks(scores, queries.answers))


@torch.inference_mode()
def user_scores(pipeline: Pipeline, users: Sequence[str]) -> NDArray[np.float64]:
    """(U, N) scores of all items for known users."""
    history = History.of([pipeline.history(user) for user in users], [pipeline.user_row(user) for user in users])
    vectors = pipeline.items.vectors[-1]
    scores = pipeline.model.ranker.score_users(history.to(pipeline.device), vectors, pipeline.known)
    return scores.double().cpu().numpy()


@dataclass(frozen=True, kw_only=True)
class NextItem:
    """Per-user metrics of held-out likes among the items that training knows: ours, popularity, and the true utility's
    where the truth ships with the catalogue. `users` name the rows."""

    users: tuple[str, ...]
    ours: Mapping[str, NDArray[np.float64]]
    popularity: Mapping[str, NDArray[np.float64]]
    oracle: Mapping[str, NDArray[np.float64]] | None


def next_item(pipeline: Pipeline, catalogue: Catalogue, split: Split, part: str = "test") -> NextItem | None:
    """None where no user has a held-out like. Masked: each user's training rows (and the other held-out part's)."""
    label, position = {"test": TEST, "validation": VALIDATION}[part], catalogue.position()
    trained = {row.item_id for row, one in zip(catalogue.interactions, split.labels, strict=True) if one == TRAIN}
    held: dict[str, set[int]] = {}
    for row, one in zip(catalogue.interactions, split.labels, strict=True):
        liked = row.rating is None or row.rating >= LIKED
        if one == label and liked and row.user_id in pipeline.user_rows and row.item_id in trained:
            held.setdefault(row.user_id, set()).add(position[row.item_id])
    if not held or "known user" not in pipeline.model.ranker.cases:
        return None
    users = tuple(sorted(held))
    row_of = {user: row for row, user in enumerate(users)}
    positives = np.zeros((len(users), len(catalogue.items)), dtype=bool)
    mask = np.tile([item.item_id not in trained for item in catalogue.items], (len(users), 1))
    counts = np.zeros(len(catalogue.items))
    for row, one in zip(catalogue.interactions, split.labels, strict=True):
        counts[position[row.item_id]] += one == TRAIN
        if row.user_id in row_of and one and one != label:
            mask[row_of[row.user_id], position[row.item_id]] = True
    for user, items in held.items():
        positives[row_of[user], sorted(items)] = True
    mask &= ~positives

    def judged(scores: NDArray[np.float64]) -> Mapping[str, NDArray[np.float64]]:
        return rank_metrics(scores, positives, mask, (10, 20))

    truth, ids = planted_truth(catalogue), [item.item_id for item in catalogue.items]
    return NextItem(
        users=users,
        ours=judged(user_scores(pipeline, users)),
        popularity=judged(np.tile(counts, (len(users), 1))),
        oracle=judged(true_utility(truth, list(users), ids)) if truth else None,
    )


def measure(pipeline: Pipeline, features: Features, split: Split) -> tuple[dict, dict[str, list[float]]]:
    """What run.json says of a run: {part: {name: value}}, and sorted distances of held-out queries by modalities."""
    found: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    distances: dict[str, list[float]] = {}
    catalogue = pipeline.catalogue
    if "query" in pipeline.model.ranker.cases:
        for part, products in (("validation", "all"), ("test", "warm"), ("test", "cold")):
            queries = held_queries(catalogue, features, split, "review+photo", products, part)
            if len(queries.answers) < 5:
                continue
            for kind, modalities in KINDS.items():
                values = query_metrics(pipeline, features, queries, modalities)
                found[part] |= {f"{products} {kind} {name}": float(value.mean()) for name, value in values.items()}
        distances = held_distances(pipeline, features, split)
    for part in found:
        users = next_item(pipeline, catalogue, split, part)
        if users:
            found[part] |= {f"users {name}": float(np.nanmean(users.ours[name])) for name in ("ndcg@10", "recall@20")}
    return found, distances


def held_distances(pipeline: Pipeline, features: Features, split: Split, most: int = 500) -> dict[str, list[float]]:
    """1 - best cosine of held-out queries, sorted, by the modalities they have: what is usual for this shop."""
    found = {}
    for kind, modalities in KINDS.items():
        queries = held_queries(pipeline.catalogue, features, split, kind)
        if len(queries.answers) >= 20:
            vectors = query_vectors(pipeline, features, queries.media[:: max(1, len(queries.media) // most)])
            nearest = (vectors @ pipeline.items.vectors[-1].T).max(1).values
            found["+".join(modalities)] = sorted(round(1 - float(value), 5) for value in nearest)
    return found
