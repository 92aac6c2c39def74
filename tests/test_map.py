"""The map over a shop whose encoders are known: places, frames, what is kept, and the numbers beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.errors import ModelError, ShapeError
from core.explain import map as layout
from core.features import Features
from core.figures_map import Mark, Points, by_group, by_number, by_slot, join_lines, map_figure
from core.mapping import make, report
from core.mapping.space import Spaces, spaces_of
from core.mapping.stored import FORMAT, StoredMap, digest_of, load_map, map_file, map_folder
from core.model import Model
from core.pipeline import Pipeline, item_coalitions
from tests.tiny_world import WIDTHS, tiny_catalogue, tiny_features, tiny_settings

MODEL = "ab" * 32


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def tiny_pipeline(features: Features, trained: int = 0, **given: object) -> Pipeline:
    """An untrained run over the tiny shop; `trained` of its items count as seen."""
    torch.manual_seed(0)
    catalogue, settings = tiny_catalogue(), tiny_settings(**given)
    model = Model(settings, WIDTHS, 0, trained).eval()
    for modality, space in model.space.items():
        space.fit(torch.from_numpy(np.stack([state.pooled for state in features.states[modality]])).float())
    told = {
        "run": "tiny-run", "settings": json.loads(settings.to_json()), "data": {"catalogue": "tiny"}, "users": [],
        "items": [item.item_id for item in catalogue.items[:trained]], "digests": {"model.safetensors": MODEL},
    }  # fmt: skip
    with torch.inference_mode():
        items = item_coalitions(model, features, "cpu")
    return Pipeline(told, model, catalogue, items, "cpu")


@pytest.fixture(scope="module")
def features() -> Features:
    return tiny_features(tiny_catalogue(), interactions=False)


@pytest.fixture(scope="module")
def tiny(features) -> tuple[Pipeline, Spaces]:
    pipeline = tiny_pipeline(features)
    return pipeline, spaces_of(pipeline, features)


@pytest.fixture
def workspace(tmp_path: Path) -> SimpleNamespace:
    """As much of a workspace as a map needs."""
    folder = tmp_path / "runs" / "tiny-run"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"digests": {"model.safetensors": MODEL}}))
    return SimpleNamespace(
        home=tmp_path, vectors=tmp_path / "vectors", run_folder=lambda run: folder,
        run=lambda run: SimpleNamespace(catalogue="tiny"), catalogue=lambda name: tiny_catalogue(),
    )  # fmt: skip


# ---- places


def test_nearest_are_found_exactly_and_begin_with_the_point_itself(random) -> None:
    rows = random.normal(size=(40, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = layout.nearest(rows, 5, block=7)
    order = np.argsort(-(rows @ rows.T), axis=1)
    assert near.rows[:, 0].tolist() == list(range(40))
    assert all(set(near.rows[row]) == set(order[row, :5]) for row in range(40))
    assert np.all(np.diff(near.distances, axis=1) >= 0) and near.distances[:, 0].max() == 0


def test_principal_axes_are_those_of_the_spread_and_missing_ones_are_zero() -> None:
    line = np.outer(np.arange(5.0), [3.0, 4.0])  # points on a line, five units apart
    places = layout.pca_places(line, 3)
    assert np.abs(places[:, 0]).tolist() == pytest.approx([10, 5, 0, 5, 10], abs=1e-5)
    assert np.abs(places[:, 1:]).max() < 1e-5


def test_a_map_laid_onto_another_forgets_shift_turn_mirror_and_scale(random) -> None:
    fixed = random.normal(size=(30, 2))
    turned = 7 * fixed @ np.array([[0.0, 1.0], [1.0, 0.0]]) + 5
    assert np.allclose(layout.onto(turned, fixed), fixed, atol=1e-5)
    with pytest.raises(ShapeError, match="the same points"):
        layout.onto(fixed, fixed[:5])


def test_before_alignment_is_of_unit_length_and_fitted_on_trained_items_only(random) -> None:
    raw = random.normal(size=(30, 5)) * [1, 10, 100, 1, 1]
    present, trained = np.ones(30, dtype=bool), np.arange(30) < 20
    present[3] = False
    before = layout.before_alignment(raw, present, trained, 8)
    assert before.shape == (30, 8) and not before[:, 5:].any() and not before[3].any()
    assert np.linalg.norm(before[present], axis=1) == pytest.approx(1, abs=1e-5)
    moved = raw.copy()
    moved[25] *= 1000  # an unseen item changes nobody else
    again = layout.before_alignment(moved, present, trained, 8)
    assert np.allclose(np.delete(again, 25, 0), np.delete(before, 25, 0))


def test_a_new_point_lies_among_its_neighbours(random) -> None:
    vectors = np.eye(4)
    places = np.array([[0.0, 0], [1, 0], [0, 1], [9, 9]])
    placed = layout.place(np.array([0.8, 0.6, 0, 0]), vectors, k=2)
    assert placed.rows.tolist() == [0, 1] and placed.weights.sum() == pytest.approx(1)
    weight = 1 / (1 + np.exp(20 * (0.6 - 0.8)))
    assert placed.on(places) == pytest.approx([1 - weight, 0])
    same = layout.place(vectors[3], vectors, k=3)
    assert same.on(places) == pytest.approx([9, 9], abs=1e-6)


def test_clusters_are_numbered_by_size(random) -> None:
    centres = np.repeat(np.eye(3), [20, 12, 5], axis=0)
    found = layout.clusters(centres + 0.01 * random.normal(size=centres.shape))
    sizes = np.bincount(found)
    assert len(sizes) == round(np.sqrt(37 / 2)) and np.all(np.diff(sizes) <= 0)
    assert layout.clusters(np.ones((20, 3))).tolist() == [0] * 20  # nothing to tell apart


@pytest.mark.slow
def test_umap_keeps_clusters_together_and_is_the_same_for_the_same_seed(random) -> None:
    vectors = np.repeat(np.eye(4), 15, axis=0) + 0.05 * random.normal(size=(60, 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    near, start = layout.nearest(vectors), layout.pca_places(vectors, 2)
    places = layout.umap_places(near, 2, 0, start)
    assert np.array_equal(places, layout.umap_places(near, 2, 0, start))
    of_four = layout.nearest(
        np.c_[places, np.ones(60)] / np.linalg.norm(np.c_[places, np.ones(60)], axis=1)[:, None], 5
    )
    assert np.mean(of_four.rows // 15 == np.arange(60)[:, None] // 15) > 0.9


def test_too_few_points_for_umap_are_refused_in_words() -> None:
    with pytest.raises(ShapeError, match="15 or more"):
        layout.umap_places(layout.nearest(np.eye(5)), 2, 0, np.zeros((5, 2)))


# ---- the space of a run


def test_the_spaces_of_a_run_hold_every_item_in_every_modality(tiny) -> None:
    _, spaces = tiny
    assert spaces.modalities == ("text", "image") and not spaces.trained.any()
    for rows in (*spaces.after.values(), *spaces.before.values(), spaces.fused):
        assert rows.shape == (30, 8) and np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-2)
    assert spaces.sides["image"].names[:2] == ("", "")  # the photos of this shop exist in name only
    assert np.allclose(spaces.sides["text"].vectors, spaces.after["text"], atol=1e-6)  # one medium an item


def test_a_missing_photo_has_no_point(features) -> None:
    lone = replace(features, items=({"text": (0,)}, *features.items[1:]))
    spaces = spaces_of(tiny_pipeline(lone), lone)
    assert not spaces.present["image"][0] and not spaces.after["image"][0].any() and not spaces.before["image"][0].any()
    assert 0 not in spaces.sides["image"].items


def test_an_aligner_that_mixes_modalities_is_judged_on_each_alone(features) -> None:
    mixing = tiny_pipeline(features, align="attention")
    with torch.no_grad():
        for weights in mixing.model.aligner.parameters():
            weights += 0.3 * torch.randn_like(weights)
    whole = spaces_of(mixing, features)
    without = replace(features, items=tuple({"text": item["text"]} for item in features.items))
    assert np.allclose(whole.after["text"], spaces_of(mixing, without).after["text"], atol=1e-5)


def test_a_run_without_a_shared_space_is_refused_with_a_way_out(features) -> None:
    with pytest.raises(ModelError, match=r"vbpr aligns nothing.*Choose a run that ranks fused vectors"):
        spaces_of(tiny_pipeline(features, rank="vbpr"), features)


# ---- numbers


def test_the_report_tells_before_from_after_and_gives_chance_levels(tiny) -> None:
    told = report.space_report(tiny[1], tiny[0].catalogue)
    after = told["pairs"]["text-image"]["after"]
    assert set(told["pairs"]["text-image"]) == {"before", "after"}
    assert after["candidates"] == 30 and after["chance"]["mrr"] == pytest.approx((1 / np.arange(1, 31)).mean())
    assert after["chance"]["recall@10"] == pytest.approx(10 / 30)  # every photo has a file of its own
    assert told["evaluated"] == {"items": 30, "of": 30, "seed": 0, "which": "held out", "in_sample": False}
    assert set(told["gap"]["text-image"]) == {"before", "after", "chance"}
    assert set(told["uniformity"]) == {"text", "image"} and told["faults"] == {}
    assert len(told["worst_pairs"]) == 24 and told["pairs_compared"] == 30


def test_numbers_are_measured_on_items_that_training_has_not_seen_where_there_are_enough(monkeypatch, features) -> None:
    spaces = spaces_of(tiny_pipeline(features, trained=20), features)
    assert report.measured_items(spaces)[1]["in_sample"] is True  # ten unseen ones are too few
    monkeypatch.setattr(report, "FEWEST_HELD_OUT", 10)
    rows, evaluated = report.measured_items(spaces)
    assert rows.tolist() == list(range(20, 30)) and evaluated["which"] == "held out"


def test_many_items_are_sampled_and_the_sample_is_named(monkeypatch, tiny) -> None:
    monkeypatch.setattr(report, "AT_MOST", 12)
    rows, evaluated = report.measured_items(tiny[1])
    assert len(rows) == 12 and (evaluated["items"], evaluated["of"]) == (12, 30)


def test_the_swapped_photo_leads_the_worst_pairs(tiny) -> None:
    pipeline, spaces = tiny
    after = {m: np.repeat(np.eye(8)[:6], 5, axis=0).astype(np.float32) for m in ("text", "image")}
    sides = {m: replace(spaces.sides[m], vectors=rows.copy()) for m, rows in after.items()}
    sides["image"].vectors[7] = np.eye(8)[7]
    worst = report.worst_pairs(replace(spaces, after=after, sides=sides), pipeline.catalogue)
    assert worst[0]["item_id"] == "i12" and worst[0]["distance"] == pytest.approx(np.sqrt(2))
    assert worst[0]["text"] == "kind 1" and worst[1]["distance"] == pytest.approx(0)


def test_distances_of_seen_and_unseen_items_are_compared_with_their_like() -> None:
    pairs = [
        {"image": "a", "text": "", "excess": 2.0, "distance": 0.5, "trained": True},
        {"image": "b", "text": "", "excess": -1.0, "distance": 0.2, "trained": True},
        {"image": "c", "text": "", "excess": 0.1, "distance": 0.9, "trained": False},
    ]
    found = report.detection(pairs, {"a"})
    assert found["all"]["auc"] == 1.0 and found["all"]["auc_distance"] == 0.5  # c is farther, but not for its kind
    assert found["held_out"]["auc"] is None and found["in_sample"]["wrong"] == 1


# ---- drawing and keeping


@pytest.fixture
def by_axes(monkeypatch) -> None:
    """UMAP compiles for ten seconds; its place is taken by the start it is given."""
    monkeypatch.setattr(layout, "umap_places", lambda near, dimensions, seed, start: np.asarray(start + 0.01 * seed))


@pytest.fixture
def drawn(workspace, tiny, monkeypatch, by_axes) -> StoredMap:
    monkeypatch.setattr(make, "run_spaces", lambda *given: tiny)
    return make.make_map(workspace, "tiny-run")


def test_the_map_has_both_frames_in_two_and_three_dimensions(drawn) -> None:
    assert drawn.slots == ("text", "image", "fused") and drawn.present.all() and drawn.whole
    for name, places in drawn.frames.items():
        assert places.shape == (30, 3, int(name[-1]))
        assert np.isnan(places[:, 2]).all() == name.startswith("before")  # nothing is fused before alignment
        assert not np.isnan(places[:, :2]).any()
    assert set(drawn.frames) == {"before-2", "after-2", "before-3", "after-3"}
    assert 0 <= drawn.numbers["after-2"]["trustworthiness"] <= 1
    assert drawn.numbers["stability"] == {"disparity": pytest.approx(0, abs=1e-6), "neighbours_kept": 1.0, "seeds": 5}


def test_a_map_that_is_kept_is_not_drawn_again(workspace, drawn, monkeypatch) -> None:
    monkeypatch.setattr(make, "run_spaces", lambda *given: pytest.fail("drawn again"))
    again = make.make_map(workspace, "tiny-run")
    assert again.item_ids == drawn.item_ids
    assert np.array_equal(again.frames["after-2"], drawn.frames["after-2"])
    assert again.report["gap"] == drawn.report["gap"]


def test_the_space_is_measured_again_without_drawing(workspace, drawn, tiny, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(make, "space_report", lambda *given: {**drawn.report, "pairs_compared": 7})
    make.renew_report(workspace, "tiny-run")
    again = load_map(workspace, "tiny-run")
    assert again.report["pairs_compared"] == 7
    assert all(np.array_equal(again.frames[name], places, equal_nan=True) for name, places in drawn.frames.items())
    file = make.renew_report(workspace, "tiny-run", tmp_path / "shipped")
    assert file.parent == tmp_path / "shipped" and len(list(file.parent.iterdir())) == 2


def test_each_step_is_kept_as_soon_as_it_is_there(workspace, tiny, monkeypatch, by_axes) -> None:
    monkeypatch.setattr(make, "run_spaces", lambda *given: tiny)
    seen = []

    def look(label: str, fraction: float) -> None:
        kept = load_map(workspace, "tiny-run")
        seen.append((kept.method, kept.whole) if kept else None)

    make.make_map(workspace, "tiny-run", on_step=look)
    assert seen[0] is None and ("PCA", False) in seen and ("UMAP", False) in seen and seen[-1] == ("UMAP", True)
    assert len(list(map_folder(workspace, MODEL).iterdir())) == 2  # one JSON, one set of places, no leftovers


def test_few_points_are_drawn_by_principal_axes_and_said_so(workspace, tiny, monkeypatch) -> None:
    monkeypatch.setattr(make, "run_spaces", lambda *given: tiny)
    monkeypatch.setattr(layout, "FEWEST_FOR_UMAP", 1000)
    few = make.make_map(workspace, "tiny-run")
    assert (few.method, few.whole) == ("PCA", True) and few.clusters.tolist() == [-1] * 30


def test_more_items_than_a_browser_can_select_among_are_sampled(monkeypatch, tiny) -> None:
    monkeypatch.setattr(make, "MOST_POINTS", 36)
    sketch = make.sketch(*tiny)
    assert len(sketch.item_ids) == 12 and sketch.of == 30 and sketch.present.sum() == 36
    assert list(sketch.item_ids) == sorted(sketch.item_ids)


def test_a_damaged_map_is_refused_and_other_weights_have_another_map(workspace, drawn) -> None:
    [places] = map_folder(workspace, MODEL).glob("*.safetensors")
    places.write_bytes(places.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="changed or damaged"):
        load_map(workspace, "tiny-run")
    (workspace.run_folder("tiny-run") / "run.json").write_text(
        json.dumps({"digests": {"model.safetensors": "cd" * 32}})
    )
    assert load_map(workspace, "tiny-run") is None


def test_a_map_that_ships_beside_its_run_is_found(workspace, drawn) -> None:
    for file in map_folder(workspace, MODEL).iterdir():
        file.rename(workspace.run_folder("tiny-run") / file.name)
    assert load_map(workspace, "tiny-run").item_ids == drawn.item_ids


def test_a_map_of_another_format_is_drawn_anew(workspace, drawn) -> None:
    path = map_file(workspace, "tiny-run")
    told = {**json.loads(path.read_text()), "format": FORMAT + 1}
    path.write_text(json.dumps({**told, "digest": digest_of(told)}))
    assert load_map(workspace, "tiny-run") is None


def test_a_map_whose_parts_do_not_fit_is_refused(drawn) -> None:
    with pytest.raises(ShapeError, match="a map of 29 items"):
        replace(drawn, item_ids=drawn.item_ids[1:])


# ---- the figure


def points(dimensions: int = 2) -> Points:
    return Points(
        places=np.arange(4 * dimensions, dtype=np.float32).reshape(4, dimensions),
        numbers=np.array([0, 1, 3, 4], dtype=np.int32), slots=np.array([0, 1, 0, 1], dtype=np.int16),
        names=("text", "image", "fused"), hover=("a", "b", "c", "d"),
    )  # fmt: skip


def test_points_travel_as_small_numbers_with_their_own_number() -> None:
    figure = map_figure(points(), by_slot(points()), subtitle="s")
    assert [trace.type for trace in figure.data] == ["scattergl", "scattergl"]
    words, photo = figure.data
    assert words.customdata.dtype == np.int32 and words.customdata.tolist() == [0, 3]
    assert words.x.dtype == np.float32 and photo.marker.symbol == "diamond" and words.marker.color == "#0072B2"
    assert figure.to_json() == map_figure(points(), by_slot(points()), subtitle="s").to_json()


def test_shape_tells_the_modality_when_colour_tells_something_else() -> None:
    figure = map_figure(points(), by_group("category", ["cup", "cup", "", "cup"]), subtitle="s")
    cups, unknown = figure.data
    assert (cups.name, unknown.name) == ("cup", "unknown")
    assert list(cups.marker.symbol) == ["circle", "diamond", "diamond"] and unknown.marker.symbol == "circle"


def test_small_groups_share_the_last_colour() -> None:
    colour = by_group("x", [str(n) for n in range(30)] + ["0"] * 3)
    assert (
        len(colour.labels) == len(colour.colors) == 17 and colour.labels[-1] == "all others" and colour.labels[0] == "0"
    )


def test_an_unknown_number_is_grey_and_not_zero() -> None:
    figure = map_figure(points(), by_number("price", np.array([1, np.nan, 3, 4], dtype=np.float32)), subtitle="s")
    assert [trace.name for trace in figure.data] == ["unknown", "price"]
    assert figure.data[1].marker.color.tolist() == [1, 3, 4]


def test_lines_join_the_points_of_one_item_only_and_skip_what_is_missing() -> None:
    frame = np.array([[[0, 0], [2, 2], [1, 1]], [[5, 5], [np.nan, np.nan], [6, 6]]], dtype=np.float32)
    walked = join_lines(frame)[:, 0]
    assert np.nan_to_num(walked, nan=-1).tolist() == [0, 1, 2, -1, 5, 6, -1]


def test_user_text_on_the_map_is_shown_as_it_is() -> None:
    mark = Mark(name="<b>bold</b> %{x}", slot="text", place=(0.0, 0.0))
    figure = map_figure(points(), by_slot(points()), subtitle="<i>s</i>", marks=(mark,))
    assert "<b>bold</b>" not in figure.data[-1].text[0] and "&lt;b&gt;bold" in figure.data[-1].text[0]
    assert "<i>" not in figure.layout.annotations[0].text


def test_three_dimensions_have_depth() -> None:
    figure = map_figure(points(3), by_slot(points(3)), subtitle="s", lines=np.zeros((2, 3), dtype=np.float32))
    assert {trace.type for trace in figure.data} == {"scatter3d"} and figure.data[1].z is not None
