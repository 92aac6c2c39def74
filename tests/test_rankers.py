"""Rankers on worlds whose answer is known by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import RunSettings
from core.domain import Catalogue, Interaction, Item, Query
from core.errors import InputError
from core.explain.shapley import shapley
from core.pipeline import load_run
from core.rank.baselines import Popularity
from core.rank.dot import DotProduct
from core.rank.factors import Factors, FactorsLearner
from core.rank.graph import Graph, GraphLearner, likes_graph
from core.rank.likeness import spread_likes, strength
from core.rank.likes import Likes
from core.rank.multimodal import History
from core.rank.neighbours import Neighbours
from core.rank.vbpr import Vbpr, VbprLearner
from core.train import train_run
from core.train.collaborative import TableTrainer, held_metrics, softmax_loss

FOUR = torch.arange(4)
ROWS = [[(0, 5.0), (1, None), (3, 1.0)], [(0, 4.0), (1, 5.0)], [(1, 5.0), (2, 4.0)]]  # likes 0 1 | 0 1 | 1 2
NOTHING = torch.zeros(4, 0)


def likes() -> Likes:
    return Likes.of(ROWS, 4)


def planted(users: int = 60, items: int = 40, rank: int = 3, seed: int = 0) -> tuple[Likes, Likes]:
    """Every user likes the twelve items that a low-rank world ranks first for them; three of those are held out."""
    rng = np.random.default_rng(seed)
    utility = rng.normal(size=(users, rank)) @ rng.normal(size=(rank, items))
    best = np.argsort(-utility, axis=1)[:, :12]
    drawn = rng.permuted(best, axis=1)

    def pairs(part: np.ndarray) -> Likes:
        user = torch.arange(users).repeat_interleave(part.shape[1])
        return Likes(user=user, item=torch.tensor(part.ravel()), users=users, items=items)

    return pairs(drawn[:, 3:]), pairs(drawn[:, :3])


def test_only_what_was_liked_or_left_unrated_is_a_like():
    assert list(zip(likes().user.tolist(), likes().item.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 2),
    ]  # fmt: skip
    assert likes().item_counts.tolist() == [2, 3, 1, 0]
    assert likes().hold(torch.tensor([0, 0, 2]), torch.tensor([1, 2, 2])).tolist() == [True, False, True]


def test_the_likes_of_a_user_are_found_again():
    position, item = likes().rows_of(torch.tensor([2, 0]))
    assert list(zip(position.tolist(), item.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0), (1, 1)]


def test_a_negative_is_never_something_the_user_likes():
    user = torch.zeros(2000, dtype=torch.long)
    drawn = likes().strangers(user, torch.Generator().manual_seed(0), tries=30)
    assert set(drawn.tolist()) == {2, 3}
    assert (drawn == 2).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_popularity_counts_training_rows():
    ranker = Popularity(8, 3, 4)
    ranker.settle(likes())
    scores = ranker.score_users(History.of([[]], [-1]), NOTHING, torch.tensor([0, 1, 2, -1]))
    assert scores.tolist() == [[2, 3, 1, 0]]


def test_neighbours_are_cosines_of_columns_summed_over_the_history():
    ranker = Neighbours(8, 3, 4)
    ranker.settle(likes())
    scores = ranker.score_users(History.of([[(0, 5.0)], [(1, 5.0), (2, 1.0)]], [0, -1]), NOTHING, FOUR)
    # c_01 = 2 of counts 2 and 3; c_12 = 1 of counts 3 and 1; item 3 was liked by nobody
    near, far = 2 / math.sqrt(2 * 3), 1 / math.sqrt(3 * 1)
    assert scores[0].tolist() == pytest.approx([0, near, 0, 0], abs=1e-6)
    assert scores[1].tolist() == pytest.approx([near, 0, far, 0], abs=1e-6)


def test_neighbours_equal_the_plain_matrix_on_a_larger_world():
    train, _ = planted()
    ranker = Neighbours(8, train.users, train.items)
    ranker.settle(train)
    x = torch.zeros(train.users, train.items)
    x[train.user, train.item] = 1
    counts = x.sum(0)
    alike = x.T @ x / (counts[:, None] * counts[None]).clamp(min=1).sqrt()
    alike.fill_diagonal_(0)
    rows = [[(int(item), None) for item in torch.nonzero(row)[:, 0]] for row in x[:5]]
    scores = ranker.score_users(History.of(rows, [0, 1, 2, 3, -1]), NOTHING, torch.arange(train.items))
    assert torch.allclose(scores, x[:5] @ alike, atol=1e-5)


@pytest.mark.parametrize("kind", ["neighbours", "factors"])
def test_items_that_training_never_met_come_last(kind):
    ranker = {"neighbours": Neighbours, "factors": Factors}[kind](8, 3, 4)
    if isinstance(ranker, Neighbours):
        ranker.settle(likes())
    else:
        ranker.settle(-torch.ones(3, 2), torch.ones(4, 2))  # every score is negative
    scores = ranker.score_users(History.of([[(0, 5.0)]], [0]), torch.zeros(6, 0), torch.tensor([0, 1, 2, 3, -1, -1]))
    assert scores[0, 4:].max() < scores[0, :4].min()


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
@pytest.mark.parametrize("build", [lambda train: FactorsLearner(train, 8), lambda train: GraphLearner(train, 8, 2)])
def test_what_was_planted_is_found_again_better_than_by_popularity(build, loss):
    train, held = planted()
    settings = RunSettings(epochs=12, patience=30, user_rate=0.05, user_batch=128, penalty=1e-3, negatives=40, seed=1)
    torch.manual_seed(1)
    learner = build(train)
    best, curves = TableTrainer(learner, train, held, settings, loss).fit()
    popular = held_metrics(lambda rows: train.item_counts.repeat(len(rows), 1), train, held, torch.arange(60), k=3)
    with torch.no_grad():
        found = held_metrics(learner.tables().scores, train, held, torch.arange(60), k=3)
    assert float(found["recall@3"].mean()) > float(popular["recall@3"].mean()) + 0.2
    assert curves[best]["recall@20"] == max(row["recall@20"] for row in curves)


def test_a_softmax_over_all_items_is_the_cross_entropy_of_cosines():
    train, _ = planted(users=5, items=15)
    learner = FactorsLearner(train, 4)
    tables, user, item = learner.tables(), torch.tensor([0, 1]), torch.tensor([3, 4])
    unit = torch.nn.functional.normalize
    cosine = unit(tables.users[user], dim=1) @ unit(tables.items, dim=1).T / 0.2
    expected = torch.nn.functional.cross_entropy(cosine, item)
    assert softmax_loss(tables.at(0.2), user, item, torch.arange(15)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_same_seed_gives_the_same_weights_and_a_break_changes_nothing(tmp_path):
    from core.train.checkpoint import Checkpoint

    train, held = planted()
    settings = RunSettings(epochs=4, patience=9, user_rate=0.01, user_batch=128)
    straight = FactorsLearner(train, 4)
    start = {name: value.clone() for name, value in straight.state_dict().items()}
    TableTrainer(straight, train, held, settings, "bpr").fit(stop_after=4)
    kept = Checkpoint(path=tmp_path / "a" / "b" / "c.safetensors", belongs={})
    broken = FactorsLearner(train, 4)
    broken.load_state_dict(start)

    def cut(label, fraction, figures):
        if fraction == 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TableTrainer(broken, train, held, settings, "bpr").fit(cut, stop_after=4, checkpoint=kept)
    resumed = FactorsLearner(train, 4)
    TableTrainer(resumed, train, held, settings, "bpr").fit(stop_after=4, checkpoint=kept)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))


def test_the_graph_is_the_mean_of_powers_of_the_normalised_adjacency():
    world = likes()
    adjacency = torch.zeros(7, 7)
    adjacency[world.user, world.item + 3] = adjacency[world.item + 3, world.user] = 1
    degree = adjacency.sum(1).clamp(min=1)
    normal = adjacency / (degree[:, None] * degree[None]).sqrt()
    assert torch.allclose(likes_graph(world).to_dense(), normal)
    learner = GraphLearner(world, 5, 3)
    own = learner.own.weight
    smooth = (own + normal @ own + normal @ normal @ own + normal @ normal @ normal @ own) / 4
    tables = learner.tables()
    assert torch.allclose(torch.cat([tables.users, tables.items]), smooth, atol=1e-6)
    tables.items.square().sum().backward()
    assert own.grad is not None and own.grad.abs().sum() > 0


def test_the_gradient_through_the_graph_is_that_of_the_dense_product():
    learner = GraphLearner(likes(), 5, 2)
    dense, own = likes_graph(likes()).to_dense(), learner.own.weight.detach().clone().requires_grad_()
    ((own + dense @ own + dense @ dense @ own) / 3).square().sum().backward()
    tables = learner.tables()
    (tables.users.square().sum() + tables.items.square().sum()).backward()
    assert torch.allclose(learner.own.weight.grad, own.grad, atol=1e-6)


def test_likes_spread_over_the_ties_of_items_that_look_alike():
    looks = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, 0.0]])
    own = strength(looks, looks)
    assert own.tolist() == pytest.approx([1 + 0.36, 1 + 0.36 + 0.64, 1 + 0.64, 1])
    found = spread_likes(torch.tensor([[1.0, 1.0]]), torch.tensor([[0, 3]]), looks, looks, own, own)
    assert found.tolist()[0] == pytest.approx([0, 0.36 / math.sqrt(1.36 * 2.0) / math.sqrt(2), 0, 0])


def tied(share: float = 0.5) -> tuple[Graph, torch.Tensor]:
    torch.manual_seed(0)
    features = [torch.randn(4, 3), torch.randn(4, 5)]
    ranker = Graph(8, 3, 4)
    GraphLearner(likes(), 4, 2, heat=0.2).settle(ranker)
    ranker.tie(features, likes(), share)
    return ranker, torch.cat(features, 1)


def test_without_its_features_an_item_keeps_what_the_users_graph_says():
    ranker, features = tied()
    history = History.of([ROWS[0]], [0])
    plain = DotProduct.score_users(ranker, history, features, FOUR)
    off = ranker.score_users(history, torch.zeros_like(features), FOUR, features)
    assert torch.allclose(off, plain)
    assert (ranker.score_users(history, features, FOUR) - plain).abs().max() > 0.01


def test_a_new_item_of_the_tied_graph_stands_where_its_likeness_stands():
    ranker, features = tied()
    assert "new item" in ranker.cases and "new item" not in Graph(0, 3, 4).cases
    twin = torch.cat([features, features[2:3]])
    offers = ranker.stand_in(twin[4:], features, ranker.offers, nearest=1)
    assert torch.allclose(offers[0], ranker.offers[2], atol=1e-5)
    scores = ranker.score_users(History.of([ROWS[0]], [0]), twin, torch.tensor([0, 1, 2, 3, -1]))
    assert scores.isfinite().all()


def test_a_new_user_of_the_graph_stands_where_an_equal_known_one_stands():
    learner, ranker = GraphLearner(likes(), 8, 2), Graph(0, 3, 4)
    with torch.no_grad():
        learner.own.weight[:3] = 0  # nothing of users themselves: all a user is comes through the items
        learner.settle(ranker)
    known = ranker.score_users(History.of([ROWS[2]], [2]), NOTHING, FOUR)
    new = ranker.score_users(History.of([ROWS[2]], [-1]), NOTHING, FOUR)
    assert torch.allclose(new / new.norm(), known / known.norm(), atol=0.2)


def vbpr(features: torch.Tensor) -> Vbpr:
    torch.manual_seed(2)
    learner, ranker = VbprLearner(likes(), 6, features), Vbpr(features.shape[1], 3, len(features))
    with torch.no_grad():
        learner.look.bias.normal_()
    learner.settle(ranker)
    return ranker.double()


def test_vbpr_is_additive_and_its_shapley_values_are_the_closed_form():
    features = torch.randn(4, 7, dtype=torch.float64)  # text 3 wide, image 4 wide
    ranker = vbpr(features.float())
    parts = [torch.cat([features[:, :3] * text, features[:, 3:] * image], 1) for image in (0, 1) for text in (0, 1)]
    history = History.of([ROWS[0]], [0])
    values = torch.stack([ranker.score_users(history, part, FOUR, features)[0] for part in parts]).numpy()
    taste = ranker.tastes[0]
    closed = [taste @ ranker.look[:, :3] @ features[:, :3].T, taste @ ranker.look[:, 3:] @ features[:, 3:].T]
    assert np.abs(shapley(values) - torch.stack(closed).numpy()).max() < 1e-9
    assert np.abs(values[3] - values[2] - values[1] + values[0]).max() < 1e-12
    assert np.allclose(values[0], ranker.people[0] @ ranker.own.T + taste @ ranker.look_bias)


def test_a_new_item_of_vbpr_has_nothing_but_its_features():
    features = torch.randn(4, 7)
    ranker = vbpr(features)
    items, known = torch.cat([features, features[:1]]).double(), torch.tensor([0, 1, 2, 3, -1])
    scores = ranker.score_users(History.of([ROWS[0]], [0]), items, known)
    assert (scores[0, 0] - scores[0, 4]).item() == pytest.approx((ranker.people[0] @ ranker.own[0]).item(), abs=1e-9)


# ---- from a catalogue to a run that answers


def shop(media: bool = False) -> Catalogue:
    """Sixty users of a planted world, every fourth like held out; no words, no photos."""
    train, held = planted()
    rows = [(one, label) for one, label in ((train, "train"), (held, "validation"))]
    met = tuple(
        Interaction(user_id=f"u{user}", item_id=f"i{item}", split=label)
        for one, label in rows
        for user, item in zip(one.user.tolist(), one.item.tolist(), strict=True)
    )
    items = tuple(Item(item_id=f"i{row}", title=f"thing {row}" if media else "") for row in range(40))
    return Catalogue(name="planted", version="1" * 64, root=Path("nowhere"), items=items, interactions=met)


@pytest.mark.parametrize("rank", ["popularity", "neighbours", "factors", "graph"])
def test_a_ranker_of_ids_trains_and_answers_without_any_encoder(rank, tmp_path, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr("core.features.load_encoder", never)
    monkeypatch.setattr("core.pipeline.load_encoder", never)
    settings = RunSettings(catalogue="planted", rank=rank, protocol="label", epochs=3, user_batch=128, threads=1)
    record = train_run(shop(), settings, tmp_path / "run", vectors=tmp_path / "vectors")
    pipeline = load_run(tmp_path / "run", shop())
    answer = pipeline.recommend(Query(user="u7"), top=5)
    assert len(answer.items) == 5 and answer.players == ()
    assert answer.coalitions.shape == (1, 40)
    assert record.metrics["validation"]["users recall@20"] > 0
    with pytest.raises(InputError, match=f"the ranker {rank} cannot answer a query; it can: known user, new user"):
        pipeline.recommend(Query.of(text="something red"))
