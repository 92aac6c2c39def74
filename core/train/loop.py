"""The training loop: one screen, plain torch. Recommendation loss + alignment loss + users' loss, jointly."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from core.align.losses import info_nce
from core.config import RunSettings
from core.domain import Encoded, Modality
from core.model import Model
from core.rank.multimodal import History, Multimodal
from core.train.data import Ask, Media, TrainingData, positives

OnStep = Callable[[str, float, dict[str, float]], None]


class Trainer:
    """Fits a model on training data. Same seed, machine, versions and threads: same weights."""

    def __init__(self, model: Model, data: TrainingData, settings: RunSettings) -> None:
        self.model, self.data, self.settings = model, data, settings
        self.random = random.Random(settings.seed)
        self.row_of = {item: row for row, item in enumerate(data.trainable)}
        self.known = torch.tensor([self.row_of.get(item, -1) for item in range(len(data.items))])
        fit_spaces(model, data, settings.soften)
        self.memory = torch.zeros(len(data.trainable), settings.width)  # last seen vector of every trainable item
        self.histories = [[(self.row_of[i], r) for i, r in history if i in self.row_of] for history in data.histories]
        self.likes = [(u, item) for u, history in enumerate(self.histories) for item in sorted(positives(history))]
        self.learns_users = isinstance(model.ranker, Multimodal)

    def fit(self, on_step: OnStep | None = None, stop_after: int | None = None) -> tuple[int, list[dict[str, float]]]:
        """Trains, keeps the weights of the best epoch; returns that epoch and one row of figures an epoch.

        stop_after: keep the weights of that epoch instead, without looking at the validation figures.
        """
        settings, asks = self.settings, list(self.data.asks)
        per_epoch = max(1, math.ceil(len(asks) / settings.batch))
        optimiser = torch.optim.AdamW(groups(self.model, settings))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=[group["lr"] for group in optimiser.param_groups],
            total_steps=max(1, per_epoch * settings.epochs),
            pct_start=0.15,
        )
        best, best_epoch, weights, curves = self.validate(), 0, state_of(self.model), []
        curves.append({"epoch": 0.0, **best})
        if not asks:  # neither reviews nor photos to ask with: the spaces are fitted, there is nothing to learn from
            return 0, curves
        for epoch in range(1, settings.epochs + 1):
            self.model.train()
            self.refresh_memory()
            self.random.shuffle(asks)
            total = 0.0
            for step in range(per_epoch):
                loss = self.loss(asks[step * settings.batch : (step + 1) * settings.batch])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                total += float(loss.detach())
                if on_step:
                    on_step(
                        f"epoch {epoch} of {settings.epochs}",
                        (epoch - 1 + (step + 1) / per_epoch) / settings.epochs,
                        {},
                    )
            found = self.validate()
            curves.append({"epoch": float(epoch), "loss": total / per_epoch, **found})
            if on_step:
                on_step(f"epoch {epoch} of {settings.epochs}", epoch / settings.epochs, curves[-1])
            if epoch == stop_after or (stop_after is None and found["selection"] > best["selection"]):
                best, best_epoch, weights = found, epoch, state_of(self.model)
            if epoch == stop_after or (stop_after is None and epoch - best_epoch >= settings.patience):
                break
        self.model.load_state_dict(weights)
        return best_epoch, curves

    def loss(self, asks: Sequence[Ask]) -> Tensor:
        settings, model = self.settings, self.model
        media = [self.vary(ask) for ask in asks]
        answers = [self.row_of[ask.item] for ask in asks]
        likes = self.random.sample(self.likes, min(len(self.likes), settings.batch)) if self.learns_users else []
        rows = sorted(set(answers))
        lent = {a: m.get("image", ()) for a, m in zip(answers, media, strict=True)}
        item_media = [self.vary_item(self.data.items[self.data.trainable[row]], lent.get(row, ())) for row in rows]
        aligned = model.align(self.batch(item_media))
        items = self.memory.clone().index_copy(0, torch.tensor(rows), model.fuse(aligned).vector)  # (N, D)
        self.memory[rows] = items[rows].detach()
        asked = model.align(self.batch(media))
        query = model.fuse(asked).vector  # (B, D)
        loss = functional.cross_entropy(model.ranker.score_query(query, items), torch.tensor(answers))
        if settings.weight_align:
            loss = loss + settings.weight_align * self.alignment(
                aligned, asked, torch.tensor(rows), torch.tensor(answers)
            )
        if likes:
            loss = loss + self.user_loss(likes, items)
        return loss

    def alignment(self, aligned: dict, asked: dict, rows: Tensor, answers: Tensor) -> Tensor:
        """InfoNCE between every two modalities of the same things, items and queries alike."""
        total, scale = torch.zeros(()), self.model.ranker.scale
        names = self.model.modalities
        for left, right in ((a, b) for i, a in enumerate(names) for b in names[i + 1 :]):
            for space, who in ((aligned, rows), (asked, answers)):
                both = space[left].present & space[right].present
                same = who[both][:, None] == who[both][None]
                total = total + info_nce(space[left].pooled[both], space[right].pooled[both], scale, same)
        return total

    def user_loss(self, likes: Sequence[tuple[int, int]], items: Tensor) -> Tensor:
        """Each user must find one liked item again among all, with that item out of the history and the rest of the
        history out of the candidates. It reaches the item vectors damped: they belong to the queries first."""
        damped = items.detach() + self.settings.weight_users * (items - items.detach())
        rows = [[pair for pair in self.histories[user] if pair[0] != item] for user, item in likes]
        scores = self.model.ranker.score_users(
            History.of(rows, [user for user, _ in likes]), damped, torch.arange(len(items))
        )
        met = torch.zeros_like(scores, dtype=torch.bool)
        for at, row in enumerate(rows):
            met[at, [item for item, _ in row]] = True
        return functional.cross_entropy(scores.masked_fill(met, -1e9), torch.tensor([item for _, item in likes]))

    def vary(self, ask: Ask) -> Media:
        """A training query is not always whole: it may borrow a photo of its product, and lose a modality."""
        media = {m: rows for m, rows in ask.media.items() if rows}
        if "image" in self.data.banks and "image" not in media and self.random.random() < self.settings.own_photo:
            choice = self.data.photos.get(ask.item) or self.data.items[ask.item].get("image", ())
            if choice:
                media["image"] = (self.random.choice(choice),)
        if len(media) > 1 and self.random.random() < self.settings.drop_modality:
            media.pop(self.random.choice(sorted(media)))
        return media

    def vary_item(self, media: Media, lent: Sequence[int]) -> Media:
        """An item does not show the very photo that it lent to a query, and sometimes lacks a modality."""
        kept = {m: tuple(row for row in rows if row not in lent) if m == "image" else rows for m, rows in media.items()}
        kept = {m: rows for m, rows in kept.items() if rows}
        if len(kept) > 1 and self.random.random() < self.settings.drop_modality / 3:
            kept.pop(self.random.choice(sorted(kept)))
        return kept

    def batch(self, media: Sequence[Media]) -> dict[Modality, Encoded]:
        return {m: bank.batch([thing.get(m, ()) for thing in media]) for m, bank in self.data.banks.items()}

    @torch.no_grad()
    def vectors(self, media: Sequence[Media], block: int = 64) -> Tensor:
        """Fused vectors (n, D) of any things, in blocks, without dropout."""
        training, _ = self.model.training, self.model.eval()
        pieces = [self.model(self.batch(media[at : at + block])) for at in range(0, len(media), block)]
        self.model.train(training)
        return torch.cat(pieces) if pieces else torch.zeros(0, self.settings.width)

    def refresh_memory(self) -> None:
        self.memory = self.vectors([self.data.items[item] for item in self.data.trainable])

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """MRR of held-out queries (whole, each modality alone), NDCG@10 of held-out likes; selection = sum."""
        self.model.eval()
        cases, found = self.data.validation, {}
        items = self.vectors(self.data.items)
        if cases.asks:
            pool = torch.tensor(self.data.pool)
            answers = torch.tensor([self.data.pool.index(ask.item) for ask in cases.asks])
            asked = self.vectors([ask.media for ask in cases.asks])
            found["mrr"] = reciprocal_rank(asked @ items[pool].T, answers)
            for m in self.model.modalities:
                alone = [ask for ask in cases.asks if ask.media.get(m)]
                if alone:
                    answers = torch.tensor([self.data.pool.index(ask.item) for ask in alone])
                    asked = self.vectors([{m: ask.media[m]} for ask in alone])
                    found[f"mrr_{m}"] = reciprocal_rank(asked @ items[pool].T, answers)
        if cases.users and hasattr(self.model.ranker, "score_users"):
            found["ndcg@10"] = self.user_ndcg(items)
        whole = found.get("mrr", 0.0) + 0.1 * sum(v for k, v in found.items() if k.startswith("mrr_"))
        return {"selection": whole + found.get("ndcg@10", 0.0), **found}

    def user_ndcg(self, items: Tensor, k: int = 10) -> float:
        trainable = torch.tensor(self.data.trainable)
        pairs = [(u, held) for u, held in self.data.validation.users]
        rows = [self.histories[user] for user, _ in pairs]
        scores = self.model.ranker.score_users(
            History.of(rows, [u for u, _ in pairs]), items[trainable], torch.arange(len(trainable))
        )
        total = 0.0
        for at, (_, held) in enumerate(pairs):
            scores[at, [row for row, _ in rows[at]]] = -torch.inf
            top = scores[at].topk(k).indices.tolist()
            gain = sum(1 / math.log2(r + 2) for r, row in enumerate(top) if self.data.trainable[row] in held)
            total += gain / sum(1 / math.log2(r + 2) for r in range(min(k, len(held))))
        return total / len(pairs)


def fit_spaces(model: Model, data: TrainingData, soften: float) -> None:
    """Fits each modality's standardiser on training media and applies it to the whole bank, in place."""
    for modality, bank in data.banks.items():
        space = model.space[modality]
        rows = torch.tensor(data.trained_media(modality), dtype=torch.long)
        space.fit(bank.pooled[rows].float(), soften)  # type: ignore[operator]
        bank.transform(space, space.kept)  # type: ignore[arg-type]


def reciprocal_rank(scores: Tensor, answers: Tensor) -> float:
    """Mean 1 / rank; an equal score counts half a place."""
    own = scores.gather(1, answers[:, None])
    ahead = (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
    return float((1 / (1 + ahead)).mean())


def groups(model: Model, settings: RunSettings) -> list[dict]:
    """Weight decay on matrices only; the user tower has a rate of its own; gates, scales and biases are free."""
    tower = model.ranker.user_parameters() if isinstance(model.ranker, Multimodal) else []
    apart = {id(parameter) for parameter in tower}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    decay, rate = settings.weight_decay, settings.learning_rate
    return [
        {"params": [p for p in rest if p.dim() >= 2], "weight_decay": decay, "lr": rate},
        {"params": [p for p in rest if p.dim() < 2], "weight_decay": 0.0, "lr": rate},
        {"params": tower, "weight_decay": 0.1, "lr": settings.user_rate},
    ]


def state_of(model: Model) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
