"""The bundled run belongs to the bundled data and code, and reaches what its run.json says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.domain import Part, Query
from core.evaluate.protocols import split_by
from core.evaluate.splits import COLD, TRAIN
from core.workspace import BUNDLED_RUNS, Workspace

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "sample_data" / "runs"


def run_json(name: str) -> dict:
    return json.loads((RUNS / name / "run.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def told() -> dict:
    return run_json("studio-default")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace.open(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def pipeline(workspace):
    from core.pipeline import open_pipeline

    return open_pipeline(workspace, "studio-default")


@pytest.mark.parametrize("name", BUNDLED_RUNS[:2])
def test_a_run_was_trained_on_the_shipped_data_and_split(name, workspace):
    told, catalogue = run_json(name), workspace.catalogue("studio")
    assert told["data"]["version"] == catalogue.version
    assert told["data"]["split"]["sha"] == split_by(told["settings"]["protocol"], catalogue).fingerprint.sha


def test_no_cold_product_was_trained_on(told, workspace):
    catalogue = workspace.catalogue("studio")
    split = split_by("cold", catalogue)
    cold = {row.item_id for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == COLD}
    trained = {row.item_id for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == TRAIN}
    assert len(cold) == 64
    assert not cold & set(told["items"])
    assert not cold & trained


def test_a_cold_customer_photo_and_its_review_find_the_product_as_often_as_promised(told, workspace, pipeline):
    """All cold queries through the live path: the very bytes a person would upload."""
    catalogue = workspace.catalogue("studio")
    cold = set(json.loads((catalogue.root / "truth.json").read_text("utf-8"))["cold"]["items"])
    ranks = []
    rows = [row for row in catalogue.interactions if row.item_id in cold and row.media.get("image")][::3]  # 64 of 192
    for row in rows:
        photos = tuple((catalogue.root / path).read_bytes() for path in row.media["image"])
        answer = pipeline.recommend(Query.of(text=row.text, images=photos), top=10)
        ranks.append(next((item.rank for item in answer.items if item.item_id == row.item_id), 99))
    promised = told["metrics"]["test"]
    assert np.mean([rank <= 10 for rank in ranks]) == pytest.approx(promised["cold review+photo recall@10"], abs=0.1)
    assert np.mean([rank == 1 for rank in ranks]) == pytest.approx(promised["cold review+photo recall@1"], abs=0.15)


def test_shares_add_up_and_phi_explains_the_printed_score(pipeline, workspace):
    photo = workspace.media("studio", "customer/s022_2.webp")
    for item in pipeline.recommend(Query.of(text="a light red vase with stripes", images=(photo,)), top=5).items:
        assert sum(item.shares.values()) == pytest.approx(1)
        assert item.base + sum(item.phi.values()) == pytest.approx(item.score, abs=1e-5 * max(1, abs(item.score)))
        assert sum(item.gates.values()) == pytest.approx(1, abs=1e-5)


def test_a_modality_left_out_is_as_if_it_had_never_been_given(pipeline, workspace):
    photo = workspace.media("studio", "customer/s022_2.webp")
    whole = pipeline.recommend(Query.of(text="a light red vase", images=(photo,)), without=("image",))
    words = pipeline.recommend(Query.of(text="a light red vase"))
    assert [item.item_id for item in whole.items] == [item.item_id for item in words.items]
    assert whole.players == ("text",)


def test_a_known_user_is_ranked_for_without_any_words(pipeline):
    answer = pipeline.recommend(Query(user="u001"))
    assert answer.scope == "item"
    assert answer.coalitions.shape == (4, len(answer.item_ids))
    assert all(sum(item.shares.values()) == pytest.approx(1) for item in answer.items)


def test_the_story_of_two_sounds_leads_to_what_it_says(workspace):
    """Six candle holders first, then, without a word changed, fabric: both sounds are of cold products."""
    from core.pipeline import open_pipeline

    stories = json.loads((ROOT / "assets" / "stories.json").read_text("utf-8"))
    told = next(story for story in stories if story["story_id"] == "same-words-sounds")
    pipeline, heard = open_pipeline(workspace, told["run"]), workspace.catalogue("studio").root / "truth.json"
    truth = json.loads(heard.read_text("utf-8"))
    assert {step["sounds"][0].split("/")[1].split("_")[0] for step in told["steps"]} <= set(truth["cold"]["items"])
    first, second = ([truth["items"][item.item_id]["heard"] for item in pipeline.recommend(query, top=3).items]
                     for query in (sound_query(workspace, step) for step in told["steps"]))  # fmt: skip
    assert told["steps"][0]["text"] == told["steps"][1]["text"]
    assert {one["family"] for one in first} == {"candle_holder"}
    assert {one["material"] for one in second} == {"fabric"}


def sound_query(workspace: Workspace, step: dict) -> Query:
    sounds = tuple(
        Part(modality="audio", content=workspace.media("studio", path), name=path) for path in step["sounds"]
    )  # fmt: skip
    return Query(parts=Query.of(text=step["text"]).parts + sounds)
