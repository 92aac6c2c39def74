"""BPR one triple at a time: the steps are those of torch, cells share nothing, threads change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.config import RunSettings
from core.errors import SettingsError
from core.rank.factors import FactorsLearner
from core.rank.likes import Likes
from core.train.collaborative import TableTrainer, bpr_loss

SETTINGS = RunSettings(rank="factors", user_rate=0.1, penalty=0.02)


def many(users: int = 300, items: int = 200, each: int = 9) -> Likes:
    generator = torch.Generator().manual_seed(3)
    item = torch.stack([torch.randperm(items, generator=generator)[:each] for _ in range(users)])
    return Likes(user=torch.arange(users).repeat_interleave(each), item=item.ravel(), users=users, items=items)


def trainer(likes: Likes, width: int = 8) -> TableTrainer:
    torch.manual_seed(0)
    nobody = Likes(user=likes.user[:0], item=likes.item[:0], users=likes.users, items=likes.items)
    return TableTrainer(FactorsLearner(likes, width), likes, nobody, SETTINGS, "bpr")


def test_one_like_and_one_other_item_give_the_steps_of_adagrad_with_one_rate_a_row():
    likes = Likes(user=torch.tensor([0]), item=torch.tensor([1]), users=1, items=2)
    ours, theirs = trainer(likes), trainer(likes)
    optimiser, rows = ours.optimiser(), list(theirs.learner.parameters())
    sums = [torch.zeros(len(table)) for table in rows]
    triple = torch.tensor([0]), torch.tensor([1]), torch.tensor([0])
    for _ in range(3):
        expected = bpr_loss(theirs.learner.tables(), *triple)
        steep = torch.autograd.grad(expected, rows)
        whole = torch.autograd.grad(theirs.learner.size(*triple) * SETTINGS.penalty / 2, rows, allow_unused=True)
        for table, seen, slope, more in zip(rows, sums, steep, whole, strict=True):
            seen += slope.reshape(len(slope), -1).square().mean(1)
            rate = (SETTINGS.user_rate / seen.sqrt()).reshape(-1, *[1] * (slope.ndim - 1))
            table.data -= rate * (slope + (0 if more is None else more))
        assert ours.epoch(optimiser) == pytest.approx(expected.item(), rel=1e-5)
    for mine, other in zip(ours.learner.parameters(), rows, strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_rows_of_nothing_and_steep_margins_stay_finite():
    likes = many()
    one = trainer(likes)
    with torch.no_grad():
        one.learner.items.weight.zero_()
        one.learner.bias[:100] = -300
    optimiser = one.optimiser()
    assert all(math.isfinite(one.epoch(optimiser)) for _ in range(3))
    assert all(value.isfinite().all() for value in one.learner.parameters())


def test_the_number_of_threads_changes_no_bit():
    likes, before, found = many(), torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            one = trainer(likes)
            optimiser = one.optimiser()
            losses = [one.epoch(optimiser) for _ in range(3)]
            found.append((losses, [value.detach().clone() for value in one.learner.parameters()]))
    finally:
        torch.set_num_threads(before)
    assert found[0][0] == found[1][0] and found[0][0][-1] < found[0][0][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


def test_every_like_is_dealt_once_and_cells_of_a_round_share_no_row():
    from core.train.triples import dealt

    rng, blocks = np.random.default_rng(1), 4
    user, item = (rng.integers(0, count, 500).astype(np.int32) for count in (40, 30))
    of_user, of_item = (rng.permutation(count).astype(np.int32) % blocks for count in (40, 30))
    order = rng.permutation(500).astype(np.int32)
    users, items, begin = dealt(user, item, order, of_user, of_item, blocks)
    assert sorted(zip(users, items, strict=True)) == sorted(zip(user, item, strict=True))
    for start in range(0, blocks * blocks, blocks):
        parts = [slice(begin[cell], begin[cell + 1]) for cell in range(start, start + blocks)]
        for rows in (users, items):
            met = [set(rows[part].tolist()) for part in parts]
            assert sum(map(len, met)) == len(set().union(*met))


def test_a_stranger_is_any_item_of_the_pool_but_the_known_ones():
    from core.train.triples import stranger

    pool, known, state = np.arange(10, 40, dtype=np.int32), np.array([3, 11, 12, 39, 77], np.int32), np.uint64(5)
    drawn = []
    for _ in range(5000):
        item, state = stranger(pool, known, np.uint64(state))
        drawn.append(int(item))
    met, count = np.unique(drawn, return_counts=True)
    assert met.tolist() == sorted(set(range(10, 40)) - {11, 12, 39})
    assert ((count - 5000 / 27) ** 2 / (5000 / 27)).sum() < 60  # chi-squared, 26 degrees: p < .0002 beyond
    assert stranger(np.array([3, 11], np.int32), known, np.uint64(5))[0] == -1


@pytest.mark.parametrize("rate", [math.nan, -0.5, 11.0])
def test_a_learning_rate_of_the_users_that_cannot_be_meant_is_refused(rate):
    with pytest.raises(SettingsError, match=r"user_rate is .*; a value from 0 to 10 was expected"):
        RunSettings(user_rate=rate)
