"""The training loop: one screen, plain torch. Recommendation loss + alignment loss + users' loss, jointly."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.align.losses import alignment_loss
from core.config import RunSettings
from core.domain import Aligned, Encoded, Modality
from core.encode.bank import MediaBank
from core.encode.tail import DECAY, RATE, TunedBank
from core.model import Model
from core.prepare.impute import pooled_vectors
from core.prepare.noise import drop_tokens
from core.rank.multimodal import History, Multimodal
from core.train.checkpoint import Checkpoint, Progress
from core.train.curves import Curves
from core.train.data import Ask, Media, TrainingData, positives
from core.train.validate import validate

OnStep = Callable[[str, float, dict[str, float]], None]


class Trainer:
    """Fits a model on training data. Same seed, machine, versions and threads: same weights.

    device: where the model computes. On CUDA the losses are computed in bfloat16 where that is safe (autocast).
    """

    def __init__(self, model: Model, data: TrainingData, settings: RunSettings, device: str = "cpu") -> None:
        self.model, self.data, self.settings, self.device = model, data, settings, device
        self.random = random.Random(settings.seed)
        self.row_of = {item: row for row, item in enumerate(data.trainable)}
        fit_spaces(model, data, settings.soften)
        fit_imputer(model, data)
        if settings.ridge:
            fit_heads(model, data, settings.ridge)
        tuned = {m: bank.tail for m, bank in data.banks.items() if isinstance(bank, TunedBank)}
        self.parts = nn.ModuleDict({"model": model, **tuned}).to(device)  # all that is trained
        self.memory = torch.zeros(len(data.trainable), settings.width)  # last seen vector of every trainable item
        self.histories = [[(self.row_of[i], r) for i, r in history if i in self.row_of] for history in data.histories]
        self.likes = [(u, item) for u, history in enumerate(self.histories) for item in sorted(positives(history))]
        self.learns_users = isinstance(model.ranker, Multimodal)

    def fit(
        self,
        on_step: OnStep | None = None,
        stop_after: int | None = None,
        checkpoint: Checkpoint | None = None,
        curves: Curves | None = None,
    ) -> tuple[int, list[dict[str, float]]]:
        """Trains, keeps the weights of the best epoch; returns that epoch and one row of figures an epoch.

        stop_after: keep the weights of that epoch instead, without looking at the validation figures. checkpoint: where
        a state is kept after every epoch, and gone on from where there is one. curves: who is told of every epoch.
        """
        tell, settings = on_step or (lambda label, fraction, figures: None), self.settings
        per_epoch = max(1, math.ceil(len(self.data.asks) / settings.batch))
        optimiser = torch.optim.AdamW([*groups(self.model, settings), *self.tuned_groups()])
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=[group["lr"] for group in optimiser.param_groups],
            total_steps=max(1, per_epoch * settings.epochs),
            pct_start=0.15,
        )
        state = checkpoint.restore(self.parts, optimiser, schedule, self.random) if checkpoint else None
        if state is None:
            state = Progress(order=list(range(len(self.data.asks))))
            self.note(state, validate(self), None)
        while not self.settled(state, stop_after):
            label, loss = f"epoch {state.epoch + 1} of {settings.epochs}", 0.0
            self.model.train()
            self.refresh_memory()
            self.random.shuffle(state.order)
            for step in range(per_epoch):
                batch = state.order[step * settings.batch : (step + 1) * settings.batch]
                loss += self.step([self.data.asks[row] for row in batch], optimiser) / per_epoch
                schedule.step()
                tell(label, (state.epoch + (step + 1) / per_epoch) / settings.epochs, {})
            state.epoch += 1
            self.note(state, {"loss": loss, **validate(self)}, stop_after)
            if checkpoint:
                checkpoint.save(state, self.parts, optimiser, schedule, self.random)
            if curves:
                curves.write(state.curves)
            tell(label, state.epoch / settings.epochs, state.curves[-1])
        self.parts.load_state_dict(state.weights)
        return state.best_epoch, state.curves

    def tuned_groups(self) -> list[dict]:
        """Blocks of encoders that are fine-tuned, at a rate of their own."""
        tails = [part for name, part in self.parts.items() if name != "model"]
        return [{"params": list(tail.parameters()), "weight_decay": DECAY, "lr": RATE} for tail in tails]

    def settled(self, state: Progress, stop_after: int | None) -> bool:
        """Whether there is nothing more to learn: the last epoch, the one asked for, no better one for too long."""
        if state.epoch >= self.settings.epochs or not self.data.asks:
            return True  # without reviews and photos to ask with the spaces are fitted, and that is all
        if stop_after is not None:
            return state.epoch >= stop_after
        return state.epoch - state.best_epoch >= self.settings.patience

    def note(self, state: Progress, found: dict[str, float], stop_after: int | None) -> None:
        """Keeps the figures of an epoch, and its weights where it is the best so far or the one asked for."""
        state.curves.append({"epoch": float(state.epoch), **found})
        better = state.epoch == 0 or (stop_after is None and found["selection"] > state.best["selection"])
        if better or state.epoch == stop_after:
            state.best, state.best_epoch, state.weights = found, state.epoch, state_of(self.parts)

    def step(self, asks: Sequence[Ask], optimiser: torch.optim.Optimizer) -> float:
        """One step down the gradient of these queries; returns their loss."""
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.startswith("cuda")):
            loss = self.loss(asks)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        optimiser.step()
        return float(loss.detach())

    def loss(self, asks: Sequence[Ask]) -> Tensor:
        settings, model = self.settings, self.model
        media = [self.vary(ask) for ask in asks]
        answers = [self.row_of[ask.item] for ask in asks]
        likes = self.random.sample(self.likes, min(len(self.likes), settings.batch)) if self.learns_users else []
        seen = sorted(set(answers))
        lent = {a: m.get("image", ()) for a, m in zip(answers, media, strict=True)}
        item_media = [self.vary_item(self.data.items[self.data.trainable[row]], lent.get(row, ())) for row in seen]
        rows, right = self.index(seen), self.index(answers)
        shown, given = (self.batch([self.altered(one) for one in side]) for side in (item_media, media))
        if settings.drop_tokens:
            shown, given = drop_tokens(shown, settings.drop_tokens), drop_tokens(given, settings.drop_tokens)
        aligned, asked = model.align(shown), model.align(given)
        items = self.memory.clone().index_copy(0, rows, model.fuse(self.damped(aligned)).vector.float())  # (N, D)
        self.memory[rows] = items[rows].detach()
        query = model.fuse(self.damped(asked)).vector  # (B, D)
        place = torch.searchsorted(rows, right)
        loss = functional.cross_entropy(model.ranker.score_query(query, items[rows]), place)
        if settings.weight_align:
            apart = model.align_apart(shown, aligned), model.align_apart(given, asked)
            loss = loss + settings.weight_align * self.alignment((apart[0], shown, rows), (apart[1], given, right))
        if settings.weight_own:
            loss = loss + settings.weight_own * self.own_modality(asked, aligned, place)
        loss = loss + model.own_loss(shown, aligned) + model.own_loss(given, asked)
        if likes:
            loss = loss + self.user_loss(likes, items)
        return loss

    def damped(self, aligned: Mapping[Modality, Aligned]) -> dict[Modality, Aligned]:
        """The same, reached by the loss of fused vectors only so far: a photo that is rewarded for the words of its
        product learns them by heart, and nothing about photos."""
        reach = self.settings.fused_reach
        return {m: replace(a, pooled=a.pooled.detach().lerp(a.pooled, reach)) for m, a in aligned.items()}

    def own_modality(
        self, asked: Mapping[Modality, Aligned], aligned: Mapping[Modality, Aligned], place: Tensor
    ) -> Tensor:
        """Words alone must find the words of their product among those of the batch, photos its photos: what only one
        modality tells would be lost in a space that is made of agreement alone. place (B,): of the answer in it."""
        total = torch.zeros((), device=self.device)
        for m in self.model.modalities:
            there = asked[m].present & aligned[m].present[place]
            if there.any():
                logits = asked[m].pooled[there] @ aligned[m].pooled.T * self.model.ranker.scale
                logits = logits.masked_fill(~aligned[m].present, -torch.inf)
                total = total + functional.cross_entropy(logits, place[there])
        return total

    def alignment(self, *sides: tuple[Mapping[Modality, Aligned], Mapping[Modality, Encoded], Tensor]) -> Tensor:
        """Of every two modalities of the same things; a side (items, queries) is what they are aligned, what they were
        before, and who they are. What was filled in aligns nothing."""
        near = alignment_loss(self.settings.align_loss)
        total, scale = torch.zeros((), device=self.device), self.model.ranker.scale
        names = self.model.modalities
        for left, right in ((a, b) for i, a in enumerate(names) for b in names[i + 1 :]):
            for space, seen, who in sides:
                both = seen[left].observed & seen[right].observed
                same = who[both][:, None] == who[both][None]
                total = total + near(space[left].pooled[both], space[right].pooled[both], scale, same)
        return total

    def user_loss(self, likes: Sequence[tuple[int, int]], items: Tensor) -> Tensor:
        """Each user must find one liked item again among all, with that item out of the history and the rest of the
        history out of the candidates. It reaches the item vectors damped: they belong to the queries first."""
        damped = items.detach() + self.settings.weight_users * (items - items.detach())
        rows = [[pair for pair in self.histories[user] if pair[0] != item] for user, item in likes]
        history = History.of(rows, [user for user, _ in likes]).to(self.device)
        scores = self.model.ranker.score_users(history, damped, torch.arange(len(items), device=self.device))
        met = torch.zeros_like(scores, dtype=torch.bool)
        for at, row in enumerate(rows):
            met[at, [item for item, _ in row]] = True
        return functional.cross_entropy(scores.masked_fill(met, -1e9), self.index([item for _, item in likes]))

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

    def altered(self, media: Media) -> Media:
        """Each photo, or one of its altered versions where the run has such."""
        views = self.data.views
        if not views:
            return media
        drawn = {"image": tuple(self.random.choice((row, *views.get(row, ()))) for row in media.get("image", ()))}
        return {m: drawn.get(m, rows) for m, rows in media.items()}

    def batch(self, media: Sequence[Media]) -> dict[Modality, Encoded]:
        banks = self.data.banks.items()
        found = {m: bank.batch([thing.get(m, ()) for thing in media]).to(self.device) for m, bank in banks}
        return self.model.complete(found)

    def index(self, rows: Sequence[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.long, device=self.device)

    @torch.no_grad()
    def vectors(self, media: Sequence[Media], block: int = 64) -> Tensor:
        """Fused vectors (n, D) of any things, in blocks, without dropout."""
        training, _ = self.model.training, self.model.eval()
        pieces = [self.model(self.batch(media[at : at + block])) for at in range(0, len(media), block)]
        self.model.train(training)
        return torch.cat(pieces) if pieces else torch.zeros(0, self.settings.width, device=self.device)

    @torch.no_grad()
    def aligned(self, media: Sequence[Media], block: int = 64) -> dict[Modality, Tensor]:
        """Aligned vectors (n, D) of every modality by itself, zero where it is absent."""
        blocks = (self.batch(media[at : at + block]) for at in range(0, len(media), block))
        spaces = [self.model.align_apart(one, self.model.align(one)) for one in blocks]
        return {m: torch.cat([space[m].pooled for space in spaces]) for m in self.model.modalities}

    def refresh_memory(self) -> None:
        self.memory = self.vectors([self.data.items[item] for item in self.data.trainable])


def fit_spaces(model: Model, data: TrainingData, soften: float) -> None:
    """Fits each modality's standardiser on training media and applies it to the whole bank, in place."""
    for modality, bank in data.banks.items():
        space = model.space[modality]
        rows = torch.tensor(data.trained_media(modality), dtype=torch.long)
        space.fit(bank.pooled[rows].float(), soften)  # type: ignore[operator]
        bank.transform(space, space.kept)  # type: ignore[arg-type]


def fit_imputer(model: Model, data: TrainingData) -> None:
    """Fits what fills in missing modalities on the items that training may look at."""
    if model.imputer is not None:
        items = [data.items[row] for row in data.trainable]
        banks = data.banks.items()
        model.imputer.fit(*pooled_vectors({m: bank.batch([item.get(m, ()) for item in items]) for m, bank in banks}))


def fit_heads(model: Model, data: TrainingData, penalty: float) -> None:
    """Starts every head but the first (that of the words, where there are any) at the ridge regression of what training
    may look at onto the first modality of the same item."""
    heads: Any = model.aligner.heads
    first, *others = model.modalities
    things = [(ask.media, ask.item) for ask in data.asks] + [(data.items[row], row) for row in data.trainable]
    training, _ = model.training, model.eval()
    for m in others:
        pairs = [(media[m], data.items[item][first]) for media, item in things
                 if media.get(m) and data.items[item].get(first)]  # fmt: skip
        if pairs:
            heads[m].start_at(regressed(data.banks[m], data.banks[first], heads[first], pairs), penalty)
    model.train(training)


@torch.no_grad()
def regressed(
    bank: MediaBank, others: MediaBank, head: nn.Module, pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    block: int = 1024,
) -> Iterator[tuple[Encoded, Tensor]]:  # fmt: skip
    """Block after block of pairs: the own media, and where the head of the others puts its partners (B, D)."""
    for start in range(0, len(pairs), block):
        own, partner = (list(side) for side in zip(*pairs[start : start + block], strict=True))
        yield bank.batch(own), head(others.batch(partner), tokens=False).pooled


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


def state_of(parts: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parts.state_dict().items()}
