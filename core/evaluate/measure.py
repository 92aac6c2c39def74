"""A run measured: can it find the product behind a held-out query, and the next item of a user?"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import LIKED, Catalogue, Modality
from core.errors import SettingsError
from core.evaluate.metrics import (
    BLOCK_ELEMENTS,
    PerUser,
    TieWarning,
    list_metrics,
    rank_metrics,
    retrieval_metrics,
    target_ranks,
    top_items,
)
from core.evaluate.splits import ASKED, COLD, TEST, TRAIN, VALIDATION, Split, stars
from core.evaluate.truth import planted_truth, true_utility
from core.evaluate.vectors import Measured
from core.features import Features, Media
from core.pipeline import Pipeline
from core.rank.multimodal import History

KINDS: dict[str, tuple[Modality, ...]] = {
    "review+photo": ("text", "image"), "review": ("text",), "photo": ("image",), "sound": ("audio",), "clip": ("video",)
}  # fmt: skip
PRODUCTS = ("all", "warm", "cold")
HELD = {"test": (TEST, COLD, ASKED), "validation": (VALIDATION,)}
FEWEST_QUERIES = 5  # below it no mean is told
KEPT = ("ndcg@10", "recall@10", "ndcg@20", "recall@20", "mrr@10", "hit@10")  # of every user


@dataclass(frozen=True, kw_only=True)
class HeldQueries:
    """Held-out queries: their media, the item row that answers each, and the product they are grouped by."""

    media: tuple[Media, ...]
    answers: NDArray[np.int64]
    products: tuple[str, ...]
    ids: tuple[str, ...] = ()  # the same in every run

    def only(self, modalities: Sequence[Modality]) -> tuple[Media, ...]:
        return tuple({m: rows for m, rows in media.items() if m in modalities} for media in self.media)


def held_queries(
    catalogue: Catalogue, features: Features, split: Split, kind: str, products: str = "all", part: str = "test"
) -> HeldQueries:
    """Held-out rows that have everything `kind` asks for. Raises SettingsError for an unknown kind."""
    if kind not in KINDS or products not in PRODUCTS:
        raise SettingsError(f"query {kind}, products {products}: expected one of {list(KINDS)} and of {list(PRODUCTS)}")
    trained = {row.item_id for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == TRAIN}
    position, media, answers, names, ids = catalogue.position(), [], [], [], []
    for row, own, label in zip(catalogue.interactions, features.interactions, split.labels, strict=True):
        warm = row.item_id in trained
        wanted = label in HELD[part] and products in ("all", "warm" if warm else "cold")
        if wanted and all(own.get(m) for m in KINDS[kind]):
            media.append({m: own[m] for m in KINDS[kind]})
            answers.append(position[row.item_id])
            names.append(row.item_id)
            ids.append(f"{row.user_id}\t{row.item_id}\t{row.timestamp or ''}")
    return HeldQueries(
        media=tuple(media), answers=np.array(answers, dtype=np.int64), products=tuple(names), ids=tuple(ids)
    )


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
    """Per-user metrics of held-out likes among the items that training knows: ours, popularity, a random order's
    expectation, and the true utility's where the truth ships with the catalogue. `users` name the rows; `lists`:
    coverage, gini, novelty ... of our lists."""

    users: tuple[str, ...]
    ours: PerUser
    popularity: PerUser
    chance: PerUser
    oracle: PerUser | None
    lists: Mapping[str, float]


def next_item(pipeline: Pipeline, catalogue: Catalogue, split: Split, part: str = "test") -> NextItem | None:
    """None where no user has a held-out like. Masked: each user's training rows; for the test part their validation,
    cold and asked rows too. Validation never looks at a test row.

    Users are scored in blocks, so that memory stays flat in their number.
    """
    label, position = {"test": TEST, "validation": VALIDATION}[part], catalogue.position()
    trained = {row.item_id for row, one in zip(catalogue.interactions, split.labels, strict=True) if one == TRAIN}
    held: dict[str, set[int]] = defaultdict(set)
    met: dict[str, set[int]] = defaultdict(set)
    counts = np.zeros(len(catalogue.items))
    for row, one, rating in zip(catalogue.interactions, split.labels, stars(catalogue), strict=True):
        item = position[row.item_id]
        counts[item] += one == TRAIN
        if one == label and (rating is None or rating >= LIKED) and row.item_id in trained:
            held[row.user_id].add(item)
        elif one and one != label and (part == "test" or one == TRAIN):
            met[row.user_id].add(item)
    users = tuple(sorted(user for user in held if user in pipeline.user_rows))
    if not users or "known user" not in pipeline.model.ranker.cases:
        return None
    truth, ids = planted_truth(catalogue), [item.item_id for item in catalogue.items]
    unknown = np.array([item_id not in trained for item_id in ids])
    step = max(1, BLOCK_ELEMENTS // len(ids))
    ours, popular, drawn, ideal, shown = [], [], [], [], []
    for start in range(0, len(users), step):
        block = users[start : start + step]
        positives, mask = np.zeros((len(block), len(ids)), dtype=bool), np.tile(unknown, (len(block), 1))
        for at, user in enumerate(block):
            mask[at, sorted(met[user])] = True
            positives[at, sorted(held[user])] = True
        mask &= ~positives
        scores = user_scores(pipeline, block)
        ours.append(rank_metrics(scores, positives, mask, (10, 20)))
        shown.append(top_items(scores, 10, mask))
        drawn.append(expected(positives.sum(1), (~mask).sum(1)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TieWarning)  # equal counts are what popularity is
            floor = np.broadcast_to(counts, positives.shape)
            popular.append(rank_metrics(floor, positives, mask, (10, 20)))
        if truth:
            ideal.append(rank_metrics(true_utility(truth, list(block), ids), positives, mask, (10, 20)))
    return NextItem(
        users=users,
        ours=joined(ours),
        popularity=joined(popular),
        chance=joined(drawn),
        oracle=joined(ideal) if ideal else None,
        lists=list_metrics(np.concatenate(shown), counts, len(pipeline.user_rows)),
    )


def joined(blocks: Sequence[PerUser]) -> PerUser:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def measure(pipeline: Pipeline, features: Features, split: Split) -> tuple[dict, dict[str, Measured]]:
    """What run.json says of a run, {part: {name: value}}, and every value that these means are made of."""
    found: dict[str, dict[str, float]] = {"validation": {}, "test": {}}
    measured: dict[str, Measured] = {}
    catalogue = pipeline.catalogue
    if "query" in pipeline.model.ranker.cases:
        for part, products in (("validation", "all"), ("test", "warm"), ("test", "cold")):
            queries, kinds = fullest(pipeline, features, split, products, part)
            for kind in kinds:
                values = query_metrics(pipeline, features, queries, KINDS[kind])
                found[part] |= {f"{products} {kind} {name}": float(value.mean()) for name, value in values.items()}
                measured[f"{part} {products} {kind}"] = Measured(
                    ids=queries.ids, groups=queries.products, values=values, floors={},
                    about=chance(len(catalogue.items)),
                )  # fmt: skip
    for part in found:
        users = next_item(pipeline, catalogue, split, part)
        if users:
            found[part] |= {f"users {name}": float(np.nanmean(users.ours[name])) for name in ("ndcg@10", "recall@20")}
            found[part] |= {f"lists {name}": value for name, value in users.lists.items()}
            measured[f"{part} users"] = of_users(users)
    return found, measured


def fullest(
    pipeline: Pipeline, features: Features, split: Split, products: str, part: str
) -> tuple[HeldQueries | None, tuple[str, ...]]:
    """The queries of the kind with most modalities that has enough of them; and the kinds they can be asked as."""
    for kind, modalities in KINDS.items():
        if set(modalities) <= set(pipeline.model.modalities):
            queries = held_queries(pipeline.catalogue, features, split, kind, products, part)
            if len(queries.answers) >= FEWEST_QUERIES:
                return queries, tuple(name for name, needs in KINDS.items() if set(needs) <= set(modalities))
    return None, ()


def of_users(users: NextItem) -> Measured:
    floors = {"popularity": kept(users.popularity), "chance": users.chance}
    floors |= {"oracle": kept(users.oracle)} if users.oracle else {}
    return Measured(
        ids=users.users, groups=users.users, values=kept(users.ours), floors=floors, about=dict(users.lists)
    )


def kept(values: PerUser) -> PerUser:
    return {name: values[name] for name in KEPT}


def expected(positives: NDArray[np.int64], candidates: NDArray[np.int64], ks: Sequence[int] = (10, 20)) -> PerUser:
    """recall@k and ndcg@k (U,) that a random order of the candidates reaches on average."""
    found: PerUser = {}
    for k in ks:
        gain = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
        found[f"recall@{k}"] = np.minimum(1.0, k / candidates)
        found[f"ndcg@{k}"] = positives / candidates * gain[np.minimum(k, candidates)] / gain[np.minimum(positives, k)]
    return found


def chance(items: int) -> dict[str, float]:
    """What a random order of all items would reach for one right answer."""
    return {f"recall@{k}": min(1.0, k / items) for k in (1, 5, 10)} | {
        "mrr": float((1 / np.arange(1, items + 1)).mean())
    }


def held_distances(pipeline: Pipeline, features: Features, split: Split, most: int = 500) -> dict[str, list[float]]:
    """1 - best cosine of held-out queries, sorted, by the modalities they have: what is usual for this shop."""
    found = {}
    for kind, modalities in KINDS.items():
        if not set(modalities) <= set(pipeline.model.modalities):
            continue
        queries = held_queries(pipeline.catalogue, features, split, kind)
        if len(queries.answers) >= 20:
            vectors = query_vectors(pipeline, features, queries.media[:: max(1, len(queries.media) // most)])
            nearest = (vectors @ pipeline.items.vectors[-1].T).max(1).values
            found["+".join(modalities)] = sorted(round(1 - float(value), 5) for value in nearest)
    return found
