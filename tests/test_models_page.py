"""The Models page over a tiny shop with real runs: what is trained, who waits, which run is better, what moved."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import core.train.run
from core.__main__ import main
from core.jobs import queue
from core.store.catalogues import save_catalogue
from core.store.jobs import change_job
from core.train import train_run
from core.workspace import Workspace
from pages.shared import models_services as models
from pages.shared import models_visit as choice
from pages.shared import services
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/models_page.py"
RUNS = {"tiny-a": {}, "tiny-b": {"seed": 1}, "tiny-floor": {"rank": "popularity"}}


def shop(home: Path) -> Workspace:
    """A workspace that holds the tiny catalogue, and no bundled one."""
    workspace = Workspace(home=home, sample=home / "nothing-bundled")
    with workspace.store.writing() as session:
        save_catalogue(session, tiny_catalogue(workspace.media_folder), {})
    return workspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Workspace:
    """Three measured runs: two seeds of one model, and the floor."""
    workspace = shop(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.train.run, "catalogue_features", tiny_features)
        for run, given in RUNS.items():
            out = workspace.new_run_folder(run)
            train_run(workspace.catalogue("tiny"), tiny_settings(**given), out, vectors=workspace.vectors)
            workspace.add_run(out)
    return workspace


@pytest.fixture
def fresh(tmp_path) -> Workspace:
    return shop(tmp_path / "home")


@pytest.fixture(autouse=True)
def no_caches():
    st.cache_data.clear()
    st.cache_resource.clear()
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def commands(monkeypatch) -> list[list[str]]:
    """The command lines that jobs would have started; none is."""
    started: list[list[str]] = []

    def begin(command: list[str], **_: object) -> SimpleNamespace:
        started.append(command)
        return SimpleNamespace(poll=lambda: None)

    monkeypatch.setattr(queue.subprocess, "Popen", begin)
    monkeypatch.setattr(queue, "_children", {})
    return started


def open_page(monkeypatch, workspace: Workspace, view: str = choice.TRAIN) -> AppTest:
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).run().switch_page(PAGE).run()
    if view != choice.TRAIN:
        at.segmented_control(key=choice.VIEW).set_value(view).run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    elements = [*at.header, *at.markdown, *at.caption, *at.warning, *at.text]
    return "\n".join(element.value.replace("\\", "") for element in elements)


def badge(at: AppTest) -> list[str]:
    words = ("waiting", "training", "done", "failed", "cancelled", "broken off")
    return [word for element in at.markdown for word in words if f" {word}]" in element.value]


# ---- Train


def test_an_empty_queue_says_what_to_do(fresh, monkeypatch):
    text = said(open_page(monkeypatch, fresh))
    assert "Nothing is being trained" in text and "A query tower and a user tower" in text


def test_every_method_of_the_registries_can_be_chosen(fresh, monkeypatch):
    from core.align import ALIGNERS
    from core.evaluate.protocols import PROTOCOLS
    from core.fuse import FUSERS
    from core.rank import RANKERS

    at = open_page(monkeypatch, fresh)
    for key, known in (
        (choice.ALIGN, ALIGNERS),
        (choice.FUSE, FUSERS),
        (choice.RANK, RANKERS),
        (choice.PROTOCOL, PROTOCOLS),
    ):
        assert at.selectbox(key=key).options == list(known)
    assert all(known.values() for known in (models.choices().align, models.choices().fuse, models.choices().rank))


def test_two_people_who_press_train_have_a_job_each_and_both_see_who_waits(fresh, monkeypatch, commands):
    first, second = open_page(monkeypatch, fresh), open_page(monkeypatch, fresh)
    first.button(key=choice.GO).click().run()
    second.button(key=choice.GO).click().run()
    assert [job.target for job in queue.jobs(fresh)][::-1] == [
        "tiny-multimodal-projection-weighted", "tiny-multimodal-projection-weighted-2"
    ]  # fmt: skip
    assert len(commands) == 2
    for at in (first.run(), second):
        assert not at.exception
        assert "1st in the queue" in said(at) and "2nd in the queue" in said(at)


def test_a_double_click_is_one_job(fresh, monkeypatch, commands):
    at = open_page(monkeypatch, fresh)
    at.button(key=choice.GO).click().run()
    at.button(key=choice.GO).click().run()
    assert len(commands) == 1
    at.number_input(key=choice.SEED).set_value(7).run()
    at.button(key=choice.GO).click().run()
    assert len(commands) == 2


def test_what_cannot_be_trained_is_said_and_cannot_be_pressed(fresh, monkeypatch):
    at = open_page(monkeypatch, fresh)
    at.selectbox(key=choice.PROTOCOL).set_value("label").run()
    assert "no interaction carries a split label" in said(at) or "is not known" in said(at)
    assert at.button(key=choice.GO).disabled
    at.selectbox(key=choice.PROTOCOL).set_value("leave-last")
    at.selectbox(key=choice.RANK).set_value("factors").run()
    assert "0 users have 5 rows or more in training" in said(at) and at.button(key=choice.GO).disabled
    at.selectbox(key=choice.PROTOCOL).set_value("everything").run()
    assert "cannot answer words and photos" in said(at) and "the same with any pair" in said(at)
    assert "nothing is held out" in said(at)
    assert not at.button(key=choice.GO).disabled


def test_the_page_and_the_command_line_train_the_same_weights(fresh, tmp_path, monkeypatch, commands):
    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)
    at = open_page(monkeypatch, fresh)
    at.selectbox(key=choice.PROTOCOL).set_value("leave-last")
    at.number_input(key=f"{choice.EPOCHS}_multimodal").set_value(1)
    at.number_input(key=choice.SEED).set_value(3).run()
    at.button(key=choice.GO).click().run()
    assert main(commands[0][3:]) == 0  # what the job of the page runs: train --home ... --job ...
    other = shop(tmp_path / "other")
    given = ["--catalogue", "tiny", "--rank", "multimodal", "--protocol", "leave-last", "--epochs", "1", "--seed", "3"]
    assert main(["train", "--home", str(other.home), *given, "--name", "by-hand"]) == 0
    digests = [
        json.loads((path / "run.json").read_text("utf-8"))["digests"]["model.safetensors"]
        for path in (fresh.home / "runs" / queue.jobs(fresh)[0].target, other.home / "runs" / "by-hand")
    ]
    assert digests[0] == digests[1]
    assert "done" in badge(at.run()) and "users ndcg@10" in said(at)


def test_a_search_is_one_job_for_all_pairs_and_is_not_done_twice(fresh, monkeypatch, commands):
    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)
    at = open_page(monkeypatch, fresh)
    at.selectbox(key=choice.PROTOCOL).set_value("leave-last")
    at.number_input(key=f"{choice.EPOCHS}_multimodal").set_value(1)
    at.toggle(key=choice.GRID).set_value(True).run()
    at.multiselect(key=choice.GRID_ALIGN).set_value(["projection"]).run()
    at.multiselect(key=choice.GRID_FUSE).set_value(["weighted", "stacking"]).run()
    assert at.button(key=choice.GO).label == "Train 2 pairs"
    at.button(key=choice.GO).click().run()
    assert main(commands[0][3:]) == 0
    runs = {info.run: info.created for info in fresh.runs()}
    assert sorted(runs) == [f"tiny-multimodal-grid-projection-{fuse}" for fuse in ("stacking", "weighted")]
    [job] = queue.jobs(fresh)
    assert job.result["choice"]["of"] == 2 and job.result["run"] in runs
    assert main(["train", "--home", str(fresh.home), *job.arguments]) == 0
    assert {info.run: info.created for info in fresh.runs()} == runs
    board = open_page(monkeypatch, fresh, choice.LEADERBOARD)
    assert "Search tiny-multimodal-grid" in said(board) and "Chosen by validation" in said(board)


def test_states_and_doors_of_jobs(fresh, monkeypatch, commands):
    for name, state, told in (
        ("one", "running", {"fraction": 0.4, "label": "epoch 3 of 6", "remaining": 240.0}),
        ("two", "failed", {"code": "E-DISK-FULL", "message": "the disk is full"}),
        ("three", "cancelled", {"message": "stopped on request"}),
    ):
        change_job(fresh.store, queue.claim(fresh, "train", name, ["--name", name]).id, state=state, **told)
    (fresh.home / "runs" / "one").mkdir(parents=True)
    rows = [{"epoch": epoch, "loss": 3.0 - epoch, "mrr": 0.2 * epoch, "selection": 0.2 * epoch} for epoch in (0, 1)]
    (fresh.home / "runs" / "one" / "curves.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    at = open_page(monkeypatch, fresh)
    assert badge(at) == ["training", "cancelled", "failed"]
    assert "the disk is full (E-DISK-FULL)" in said(at)
    [chart] = at.get("plotly_chart")
    assert "training loss 2.000" in chart.proto.alt and "(MRR) 0.200" in chart.proto.alt
    at.toggle(key=choice.CURVES_AS_TABLE).set_value(True).run()
    assert at.dataframe[0].value["epoch"].tolist() == [0, 1]
    cancelled = next(job for job in queue.jobs(fresh) if job.target == "three")
    at.button(key=f"models_resume_{cancelled.id}").click().run()
    assert commands[0][-3:] == ["--name", "three", "--resume"]
    running = next(job for job in queue.jobs(fresh) if job.target == "one")
    at.button(key=f"models_cancel_{running.id}").click().run()
    from core.store.jobs import wants_cancel

    assert wants_cancel(fresh.store, running.id) and not at.exception


# ---- Leaderboard


def test_an_empty_board_says_so(fresh, monkeypatch):
    assert "No run has been measured yet" in said(open_page(monkeypatch, fresh, choice.LEADERBOARD))


def test_the_board_shows_all_runs_with_floors_caution_and_split(trained, monkeypatch):
    at = open_page(monkeypatch, trained, choice.LEADERBOARD)
    text = said(at)
    assert "3 runs" in text and "16 test users: too few for a headline number" in text
    [chart] = at.get("plotly_chart")
    assert "popularity" in chart.proto.alt and "chance" in chart.proto.alt and "3 runs" in chart.proto.alt
    split = json.loads((trained.home / "runs" / "tiny-a" / "run.json").read_text("utf-8"))["data"]["split"]["sha"]
    assert f"split {split}" in text and "16 tested users have training rows" in text
    assert "tiny-floor** -" in text and "· worse" in text


def test_every_run_is_tested_against_the_chosen_one(trained, monkeypatch):
    at = open_page(monkeypatch, trained, choice.LEADERBOARD)
    at.selectbox(key=choice.REFERENCE).set_value("tiny-floor").run()
    assert "Against **tiny-floor**" in said(at) and said(at).count("· better") == 2


def test_seeds_become_one_line(trained, monkeypatch):
    at = open_page(monkeypatch, trained, choice.LEADERBOARD)
    at.toggle(key=choice.OVER_SEEDS).set_value(True).run()
    assert "2 runs" in said(at) and "projection + weighted + multimodal, 2 seeds" in at.get("plotly_chart")[0].proto.alt


def test_the_table_and_the_file_say_what_the_chart_says(trained, monkeypatch):
    at = open_page(monkeypatch, trained, choice.LEADERBOARD)
    at.toggle(key=choice.BOARD_AS_TABLE).set_value(True).run()
    table = at.dataframe[0].value
    group = models.groups()[0]
    board = models.board(group, "users", "ndcg@10", "test", "", False)
    rows = list(csv.DictReader(io.StringIO(models.as_csv(models.board_rows(board)).decode("utf-8-sig"))))
    assert [row["run"] for row in rows] == table["run"].tolist()
    told = {info.run: info.metrics["test"]["users ndcg@10"] for info in trained.runs()}
    assert {row["run"]: float(row["value"]) for row in rows} == pytest.approx(told)
    assert all(0 <= float(row["coverage"]) <= 1 and float(row["novelty"]) > 0 for row in rows)


def test_a_run_of_the_board_can_be_asked(trained, monkeypatch):
    from pages.shared import visit

    at = open_page(monkeypatch, trained, choice.LEADERBOARD)
    at.selectbox(key="models_door").set_value("tiny-b").run()
    at.button(key="models_ask").click().run()
    assert not at.exception and at.selectbox(key=visit.RUN).value == "tiny-b"


def test_a_run_that_came_without_values_can_be_measured_by_a_button(trained, monkeypatch, commands):
    from dataclasses import replace

    monkeypatch.setattr(services, "workspace", lambda: trained)
    known = [replace(one, measured={}) if one.run == "tiny-a" else one for one in models.entries()]
    monkeypatch.setattr(models, "entries", lambda: tuple(known))
    at = open_page(monkeypatch, trained, choice.LEADERBOARD)
    assert "tiny-a came with means alone" in said(at)
    at.button(key="models_measure_tiny-a").click().run()
    assert not at.exception and commands[0][3] == "evaluate" and commands[0][-3:] == ["--run", "tiny-a", "--keep"]


# ---- Side by side


def test_two_runs_answer_for_the_same_user_and_say_what_moved(trained, monkeypatch):
    at = open_page(monkeypatch, trained, choice.SIDES)
    at.selectbox(key=choice.LEFT).set_value("tiny-a").run()
    at.selectbox(key=choice.RIGHT).set_value("tiny-floor").run()
    assert "Choose a user" in said(at)
    at.selectbox(key=choice.USER).set_value("u03").run()
    assert not at.exception
    lists = [element.value for element in at.markdown if element.value.startswith("**1. ")]
    assert len(lists) == 2 and ("arrow" in said(at) or "not in the other" in said(at))


def test_a_run_that_cannot_answer_words_says_so_beside_one_that_can(trained, monkeypatch):
    def answer(run: str, query):
        from core.errors import InputError

        if run == "tiny-floor":
            raise InputError("E-INPUT-VALUE", "the ranker popularity cannot answer a query")
        return SimpleNamespace(items=())

    monkeypatch.setattr(services, "answer", answer)
    at = open_page(monkeypatch, trained, choice.SIDES)
    at.selectbox(key=choice.LEFT).set_value("tiny-a").run()
    at.selectbox(key=choice.RIGHT).set_value("tiny-floor").run()
    at.segmented_control(key=choice.ASKED_BY).set_value("words").run()
    at.text_input(key=choice.WORDS).set_value("kind 3").run()
    assert not at.exception and "cannot answer a query" in said(at)


def test_the_page_stays_within_what_a_page_may_hold(trained, monkeypatch):
    def count(block) -> int:
        return sum(count(child) if hasattr(child, "children") else 1 for child in block.children.values())

    for view in choice.VIEWS:
        assert count(open_page(monkeypatch, trained, view).main) < 150


# ---- What if missing


def test_a_modality_can_go_missing_in_a_job_and_its_figure_is_there_afterwards(trained, monkeypatch, commands):
    from core.evaluate.missing_kept import keep
    from tests.test_missing import answer, row

    at = open_page(monkeypatch, trained, choice.MISSING)
    assert "What if a modality is missing?" in said(at)
    at.button(key="missing_go").click().run()
    (command,) = commands
    assert command[3] == "simulate-missing" and command[command.index("--ratio") + 1] == "0.5"
    assert command[command.index("--modality") + 1] == "image" and "--method" not in command
    told = answer(row(0.5, "none", "test", 0.36, chosen=True), row(0.5, "knn", "test", 0.2), run="tiny-b")
    keep(trained, told, trained.catalogue("tiny").version)
    at.run()
    assert not at.exception
    assert "validation chooses none, which keeps 90% (85% to 95%)" in said(at).replace("**", "")
    at.toggle(key="missing_as_table").set_value(True).run()
    assert list(at.dataframe[0].value["method"]) == ["complete", "none", "knn"]


def test_a_run_without_two_modalities_is_not_offered(trained, monkeypatch):
    at = open_page(monkeypatch, trained, choice.MISSING)
    assert at.selectbox(key="missing_run").options == ["tiny-b", "tiny-a"]
