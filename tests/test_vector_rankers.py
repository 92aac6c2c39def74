"""Rankers on top of fused vectors, on worlds whose answer is known: what follows what, who said what, which stars."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import torch

from core.config import RunSettings
from core.rank.multimodal import History, Multimodal
from core.rank.rating import Rating
from core.rank.said import Said
from core.rank.sequential import LONGEST, Sequential, latest
from core.train.second import RatingKind, SequenceKind, TowerKind


def ready(vectors: torch.Tensor, histories: list, held: list, said: list | None = None) -> tuple:
    """Training data and a first part whose vectors are given: a thing's media are {"row": (its row of vectors,)}."""
    items = tuple({"row": (row,)} for row in range(len(vectors)))
    data = SimpleNamespace(
        items=items,
        trainable=tuple(range(len(items))),
        histories=histories,
        said=said or [[{} for _ in history] for history in histories],
        validation=SimpleNamespace(users=held),
    )
    first = SimpleNamespace(
        device="cpu",
        model=SimpleNamespace(eval=lambda: None),
        vectors=lambda media: vectors[[one["row"][0] for one in media]].reshape(-1, vectors.shape[1]),
    )
    return data, first


def train_kind(job: SequenceKind | RatingKind, ranker: torch.nn.Module, epochs: int) -> None:
    optimiser, draws = torch.optim.AdamW(ranker.parameters(), lr=0.01), random.Random(0)
    for _ in range(epochs):
        ranker.train()
        job.epoch(optimiser, draws)
    ranker.eval()


def test_a_sequence_learns_that_one_thing_follows_another():
    torch.manual_seed(0)
    steps = [[(start + step) % 12 for step in range(7)] for start in range(12)] * 4  # item k is followed by k + 1
    histories = [[(item, None) for item in row[:-1]] for row in steps]
    data, first = ready(torch.eye(12), histories, [(user, frozenset({row[-1]})) for user, row in enumerate(steps)])
    ranker = Sequential(12, len(steps), 12)
    job = SequenceKind(ranker, data, first, RunSettings(negatives=12))
    train_kind(job, ranker, 12)
    scores = ranker.score_users(History.of([[(3, None), (4, None)], [(9, 5.0)]], [-1, -1]), torch.eye(12), job.known)
    assert scores.argmax(1).tolist() == [5, 10]
    assert job.judge()["recall@20"] == 1.0


def test_a_sequence_reads_only_what_came_before():
    torch.manual_seed(0)
    ranker = Sequential(6, 2, 6).eval()
    whole = ranker.states(History.of([[(1, 5.0), (2, 3.0), (4, 1.0)]], [0]), torch.eye(6), torch.arange(6))
    start = ranker.states(History.of([[(1, 5.0), (2, 3.0)]], [0]), torch.eye(6), torch.arange(6))
    assert torch.allclose(whole[:, :2], start, atol=1e-5)


def test_only_the_latest_rows_of_a_long_history_count():
    rows = [(row % 6, 5.0) for row in range(LONGEST + 7)]
    recent = latest(History.of([rows, rows[:3]], [0, 1]))
    assert recent.items[0].tolist() == [item for item, _ in rows[-LONGEST:]]
    assert recent.mask.sum(1).tolist() == [LONGEST, 3]
    assert recent.items[1, :3].tolist() == [0, 1, 2]


def test_what_a_user_said_of_an_item_is_part_of_their_token_and_of_nobody_elses():
    said = Said(3, 10)
    said.settle(torch.tensor([1, 0]), torch.tensor([4, 7]), torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    found = said.of(torch.tensor([0, 1, -1]), torch.tensor([[7, 4], [4, 7], [4, -1]]))
    assert found.tolist() == [[[4, 5, 6], [0, 0, 0]], [[1, 2, 3], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_without_queries_the_users_tower_learns_to_rank_things_it_never_met():
    rng = np.random.default_rng(0)
    things, people = rng.normal(size=(60, 4)), rng.normal(size=(80, 4))
    liked = people @ things.T > 1.0
    histories = [[(int(item), None) for item in np.flatnonzero(row[:48])] for row in liked]  # the last twelve are new
    vectors = torch.nn.functional.normalize(torch.tensor(things, dtype=torch.float32), dim=1)
    data, first = ready(vectors[:48], histories, [])
    torch.manual_seed(0)
    ranker = Multimodal(4, 80, 48)
    train_kind(TowerKind(ranker, data, first, RunSettings()), ranker, 6)
    known = torch.cat([torch.arange(48), torch.full((12,), -1)])
    scores = ranker.score_users(History.of(histories, range(80)), vectors, known)[:, 48:].detach()
    wanted = torch.tensor(liked[:, 48:])
    better = (scores[:, :, None] > scores[:, None, :])[wanted[:, :, None] & ~wanted[:, None, :]]
    assert better.float().mean() > 0.75


def test_stars_are_read_from_the_words_and_foretold_from_the_item():
    rng = np.random.default_rng(0)
    words = torch.eye(8)[[2, 3, 4, 5, 6]]  # what reviews of 1 ... 5 stars say
    vectors = torch.cat([torch.eye(8)[:2], words])  # two items, then the five reviews
    stars = np.where(rng.random((60, 2)) < 0.8, [[5, 1]], rng.integers(1, 6, (60, 2)))  # item 0 is liked, item 1 is not
    histories = [[(0, float(one)), (1, float(two))] for one, two in stars]
    said = [[{"row": (1 + int(one),)}, {"row": (1 + int(two),)}] for one, two in stars]
    data, first = ready(vectors, histories, [], said)
    data.items, data.trainable = data.items[:2], (0, 1)
    torch.manual_seed(0)
    ranker = Rating(8, 60, 2)
    train_kind(RatingKind(ranker, data, first, RunSettings()), ranker, 150)
    item, user = torch.zeros(5, dtype=torch.long), torch.full((5,), -1)
    written = ranker.written(words, vectors[item], item, user)
    assert (written.argmax(1) + 1).tolist() == [1, 2, 3, 4, 5]
    liked = ranker.score_users(History.of([[]], [-1]), vectors[:2], torch.arange(2))[0]
    assert liked[0] > 4 > 2.5 > liked[1]
