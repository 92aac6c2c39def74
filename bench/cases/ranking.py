"""T1, V1, V2: learning from likes, ranking everything for everybody, and the metrics of the lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import peers

WIDTH, TOP, EPOCHS, KS = 64, 20, 15, (5, 10, 20, 50)
NAMES = ("recall", "ndcg", "map", "mrr")
OURS = {"map": "map_by_m"}  # by the peer's convention: divided by m, not by min(m, K)
Pairs = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class World:
    """Likes of generated people: train and held out, (E, 2) rows of user and item."""

    users: int
    items: int
    train: Pairs
    held: Pairs


@cache
def world(users: int, items: int, each: int = 40, seed: int = 0) -> World:
    """People with tastes in 16 dimensions like items by taste and fashion; one in five likes is held out."""
    rng = np.random.default_rng((5, seed))
    tastes, offers = rng.normal(size=(users, 16)), rng.normal(size=(items, 16))
    fashion = -1.2 * np.log(1 + rng.permutation(items))
    pairs = []
    for start in range(0, users, 1000):
        part = tastes[start : start + 1000]
        wish = 0.9 * part @ offers.T + fashion + rng.gumbel(size=(len(part), items))
        best = np.argpartition(-wish, each, axis=1)[:, :each]
        pairs.append(np.stack([np.repeat(np.arange(start, start + len(part)), each), best.ravel()], 1))
    whole = np.concatenate(pairs)
    out = rng.random(len(whole)) < 0.2
    return World(users=users, items=items, train=whole[~out], held=whole[out])


def matrix(pairs: Pairs, users: int, items: int) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), shape=(users, items))


def ndcg(users: NDArray[Any], offers: NDArray[Any], given: World) -> float:
    """NDCG@20 of held-out likes, the training likes left out, of scores users @ offers.T; one judge for both arms."""
    known = matrix(given.train, given.users, given.items)
    held = matrix(given.held, given.users, given.items)
    discount, found = 1 / np.log2(np.arange(2, TOP + 2)), []
    ideal = np.cumsum(discount)
    for start in range(0, given.users, 500):
        scores = users[start : start + 500] @ offers.T
        scores[known[start : start + 500].nonzero()] = -np.inf
        near = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        best = np.take_along_axis(near, np.argsort(-np.take_along_axis(scores, near, 1), axis=1), 1)
        wanted = np.asarray(held[start : start + 500].todense()) > 0
        count, hit = wanted.sum(1), np.take_along_axis(wanted, best, 1)
        has = count > 0
        found.append((hit @ discount)[has] / ideal[np.minimum(count[has], TOP) - 1])
    return float(np.concatenate(found).mean())


@dataclass
class Learning:
    """One epoch over all likes under the clock; the quality that EPOCHS epochs reach is compared once."""

    label: str
    epoch: Any
    finished: Any
    reached: float | None = None

    def prepare(self, step: int) -> Any:
        return step

    def run(self, given: Any) -> Any:
        return self.epoch()

    def outcome(self, result: Any) -> Outcome:
        if self.reached is None:
            self.reached = self.finished()
        return {"ndcg": np.asarray(self.reached)}


@dataclass
class LearnCase:
    size: Size = field(default_factory=Size)
    id: str = "T1"
    title: str = "BPR triples a second, 64 wide"
    kind: str = "speedup"
    floor: float = 0.3
    target: float = 1.0
    threads_used: bool = False
    limit_ms: float | None = None

    def world(self) -> World:
        return world(300, 200, 20) if self.size.smoke else world(6000, 4000)

    @property
    def items(self) -> int:
        return len(self.world().train)

    def missing(self) -> str:
        return peers.lacking_anywhere("implicit")

    def peer_python(self) -> str:
        return peers.python_with("implicit") or ""

    def arm(self, name: str) -> Arm:
        given = self.world()
        return our_learning(given, self.size.threads) if name == "ours" else implicit_bpr(given, self.size.threads)

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        mine, other = float(ours["ndcg"]), float(peer["ndcg"])
        ok = self.size.smoke or mine >= 0.995 * other
        return Sameness(ok=ok, detail=f"NDCG@20 after {EPOCHS} epochs {mine:.4f}, peer {other:.4f}")


def our_learning(given: World, threads: int) -> Learning:
    import torch

    from core.config import RunSettings
    from core.rank.factors import FactorsLearner
    from core.rank.likes import Likes
    from core.train.collaborative import TableTrainer

    torch.set_num_threads(threads)
    settings = RunSettings(rank="factors", own_width=WIDTH, epochs=EPOCHS)
    user, item = torch.from_numpy(given.train).unbind(1)
    likes = Likes(user=user, item=item, users=given.users, items=given.items)
    nobody = Likes(user=user[:0], item=item[:0], users=given.users, items=given.items)

    def fresh() -> tuple[TableTrainer, torch.optim.Optimizer]:
        torch.manual_seed(0)
        learner = FactorsLearner(likes, WIDTH)
        trainer = TableTrainer(learner, likes, nobody, settings, "bpr")
        return trainer, trainer.optimiser()

    trainer, optimiser = fresh()

    def finished() -> float:
        again, own = fresh()
        for _ in range(EPOCHS):
            again.epoch(own)
        tables = again.learner.tables()
        users = torch.cat([tables.users, torch.ones(given.users, 1)], 1).detach().numpy()
        return ndcg(users, torch.cat([tables.items, tables.bias[:, None]], 1).detach().numpy(), given)

    return Learning("core.train.collaborative", lambda: trainer.epoch(optimiser), finished)


def implicit_bpr(given: World, threads: int) -> Learning:
    """implicit at its own settings, the best learning rate of three by the quality it is compared on (its favour)."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    likes = matrix(given.train, given.users, given.items)

    def model(rate: float, rounds: int) -> Any:
        return BayesianPersonalizedRanking(
            factors=WIDTH - 1, learning_rate=rate, iterations=rounds, num_threads=threads, random_state=0
        )

    def quality(rate: float) -> float:
        found = model(rate, EPOCHS)
        found.fit(likes, show_progress=False)
        return ndcg(found.user_factors, found.item_factors, given)

    timed = model(0.05, 1)
    return Learning(
        f"implicit BPR ({threads} threads, best of 3 rates)", lambda: timed.fit(likes, show_progress=False),
        lambda: max(quality(rate) for rate in (0.01, 0.05, 0.1)),
    )  # fmt: skip


@dataclass
class Work:
    """An arm that needs nothing made ready: the same piece of work again and again."""

    label: str
    work: Any

    def prepare(self, step: int) -> Any:
        return step

    def run(self, given: Any) -> Any:
        return self.work()


class Listing(Work):
    """The 20 best unknown items of every user."""

    def outcome(self, result: Any) -> Outcome:
        return {"rows": np.asarray(result)}


@dataclass
class RankCase(LearnCase):
    id: str = "V1"
    title: str = "users a second, all items ranked, known ones left out, 20 best"
    floor: float = 1.0
    target: float = 3.0

    def world(self) -> World:
        return world(300, 200, 20) if self.size.smoke else world(4000, 10_000)

    @property
    def items(self) -> int:
        return self.world().users

    def arm(self, name: str) -> Arm:
        given, rng = self.world(), np.random.default_rng(6)
        users = rng.standard_normal((given.users, WIDTH), dtype=np.float32)
        offers = rng.standard_normal((given.items, WIDTH), dtype=np.float32)
        if name == "ours":
            return our_listing(given, users, offers, self.size.threads)
        from implicit.cpu.matrix_factorization_base import MatrixFactorizationBase

        class Plain(MatrixFactorizationBase):
            def fit(self, *rest: Any, **more: Any) -> None: ...
            def save(self, *rest: Any, **more: Any) -> None: ...

        model: Any = Plain(num_threads=self.size.threads)
        model.user_factors, model.item_factors = users, offers
        known, everybody = matrix(given.train, given.users, given.items), np.arange(given.users)
        sizes = (given.users, 1000, 250)

        def listing(batch: int) -> Any:
            pieces = [everybody[at : at + batch] for at in range(0, given.users, batch)]
            return np.concatenate([model.recommend(one, known[one], N=TOP)[0] for one in pieces])

        best = sizes[peers.fastest(range(len(sizes)), lambda at: listing(sizes[at]))]
        return Listing(f"implicit recommend ({self.size.threads} threads, batch {best})", lambda: listing(best))

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        equal = float((ours["rows"] == peer["rows"]).mean())
        return Sameness(ok=equal >= 0.9999, detail=f"{equal:.3%} of places hold the same item")


def our_listing(given: World, users: Any, offers: Any, threads: int) -> Listing:
    import torch

    from core.rank.likes import Likes
    from core.train.collaborative import best_unknown

    torch.set_num_threads(threads)
    user, item = torch.from_numpy(given.train).unbind(1)
    likes = Likes(user=user, item=item, users=given.users, items=given.items)
    own, theirs, everybody = torch.from_numpy(users), torch.from_numpy(offers).T, torch.arange(given.users)

    def work() -> Any:
        with torch.inference_mode():
            pieces = best_unknown(lambda part: own[part] @ theirs, likes, everybody, TOP)
            return torch.cat([best for _, best in pieces]).numpy()

    return Listing("core.train.collaborative.best_unknown", work)


class Measuring(Work):
    """recall, ndcg, map and mrr at 5, 10, 20 and 50 of ready lists, a mean over users each."""

    def outcome(self, result: Any) -> Outcome:
        return {"values": np.asarray([result[f"{name}@{k}"] for name in NAMES for k in KS])}


@dataclass
class MetricsCase:
    size: Size = field(default_factory=Size)
    id: str = "V2"
    title: str = "recall, NDCG, MAP, MRR at 5, 10, 20, 50 of 20,000 lists of 50, the peer built and warm"
    kind: str = "speedup"
    floor: float = 3.0
    target: float = 8.0
    threads_used: bool = False
    limit_ms: float | None = None

    @property
    def items(self) -> int:
        return 50 if self.size.smoke else 20_000

    def missing(self) -> str:
        return peers.lacking_anywhere("ranx")

    def peer_python(self) -> str:
        return peers.python_with("ranx") or ""

    def lists(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        """Shown (U, 50) items, hits (U, 50), and how many items are relevant (U,), some outside the list."""
        rng = np.random.default_rng(7)
        shown = rng.permuted(np.tile(np.arange(400), (self.items, 1)), axis=1)[:, : max(KS)]
        hits = rng.random(shown.shape) < 0.3 / np.sqrt(np.arange(1, max(KS) + 1))
        return shown, hits, hits.sum(1) + rng.integers(1, 5, self.items)

    def arm(self, name: str) -> Arm:
        shown, hits, relevant = self.lists()
        if name == "peer":
            return ranx_metrics(shown, hits, relevant)
        from core.evaluate.metrics import hit_metrics

        def work() -> dict[str, float]:
            found = hit_metrics(hits, relevant, KS, variants=True)
            return {f"{name}@{k}": float(found[f"{OURS.get(name, name)}@{k}"].mean()) for name in NAMES for k in KS}

        return Measuring("core.evaluate.metrics.hit_metrics", work)

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        apart = np.abs(ours["values"] - peer["values"])
        return Sameness(ok=bool(apart.max() <= 1e-9), detail=f"16 metrics apart at most {apart.max():.0e}")


def ranx_metrics(shown: Any, hits: Any, relevant: Any) -> Measuring:
    from ranx import Qrels, Run, evaluate

    qrels, run = {}, {}
    for user, (items, hit, count) in enumerate(zip(shown.tolist(), hits.tolist(), relevant.tolist(), strict=True)):
        inside = [item for item, is_hit in zip(items, hit, strict=True) if is_hit]
        outside = range(1000, 1000 + count - len(inside))
        qrels[f"u{user}"] = {f"i{item}": 1 for item in (*inside, *outside)}
        run[f"u{user}"] = {f"i{item}": float(len(items) - place) for place, item in enumerate(items)}
    truth, lists = Qrels(qrels), Run(run)
    names = [f"{name}@{k}" for name in NAMES for k in KS]
    evaluate(truth, lists, names, make_comparable=False)  # compiles
    return Measuring("ranx (built, warm)", lambda: evaluate(truth, lists, names, make_comparable=False))
