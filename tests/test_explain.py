"""Explanations against worlds whose answer is known: sums, products, and attributions that are wrong on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.errors import UnknownNameError
from core.explain import attribution, faithfulness
from core.explain.attribution import METHODS, attribute
from core.explain.contributions import contribution, contributions, disagreement, places, sensitivity
from core.explain.counterfactual import inside, strike, unseat
from core.explain.scorer import Units, everything, in_scoring_path, masked_scores
from core.explain.shapley import interactions, shapley
from tests.toy_scorer import one_each, product, toy
from tests.toys import exact_shapley

THREE = ("text", "image", "audio")


def whole(scorer, *modalities: str) -> dict[str, float]:
    """What the tokens of each modality add up to for the target, by hand."""
    return {m: float(scorer.values[m].sum(0) @ scorer.weights[m][:, scorer.target]) for m in modalities}


# ---- modalities


@pytest.mark.parametrize("players", [("text",), ("text", "image"), THREE])
def test_shapley_of_a_sum_is_each_summand(players):
    scorer = toy(*players)
    found = contributions(scorer.coalitions(), 0, players)["score"]
    own = whole(scorer, *players)
    assert found.phi == pytest.approx(own, abs=1e-9)
    assert found.base == 0 and found.full == pytest.approx(sum(own.values()), abs=1e-9)
    assert all(abs(value) < 1e-9 for value in found.pairs.values()) and found.accepted


def test_a_product_of_two_is_shared_evenly_and_all_of_it_is_interaction():
    scorer = toy("text", "image", rule=product)
    own = whole(scorer, "text", "image")
    s = own["text"] * own["image"]
    found = contributions(scorer.coalitions(), 0, scorer.players)["score"]
    assert found.phi == pytest.approx({"text": s / 2, "image": s / 2}, abs=1e-9)
    assert found.pairs["text", "image"] == pytest.approx(s, abs=1e-9)
    assert found.alone == {"text": 0, "image": 0}


def test_a_product_of_three_gives_a_third_each_and_half_to_every_pair():
    scorer = toy(*THREE, rule=product)
    s = float(np.prod(list(whole(scorer, *THREE).values())))
    found = contributions(scorer.coalitions(), 0, THREE)["score"]
    assert list(found.phi.values()) == pytest.approx([s / 3] * 3, abs=1e-9)
    assert list(found.pairs.values()) == pytest.approx([s / 2] * 3, abs=1e-9)


def test_an_unused_modality_gets_exactly_nothing_and_is_not_in_the_scoring_path():
    scorer = toy("text", "image", ignored=("image",))
    found = contributions(scorer.coalitions(), 0, scorer.players)
    assert found["score"].phi["image"] == 0 and found["rank"].phi["image"] == 0 and found["top_k"].phi["image"] == 0
    assert in_scoring_path(scorer) == {"text": True, "image": False}


def test_two_equal_modalities_get_equal_shares():
    one = toy("text", "image")
    same = {"text": one.values["text"], "image": one.values["text"]}
    alike = type(one)(values=same, weights={m: one.weights["text"] for m in same})
    found = contributions(alike.coalitions(), 0, alike.players)["score"]
    assert found.phi["text"] == pytest.approx(found.phi["image"], abs=1e-12) and found.shares["text"] == pytest.approx(
        0.5
    )


def test_the_worked_example_of_two_modalities():
    found = contribution([1.0, 3.0, 2.0, 6.0], ("text", "image"))
    assert found.phi == {"text": 3.0, "image": 2.0} and found.pairs == {("text", "image"): 2.0}
    assert found.base == 1.0 and found.residual == 0.0


def test_rank_and_membership_are_means_over_all_orders_of_arrival():
    scores = toy(*THREE, items=20, seed=3).coalitions() + np.linspace(0, 1e-3, 20)  # no ties
    found = contributions(scores, 5, THREE, top=4)
    by_hand = [1 + (row > row[5]).sum() for row in scores]
    assert places(scores, 5).tolist() == by_hand
    ranks = exact_shapley(-np.array(by_hand, dtype=float)[:, None])[:, 0]
    inside_top = exact_shapley((np.array(by_hand) <= 4).astype(float)[:, None])[:, 0]
    assert list(found["rank"].phi.values()) == pytest.approx(ranks.tolist(), abs=1e-9)
    assert list(found["top_k"].phi.values()) == pytest.approx(inside_top.tolist(), abs=1e-9)


def test_equal_scores_stand_by_column_as_in_the_printed_list():
    assert places(np.array([[1.0, 0.0, 1.0, 1.0, 2.0]]), 2).tolist() == [3]
    assert list(int(places(np.zeros((1, 6)), n)[0]) for n in range(6)) == [1, 2, 3, 4, 5, 6]


def test_the_residual_is_against_the_printed_score_and_refuses_another_function():
    right, wrong = (contribution([0.0, 1.0], ("text",), printed=value) for value in (1.0, 1.001))
    assert right.accepted and not wrong.accepted


def test_shares_of_almost_nothing_are_not_told():
    assert contribution([5.0, 5.0 + 1e-7], ("text",)).shares == {}


def test_another_leader_under_another_baseline_is_said():
    one, other = contribution([0, 3, 1, 4], ("text", "image")), contribution([0, 1, 3, 4], ("text", "image"))
    assert sensitivity({"absent": one, "mean": other}).depends
    assert not sensitivity({"absent": one, "mean": one}).depends
    assert sensitivity({"absent": one, "mean": other}).moved == pytest.approx(0.5)


def test_gates_and_shares_disagree_by_half_the_sum_of_differences():
    assert disagreement({"text": 0.9, "image": 0.1}, {"text": 0.2, "image": 0.8}) == pytest.approx(0.7)


def test_interactions_of_a_sum_vanish_and_are_symmetric():
    values = toy(*THREE).coalitions()
    assert np.abs(interactions(values)).max() < 1e-9
    mixed = interactions(toy(*THREE, rule=product).coalitions())
    assert np.allclose(mixed, mixed.swapaxes(0, 1))


# ---- words and patches


@pytest.mark.parametrize("method", ["occlusion", "shapley", "integrated", "gradient"])
def test_every_method_finds_the_summands_of_a_linear_model(method):
    scorer = toy("text", "image")
    found = attribute(scorer, method)
    for m in scorer.players:
        own = (scorer.values[m] @ scorer.weights[m][:, 0]).numpy()
        assert found[m] == pytest.approx(own, abs=1e-5)


def test_integrated_gradients_are_captums_on_the_same_function():
    from captum.attr import IntegratedGradients

    scorer = toy("text", "image", rule=product)
    inputs = tuple(scorer.values[m][None] for m in scorer.players)
    theirs = IntegratedGradients(attribution.own_score(scorer)).attribute(inputs, n_steps=200)
    ours = attribute(scorer, "integrated")
    for m, one in zip(scorer.players, theirs, strict=True):
        assert ours[m] == pytest.approx(one[0].sum(-1).numpy(), abs=1e-4 * float(one.abs().max()))


def test_sampled_shapley_adds_up_and_meets_the_exact_values():
    scorer = toy("text", "image", rule=product, tokens=3)
    found = attribution.sampled_shapley(scorer, orders=400)
    flat = np.concatenate([found[m] for m in scorer.players])
    kept = {m: [] for m in scorer.players}
    for row in range(1 << 6):
        for at, m in enumerate(scorer.players):
            kept[m].append([bool(row >> (3 * at + n) & 1) for n in range(3)])
    values = masked_scores(scorer, {m: torch.tensor(rows) for m, rows in kept.items()})[:, 0]
    assert flat.sum() == pytest.approx(values[-1] - values[0], abs=1e-9)
    assert flat == pytest.approx(shapley(values), abs=0.15 * np.abs(values).max())


def test_gradient_times_attention_needs_attention():
    assert attribute(toy("text"), "gradient_attention") is None and attribute(toy("text"), "attention") is None


def test_an_unknown_method_lists_the_known():
    with pytest.raises(UnknownNameError, match="occlusion"):
        attribute(toy("text"), "tea leaves")


def test_pairs_of_a_product_interact_by_their_product():
    scorer = toy("text", "image", rule=product, tokens=3)
    found = attribution.pair_interactions(scorer, "text", "image")
    left, right = ((scorer.values[m] @ scorer.weights[m][:, 0]).numpy() for m in scorer.players)
    assert found == pytest.approx(np.outer(left, right), abs=1e-9)


def test_marks_of_a_text_go_with_its_last_word():
    members = torch.tensor([[False, True, False, False], [False, False, True, False]])
    units = Units(names=("a", "b"), parts=(0, 0), members=members, spans=((0, 1), (2, 3)))
    kept = units.tokens(torch.tensor([[True, True], [True, False], [False, False]]), torch.zeros(4, dtype=torch.long))
    assert kept.tolist() == [[True] * 4, [True, True, False, True], [False] * 4]


# ---- how far to trust it


def judged(scorer, weights: dict) -> dict[str, faithfulness.Trial]:
    turned = {m: -one if faithfulness.lowers(scorer, m) else one for m, one in weights.items()}
    return faithfulness.try_orders(scorer, {"it": turned})["it"]


def test_the_true_summands_pass_and_shuffled_ones_fail():
    passes, fails = 0, 0
    for seed in range(30):
        scorer = toy("text", tokens=20, seed=seed)
        true = attribute(scorer, "occlusion")
        shuffled = {m: np.random.default_rng(seed).permutation(one) for m, one in true.items()}
        passes += judged(scorer, true)["text"].passed
        fails += not judged(scorer, shuffled)["text"].passed
    assert passes == 30 and fails >= 10


def test_deletion_of_equal_parts_falls_in_a_straight_line():
    scorer = toy("text", tokens=10)
    level = type(scorer)(values={"text": torch.ones(10, 4, dtype=torch.double)}, weights=scorer.weights)
    trial = judged(level, {"text": np.arange(10.0)})["text"]
    assert trial.deletion.score == pytest.approx(1 - np.arange(11) / 10) and trial.deletion.area == pytest.approx(0.5)
    assert not trial.passed and "not told apart from chance" in trial.reason and "0 of 20" in trial.reason


def test_the_curve_of_chance_is_the_mean_of_the_random_ones_on_score_and_on_rank():
    scorer = toy("text", tokens=12)
    trial = judged(scorer, attribute(scorer, "shapley"))["text"]
    assert trial.chance_deletion.area == pytest.approx(trial.random_deletion.mean())
    assert trial.chance_insertion.area == pytest.approx(trial.random_insertion.mean())
    assert trial.chance_deletion.rank_area == pytest.approx(trial.random_rank_deletion.mean())
    assert trial.chance_insertion.rank_area == pytest.approx(trial.random_rank_insertion.mean())
    assert len(trial.chance_deletion.rank) == len(trial.deletion.rank) == 13


def test_a_case_is_told_apart_from_chance_by_nineteen_of_twenty_draws_not_by_their_mean():
    scorer = toy("text", tokens=12)
    trial = judged(scorer, attribute(scorer, "occlusion"))["text"]
    level = trial.deletion.area
    drawn = level + np.where(np.arange(20) < np.array([[1], [2]]), -0.1, 1.0)  # one and two of twenty are better
    better, worse = (replace(trial, random_deletion=areas) for areas in drawn)
    assert trial.passed and better.passed and better.beaten_deletion == 0.95
    assert level < drawn[1].mean() and not worse.passed
    assert "18 of 20" in worse.reason and "19 are needed" in worse.reason


def test_a_modality_that_changes_nothing_is_not_judged():
    nothing = toy("text", "image", ignored=("text",))
    weights = {m: np.arange(12.0) for m in nothing.players}
    assert list(judged(nothing, weights)) == ["image"]


def test_steps_are_every_part_up_to_32_and_fractions_beyond():
    assert faithfulness.steps_of(5).tolist() == [0, 1, 2, 3, 4, 5]
    assert faithfulness.steps_of(100).tolist() == [0, 25, 50, 75, 80, 85, 90, 95, 100]


def test_an_attribution_that_does_not_look_at_the_model_fails_randomisation():
    scorer = toy("text", tokens=20)
    models = [scorer.randomised(seed) for seed in range(5)]

    def size(one):
        return {m: states.norm(dim=1).numpy() for m, states in one.values.items()}

    same = faithfulness.agreement(size(scorer), [size(model) for model in models])
    assert same["text"] == pytest.approx(1.0) and not faithfulness.depends_on_model(same["text"])
    level = faithfulness.agreement({"text": np.ones(20)}, [{"text": np.ones(20)}])
    assert np.isnan(level["text"]) and not faithfulness.depends_on_model(level["text"])
    true = faithfulness.agreement(attribute(scorer, "occlusion"), [attribute(one, "occlusion") for one in models])
    assert faithfulness.depends_on_model(true["text"])


# ---- what if


def test_the_search_takes_away_what_holds_the_first_place_and_nothing_else():
    scorer = toy("text", tokens=8, items=3)
    weights = torch.zeros(4, 3, dtype=torch.double)
    weights[0, 0], weights[1, 1] = 1.0, 1.0
    states = torch.zeros(8, 4, dtype=torch.double)
    states[:, 0] = torch.tensor([5.0, 1.0, 4.0, 0, 0, 0, 0, 0])  # words for item 0
    states[:, 1] = torch.tensor([0, 0, 0, 0, 2.0, 2.0, 0, 0])  # words for item 1
    found = unseat(type(scorer)(values={"text": states}, weights={"text": weights}))
    assert found.found and found.gone("text") == (0, 2) and found.lead == 6.0


def test_the_steps_told_are_measured_again_after_parts_were_put_back():
    def rule(sums):
        a, b, c = (1 - sums["text"][:, [n]] for n in range(3))  # 1 where that word is gone
        lead = 1 - 0.5 * a - 0.1 * b - 0.1 * c - 0.9 * b * c
        return torch.cat([lead, torch.zeros_like(lead)], 1)

    states = torch.eye(3, dtype=torch.double)
    found = unseat(type(toy("text"))(values={"text": states}, weights={"text": states}, rule=rule))
    assert found.found and found.gone("text") == (1, 2)  # w0 was taken first, and turned out not to be needed
    assert [step.lead for step in found.steps] == pytest.approx([0.9, -0.1])


def test_an_item_whose_lead_nothing_can_cost_is_said_to_keep_it():
    scorer = toy("text", tokens=3, items=2, rule=lambda sums: sums["text"] * 0 + torch.tensor([[1.0, 0.0]]))
    found = unseat(scorer)
    assert not found.found and len(found.steps) == 3 and found.steps[-1].lead == 1.0


def test_struck_words_leave_single_spaces():
    assert strike("a warm red mug", [(2, 6), (7, 10)]) == "a mug"


def test_a_box_holds_the_cells_whose_middle_it_holds():
    assert inside((0.0, 0.0, 0.5, 0.5), (2, 2)) == [(0, 0)]
    assert len(inside((0.0, 0.0, 1.0, 1.0), (7, 7))) == 49


def test_every_registered_method_says_what_it_is():
    assert all(method.title and method.tells.endswith(".") for method in METHODS.values())
    assert len(one_each(3)) == 3 and everything(toy("text"))["text"].all()
