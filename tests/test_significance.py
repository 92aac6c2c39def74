"""Intervals and tests: what is drawn, how often it covers the truth, and Holm's example."""

import numpy as np
import pytest

from core.domain import Estimate, with_interval
from core.errors import SettingsError, ShapeError
from core.evaluate.significance import bootstrap, holm, paired


def test_holm_adjusts_the_published_example():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((3 * 0.01, 2 * 0.03, 2 * 0.03))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()


def test_a_number_is_written_with_its_interval_and_alone_where_none_was_kept():
    assert with_interval(Estimate(value=0.5124, low=0.43, high=0.593)) == "0.512 [0.430, 0.593]"
    assert with_interval({"rate": 0.05, "low": -0.1, "high": 0.2}, "+.2f", "rate") == "+0.05 [-0.10, +0.20]"
    assert with_interval({"value": 0.5, "low": None, "high": None}, ".1f") == "0.5"


def test_the_estimate_is_the_mean_of_the_rows_and_lies_in_its_interval():
    values = [0.0, 1.0, 1.0, float("nan"), 0.0, 1.0]
    estimate = bootstrap(values)
    assert estimate.value == 3 / 5
    assert estimate.low < estimate.value < estimate.high
    assert bootstrap(values) == estimate


def test_whole_products_are_drawn_never_their_rows():
    values, products = [0.0] * 500 + [1.0] * 500, ["mug"] * 500 + ["bowl"] * 500
    grouped, rows = bootstrap(values, products), bootstrap(values)
    assert (grouped.low, grouped.high) == (0.0, 1.0)  # both draws hit the same product half of the time
    assert rows.high - rows.low < 0.1


def test_groups_of_one_row_each_are_the_same_as_no_groups():
    values = np.random.default_rng(1).random(60)
    assert bootstrap(values, groups=np.arange(60)) == bootstrap(values)


def test_uneven_products_keep_the_mean_over_rows():
    assert bootstrap([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"]).value == 3 / 4


def test_the_grouped_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered, covered_by_rows, worlds = np.random.default_rng(2), 0, 0, 200
    products = np.repeat(np.arange(60), 5)
    for _ in range(worlds):
        values = np.repeat(rng.standard_normal(60), 5) + 0.3 * rng.standard_normal(300)
        grouped, rows = bootstrap(values, products, resamples=1000), bootstrap(values, resamples=1000)
        covered += grouped.low <= 0 <= grouped.high
        covered_by_rows += rows.low <= 0 <= rows.high
    assert 0.88 <= covered / worlds <= 0.99
    assert covered_by_rows / worlds < 0.75  # why groups are drawn


def test_a_clear_gain_is_significant_and_equal_models_are_not():
    rng = np.random.default_rng(3)
    base = rng.random(200)
    better = paired(base + 0.1 + 0.1 * rng.standard_normal(200), base)
    assert better.difference.low > 0 and better.p == pytest.approx(2 / 10_001)
    assert better.wilcoxon is not None and better.wilcoxon < 1e-6
    same = paired(base, base)
    assert same.p == 1.0 and same.nonzero == 0 and same.wilcoxon is None


def test_the_p_value_is_uniform_enough_under_no_difference():
    rng = np.random.default_rng(4)
    ps = [paired(rng.standard_normal(80), rng.standard_normal(80), resamples=1000).p for _ in range(200)]
    assert 0.01 <= np.mean(np.asarray(ps) < 0.05) <= 0.11


def test_pairs_with_a_missing_side_are_left_out_and_groups_are_the_units():
    a, b = np.asarray([1.0, np.nan, 1.0, 1.0]), np.asarray([0.0, 0.0, 1.0, np.nan])
    test = paired(a, b, groups=["x", "x", "y", "y"])
    assert test.difference.value == (1 + 0) / 2
    assert (test.units, test.nonzero) == (2, 1)


def test_nothing_to_average_and_shapes_that_differ_are_refused():
    with pytest.raises(SettingsError, match="no value to average"):
        bootstrap([float("nan")])
    with pytest.raises(ShapeError, match="same users"):
        paired([1.0, 2.0], [1.0])
    with pytest.raises(ShapeError, match="one group each"):
        bootstrap([1.0, 2.0], groups=["a"])
