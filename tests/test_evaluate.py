"""`evaluate`: what is told beside the metrics, what is refused, and the table of all cases."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import core.evaluate.run
import core.pipeline
import core.train.run
from core.__main__ import main
from core.domain import Item
from core.errors import SettingsError
from core.evaluate import measure
from core.evaluate.leaderboard import entry
from core.evaluate.metrics import rank_metrics
from core.evaluate.protocols import split_by, split_of
from core.evaluate.run import evaluate_run
from core.evaluate.vectors import MEASURED
from core.files import digest_bytes, write_atomic
from core.pipeline import open_pipeline
from core.store.catalogues import save_catalogue
from core.train import train_run
from core.workspace import Workspace
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    home = tmp_path_factory.mktemp("home")
    made = Workspace(home=home, sample=home / "nothing-bundled")
    with made.store.writing() as session:
        save_catalogue(session, tiny_catalogue(made.media_folder), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.train.run, "catalogue_features", tiny_features)
        for run, given in {
            "whole": {},
            "floor": {"rank": "popularity"},
            "all-rows": {"protocol": "everything"},
        }.items():
            out = made.new_run_folder(run)
            train_run(made.catalogue("tiny"), tiny_settings(epochs=1, **given), out, vectors=made.vectors)
            made.add_run(out)
    return made


@pytest.fixture(autouse=True)
def no_encoders(monkeypatch):
    monkeypatch.setattr(core.evaluate.run, "catalogue_features", tiny_features)


def test_validation_does_not_look_at_test_rows(workspace, monkeypatch):
    pipeline, masks = open_pipeline(workspace, "whole"), []

    def kept_mask(scores, positives, mask, ks):
        masks.append(mask)
        return rank_metrics(scores, positives, mask, ks)

    monkeypatch.setattr(measure, "rank_metrics", kept_mask)
    split, position = split_of(pipeline), pipeline.catalogue.position()
    for part, kept in (("validation", {"test"}), ("test", set())):
        masks.clear()
        users = measure.next_item(pipeline, pipeline.catalogue, split, part).users
        for row, label in zip(pipeline.catalogue.interactions, split.labels, strict=True):
            if row.user_id in users and label not in ("", part):
                masked = masks[0][users.index(row.user_id), position[row.item_id]]
                assert masked == (label not in kept)


def test_a_ranker_that_cannot_rank_new_items_says_so_where_new_items_are_tested(workspace, monkeypatch):
    monkeypatch.setattr(core.evaluate.run, "leaks", lambda *_: ())
    found = evaluate_run(workspace, "floor", protocol="cold")
    assert found["new_items_why"].startswith("popularity cannot rank items")
    assert "new_items_why" not in evaluate_run(workspace, "floor")


def test_what_is_evaluated_is_what_the_run_says_of_itself(workspace):
    told = json.loads((workspace.run_folder("whole") / "run.json").read_text("utf-8"))
    answer = evaluate_run(workspace, "whole")
    assert answer["users"] == 16 and answer["queries"] == 16
    assert answer["metrics"]["users ndcg@10"]["value"] == pytest.approx(told["metrics"]["test"]["users ndcg@10"])
    assert answer["metrics"]["mrr"]["value"] == pytest.approx(told["metrics"]["test"]["warm review+photo mrr"])
    assert answer["chance"]["recall@10"] == 10 / 30
    assert answer["lists"]["coverage"] == pytest.approx(told["metrics"]["test"]["lists coverage"])
    assert answer["fingerprint"]["sha"] == told["data"]["split"]["sha"]


def test_where_nothing_can_be_asked_the_command_says_why_and_what_can(workspace, capsys):
    assert main(["evaluate", "--run", "whole", "--products", "cold", "--home", str(workspace.home)]) == 0
    told = capsys.readouterr().out
    assert "no figure of questions: no held-out question of cold products in test is a review+photo; held out" in told
    assert "16 with --query review+photo --products all" in told


def test_every_case_is_written_with_the_rank_under_each_modality_alone(workspace, tmp_path):
    answer = evaluate_run(workspace, "whole", out=tmp_path / "cases.parquet")
    table = pq.read_table(tmp_path / "cases.parquet")
    column = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    assert answer["cases"] == len(table) == 16 + 16
    queries = column["kind"] == "review+photo"
    for name, got in (("rank", answer["metrics"]), ("alone_text", answer["single"]["text"])):
        assert np.mean(1 / column[name][queries]) == pytest.approx(got["mrr"]["value"])
    assert set(column["user"][column["kind"] == "users"]) == {f"u{user:02d}" for user in range(16)}


def test_a_run_without_queries_writes_the_cases_of_its_users(workspace, tmp_path):
    answer = evaluate_run(workspace, "floor", out=tmp_path / "cases.parquet")
    assert answer["cases"] == 16 and "queries" not in answer


def test_rows_that_were_trained_on_are_not_tested(workspace):
    with pytest.raises(SettingsError, match=r"trained on 16 of the rows that protocol leave-last tests"):
        evaluate_run(workspace, "all-rows", protocol="leave-last")


def test_a_catalogue_that_is_split_otherwise_than_it_was_is_refused(workspace, tmp_path, monkeypatch):
    folder = tmp_path / "whole"
    for path in workspace.run_folder("whole").iterdir():
        if path.is_file():
            write_atomic(folder / path.name, path.read_bytes())
    told = json.loads((folder / "run.json").read_text("utf-8"))
    told["data"]["split"]["sha"] = "0" * 16
    write_atomic(folder / "run.json", json.dumps(told).encode())
    monkeypatch.setattr(Workspace, "run_folder", lambda self, run: folder)
    with pytest.raises(SettingsError, match="was trained on split 0000000000000000"):
        evaluate_run(workspace, "whole")


def test_a_run_that_came_without_values_is_measured_for_the_board(workspace, monkeypatch):
    folder = workspace.run_folder("whole")
    whole = entry(workspace, "whole")
    told = json.loads((folder / "run.json").read_text("utf-8"))
    kept = (folder / "run.json").read_bytes()
    del told["digests"][MEASURED]
    monkeypatch.setattr(workspace, "run_folder", lambda run: folder)
    try:
        write_atomic(folder / "run.json", json.dumps(told).encode())
        assert not entry(workspace, "whole").measured
        evaluate_run(workspace, "whole", keep=True)
        again = entry(workspace, "whole").measured
    finally:
        write_atomic(folder / "run.json", kept)
    assert list(again) == list(whole.measured)
    for subject, one in whole.measured.items():
        for name, values in one.values.items():
            assert np.allclose(again[subject].values[name], values), (subject, name)
    assert digest_bytes(kept) == workspace.run("whole").digest


def test_items_that_are_added_later_move_nobody_from_training_to_test(workspace, monkeypatch):
    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)
    monkeypatch.setattr(core.pipeline, "catalogue_features", tiny_features)
    out, shop = workspace.new_run_folder("unseen"), workspace.catalogue("tiny")
    train_run(shop, tiny_settings(epochs=1, protocol="cold"), out, vectors=workspace.vectors)
    workspace.add_run(out)
    before = {run: evaluate_run(workspace, run) for run in ("unseen", "whole")}
    new = tuple(Item(item_id=f"i{kind}0-new", title=f"kind {kind}") for kind in range(5))
    try:
        with workspace.store.writing() as session:
            save_catalogue(session, replace(shop, items=(*shop.items, *new), version="tiny-2"), {})
        after = {run: evaluate_run(workspace, run) for run in before}
        assert [split_of(open_pipeline(workspace, run)).labels for run in before] == [
            split_by(protocol, shop).labels for protocol in ("cold", "leave-last")
        ]
    finally:
        with workspace.store.writing() as session:
            save_catalogue(session, shop, {})
    assert after["unseen"]["fingerprint"]["sha"] == before["unseen"]["fingerprint"]["sha"]
    assert after["unseen"]["queries"] == before["unseen"]["queries"] > 0
    users = {name: one for name, one in before["whole"]["metrics"].items() if name.startswith("users")}
    assert users and users.items() <= after["whole"]["metrics"].items()
