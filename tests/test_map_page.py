"""The map page, run whole over the toy shop: what a visitor selects, what the page then says."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.domain import Query
from core.errors import ModelError
from pages.shared import errors_visit, map_colours, map_services, map_visit, services
from tests.toy_map import toy_asked, toy_drawing
from tests.toys import RUN, ToyPipeline, ToyWorkspace, toy_stories

ROOT = Path(__file__).resolve().parents[1]
MAP = "pages/map_page.py"


@pytest.fixture
def world(monkeypatch):
    st.cache_data.clear()
    st.cache_resource.clear()
    workspace = ToyWorkspace()
    toy = SimpleNamespace(
        workspace=workspace, drawing=toy_drawing(), job=None, started=[],
        engine=services.Engine(pipeline=ToyPipeline(), turn=threading.Semaphore(1)),
    )  # fmt: skip
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    monkeypatch.setattr(services, "engine", lambda run: toy.engine)
    monkeypatch.setattr(services, "stories", toy_stories)
    monkeypatch.setattr(map_services, "drawing", lambda run: toy.drawing)
    monkeypatch.setattr(map_services, "newest_job", lambda run: toy.job)
    monkeypatch.setattr(map_services, "start", toy.started.append)
    monkeypatch.setattr(map_services, "placed", lambda shown, run, query: toy_asked(shown))
    monkeypatch.setattr(map_colours, "error_ranks", lambda run: {"t00": 3.0})
    yield toy
    st.cache_data.clear()
    st.cache_resource.clear()


def map_page(**parameters: str) -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).run().switch_page(MAP)
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    elements = [*at.title, *at.header, *at.subheader, *at.markdown, *at.caption, *at.text]
    return "\n".join(element.value.replace("\\", "") for element in elements)


def lasso(at: AppTest, *numbers: int) -> AppTest:
    """What the chart reports after a lasso around these points."""
    points = [{"customdata": number} for number in numbers]
    at.session_state[map_visit.CHART] = {"selection": {"points": points, "point_indices": [], "box": [], "lasso": []}}
    at.run()
    assert not at.exception
    return at


def test_the_picture_stands_beside_its_numbers_with_a_table_twin(world):
    at = map_page()
    chart = at.get("plotly_chart")[0].proto
    assert "Map of 36 products in 2 dimensions, after alignment, coloured by modality" in chart.alt
    text = said(at)
    assert "Trustworthiness" in text and "Stability" in text and "0.40 → 0.20" in text
    assert "Measured on all 36 products" in text
    at.toggle(key=map_visit.AS_TABLE).set_value(True).run()
    assert not at.exception and not at.get("plotly_chart")
    assert len(at.dataframe[0].value) == world.drawing.map.present.sum()


def test_a_selection_goes_to_error_analysis(world, monkeypatch):
    sent = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: sent.append((page, query_params)))
    at = lasso(map_page(), 0, 1, 3, 8)
    at.button(key="map_to_errors").click().run()
    assert not at.exception and [page for page, _ in sent] == ["pages/errors_page.py"]
    assert set(sent[0][1]) == {errors_visit.RUN} and len(at.session_state[errors_visit.ITEMS]) == 3


def test_a_lasso_gives_gallery_and_table_of_whole_products(world):
    at = lasso(map_page(), 0, 1, 3, 8)  # two points of the first product, one of the second, one of the third
    assert "3 products selected" in said(at)
    assert at.dataframe[0].value["item_id"].tolist() == ["t00", "t01", "t02"]


def test_a_click_shows_photo_facts_and_neighbours(world):
    at = lasso(map_page(), 3 * 7)
    text = said(at)
    assert "Nordlys vase" in text and "no price" in text
    assert "Nearest products" in text and "by words" in text and "fused" in text and "Why they differ" in text


def test_a_selection_survives_a_change_of_colour_and_ends_when_it_is_cleared(world):
    at = lasso(map_page(), 0, 3)
    at.session_state[map_visit.CHART] = {
        "selection": {"points": [], "point_indices": [], "box": [], "lasso": []}
    }  # what a new figure reports
    at.selectbox(key=map_visit.COLOUR).set_value("category").run()
    assert not at.exception and "2 products selected" in said(at)
    at.button(key="map_clear").click().run()
    assert "Nothing selected" in said(at)


def test_a_group_is_selected_from_the_keyboard(world):
    at = map_page()
    assert at.selectbox(key=map_visit.GROUP).disabled
    at.selectbox(key=map_visit.COLOUR).set_value("category").run()
    at.selectbox(key=map_visit.GROUP).set_value("lamp (6)").run()
    assert not at.exception and "6 products selected" in said(at)


def test_a_product_is_found_by_its_title(world):
    at = map_page()
    at.selectbox(key=map_visit.FIND).set_value("Tern bowl").run()
    assert not at.exception and "Tern bowl" in said(at) and "Nearest products" in said(at)


COLOURS = (
    "category", "cluster", "price", "mean rating", "distance of the sides", "error: rank of the truth",
    "stability over seeds", "attribute: colour",
)  # fmt: skip


@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_can_be_drawn_in_every_state(world, colour):
    shown = world.drawing
    for dimensions in (2, 3):
        for blend in map_visit.BLENDS.values():
            figure, _ = map_services.figure(
                shown, colour=colour, dimensions=dimensions, blend=blend, lines=True, found="t03"
            )
            drawn = sum(len(trace.x) for trace in figure.data if trace.customdata is not None)
            gone = 0 if blend == 1 else 36  # nothing is fused before alignment
            assert drawn == shown.map.present.sum() - gone


def test_the_same_choices_give_the_same_figure_so_that_a_selection_lives(world):
    chosen = {"colour": "price", "dimensions": 2, "blend": 1.0, "lines": False}
    assert map_services.figure(world.drawing, **chosen)[0] is map_services.figure(world.drawing, **chosen)[0]


def test_the_query_is_placed_and_called_approximate(world):
    ident = world.workspace.save_query(Query.of(text="a mug"), RUN)
    at = map_page(recommend_query=ident)
    text = said(at)
    assert "Your query" in text and "place approximate" in text and "words and fused share" in text
    figure, _ = map_services.figure(
        world.drawing, colour="modality", dimensions=2, blend=1.0, lines=False, asked=toy_asked(world.drawing),
        asked_key="q",
    )  # fmt: skip
    names = [trace.name for trace in figure.data]
    assert names[-2:] == ["your words", "your query, fused"]
    at.select_slider(key=map_visit.BLEND).set_value("before").run()
    assert not at.exception and "a place after alignment only" in said(at)


def test_a_query_that_cannot_be_placed_is_told_and_the_map_stands(world, monkeypatch):
    def refuse(shown, run, query):
        raise ModelError("E-MODEL-SUM", "the weights were changed; train the run again.")

    monkeypatch.setattr(map_services, "placed", refuse)
    at = map_page(recommend_query=world.workspace.save_query(Query.of(text="a mug"), RUN))
    assert "Your query cannot be placed" in said(at) and "(E-MODEL-SUM)" in said(at) and at.get("plotly_chart")


def test_the_first_visit_starts_the_drawing_and_a_failed_one_can_be_repeated(world):
    world.drawing = None
    at = map_page()
    assert world.started == [RUN]
    world.job = SimpleNamespace(state="failed", active=False, code="E-MODEL-TYPE", message="it aligns nothing")
    at = map_page()
    assert "The map is not finished" in said(at) and "it aligns nothing (E-MODEL-TYPE)" in said(at)
    at.button(key="map_again").click().run()
    assert world.started == [RUN, RUN]


def test_worst_pairs_show_both_sides(world):
    text = said(map_page())
    assert "Pairs that may not belong together" in text and "Osier lamp" in text and "distance 1.20" in text
    assert "A lamp for every day" in text
    assert "far apart after alignment" in text  # a report from before there was another judge


def test_the_judge_of_the_worst_pairs_is_named(world):
    drawn = world.drawing.map
    pairs = [{**pair, "judge": "others"} for pair in drawn.report["worst_pairs"]]
    world.drawing = replace(world.drawing, map=replace(drawn, report={**drawn.report, "worst_pairs": pairs}))
    assert "judged by a map fitted on the other products" in said(map_page())


def test_a_run_of_more_than_two_modalities_shows_the_numbers_of_the_pair_that_is_chosen(world):
    drawn = world.drawing.map
    report = {**drawn.report, "left_out": {"text-image": 1, "text-audio": 2}}
    for key, value in {"gap": {"before": 0.9, "after": 0.3, "chance": 0.1}, "pairs": None, "alignment": None}.items():
        report[key] = {**report[key], "text-audio": value or report[key]["text-image"]}
    other = {**drawn.report["worst_pairs"][0], "item_id": "t03", "title": "Mute mug", "modalities": ["text", "audio"],
             "audio": "", "text": "A mug.", "distance": 1.1}  # fmt: skip
    report["worst_of"] = {"text-image": {"compared": 35, "pairs": drawn.report["worst_pairs"]},
                          "text-audio": {"compared": 34, "pairs": [other]}}  # fmt: skip
    world.drawing = replace(world.drawing, map=replace(drawn, report=report))
    at = map_page()
    text = said(at)
    assert "0.40 → 0.20" in text and "1 products lack words or photo" in text
    assert "1 least likely of 35 pairs of words and photo" in text and "Osier lamp" in text
    at.selectbox(key=map_visit.PAIR).set_value("text-audio").run()
    assert not at.exception
    text = said(at)
    assert "0.90 → 0.30" in text and "2 products lack words or sound" in text
    assert "1 least likely of 34 pairs of words and sound" in text and "Mute mug" in text and "Osier" not in text
    pairs, numbers = (next(one.value for one in at.dataframe if name in one.value) for name in ("pair", "number"))
    assert pairs["pair"].tolist() == ["words and photo", "words and sound"] and pairs["gap"].tolist() == [0.2, 0.3]
    assert numbers["number"][:2].tolist() == ["words find sound, recall@1", "sound finds words, recall@1"]


def test_two_modalities_leave_nothing_to_choose(world):
    assert not [one for one in map_page().selectbox if one.key == map_visit.PAIR]


def test_every_picture_has_words_for_those_who_cannot_see_it(world):
    at = lasso(map_page(), 0)
    pictures = [one for element in at.image for one in element.proto.imgs]
    assert pictures and all(one.alt for one in pictures)


def test_a_page_with_a_group_and_a_query_stays_below_150_elements(world):
    at = lasso(map_page(recommend_query=world.workspace.save_query(Query.of(text="a mug"), RUN)), *range(0, 60, 3))

    def below(block) -> int:
        return sum(below(child) if hasattr(child, "children") else 1 for child in block.children.values())

    assert below(at.main) < 150
