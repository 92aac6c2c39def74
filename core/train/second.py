"""Rankers on top of fused vectors: first the vectors are trained on queries, then the ranker on histories."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from core.config import RunSettings
from core.model import Model
from core.rank.multimodal import History, Multimodal
from core.rank.rating import Rating, expected
from core.rank.sequential import LONGEST, Sequential
from core.train.checkpoint import Checkpoint, Progress
from core.train.collaborative import JUDGED_USERS, OnStep, held_metrics
from core.train.curves import Curves
from core.train.data import TrainingData
from core.train.interactions import held_likes, training_likes
from core.train.loop import Trainer

EPOCHS = 40  # of the ranker; a small part of the work
USERS = 64  # histories a step
ROWS = 256  # ratings or likes a step
UNJUDGED = 12  # epochs of a users' tower where nothing is held out to choose by


class SecondTrainer:
    """The face of `Trainer`, in two parts: `Trainer` itself, then `epoch` and `judge` of one of the kinds below."""

    def __init__(self, model: Model, data: TrainingData, settings: RunSettings, device: str = "cpu") -> None:
        self.first = Trainer(model, data, settings, device)
        self.data, self.settings, self.device = data, settings, device
        self.draws = random.Random(settings.seed)

    def fit(
        self, on_step: OnStep | None = None, stop_after: int | None = None, checkpoint: Checkpoint | None = None,
        curves: Curves | None = None,
    ) -> tuple[int, list[dict[str, float]]]:  # fmt: skip
        """Epochs of the ranker are counted on from those of the vectors, and are kept like them."""
        tell = on_step or (lambda label, fraction, figures: None)
        _, rows = self.first.fit(lambda label, done, row: tell(label, done * 0.7, row), stop_after, checkpoint, curves)
        name = f"ranker-{checkpoint.path.name}" if checkpoint else ""
        second = replace(checkpoint, path=checkpoint.path.with_name(name)) if checkpoint else None
        return self.fit_ranker(tell, rows, second, curves)

    def fit_ranker(
        self, tell: OnStep, rows: list[dict[str, float]], checkpoint: Checkpoint | None, curves: Curves | None
    ) -> tuple[int, list[dict[str, float]]]:
        ranker, begun = self.first.model.ranker, len(rows) - 1
        kinds = {Sequential: SequenceKind, Rating: RatingKind, Multimodal: TowerKind}
        job = kinds[type(ranker)](ranker, self.data, self.first, self.settings)
        optimiser = torch.optim.AdamW(ranker.parameters(), lr=self.settings.user_rate, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: 1.0)
        state = checkpoint.restore(ranker, optimiser, schedule, self.draws) if checkpoint else None
        if state is None:
            state = Progress(order=[], best={"selection": selection(job.judge(), 0)}, weights=kept(ranker))
            state.curves = [*rows]
        while state.epoch < job.longest and state.epoch - state.best_epoch < self.settings.patience and len(job):
            ranker.train()
            loss = job.epoch(optimiser, self.draws)
            ranker.eval()
            state.epoch += 1
            figures = job.judge()
            found = selection(figures, state.epoch)
            if found > state.best["selection"]:
                state.best, state.best_epoch, state.weights = {"selection": found}, state.epoch, kept(ranker)
            told = {"epoch": float(begun + state.epoch), "loss": loss, "selection": found}
            state.curves.append({**told, **figures, "kept": float(begun + state.best_epoch)})
            if checkpoint:
                checkpoint.save(state, ranker, optimiser, schedule, self.draws)
            if curves:
                curves.write(state.curves)
            tell(f"ranker, epoch {state.epoch}", 0.7 + 0.3 * state.epoch / job.longest, state.curves[-1])
        ranker.load_state_dict(state.weights)
        return begun + state.best_epoch, state.curves


def selection(figures: dict[str, float], epoch: int) -> float:
    """What epochs are chosen by; the last one where nothing is held out. No state: a resumed training sees the same."""
    return figures.get("error", figures.get("recall@20", float(epoch))) * (-1 if "error" in figures else 1)


class Kind:
    """What all kinds stand on: trainable items as vectors, histories over them, what their users said of them."""

    longest = EPOCHS

    def __init__(self, ranker: Any, data: TrainingData, first: Trainer, settings: RunSettings) -> None:
        self.ranker, self.settings, self.device = ranker, settings, first.device
        first.model.eval()
        row_of = {item: row for row, item in enumerate(data.trainable)}
        self.items = first.vectors([data.items[item] for item in data.trainable]).to(self.device)
        self.known = torch.arange(len(self.items), device=self.device)
        self.histories = [[(row_of[item], rating) for item, rating in history] for history in data.histories]
        pairs = [
            (user, item, media)
            for user, (history, said) in enumerate(zip(self.histories, data.said, strict=True))
            for (item, _), media in zip(history, said, strict=True)
            if any(media.values())
        ]
        self.said_of = {(user, item): at for at, (user, item, _) in enumerate(pairs)}
        self.said = first.vectors([media for _, _, media in pairs]).to(self.device)
        self.pairs = torch.tensor([(user, item) for user, item, _ in pairs], dtype=torch.long).reshape(-1, 2)

    def step(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> float:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.ranker.parameters(), 1.0)
        optimiser.step()
        return float(loss.detach())


class LikesKind(Kind):
    """Judged by recall@20 of held likes, where there are any."""

    def __init__(self, ranker: Any, data: TrainingData, first: Trainer, settings: RunSettings) -> None:
        super().__init__(ranker, data, first, settings)
        self.likes, self.held = training_likes(data), held_likes(data)
        self.judged = torch.nonzero(self.held.user_counts)[:JUDGED_USERS, 0]

    @torch.no_grad()
    def judge(self) -> dict[str, float]:
        if not len(self.judged):
            return {}

        def score(users: Tensor) -> Tensor:
            rows = users.tolist()
            history = History.of([self.histories[user] for user in rows], rows).to(self.device)
            return self.ranker.score_users(history, self.items, self.known).cpu()

        found = held_metrics(score, self.likes, self.held, self.judged)
        return {name: float(found[name].mean()) for name in ("recall@20", "ndcg@10")}


class SequenceKind(LikesKind):
    """Every row of a history foretells the next liked one."""

    def __init__(self, ranker: Sequential, data: TrainingData, first: Trainer, settings: RunSettings) -> None:
        super().__init__(ranker, data, first, settings)
        user, item = self.pairs.to(self.device).unbind(1)
        ranker.said.settle(user, item, self.said)
        self.long = [user for user, history in enumerate(self.histories) if len(history) > 1]

    def __len__(self) -> int:
        return len(self.long)

    def epoch(self, optimiser: torch.optim.Optimizer, draws: random.Random) -> float:
        order, total = list(self.long), 0.0
        draws.shuffle(order)
        for start in range(0, len(order), USERS):
            total += self.step(optimiser, self.loss(order[start : start + USERS], draws))
        return total / max(1, -(-len(order) // USERS))

    def loss(self, users: list[int], draws: random.Random) -> Tensor:
        rows = [self.histories[user][-LONGEST - 1 :] for user in users]
        past = History.of([row[:-1] for row in rows], users).to(self.device)
        future = History.of([row[1:] for row in rows], users).to(self.device)
        liked = future.mask & ((future.rating == 0) | (future.rating >= 5))
        drawn = torch.tensor(draws.sample(range(len(self.items)), min(len(self.items), self.settings.negatives)))
        columns, place = torch.cat([future.items[liked], drawn.to(self.device)]).unique(return_inverse=True)
        states = self.ranker.states(past, self.items, self.known)[liked]  # (n, d)
        offers, bias = self.ranker.offer(self.items[columns], columns)
        return functional.cross_entropy(states @ offers.T + bias, place[: len(states)])


class TowerKind(LikesKind):
    """The users' side of `multimodal` where nobody wrote or showed anything to ask with: every like is found again
    among all items, from the rest of that user's history. Half of the items, drawn anew each step, are met as if they
    were new, so that what their media say is learned and not only who they are."""

    def __init__(self, ranker: Multimodal, data: TrainingData, first: Trainer, settings: RunSettings) -> None:
        super().__init__(ranker, data, first, settings)
        self.longest = EPOCHS if len(self.judged) else UNJUDGED

    def __len__(self) -> int:
        return len(self.likes)

    def epoch(self, optimiser: torch.optim.Optimizer, draws: random.Random) -> float:
        order, total = list(range(len(self.likes))), 0.0
        draws.shuffle(order)
        for start in range(0, len(order), ROWS):
            rows = torch.tensor(order[start : start + ROWS])
            total += self.step(optimiser, self.loss(self.likes.user[rows], self.likes.item[rows], draws)) * len(rows)
        return total / len(order)

    def loss(self, user: Tensor, item: Tensor, draws: random.Random) -> Tensor:
        rows = [
            [pair for pair in self.histories[one] if pair[0] != wanted]
            for one, wanted in zip(user.tolist(), item.tolist(), strict=True)
        ]
        history = History.of(rows, user.tolist()).to(self.device)
        generator = torch.Generator().manual_seed(draws.randrange(1 << 62))
        new = (torch.rand(len(self.items), generator=generator) < 0.5).to(self.device)
        scores = self.ranker.score_users(history, self.items, torch.where(new, -1, self.known))
        met = torch.zeros_like(scores).scatter_add_(1, history.items, history.mask.to(scores.dtype)) > 0
        answer = item.to(self.device)
        met[torch.arange(len(answer), device=self.device), answer] = False
        return functional.cross_entropy(scores.masked_fill(met, -1e9), answer)


class RatingKind(Kind):
    """Every rated row with and without what was written; judged on a tenth of them, by minus the squared error."""

    def __init__(self, ranker: Rating, data: TrainingData, first: Trainer, settings: RunSettings) -> None:
        super().__init__(ranker, data, first, settings)
        rows = [
            (user, item, min(4, max(0, int(rating + 0.5) - 1)), self.said_of.get((user, item), -1))
            for user, history in enumerate(self.histories)
            for item, rating in history
            if rating is not None
        ]
        random.Random(0).shuffle(rows)
        self.rows = torch.tensor(rows, dtype=torch.long).reshape(-1, 4).to(self.device)
        self.apart = len(rows) // 10

    def __len__(self) -> int:
        return len(self.rows) - self.apart

    def epoch(self, optimiser: torch.optim.Optimizer, draws: random.Random) -> float:
        order, total = list(range(self.apart, len(self.rows))), 0.0
        draws.shuffle(order)
        for start in range(0, len(order), ROWS):
            rows = self.rows[torch.tensor(order[start : start + ROWS], device=self.device)]
            before, written = self.logits(rows)
            loss = functional.cross_entropy(before, rows[:, 2])
            told = rows[:, 3] >= 0
            if told.any():
                loss = loss + functional.cross_entropy(written, rows[told, 2])
            total += self.step(optimiser, loss) * len(rows)
        return total / max(1, len(order))

    def logits(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Of all rows before anything is written, and of those with a review with it."""
        user, item, _, said = rows.unbind(1)
        vectors, told = self.items[item], said >= 0
        before = self.ranker.before(vectors, item, user)
        written = self.ranker.written(self.said[said[told]], vectors[told], item[told], user[told])
        return before, written

    @torch.no_grad()
    def judge(self) -> dict[str, float]:
        rows = self.rows[: self.apart]
        if not len(rows):
            return {"error": 0.0}  # too few ratings to set any apart: none is better than the first
        before, written = self.logits(rows)
        stars = rows[:, 2] + 1.0
        error = (expected(before) - stars).square().mean()
        told = rows[:, 3] >= 0
        whole = error + ((expected(written) - stars[told]).square().mean() if told.any() else 0.0)
        return {"error": float(whole), "accuracy": float((before.argmax(1) == rows[:, 2]).float().mean())}


def kept(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def learns_second(model: Model, data: TrainingData) -> bool:
    """Whether the ranker is trained on histories after the vectors are: always, or for want of queries."""
    return isinstance(model.ranker, Sequential | Rating) or (isinstance(model.ranker, Multimodal) and not data.asks)
