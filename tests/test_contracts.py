"""What every ranker promises, and the ground that all parts stand on: media banks, standardising, Shapley values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from core.align.space import Standardise
from core.encode.bank import MediaBank
from core.encode.states import States, collate
from core.errors import ModelError, ShapeError
from core.explain.shapley import reweight, shapley, shares
from core.rank import RANKERS, build_ranker
from core.rank.multimodal import History
from tests.contracts import D, shaken


@pytest.mark.parametrize("name", [name for name in RANKERS if "known user" in RANKERS[name].cases])
def test_rankers_score_every_item_for_every_user_new_ones_included(name):
    ranker = shaken(build_ranker(name, D, 3, 4))
    items = torch.nn.functional.normalize(torch.randn(6, D), dim=1)
    known = torch.tensor([0, 1, 2, 3, -1, -1])
    with torch.no_grad():
        scores = ranker.score_users(History.of([[(0, 5.0), (1, 1.0)], []], [2, -1]), items, known)
    assert scores.shape == (2, 6)
    assert scores.isfinite().all()


def test_an_unread_item_row_adds_nothing_to_a_new_item():
    ranker = shaken(build_ranker("multimodal", D, 1, 2))
    items = torch.randn(3, D)
    with torch.no_grad():
        offers, bias = ranker.offer(items, torch.tensor([0, 1, -1]))
        assert torch.allclose(offers[2], ranker.offered(items)[2], atol=1e-6)
    assert bias[2] == 0
    assert bias[0] != 0


def test_shapley_of_two_players_by_hand():
    # v() = 1, v(t) = 3, v(i) = 2, v(ti) = 6: phi_t = (2 + 4) / 2, phi_i = (1 + 3) / 2
    phi = shapley([1.0, 3.0, 2.0, 6.0])
    assert phi.tolist() == [(2 + 4) / 2, (1 + 3) / 2]
    assert shares(phi).tolist() == [3 / 5, 2 / 5]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_shapley_is_the_mean_over_all_orders_and_adds_up(count):
    values = np.random.default_rng(count).normal(size=(1 << count, 3))
    brute = np.zeros((count, 3))
    orders = list(itertools.permutations(range(count)))
    for order in orders:
        row = 0
        for player in order:
            brute[player] += (values[row | 1 << player] - values[row]) / len(orders)
            row |= 1 << player
    assert np.allclose(shapley(values), brute, atol=1e-12)
    assert np.allclose(shapley(values).sum(0), values[-1] - values[0], atol=1e-12)


def test_reweighting_meets_the_coalitions_at_its_corners_and_their_mean_in_the_middle():
    values = np.array([[1.0], [3.0], [2.0], [6.0]])
    assert reweight(values, [1, 1]) == 6
    assert reweight(values, [1, 0]) == 3
    assert reweight(values, [0.5, 0.5]) == (1 + 3 + 2 + 6) / 4
    with pytest.raises(ShapeError, match="power of two"):
        shapley(values[:3])


def test_a_bank_gives_the_batch_that_collating_gives():
    rng = np.random.default_rng(0)
    states = [States(tokens=rng.normal(size=(n, 4)), pooled=rng.normal(size=4)).rounded() for n in (2, 3, 1)]
    things = [[0, 2], [], [1]]
    ours, plain = MediaBank(states, 4).batch(things), collate([[states[k] for k in thing] for thing in things], 4)
    for name in ("tokens", "mask", "part", "pooled", "pooled_mask"):
        assert torch.equal(getattr(ours, name), getattr(plain, name)), name


def test_standardising_centres_and_evens_out_what_it_was_fitted_on():
    torch.manual_seed(0)
    points = torch.randn(400, 6) * torch.tensor([9.0, 3, 1, 1, 1, 1]) + 5
    space = Standardise(6, 6)
    space.fit(points, soften=0.0)
    spread = space(points).std(0)
    assert space(points).mean(0).abs().max() < 1e-4
    assert (spread.max() / spread.min()).item() == pytest.approx(1, abs=1e-3)


def test_changed_weights_are_refused(tmp_path):
    from core.files import read_verified

    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError):
        read_verified(tmp_path / "model.safetensors", "0" * 64)
