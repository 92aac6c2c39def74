"""Metrics against arithmetic done by hand, against brute force and against ranx."""

import math
import warnings

import numpy as np
import pytest

from core.errors import SettingsError, ShapeError
from core.evaluate import metrics

# K = 5, 10 candidates, positives at ranks 2, 5 and 9
EXAMPLE_SCORES = np.arange(10.0, 0.0, -1.0)[None]
EXAMPLE_POSITIVES = np.isin(np.arange(10), [1, 4, 8])[None]
DISCOUNT = [1 / math.log2(rank + 1) for rank in range(1, 51)]
EXAMPLE_GAIN = DISCOUNT[1] + DISCOUNT[4]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("precision@5", 2 / 5),
        ("recall@5", 2 / 3),
        ("f1@5", 2 * (2 / 5) * (2 / 3) / (2 / 5 + 2 / 3)),
        ("hit@5", 1.0),
        ("mrr@5", 1 / 2),
        ("map@5", (1 / 2 + 2 / 5) / 3),
        ("map_by_m@5", (1 / 2 + 2 / 5) / 3),
        ("map_by_k@5", (1 / 2 + 2 / 5) / 5),
        ("ndcg@5", EXAMPLE_GAIN / sum(DISCOUNT[:3])),
        ("ndcg_ngcf@5", EXAMPLE_GAIN / sum(DISCOUNT[:2])),
        ("ndcg_all@5", EXAMPLE_GAIN / sum(DISCOUNT[:5])),
        ("auc", 11 / 21),
    ],
)
def test_the_worked_example_comes_out_as_arithmetic(name, expected):
    values = metrics.rank_metrics(EXAMPLE_SCORES, EXAMPLE_POSITIVES, ks=(5,), variants=True)
    assert values[name][0] == pytest.approx(expected, abs=1e-12)


def test_the_worked_example_matches_the_published_digits():
    values = metrics.rank_metrics(EXAMPLE_SCORES, EXAMPLE_POSITIVES, ks=(5,), variants=True)
    printed = {name: round(float(values[f"{name}@5"][0]), 4) for name in ("ndcg", "ndcg_ngcf", "ndcg_all", "map")}
    assert printed == {"ndcg": 0.4776, "ndcg_ngcf": 0.6241, "ndcg_all": 0.3452, "map": 0.3}


def random_case(seed, users=40, items=67, levels=None):
    """Random scores, on `levels` distinct values where ties are wanted, with positives and masked training items."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((users, items)) if levels is None else rng.integers(0, levels, (users, items)) * 1.0
    relevance = rng.random((users, items))
    return scores, relevance < 0.06, relevance > 0.8


def ranks_by_brute_force(scores, mask):
    """Rank of every candidate from the definition, one comparison at a time."""
    draw = np.random.default_rng(0).permutation(scores.shape[1])
    ranks = np.zeros(scores.shape, dtype=int)
    for user, row in enumerate(scores):
        open_items = [j for j in range(len(row)) if not mask[user, j]]
        for i in open_items:
            ahead = [j for j in open_items if row[j] > row[i] or (row[j] == row[i] and draw[j] < draw[i])]
            ranks[user, i] = 1 + len(ahead)
    return ranks


@pytest.mark.parametrize(("seed", "levels"), [(1, None), (2, None), (3, 4), (4, 2), (5, 1)])
def test_every_metric_equals_ranx_with_and_without_ties(seed, levels):
    ranx = pytest.importorskip("ranx")
    scores, positives, mask = random_case(seed, levels=levels)
    ranks = ranks_by_brute_force(scores, mask)
    users = np.flatnonzero(positives.any(1))
    truth = ranx.Qrels({f"u{u}": {f"i{i}": 1 for i in np.flatnonzero(positives[u])} for u in users})
    run = ranx.Run({f"u{u}": {f"i{i}": 1.0 / ranks[u, i] for i in np.flatnonzero(ranks[u])} for u in users})
    names = {"precision": "precision", "recall": "recall", "f1": "f1", "hit": "hit_rate", "ndcg": "ndcg", "mrr": "mrr"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", metrics.TieWarning)
        ours = metrics.average(metrics.rank_metrics(scores, positives, mask, ks=(5, 10, 20)))
    for name, theirs in names.items():
        for k in (5, 10, 20):
            assert ours[f"{name}@{k}"] == pytest.approx(ranx.evaluate(truth, run, f"{theirs}@{k}"), abs=1e-9)


@pytest.mark.parametrize("levels", [None, 3])
def test_average_precision_divides_by_the_smaller_of_positives_and_k(levels):
    scores, positives, mask = random_case(6, levels=levels)
    ranks = ranks_by_brute_force(scores, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", metrics.TieWarning)
        ours = metrics.rank_metrics(scores, positives, mask, ks=(3,))["map@3"]
    for user in np.flatnonzero(positives.any(1)):
        found = sorted(rank for rank in ranks[user, positives[user]] if rank <= 3)
        expected = sum((place + 1) / rank for place, rank in enumerate(found)) / min(positives[user].sum(), 3)
        assert ours[user] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [None, 3, 1])
def test_the_list_and_the_rank_of_a_target_follow_the_same_tie_rule(levels):
    scores, _, mask = random_case(7, levels=levels)
    ranks = ranks_by_brute_force(scores, mask)
    lists = metrics.top_items(scores, 10, mask)
    for user, row in enumerate(lists):
        assert [ranks[user, item] for item in row] == list(range(1, 11))
    targets = np.asarray([np.flatnonzero(~row)[0] for row in mask])
    expected = [ranks[user, item] for user, item in enumerate(targets)]
    assert metrics.target_ranks(scores, targets, mask).tolist() == expected


def test_a_model_that_scores_everything_alike_is_no_better_than_chance():
    positives = np.zeros((400, 100), dtype=bool)
    positives[np.arange(400), np.random.default_rng(8).integers(0, 100, 400)] = True
    with pytest.warns(metrics.TieWarning, match="across rank 10"):
        values = metrics.average(metrics.rank_metrics(np.zeros((400, 100)), positives, ks=(10,)))
    assert values["auc"] == 0.5
    assert values["recall@10"] == pytest.approx(10 / 100, abs=0.05)


def test_a_masked_item_is_no_candidate_even_with_the_best_score():
    scores = np.asarray([[9.0, 3.0, 2.0, -np.inf]])
    positives = np.asarray([[False, False, True, True]])
    mask = np.asarray([[True, False, False, False]])
    values = metrics.rank_metrics(scores, positives, mask, ks=(2,))
    assert metrics.top_items(scores, 4, mask).tolist() == [[1, 2, 3, -1]]
    assert values["recall@2"][0] == 1 / 2
    assert values["auc"][0] == 0.0


def test_a_masked_positive_is_not_counted_and_a_user_without_positives_is_left_out():
    scores = np.asarray([[3.0, 2.0, 1.0]] * 3)
    positives = np.asarray([[True, True, False], [True, False, False], [True, True, True]])
    mask = np.asarray([[True, False, False]] * 2 + [[False, False, False]])
    values = metrics.rank_metrics(scores, positives, mask, ks=(1,))
    assert values["recall@1"][0] == 1.0
    assert np.isnan(values["recall@1"][1]) and np.isnan(values["auc"][2])
    assert metrics.average(values)["recall@1"] == pytest.approx((1 + 1 / 3) / 2)


def test_k_stays_in_the_denominator_where_there_are_fewer_candidates():
    values = metrics.rank_metrics(np.asarray([[2.0, 1.0]]), np.asarray([[True, True]]), ks=(5,))
    assert values["precision@5"][0] == 2 / 5
    assert values["ndcg@5"][0] == pytest.approx(1.0)


def test_blocks_of_users_change_nothing(monkeypatch):
    scores, positives, mask = random_case(9)
    whole = metrics.rank_metrics(scores, positives, mask)
    monkeypatch.setattr(metrics, "BLOCK_ELEMENTS", 150)
    for name, values in metrics.rank_metrics(scores, positives, mask).items():
        np.testing.assert_array_equal(values, whole[name])


def test_a_score_that_is_no_number_is_refused_with_its_place():
    scores = np.zeros((2, 3))
    scores[1, 2] = np.nan
    with pytest.raises(SettingsError, match="user row 1, item row 2"):
        metrics.rank_metrics(scores, np.ones((2, 3), dtype=bool))


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ShapeError, match="must have one shape"):
        metrics.rank_metrics(np.zeros((2, 3)), np.zeros((2, 4), dtype=bool))


def test_retrieval_counts_the_one_right_item_of_each_query():
    values = metrics.average(metrics.retrieval_metrics([1, 2, 10, 40]))
    assert values == {
        "recall@1": 1 / 4,
        "recall@5": 2 / 4,
        "recall@10": 3 / 4,
        "mrr": (1 + 1 / 2 + 1 / 10 + 1 / 40) / 4,
    }


def test_list_metrics_of_a_small_shop_come_out_as_arithmetic():
    lists = np.asarray([[0, 1], [0, 2]])
    counts = np.asarray([8, 1, 1, 0])  # the head is item 0 alone: 8 of 10 rows are 80 %
    values = metrics.list_metrics(lists, counts, train_users=8)
    assert values["coverage"] == 3 / 4 and values["coverage_trained"] == 1.0
    assert values["gini"] == pytest.approx((-3 * 0 - 1 * 1 + 1 * 1 + 3 * 2) / (4 * 4))
    assert values["novelty"] == pytest.approx((0 + 3 + 0 + 3) / 4)
    assert values["aplt"] == (1 / 2 + 1 / 2) / 2
    assert values["popularity"] == (8 + 1 + 8 + 1) / 4


def test_half_stars_go_up_and_an_absent_class_counts_as_zero():
    assert metrics.rating_classes([0.5, 1.5, 2.5, 4.5, 5.0]).tolist() == [1, 2, 3, 5, 5]
    values = metrics.rating_metrics([5, 5, 1, 4], values=[5.6, 4.0, 1.0, 4.0])
    assert values["accuracy"] == 3 / 4
    assert values["macro_f1"] == pytest.approx((1 + 0 + 0 + 2 / 3 + 2 / 3) / 5)
    assert values["mae"] == (0 + 1 + 0 + 0) / 4
    assert values["rmse"] == pytest.approx(math.sqrt(1 / 4))


def test_class_probabilities_give_the_likeliest_star_and_the_expected_value():
    values = metrics.rating_metrics([2.0], probabilities=[[0.4, 0.4, 0.2, 0, 0]])
    assert values["accuracy"] == 0.0  # of equals the lowest star
    assert values["mae"] == pytest.approx(2.0 - (0.4 * 1 + 0.4 * 2 + 0.2 * 3))
