"""The Data page over a small shop whose faults are known, in a workspace of its own."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core import figures_data as figures
from core.catalog.clean import Detection, Mark
from core.errors import InputError, StoreError
from core.prepare.findings import keep_faults, table_faults
from core.workspace import Workspace
from pages.shared import data_services as data
from pages.shared import data_visit as choice
from pages.shared import services
from tests.test_cleaning import ITEMS, ROWS
from tests.test_pages import count_elements, said
from tests.toys import paint

ROOT = Path(__file__).resolve().parents[1]
PAGE = "pages/data_page.py"
TRUTH = {
    "cold": {"items": ["a"]},
    "faults": [{"kind": "html", "item_id": "c", "column": column} for column in ("title", "description")]
    + [{"kind": "no_words", "item_id": "d"}, {"kind": "no_words", "item_id": "e"}],
}  # fmt: skip


@pytest.fixture
def workspace(monkeypatch, tmp_path: Path):
    """The small shop stands where the bundled catalogue is."""
    shop = tmp_path / "sample" / "studio"
    (shop / "photos").mkdir(parents=True)
    for name in ("mug_red", "mug_blue", "bowl_red"):
        (shop / "photos" / f"{name}.jpg").write_bytes(paint(*name.split("_"), side=96))
    (shop / "items.csv").write_text(ITEMS.replace("photos/mug_green.jpg|", ""), "utf-8")
    (shop / "interactions.csv").write_text(ROWS, "utf-8")
    st.cache_data.clear()
    st.cache_resource.clear()
    opened = Workspace(home=tmp_path / "home", sample=tmp_path / "sample")
    monkeypatch.setattr(services, "workspace", lambda: opened)
    yield opened
    st.cache_data.clear()
    st.cache_resource.clear()


def page(view: str = choice.OVERVIEW, **state: object) -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).run()
    at.session_state[choice.VIEW] = view
    for key, value in state.items():
        at.session_state[key] = value
    at.switch_page(PAGE).run()
    assert not at.exception
    return at


def test_the_overview_tells_what_is_in_the_catalogue_and_how_it_is_split(workspace):
    at = page()
    text = said(at)
    assert "#### 5" in text and "10.00 to 14.00" in text  # five products and their prices
    assert "words 4 of 5 products" in text.replace("*", "") and "photo 3 of 5 products" in text.replace("*", "")
    assert "fingerprint" in text and "Comes with the app" in text
    assert count_elements(at) <= 150


def test_a_split_that_cannot_be_made_says_why_in_its_place(workspace):
    at = page(**{choice.PROTOCOL: "time"})
    assert "timestamp" in said(at) and "How it is split" in said(at)


def test_cleaning_shows_words_as_they_came_beside_what_is_used(workspace):
    at = page(choice.CLEANING, **{choice.STEP: "html"})
    text = said(at)
    assert "<b>Bold</b> mug" in text and "Bold mug" in text
    assert "have not been compared yet" in text and at.button(key=choice.LOOK).label == "Look deeper"
    assert "Against what was planted" not in text  # no truth is known here


def test_where_the_truth_is_known_findings_are_scored_against_it(workspace):
    (workspace.sample / "studio" / "truth.json").write_text(json.dumps(TRUTH), "utf-8")
    at = page(choice.CLEANING, **{choice.SCORES_AS_TABLE: True, choice.STEPS_AS_TABLE: True})
    assert "Against what was planted" in said(at)
    scores = {row["fault"]: row for row in at.dataframe[1].value.to_dict("records")}
    assert scores["Markup in words"]["recall"] == 1.0 and scores["Markup in words"]["precision"] == 1.0
    assert scores["No words"]["recall"] == 1 / 2  # e has words, whatever this truth says


def test_a_finding_of_the_job_shows_its_photo_and_the_list_can_be_taken_along(workspace):
    catalogue = workspace.catalogue("studio")
    wrong = Detection(step="wrong_photo", looked_at=3, limit=3.0, marks=(
        Mark(item_id="a", file="photos/mug_red.jpg", score=7.0, reason="=it fits nobody"),
        Mark(item_id="b", file="photos/mug_blue.jpg", score=1.0),
    ))  # fmt: skip
    keep_faults(workspace.vectors, catalogue, (*table_faults(catalogue, workspace.vectors), wrong))
    at = page(choice.CLEANING)
    assert at.selectbox(key=choice.STEP).value == "wrong_photo"
    assert "Day mug" in said(at) and "it fits nobody" in said(at) and "Garbled mug" not in said(at)
    assert "have not been compared yet" not in said(at)
    rows = list(csv.DictReader(io.StringIO(data.marks_csv(data.findings("studio")).decode("utf-8-sig"))))
    assert [row["item_id"] for row in rows if row["step"] == "wrong_photo"] == ["a"]
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


def test_a_catalogue_too_large_to_look_at_at_once_offers_the_job(workspace, monkeypatch):
    monkeypatch.setattr(data, "AT_ONCE", 3)
    at = page(choice.CLEANING)
    assert "too large to be looked at while you wait" in said(at) and at.button(key=choice.LOOK)


def test_missing_modalities_are_counted_by_combination(workspace):
    at = page(choice.MISSING, **{choice.PRESENCE_AS_TABLE: True})
    rows = {row["has"]: row["products"] for row in at.dataframe[0].value.to_dict("records")}
    assert rows == {"words + photo": 2, "words only": 2, "photo only": 1}
    assert "2 of 5" in said(at) and "ridge" in said(at)


def test_an_import_can_be_named_and_its_template_taken_along(workspace):
    at = page(choice.IMPORT)
    assert "Nothing was imported here yet" in said(at)
    assert at.button(key=choice.GO).disabled
    with zipfile.ZipFile(io.BytesIO(data.template())) as template:
        assert {"items.csv", "interactions.csv", "README.txt"} <= set(template.namelist())


def test_an_upload_starts_a_job_with_the_limits_of_the_page(workspace, monkeypatch):
    started: list[tuple] = []
    monkeypatch.setattr("core.jobs.queue.start", lambda _, *given: started.append(given))
    at = page(choice.IMPORT)
    at.file_uploader(key=choice.UPLOAD).set_value(("My Shop.zip", b"PK\x03\x04rest", "application/zip")).run()
    at.button(key=choice.GO).click().run()
    assert not at.exception
    ((kind, name, arguments),) = started
    assert (kind, name) == ("import", "my-shop") and "--uploaded" in arguments
    assert Path(arguments[0]).read_bytes() == b"PK\x03\x04rest" and Path(arguments[0]).is_relative_to(workspace.home)


def test_a_name_that_is_taken_is_refused_on_the_page(workspace):
    at = page(choice.IMPORT, **{choice.NAME: "studio"})
    at.file_uploader(key=choice.UPLOAD).set_value(("shop.zip", b"PK\x03\x04", "application/zip")).run()
    at.button(key=choice.GO).click().run()
    assert not at.exception and "is the bundled catalogue and stays as it is" in said(at)


def test_a_folder_is_asked_for_only_at_this_very_machine(workspace, monkeypatch):
    monkeypatch.setattr(data, "may_name_a_folder", lambda: False)
    at = page(choice.IMPORT)
    assert not [one for one in at.text_input if one.key == choice.PATH]
    with pytest.raises(InputError, match="no such folder or zip on this machine"):
        data.import_path("shop", "relative/folder")


@pytest.mark.parametrize(
    ("headers", "address", "may"),
    [({}, "127.0.0.1", True), ({}, None, True), ({}, "10.0.0.7", False),
     ({"X-Forwarded-For": "10.0.0.7"}, "127.0.0.1", False), ({"Forwarded": "for=10.0.0.7"}, "127.0.0.1", False)],
)  # fmt: skip
def test_who_was_forwarded_by_a_proxy_does_not_sit_at_this_machine(monkeypatch, headers, address, may):
    context = SimpleNamespace(headers=headers, ip_address=address)
    monkeypatch.setattr(data, "st", SimpleNamespace(get_option=lambda name: "127.0.0.1", context=context))
    assert data.may_name_a_folder() is may


def test_what_an_import_refused_is_listed_and_can_be_downloaded(workspace, tmp_path):
    from core.store.catalogues import save_catalogue

    report = {"summary": "5 of 6 items imported", "cleaned": {"html": 3}, "refusals": 1,
              "refused": [{"where": "items.csv, row 6", "code": "E-ROW-ID", "reason": "is empty"}]}  # fmt: skip
    from dataclasses import replace

    with workspace.store.writing() as session:
        save_catalogue(session, replace(workspace.catalogue("studio"), name="mine"), report)
    (workspace.home / "rejects").mkdir()
    (workspace.home / "rejects" / "mine.csv").write_text("severity,code\nSKIP,E-ROW-ID\n", "utf-8")
    at = page(**{choice.CATALOGUE: "mine"})
    assert "5 of 6 items imported" in said(at) and "1 refused" in said(at)
    assert at.dataframe[0].value.iloc[0]["code"] == "E-ROW-ID"
    assert data.rejects("mine") is not None and data.rejects("studio") is None


def test_a_store_that_cannot_be_read_is_a_sentence_not_a_dead_page(workspace, monkeypatch):
    def broken() -> list:
        raise StoreError("E-DB-BROKEN", "the database is damaged; restore it from a copy.")

    monkeypatch.setattr(services, "catalogues", broken)
    at = page()
    assert "(E-DB-BROKEN)" in said(at)


def test_names_are_proposed_from_file_names():
    assert data.suggested_name("My Shop (2).zip") == "my-shop-2" and data.suggested_name("/x/lfm2k/") == "lfm2k"
    assert data.suggested_name("...") == "shop"


# ---- figures


def test_steps_stand_by_what_they_found_and_those_without_stay():
    bar = figures.steps_figure([("none", 0), ("many", 9), ("few", 2)]).data[0]
    assert list(bar.y) == ["none", "few", "many"] and list(bar.x) == [0, 2, 9]


def test_scores_have_one_mark_each_for_precision_recall_and_area():
    scores = {"html": {"precision": 0.5, "recall": 1.0, "auc": 0.9}}
    drawn = figures.scores_figure(scores, {"html": "Markup"})
    assert [list(trace.x) for trace in drawn.data] == [[0.5], [1.0], [0.9]]
    assert "Markup precision 0.50, recall 1.00" in figures.scores_alt(scores, {"html": "Markup"})


def test_combinations_are_named_in_words_and_a_single_modality_has_its_colour():
    counts = {("text", "image"): 5, ("image",): 2, (): 1}
    bar = figures.presence_figure(counts).data[0]
    assert list(bar.y) == ["nothing", "photo only", "words + photo"] and bar.marker.color[1] == "#E69F00"
