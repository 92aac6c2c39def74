"""Numbers of the aligned space against worlds whose answer is known by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ShapeError
from core.evaluate import alignment as measure


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def test_alignment_is_the_mean_squared_distance_of_unit_rows() -> None:
    x = np.array([[2.0, 0.0], [0.0, 3.0]])  # of unit length: (1, 0) and (0, 1)
    y = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert measure.alignment(x, y) == pytest.approx((2 + 0) / 2)
    assert measure.alignment_chance(x, y) == pytest.approx((2 + 0) / 2)  # x_0 with y_1, x_1 with y_0
    assert measure.alignment(x, -x) == pytest.approx(4)


def test_alignment_by_chance_is_that_of_all_pairs_of_different_items(random) -> None:
    x, y = random.normal(size=(9, 5)), random.normal(size=(9, 5)) + 1
    u, v = measure.unit(x), measure.unit(y)
    apart = [((u[i] - v[j]) ** 2).sum() for i in range(9) for j in range(9) if i != j]
    assert measure.alignment_chance(x, y) == pytest.approx(np.mean(apart))


def test_uniformity_of_opposite_points_and_of_a_collapsed_space() -> None:
    square = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    # of 6 pairs, 2 are at squared distance 4 and 4 at squared distance 2
    assert measure.uniformity(square) == pytest.approx(np.log((2 * np.exp(-8) + 4 * np.exp(-4)) / 6))
    assert measure.uniformity(np.ones((5, 3))) == pytest.approx(0)


def test_uniformity_does_not_depend_on_how_rows_are_cut_into_blocks(random, monkeypatch) -> None:
    x = random.normal(size=(50, 4))
    whole = measure.uniformity(x)
    monkeypatch.setattr(measure, "BLOCK", 7)
    assert measure.uniformity(x) == pytest.approx(whole)


def test_modality_gap_is_the_distance_of_the_means_after_scaling_every_row() -> None:
    x, y = np.array([[5.0, 0], [0.1, 0]]), np.array([[0.0, 7], [0, 1]])
    assert measure.modality_gap(x, y) == pytest.approx(np.sqrt(2))
    assert measure.modality_gap(x, x) == 0
    assert measure.modality_gap(x, -x) == pytest.approx(2)


def test_the_gap_by_chance_is_small_and_shrinks_with_the_number_of_items(random) -> None:
    few, many = (measure.modality_gap_chance(random.normal(size=(n, 16))) for n in (20, 2000))
    assert 0 < many < few < 1


def test_the_other_side_is_found_both_ways_where_a_permutation_says_so() -> None:
    y = np.eye(4)
    x = np.eye(4)
    x[0] = [0.6, 0.8, 0, 0]  # nearer to y_1 than to its own y_0
    there, back = measure.find_other_side(x, y, ks=(1, 2)), measure.find_other_side(y, x, ks=(1, 2))
    assert there.recall == {1: 3 / 4, 2: 1.0}
    assert there.mrr == pytest.approx((1 / 2 + 3) / 4)
    assert back.recall[1] == 1.0  # y_1 asks: x_1 at 1.0 before x_0 at .8
    assert there.chance == {1: 1 / 4, 2: 2 / 4}
    assert there.median_rank == 1


def test_random_vectors_find_the_other_side_as_often_as_chance_says(random) -> None:
    found = [
        measure.find_other_side(random.normal(size=(40, 8)), random.normal(size=(40, 8)), ks=(1, 10)) for _ in range(60)
    ]
    for k in (1, 10):
        hits = np.mean([one.recall[k] for one in found])
        spread = np.sqrt(k / 40 * (1 - k / 40) / (40 * 60))
        assert abs(hits - k / 40) < 4 * spread
    assert np.mean([one.mrr for one in found]) == pytest.approx(found[0].chance_mrr, abs=0.01)


def test_a_constant_space_finds_nothing_beyond_chance() -> None:
    same = np.ones((200, 3))
    assert measure.find_other_side(same, same, ks=(10,)).recall[10] == pytest.approx(10 / 200, abs=0.05)


def test_items_of_equal_content_are_equal_targets() -> None:
    y = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    x = np.array([[0.0, 1, 0], [1.0, 0, 0], [0, 0, 1]])  # the first two have each other's side
    assert measure.find_other_side(x, y, ks=(1,)).recall[1] == pytest.approx(1 / 3)
    shared = measure.find_other_side(x, y, ks=(1,), same=["a", "a", "b"])
    assert shared.recall[1] == 1.0
    assert shared.chance[1] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_chance_with_two_targets_is_one_minus_missing_both() -> None:
    assert measure.any_of(3, 10, 2) == pytest.approx(1 - (8 / 10) * (7 / 9) * (6 / 8))
    assert measure.any_of(10, 10, 1) == 1.0


def test_mutual_neighbours_across_widths(random) -> None:
    x = random.normal(size=(60, 6))
    turned = measure.unit(x) @ np.linalg.qr(random.normal(size=(9, 6)))[0].T  # a rotation into nine dimensions
    assert measure.mutual_neighbours(x, turned, 10) == 1.0
    chance = [
        measure.mutual_neighbours(random.normal(size=(60, 6)), random.normal(size=(60, 9)), 10) for _ in range(20)
    ]
    assert np.mean(chance) == pytest.approx(10 / 59, abs=0.02)


def test_debiased_cka_is_one_under_rotation_and_about_zero_when_independent(random) -> None:
    x = random.normal(size=(100, 300))
    turned = 3 * x @ np.linalg.qr(random.normal(size=(300, 300)))[0] + 5
    assert measure.debiased_cka(x, turned) == pytest.approx(1)
    assert abs(measure.debiased_cka(x, random.normal(size=(100, 300)))) < 0.1
    centred = [one - one.mean(0) for one in (x, random.normal(size=(100, 300)))]
    biased = np.linalg.norm(centred[1].T @ centred[0]) ** 2 / (
        np.linalg.norm(centred[0].T @ centred[0]) * np.linalg.norm(centred[1].T @ centred[1])
    )
    assert biased == pytest.approx(0.75, abs=0.02)  # what the debiased form is for


@pytest.mark.parametrize("k", [5, 15])
def test_trustworthiness_and_continuity_agree_with_scikit_learn(random, k) -> None:
    from sklearn.manifold import trustworthiness

    space = random.normal(size=(80, 12))
    drawn = space[:, :2] + 0.3 * random.normal(size=(80, 2))
    assert measure.trustworthiness(space, drawn, k) == pytest.approx(trustworthiness(space, drawn, n_neighbors=k))
    assert measure.continuity(space, drawn, k) == pytest.approx(trustworthiness(drawn, space, n_neighbors=k))


def test_a_faithful_map_is_trusted_and_a_random_one_is_not(random, monkeypatch) -> None:
    space = random.normal(size=(300, 2))
    assert measure.trustworthiness(space, 5 * space + 1) == 1.0
    assert measure.neighbour_preservation(space, 5 * space + 1) == 1.0
    assert measure.trustworthiness(space, random.normal(size=(300, 2))) == pytest.approx(0.5, abs=0.08)
    monkeypatch.setattr(measure, "BLOCK", 64)
    assert measure.trustworthiness(space, 5 * space + 1) == 1.0


def test_a_map_that_tears_a_cluster_apart_loses_continuity_more_than_trust() -> None:
    line = np.stack([np.arange(60.0), np.zeros(60)], 1)
    torn = line.copy()
    torn[:30, 0] += 10_000  # two halves of one line, far apart: no false neighbours but at the cut
    assert measure.continuity(line, torn, 5) < measure.trustworthiness(line, torn, 5) < 1


def test_disparity_sees_neither_shift_nor_scale_nor_turn_nor_mirror(random) -> None:
    one = random.normal(size=(50, 2))
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    assert measure.disparity(one, 4 * one @ turn * [1, -1] + 9) == pytest.approx(0, abs=1e-9)
    assert measure.disparity(one, random.normal(size=(50, 2))) > 0.8


def test_kept_neighbours_are_counted_for_every_point(random) -> None:
    one = np.concatenate([random.normal(size=(20, 2)), random.normal(size=(20, 2)) + 100])
    other = one.copy()
    other[20:] = other[20:][random.permutation(20)]  # the second half keeps its company but not its neighbours
    kept = measure.kept_neighbours([one, other], 5)
    assert kept.shape == (40,) and np.all(kept[:20] == 1) and kept[20:].mean() < 0.6


def test_the_swapped_pair_is_the_farthest_apart() -> None:
    x = np.eye(5)
    y = np.eye(5)[[0, 1, 2, 4, 3]]
    assert measure.pair_distances(x, y).tolist() == pytest.approx([0, 0, 0, np.sqrt(2), np.sqrt(2)])


def test_area_under_curve_counts_ties_half() -> None:
    wrong = np.array([True, False, False, True])
    assert measure.area_under_curve(np.array([0.9, 0.1, 0.5, 0.5]), wrong) == pytest.approx((2 + 1.5) / 4)
    assert measure.area_under_curve(np.array([0.9, 0.1]), np.array([False, False])) is None


def test_what_does_not_belong_together_is_refused_in_words() -> None:
    with pytest.raises(ShapeError, match="the same items in both modalities"):
        measure.alignment(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(ShapeError, match="4 or more"):
        measure.debiased_cka(np.ones((3, 2)), np.ones((3, 2)))


def planted(group: str, look: str, **heard: str) -> dict:
    both = {"family": "bell", "material": "brass"}
    return {"group": group, "look": look, "both": both, "heard": {**both, "ring": "long", "voice": "clear", **heard}}


def test_a_perfect_reader_is_told_only_what_both_modalities_carry(monkeypatch):
    """Two siblings of one look, and one of another: words say how heavy it is, pictures how high it sounds."""
    from types import SimpleNamespace

    from core.mapping import report

    truth = {
        "a": planted("g01", "A", pitch="high", body="thin"),
        "b": planted("g01", "A", pitch="high", body="full"),
        "c": planted("g01", "B", pitch="high", body="full"),
    }
    monkeypatch.setattr(report, "planted_truth", lambda catalogue: {"items": truth})
    catalogue = SimpleNamespace(items=[SimpleNamespace(item_id=name) for name in truth])
    rows = np.arange(3)
    at_one = {
        (a, b): report.ceiling(catalogue, rows, a, b)["recall@1"]
        for a, b in (("text", "image"), ("text", "audio"), ("image", "audio"), ("image", "video"))
    }
    assert at_one[("text", "image")] == pytest.approx(1 / 3)  # a bell of brass: all three
    assert at_one[("text", "audio")] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)  # b and c are both full
    assert at_one[("image", "audio")] == pytest.approx(1 / 3)  # all three are high
    assert at_one[("image", "video")] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)  # a and b look alike
