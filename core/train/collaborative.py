"""Training on interactions alone: triples or a softmax over sampled items, drawn on the device, no loop per row."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from core.config import RunSettings
from core.evaluate.metrics import hit_metrics
from core.rank.factors import FactorsLearner, Learner, Tables
from core.rank.likes import Likes
from core.train.checkpoint import Checkpoint, Progress
from core.train.curves import Curves

OnStep = Callable[[str, float, dict[str, float]], None]
JUDGED_USERS = 5000  # of the held-out users, in every epoch


def bpr_loss(tables: Tables, user: Tensor, item: Tensor, other: Tensor) -> Tensor:
    """-log sigmoid of how much further up the liked item stands than another.  Source: Rendle et al. 2009."""
    difference = tables.items[item] - tables.items[other]
    margin = (tables.users[user] * difference).sum(1) + tables.bias[item] - tables.bias[other]
    return -functional.logsigmoid(margin).mean()


def softmax_loss(tables: Tables, user: Tensor, item: Tensor, others: Tensor) -> Tensor:
    """-log share of the liked item among it and `others` (S,), drawn from all items.

    Source: Wu et al. 2022, "On the effectiveness of sampled softmax loss for item recommendation".
    """
    users = tables.users[user]
    against = users @ tables.items[others].T + tables.bias[others]  # (B, S)
    against = against.masked_fill(item[:, None] == others, -torch.inf)
    own = ((users * tables.items[item]).sum(1) + tables.bias[item])[:, None]
    return (torch.logsumexp(torch.cat([own, against], 1), 1) - own[:, 0]).mean()


def best_unknown(
    score: Callable[[Tensor], Tensor], likes: Likes, users: Tensor, k: int, block: int = 512
) -> Iterator[tuple[Tensor, Tensor]]:
    """Users (B,) and the k items (B, k) that score highest among those they have not liked, block by block."""
    for part in users.split(block):
        scores = score(part)
        position, item = likes.rows_of(part)
        scores[position, item] = -torch.inf
        yield part, scores.topk(min(k, scores.shape[1])).indices


@torch.no_grad()
def held_metrics(
    score: Callable[[Tensor], Tensor], likes: Likes, held: Likes, users: Tensor, k: int = 20, block: int = 512
) -> dict[str, Tensor]:
    """recall@k, ndcg@k (and ndcg@10 below it), one value a user (B,), of held-out likes among all items but the user's
    training ones."""
    hits, start = torch.zeros(len(users), k, dtype=torch.bool), 0
    for part, best in best_unknown(score, likes, users, k, block):
        hits[start : start + len(part), : best.shape[1]] = held.hold(part[:, None], best).cpu()
        start += len(part)
    found = hit_metrics(hits.numpy(), held.user_counts[users].cpu().numpy(), (k, min(k, 10)))
    return {name: torch.from_numpy(found[name]) for name in (f"recall@{k}", f"ndcg@{k}", f"ndcg@{min(k, 10)}")}


class TableTrainer:
    """Fits a learner on likes, whole tables at a time. Same seed, machine, versions and threads: same weights."""

    def __init__(self, learner: Learner, likes: Likes, held: Likes, settings: RunSettings, loss: str) -> None:
        """held: likes that the best epoch is chosen by. loss: bpr or softmax."""
        self.learner, self.likes, self.held, self.settings, self.loss = learner, likes, held, settings, loss
        self.draws = random.Random(settings.seed)
        self.generator = torch.Generator(likes.user.device)
        single = isinstance(learner, FactorsLearner) and not learner.heat and loss == "bpr"
        self.triples = self.compiled() if single else None
        everyone = torch.nonzero(held.user_counts)[:, 0]
        drawn = torch.randperm(len(everyone), generator=torch.Generator().manual_seed(0))[:JUDGED_USERS]
        self.judged = everyone[drawn.to(everyone.device)]

    def fit(
        self, on_step: OnStep | None = None, stop_after: int | None = None, checkpoint: Checkpoint | None = None,
        curves: Curves | None = None,
    ) -> tuple[int, list[dict[str, float]]]:  # fmt: skip
        """Trains, keeps the weights of the epoch with the best recall@20 of held likes (of `stop_after` where given, of
        the last where nothing is held out); returns that epoch and one row of figures an epoch, the untrained first."""
        tell, settings = on_step or (lambda label, fraction, figures: None), self.settings
        optimiser = self.optimiser()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: 1.0)
        state = checkpoint.restore(self.learner, optimiser, schedule, self.draws) if checkpoint else None
        if state is None:
            state = Progress(order=[])
            self.note(state, {}, stop_after)
        while not self.settled(state, stop_after):
            state.epoch += 1
            self.note(state, {"loss": self.epoch(optimiser)}, stop_after)
            if checkpoint:
                checkpoint.save(state, self.learner, optimiser, schedule, self.draws)
            if curves:
                curves.write(state.curves)
            tell(f"epoch {state.epoch} of {settings.epochs}", state.epoch / settings.epochs, state.curves[-1])
        self.learner.load_state_dict(state.weights)
        return state.best_epoch, state.curves

    def settled(self, state: Progress, stop_after: int | None) -> bool:
        if state.epoch >= (stop_after or self.settings.epochs) or not len(self.likes):
            return True
        return stop_after is None and state.epoch - state.best_epoch >= self.settings.patience

    def note(self, state: Progress, told: dict[str, float], stop_after: int | None) -> None:
        """Keeps the figures of an epoch, and its weights where it is the best so far or the one asked for."""
        figures = self.judge()
        state.curves.append({"epoch": float(state.epoch), **told, **figures})
        found = {"selection": figures.get("recall@20", float(state.epoch))}
        better = state.epoch == 0 or (stop_after is None and found["selection"] > state.best["selection"])
        if better or state.epoch == stop_after:
            state.best, state.best_epoch, state.weights = found, state.epoch, state_of(self.learner)

    def compiled(self) -> Any:
        from core.train.triples import Triples  # brings a compiler along

        return Triples(self.learner, self.likes, self.settings.user_rate, self.settings.penalty)

    def optimiser(self) -> torch.optim.Optimizer:
        """Adagrad for single steps, Adam for steps in batches."""
        if self.triples:
            return self.triples.optimiser()  # type: ignore[no-any-return]
        return torch.optim.Adam(self.learner.parameters(), lr=self.settings.user_rate)

    def epoch(self, optimiser: torch.optim.Optimizer) -> float:
        """One pass over all likes in drawn order; returns the mean loss."""
        likes, total = self.likes, 0.0
        self.generator.manual_seed(self.draws.randrange(1 << 62))
        if self.triples:
            return self.triples.epoch(optimiser, self.generator)
        order = torch.randperm(len(likes), generator=self.generator, device=likes.user.device)
        self.learner.train()
        for rows in order.split(self.settings.user_batch):
            loss = self.batch_loss(likes.user[rows], likes.item[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(rows)
        self.learner.eval()
        return total / len(likes)

    def batch_loss(self, user: Tensor, item: Tensor) -> Tensor:
        settings, tables = self.settings, self.learner.tables()
        if self.loss == "bpr":
            other = self.likes.strangers(user, self.generator)
            return bpr_loss(tables, user, item, other) + settings.penalty / 2 * self.learner.size(user, item, other)
        everything = torch.randperm(self.likes.items, generator=self.generator, device=user.device)
        loss = softmax_loss(tables, user, item, everything[: settings.negatives])
        return loss + settings.penalty / 2 * self.learner.size(user, item)

    @torch.no_grad()
    def judge(self) -> dict[str, float]:
        """Mean recall@20 and NDCG@20 of the judged users; nothing where nobody is held out."""
        if not len(self.judged):
            return {}
        tables = self.learner.tables()
        found = held_metrics(tables.scores, self.likes, self.held, self.judged)
        return {name: float(values.mean()) for name, values in found.items()}


def state_of(module: Learner) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
