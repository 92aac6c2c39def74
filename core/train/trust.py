"""Whom to trust, learned out of fold: the gates see vectors of products that those vectors were not learned from.

In training both words and photos look sure of themselves, because both were fitted to the very products they are asked
about; a gate learned there trusts the modality that is learned by heart most easily. So every product is held out once,
its queries are aligned by a model that never saw it, and the gates are fitted to find it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config import RunSettings
from core.domain import Catalogue
from core.evaluate.splits import TRAIN, Split, item_folds
from core.features import Features, Media
from core.fuse.weighted import Weighted
from core.train.build import held_out, spare, training_data
from core.train.data import Ask, TrainingData

STEPS, RATE, DECAY = 300, 0.02, 1e-3
ALONE = 0.1  # weight of a query that is asked with one of its modalities, beside the whole one


@dataclass(frozen=True, kw_only=True)
class Side:
    """n things as a gate sees them: pooled (n, M, D), present (n, M), strength (n, M)."""

    pooled: Tensor
    present: Tensor
    strength: Tensor

    def only(self, players: Sequence[int]) -> Side:
        """The same with these modalities alone."""
        kept = torch.zeros_like(self.present)
        kept[:, list(players)] = self.present[:, list(players)]
        return Side(pooled=self.pooled * kept[..., None], present=kept, strength=self.strength)

    def vectors(self, fuser: Weighted) -> Tensor:
        """(n, D), zero where nothing is present."""
        gates = fuser.gates(self.pooled, self.present, self.strength)
        return functional.normalize(torch.einsum("bm,bmd->bd", gates, self.pooled), dim=-1)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Queries about products that were held out, all items as that model sees them, and which item answers each."""

    queries: Side
    items: Side
    answers: Tensor


def fit_trust(
    fuser: Weighted, catalogue: Catalogue, settings: RunSettings, features: Features, split: Split,
    train: Callable[[TrainingData], Any], tell: Callable[[str, float], None],
) -> None:  # fmt: skip
    """Fits the gates of `fuser` in place, on `settings.trust_folds` folds of the trained products.

    train: trains a model of the same settings on such data and returns its trainer.
    """
    hidden = held_out(catalogue, split)
    shown = [item.item_id for item in catalogue.items if item.item_id not in hidden]
    fold_of, folds = item_folds(shown, settings.trust_folds), []
    for fold in range(settings.trust_folds):
        tell(f"whom to trust, part {fold + 1} of {settings.trust_folds}", fold / settings.trust_folds)
        apart = {item for item, at in fold_of.items() if at == fold}
        asks = held_asks(catalogue, features, split, apart)
        if asks:
            folds.append(seen_by(train(training_data(catalogue, features, split, tuning=apart)), features, asks))
    if folds:
        fit_gates(fuser, folds)


def held_asks(catalogue: Catalogue, features: Features, split: Split, apart: set[str]) -> list[Ask]:
    """The training rows of products that are held out now, as queries; one without a photo borrows a further photo of
    its product, in turn."""
    position, asks = catalogue.position(), []
    rows = zip(catalogue.interactions, features.interactions, split.labels, strict=True)
    for number, (row, media, label) in enumerate(rows):
        if row.item_id not in apart or label != TRAIN or not any(media.values()):
            continue
        item = position[row.item_id]
        others = spare(features.items[item])
        lent = {"image": (others[number % len(others)],)} if others and not media.get("image") else {}
        asks.append(Ask(media={**media, **lent}, item=item))
    return asks


@torch.no_grad()
def seen_by(trainer: Any, features: Features, asks: Sequence[Ask], block: int = 64) -> Fold:
    """The held-out queries, and all items without the further photos that queries may have borrowed."""
    model = trainer.model.eval()
    fuser: Weighted = model.fuser

    def side(media: Sequence[Media]) -> Side:
        parts = []
        for start in range(0, len(media), block):
            aligned = model.align(trainer.batch(media[start : start + block]))
            parts.append((*fuser.beside(aligned), fuser.strength(aligned)))
        pooled, present, strength = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
        return Side(pooled=pooled, present=present, strength=strength)

    items = [{m: rows[:1] if m == "image" else rows for m, rows in item.items()} for item in features.items]
    return Fold(
        queries=side([ask.media for ask in asks]), items=side(items), answers=torch.tensor([ask.item for ask in asks])
    )


def fit_gates(fuser: Weighted, folds: Sequence[Fold]) -> None:
    """Adam on the cross-entropy of finding each product among all items: asked as a whole, and (ALONE) with each of its
    modalities by itself, so that a run that trusts photos still answers words."""
    scale = nn.Parameter(torch.tensor(2.5))
    groups = [{"params": list(fuser.trust.parameters()), "weight_decay": DECAY}, {"params": [scale]}]
    optimiser = torch.optim.Adam(groups, lr=RATE)
    fuser.trust.requires_grad_(True)
    count = len(fuser.modalities)
    asked = [(fold, *variant) for fold in folds for variant in variants(fold.queries, count)]
    total = sum(len(fold.answers) for fold in folds)
    for _ in range(STEPS):
        items = {id(fold): fold.items.vectors(fuser) for fold in folds}
        loss = torch.zeros(())
        for fold, queries, weight in asked:
            logits = queries.vectors(fuser) @ items[id(fold)].T * scale.exp()
            there = queries.present.any(1)
            loss = loss + weight * functional.cross_entropy(logits[there], fold.answers[there], reduction="sum") / total
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def variants(queries: Side, modalities: int) -> list[tuple[Side, float]]:
    """A query as a whole, and alone with each of its modalities."""
    alone = [(queries.only([m]), ALONE) for m in range(modalities) if queries.present[:, m].any()]
    return [(queries, 1.0), *(alone if len(alone) > 1 else [])]
