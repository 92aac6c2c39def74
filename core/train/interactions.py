"""Rankers that learn from who liked what: which learner each has, and from training data to a settled ranker."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from core.config import RunSettings
from core.model import Model
from core.rank.baselines import Popularity
from core.rank.factors import Factors, FactorsLearner
from core.rank.graph import Graph, GraphLearner
from core.rank.likes import Likes
from core.rank.neighbours import Neighbours
from core.rank.vbpr import Vbpr, VbprLearner
from core.train.collaborative import OnStep, TableTrainer
from core.train.data import TrainingData
from core.train.loop import fit_spaces

LEARNERS = (Factors, Vbpr, Graph)


def learns_from_interactions(model: Model) -> bool:
    """Whether the ranker learns from who liked what alone, without a query in sight."""
    return isinstance(model.ranker, (Popularity, Neighbours, *LEARNERS))


class InteractionTrainer:
    """Fits the model's ranker on who liked what; the same face as `Trainer`."""

    def __init__(self, model: Model, data: TrainingData, settings: RunSettings, device: str = "cpu") -> None:
        self.model, self.data, self.settings, self.device = model, data, settings, device
        fit_spaces(model, data, settings.soften)
        self.features = item_features(model, data, device)
        model.to(device)

    def fit(self, on_step: OnStep | None = None, **rest: Any) -> tuple[int, list[dict[str, float]]]:
        """rest: see `TableTrainer.fit`. Returns best epoch and curves; both plain where there is nothing to learn."""
        device = "cpu" if self.settings.one_by_one else self.device
        likes, held = (one.to(device) for one in (training_likes(self.data), held_likes(self.data)))
        ranker = self.model.ranker
        if isinstance(ranker, LEARNERS):
            torch.manual_seed(self.settings.seed)
            loss = loss_of(self.settings)
            learner = build_learner(ranker, likes, self.settings, self.features).to(device)
            best, curves = TableTrainer(learner, likes, held, self.settings, loss).fit(on_step, **rest)
            learner.settle(ranker)
            ranker.to(self.device)
            if isinstance(ranker, Graph) and self.features and self.settings.item_share:
                ranker.tie(self.features, likes, self.settings.item_share)
            return best, curves
        ranker.settle(met_rows(self.data) if isinstance(ranker, Popularity) else likes)
        return 0, [{"epoch": 0.0}]


def build_learner(ranker: object, likes: Likes, settings: RunSettings, features: list[Tensor]) -> Any:
    """An untrained learner; features: a modality (N, E) each, standardised, zeros where absent."""
    heat = settings.heat if loss_of(settings) == "softmax" else None
    if isinstance(ranker, Factors):
        return FactorsLearner(likes, settings.own_width, heat)
    if isinstance(ranker, Vbpr):
        return VbprLearner(likes, settings.own_width, torch.cat(features, 1))
    return GraphLearner(likes, settings.own_width, settings.layers, heat)


def loss_of(settings: RunSettings) -> str:
    """The loss by its name; `auto` is what a ranker is known to do best with. `vbpr` stays a plain sum under any."""
    return settings.loss if settings.loss != "auto" else "softmax" if settings.rank == "graph" else "bpr"


@torch.no_grad()
def item_features(model: Model, data: TrainingData, device: str, block: int = 256) -> list[Tensor]:
    """A modality (N, kept) each: standardised media of every trainable item, zeros where there is none."""
    found: dict[str, list[Tensor]] = {m: [] for m in data.banks}
    for start in range(0, len(data.trainable), block):
        rows = data.trainable[start : start + block]
        media = {m: bank.batch([data.items[row].get(m, ()) for row in rows]) for m, bank in data.banks.items()}
        for m, one in model.align(media).items():
            found[m].append(one.pooled.to(device))
    return [torch.cat(pieces) for pieces in found.values()]


def training_likes(data: TrainingData) -> Likes:
    row_of = {item: row for row, item in enumerate(data.trainable)}
    histories = [[(row_of[item], rating) for item, rating in history] for history in data.histories]
    return Likes.of(histories, len(data.trainable))


def held_likes(data: TrainingData) -> Likes:
    """What validation users liked, among the items that training knows."""
    row_of = {item: row for row, item in enumerate(data.trainable)}
    histories: list[list[tuple[int, float | None]]] = [[] for _ in data.histories]
    for user, items in data.validation.users:
        histories[user] = [(row_of[item], None) for item in sorted(items)]
    return Likes.of(histories, len(data.trainable))


def met_rows(data: TrainingData) -> Likes:
    """All training rows, whatever their rating."""
    row_of = {item: row for row, item in enumerate(data.trainable)}
    histories = [[(row_of[item], None) for item, _ in history] for history in data.histories]
    return Likes.of(histories, len(data.trainable))
