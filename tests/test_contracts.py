"""What every ranker promises, and the ground that all parts stand on: media banks, standardising, Shapley values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from core.align.space import SPACES, Standardise, build_space
from core.config import RunSettings
from core.encode.bank import MediaBank
from core.encode.states import States, collate
from core.errors import ModelError, ShapeError, UnknownNameError
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


COLUMNS = torch.tensor([[1.0, 0.0, 7.0], [3.0, 0.0, 7.0], [1.0, 8.0, 7.0], [3.0, 8.0, 7.0]])  # means 2, 4, 7


def test_z_scores_are_those_worked_out_by_hand_up_to_one_factor():
    space = build_space("zscore", 3, 2)
    space.fit(COLUMNS)
    by_hand = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0]])  # spreads 1, 4 and 0
    assert torch.allclose(space(COLUMNS), by_hand / 2**0.5) and space.kept == 3


def test_unit_length_divides_by_the_length_and_leaves_nothing_nothing():
    space = build_space("unit", 2, 1)
    before = space.state_dict()
    space.fit(torch.tensor([[9.0, 9.0], [1.0, 2.0], [5.0, 5.0]]))
    assert space(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    assert not before and space.kept == 2


def test_whitened_axes_are_uncorrelated_and_spread_alike():
    torch.manual_seed(0)
    mixed = torch.randn(500, 4) @ torch.tensor([[5.0, 1, 0, 0], [0, 2, 0, 1], [0, 0, 1, 0], [3, 0, 0, 0.5]]) + 3
    space = build_space("whiten", 4, 4)
    space.fit(mixed, soften=0.5)  # what is damped elsewhere is not here
    covariance = torch.cov(space(mixed).T)
    assert torch.allclose(covariance, covariance[0, 0] * torch.eye(4), atol=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_a_fitted_medium_has_length_one_in_the_mean_and_what_was_fitted_is_kept(name):
    torch.manual_seed(0)
    points = torch.randn(100, 6) * 7 + 2
    space, again = build_space(name, 6, 4), build_space(name, 6, 4)
    space.fit(points)
    assert space(points).norm(dim=1).mean().item() == pytest.approx(1, abs=1e-5)
    again.load_state_dict(space.state_dict())
    assert torch.equal(again(points), space(points))


def test_the_default_is_what_stored_runs_were_trained_with():
    torch.manual_seed(0)
    points, old, new = torch.randn(50, 6), Standardise(6, 4), build_space(RunSettings().standardise, 6, 4)
    old.fit(points, 0.5)
    new.fit(points, 0.5)
    assert type(new) is Standardise and torch.equal(old(points), new(points))
    with pytest.raises(UnknownNameError, match="damped_pca, unit, whiten, zscore"):
        build_space("minmax", 6, 4)


def test_changed_weights_are_refused(tmp_path):
    from core.files import read_verified

    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError):
        read_verified(tmp_path / "model.safetensors", "0" * 64)
