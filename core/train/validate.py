"""What an epoch is judged by, on held-out material only: queries, likes of users, and the two sides of a product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.rank.multimodal import History

if TYPE_CHECKING:
    from core.train.loop import Trainer


@torch.no_grad()
def validate(trainer: Trainer) -> dict[str, float]:
    """MRR of held-out queries (whole, each modality alone), NDCG@10 of held-out likes, alignment recall@1 of every two
    modalities; selection = the queries' plus the users'."""
    trainer.model.eval()
    cases, found = trainer.data.validation, {}
    items = trainer.vectors(trainer.data.items)
    if cases.asks:
        found["mrr"] = query_mrr(trainer, cases.asks, items)
        for m in trainer.model.modalities:
            alone = [ask for ask in cases.asks if ask.media.get(m)]
            if alone:
                found[f"mrr_{m}"] = query_mrr(trainer, alone, items, m)
    if cases.users and hasattr(trainer.model.ranker, "score_users"):
        found["ndcg@10"] = user_ndcg(trainer, items)
    whole = found.get("mrr", 0.0) + 0.1 * sum(v for k, v in found.items() if k.startswith("mrr_"))
    return {"selection": whole + found.get("ndcg@10", 0.0), **found, **alignment_recall(trainer)}


def query_mrr(trainer: Trainer, asks: tuple | list, items: Tensor, only: str | None = None) -> float:
    pool = trainer.index(trainer.data.pool)
    answers = trainer.index([trainer.data.pool.index(ask.item) for ask in asks])
    asked = trainer.vectors([ask.media if only is None else {only: ask.media[only]} for ask in asks])
    return reciprocal_rank(asked @ items[pool].T, answers)


def user_ndcg(trainer: Trainer, items: Tensor, k: int = 10) -> float:
    trainable = trainer.data.trainable
    pairs = list(trainer.data.validation.users)
    rows = [trainer.histories[user] for user, _ in pairs]
    history = History.of(rows, [user for user, _ in pairs]).to(trainer.device)
    known = torch.arange(len(trainable), device=trainer.device)
    scores = trainer.model.ranker.score_users(history, items[trainer.index(trainable)], known)
    total = 0.0
    for at, (_, held) in enumerate(pairs):
        scores[at, [row for row, _ in rows[at]]] = -torch.inf
        top = scores[at].topk(min(k, scores.shape[1])).indices.tolist()
        gain = sum(1 / math.log2(r + 2) for r, row in enumerate(top) if trainable[row] in held)
        total += gain / sum(1 / math.log2(r + 2) for r in range(min(k, len(held))))
    return total / len(pairs)


def alignment_recall(trainer: Trainer) -> dict[str, float]:
    """For every two modalities: how often a product's one side has its own other side as nearest, both ways averaged.

    Over `validation.items`; chance is 1 / their number. Equal similarities count half a place.
    """
    items = [trainer.data.items[item] for item in trainer.data.validation.items]
    if len(items) < 2:
        return {}
    aligned, found = trainer.aligned(items), {}
    names = trainer.model.modalities
    for left, right in ((a, b) for i, a in enumerate(names) for b in names[i + 1 :]):
        both = aligned[left].any(1) & aligned[right].any(1)
        if int(both.sum()) < 2:
            continue
        cosine = aligned[left][both] @ aligned[right][both].T
        own = torch.arange(len(cosine), device=cosine.device)
        ways = [first_share(cosine, own), first_share(cosine.T, own)]
        found[f"align@1 {left}-{right}"] = sum(ways) / 2
    figures = getattr(trainer.model.aligner, "figures", None)
    return {**found, **figures(aligned)} if figures else found


def places(scores: Tensor, answers: Tensor) -> Tensor:
    """(Q,) rank of the answer from 1; an equal score counts half a place."""
    own = scores.gather(1, answers[:, None])
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2


def reciprocal_rank(scores: Tensor, answers: Tensor) -> float:
    return float((1 / places(scores, answers)).mean())


def first_share(scores: Tensor, answers: Tensor) -> float:
    return float((places(scores, answers) <= 1).float().mean())
