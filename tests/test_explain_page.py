"""The Explain page over the toy shop and the real path: what a visitor does, what the page then says."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.domain import Query
from core.evaluate.audits import keep_audit
from core.explain.faithfulness import Trial
from core.figures_explain import words_picture
from pages.shared import explain_parts, explain_services, explain_visit, services
from tests.test_pages import count_elements, images, said
from tests.tiny_microscope import tiny_pipeline
from tests.toys import RUN, ToyWorkspace, paint, toy_stories

ROOT = Path(__file__).resolve().parents[1]
EXPLAIN = "pages/explain_page.py"
WORDS = "a red mug for the long table"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return tiny_pipeline(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def world(monkeypatch, pipeline, tmp_path):
    st.cache_data.clear()
    st.cache_resource.clear()
    workspace = ToyWorkspace(shop=pipeline.catalogue)
    workspace.home, workspace.vectors = tmp_path, pipeline.catalogue.root / "vectors"
    workspace.run = lambda run: SimpleNamespace(run=RUN, catalogue="toy", digest="0" * 64)
    engine = services.Engine(pipeline=pipeline, turn=threading.Semaphore(1))
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    monkeypatch.setattr(services, "engine", lambda run: engine)
    monkeypatch.setattr(services, "stories", toy_stories)
    yield workspace
    st.cache_data.clear()
    st.cache_resource.clear()


def look(world, query: Query | None = None, **parameters: str) -> AppTest:
    """The page on a stored query (words and a red vase by default)."""
    at = AppTest.from_file(ROOT / "app.py", default_timeout=120).run()
    at.switch_page(EXPLAIN)
    asked = Query.of(text=WORDS, images=(paint("vase", "red", 96),)) if query is None else query
    at.query_params["recommend_query"] = world.save_query(asked, RUN)
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def opened(at: AppTest, view: str) -> AppTest:
    at.segmented_control(key=explain_visit.VIEW).set_value(view).run()
    assert not at.exception
    return at


def test_without_a_question_the_page_offers_one(world):
    at = AppTest.from_file(ROOT / "app.py", default_timeout=120).run()
    at.switch_page(EXPLAIN).run()
    assert not at.exception and "Nothing to explain yet" in said(at)


def test_a_product_is_explained_with_its_photo_its_split_and_the_small_print(world, pipeline):
    at = look(world)
    first = pipeline.recommend(Query.of(text=WORDS, images=(paint("vase", "red", 96),))).items[0]
    assert at.selectbox(key=explain_visit.ITEM).value == f"1. {first.title}"
    text = said(at)
    assert f"score **{first.score:.3f}**" in text.replace("\u2212", "-") and "**1st** of 36" in text
    for told in ("Residual", "are no contributions", "they disagree with the shares", "gainst other baselines"):
        assert told in text
    chart = at.get("plotly_chart")[0].proto
    assert "words" in chart.alt and "photo" in chart.alt
    assert all(picture.alt for picture in images(at)) and count_elements(at) < 150


def test_another_product_of_the_answer_is_one_choice_away_and_in_the_address(world, pipeline):
    at = look(world)
    options = at.selectbox(key=explain_visit.ITEM).options
    at.selectbox(key=explain_visit.ITEM).set_value(options[4]).run()
    assert not at.exception
    shown = at.query_params["explain_item"]
    assert pipeline.catalogue.items[pipeline.item_ids.index(shown)].title in said(at)


def test_a_product_that_is_not_there_is_said(world):
    at = look(world, explain_item="nothing")
    assert "This address leads nowhere" in said(at) and "(E-URL-ITEM)" in said(at)


def test_a_question_that_is_not_there_is_said(world):
    at = look(world, recommend_query="nothing")
    assert "This address leads nowhere" in said(at)


def test_every_chart_and_picture_has_a_table_beside_it(world):
    at = look(world)
    at.toggle(key=explain_visit.AS_TABLE).set_value(True).run()
    assert not at.exception and len(at.dataframe) == 1
    assert set(at.dataframe[0].value["modality"]) == {"words", "photo"}
    at.toggle(key=explain_visit.WORDS_TABLE).set_value(True).run()
    weights = at.dataframe[-1].value
    assert len(weights) == 7 + 9 and {"part", "weight"} <= set(weights.columns)


def test_rank_and_first_ten_are_split_as_well(world):
    at = look(world)
    for value in ("rank", "top_k"):
        at.segmented_control(key=explain_visit.VALUE).set_value(value).run()
        assert not at.exception and at.get("plotly_chart")


def test_touching_a_word_changes_the_photo(world):
    at = look(world)
    before = [picture.url for picture in images(at)]
    at.selectbox(key=explain_visit.WORD).set_value("mug").run()
    assert not at.exception and "For the word “mug”" in said(at)
    assert [picture.url for picture in images(at)] != before
    at.selectbox(key=explain_visit.PATCH).set_value("row 2, column 2").run()
    assert not at.exception and "For the patch in row 2, column 2" in said(at)


def test_a_method_that_fails_is_greyed_out_with_the_reason(world, monkeypatch):
    monkeypatch.setattr(Trial, "passed", property(lambda self: False))
    monkeypatch.setattr(Trial, "reason", property(lambda self: "taking parts away lowered the score no faster"))
    at = look(world)
    assert "taking parts away lowered the score no faster" in said(at) and "Greyed out" in said(at)
    assert "✕ Integrated gradients fails here" in said(at)


def test_trust_shows_every_method_and_how_to_audit_the_run(world):
    at = opened(look(world), "How far to trust it")
    assert "python -m core audit" in said(at) and len(at.get("plotly_chart")) == 4
    charts = [chart.proto.alt for chart in at.get("plotly_chart")]
    assert any(", score: from" in told for told in charts) and any(", rank: from" in told for told in charts)
    at.selectbox(key="explain_trust_method").set_value("occlusion").run()
    assert not at.exception and any("Leaving out" in chart.proto.alt for chart in at.get("plotly_chart"))
    at.toggle(key="explain_trust_table").set_value(True).run()
    assert {"deletion", "random deletion", "reason"} <= set(at.dataframe[0].value.columns)


def test_why_not_compares_with_another_product(world):
    at = opened(look(world), "Why not that one")
    assert "ahead of" in said(at) or "behind" in said(at)
    assert any("against" in chart.proto.alt for chart in at.get("plotly_chart"))


def test_striking_a_word_asks_again_and_shows_who_moved(world):
    at = opened(look(world), "What if")
    assert "Nothing is changed yet" in said(at)
    calm = [element.value for element in at.markdown if "was :gray" in element.value or "arrow_" in element.value]
    at.pills(key=explain_visit.STRUCK).set_value(["red", "mug"]).run()
    assert not at.exception and "Nothing is changed yet" not in said(at)
    moved = [element.value for element in at.markdown if "arrow_" in element.value]
    assert len(moved) > len(calm)
    at.button(key="explain_back").click().run()
    assert not at.exception and "Nothing is changed yet" in said(at)


def test_a_weight_that_was_moved_is_a_change_and_goes_back_with_the_rest(world):
    at = opened(look(world), "What if")
    at.slider(key=explain_visit.WEIGHT["text"]).set_value(0.0).run()
    assert not at.exception and "Nothing is changed yet" not in said(at)
    at.button(key="explain_back").click().run()
    assert at.slider(key=explain_visit.WEIGHT["text"]).value == 1.0 and "Nothing is changed yet" in said(at)


def test_two_products_are_compared_before_a_known_user_as_well(world):
    at = opened(look(world, Query(user="u001")), "Why not that one")
    assert not at.exception and ("ahead of" in said(at) or "behind" in said(at))
    at.toggle(key="explain_difference_table").set_value(True).run()
    assert at.dataframe[0].value["part"].tolist() == ["nothing asked", "words", "photo", "all"]


def test_what_explains_nothing_is_drawn_in_greys():
    plain = words_picture(["red", "mug"], [1.0, -1.0], grey=True)
    fills = re.findall(r'fill="#(..)(..)(..)"/>', plain)
    assert len(fills) == 2 and all(len(set(one)) == 1 for one in fills) and len(set(fills)) == 1
    assert words_picture(["red", "mug"], [1.0, 0.0], grey=True) != words_picture(["red", "mug"], [0.0, 1.0], grey=True)


def test_an_edited_text_leaves_no_words_to_strike(world):
    at = opened(look(world), "What if")
    assert not at.pills(key=explain_visit.STRUCK).disabled
    at.text_area(key=explain_visit.REWORDED).set_value("a blue mug").run()
    assert not at.exception and at.pills(key=explain_visit.STRUCK).disabled


def test_interventions_have_a_table_of_their_own(world):
    at = opened(look(world), "Users, facts, causes")
    at.toggle(key="explain_do_table").set_value(True).run()
    assert not at.exception
    causes = at.dataframe[0].value
    assert list(causes.columns) == ["exchanged", "score lost", "low", "high"]
    assert list(causes["exchanged"]) == ["do(words)", "do(photo)"]


def test_equal_files_are_one_medium_and_an_unclear_one_is_not_guessed(monkeypatch):
    files = {"a.jpg": b"one", "copy.jpg": b"one", "b.jpg": b"two"}
    monkeypatch.setattr(services, "workspace", lambda: SimpleNamespace(media=lambda shop, path: files[path]))
    scorer = SimpleNamespace(scope="item", media={"image": (0, 1)})
    scope = SimpleNamespace(scorer=scorer, item=SimpleNamespace(media={"image": tuple(files)}))
    shop = SimpleNamespace(name="toy")
    assert explain_services.contents(scope, shop, "image") == [b"one", b"two"]
    scorer.media = {"image": (0,)}  # one of the two could not be read
    assert explain_services.contents(scope, shop, "image") == []


@pytest.mark.parametrize("value", ["rank", "top_k"])
def test_the_small_print_is_of_the_chosen_value(world, value, monkeypatch):
    shown = []
    monkeypatch.setattr(explain_parts, "small_print", lambda scope, found, judged: shown.append((scope, found)))
    at = look(world)
    at.segmented_control(key=explain_visit.VALUE).set_value(value).run()
    scope, found = shown[-1]
    assert not at.exception and found is scope.contributions()[value]


def test_gates_are_not_set_against_shares_that_are_not_there(monkeypatch):
    told = []
    monkeypatch.setattr(st, "markdown", told.append)
    none = SimpleNamespace(shares={}, pairs={}, residual=0.0)
    scope = SimpleNamespace(
        in_path={"text": False}, players=("text",), gates={"text": 1.0}, disagreement=0.0,
        contributions=lambda: {"score": none},
    )  # fmt: skip
    explain_parts.small_print(scope, none, None)
    assert "are no contributions" in told[0] and "disagree" not in told[0] and "exactly 0" in told[0]


def test_another_item_can_stand_where_a_modality_is_taken_away(world):
    at = look(world)
    before = at.get("plotly_chart")[0].proto.alt
    at.selectbox(key=explain_visit.BASELINE).set_value("another").run()
    assert not at.exception and at.selectbox(key=explain_visit.STAND_IN).value
    assert at.get("plotly_chart")[0].proto.alt != before


def test_covering_half_of_the_photo_asks_again(world):
    at = opened(look(world), "What if")
    at.segmented_control(key=explain_visit.EDIT).set_value("Cover").run()
    assert not at.exception and "Nothing is changed yet" not in said(at)
    assert any("as it is asked now" in picture.alt for picture in images(at))


def test_dropping_everything_is_still_answered(world):
    at = opened(look(world), "What if")
    at.pills(key=explain_visit.DROPPED).set_value(["text", "image"]).run()
    assert not at.exception


def test_facts_causes_and_history_of_a_known_user(world):
    at = opened(look(world, Query(user="u001")), "Users, facts, causes")
    text = said(at)
    assert "user's history" in text and "This is an intervention" in text.replace("\n", " ")
    assert "Fidelity" in text or "Too few products" in text
    at.toggle(key="explain_history_table").set_value(True).run()
    assert {"met", "score lost"} <= set(at.dataframe[0].value.columns)


def test_the_bench_says_that_it_needs_a_question(world):
    at = opened(look(world, Query(user="u001")), "What if")
    assert "The bench changes a question" in said(at)


def test_an_audit_of_the_run_is_shown_and_its_absence_is_told(world):
    at = opened(look(world), "Is it used?")
    assert "Nobody has audited this run yet" in said(at)
    one = {"value": 0.2, "low": 0.1, "high": 0.3}
    used = {"perceptual": one, "ablation": one, "emap_gain": one, "in_scoring_path": True}
    audit = {
        "cases": 100, "level": "media", "told": "encoding anew", "scope": "query", "things": 300, "seed": 0,
        "metric": "ndcg@20", "methods": {"occlusion": {"text": {"passed": False, "reason": "no better than chance"}}},
        "modalities": {"text": used, "image": {**used, "perceptual": {**one, "low": -0.1}}},
    }  # fmt: skip
    keep_audit(world, RUN, None, audit)
    at = opened(look(world), "Is it used?")
    text = said(at)
    assert "words: **used**" in text and "photo: **not shown to be used**" in text
    assert "20% of NDCG@20 goes when exchanged, 10% to 30%" in text and "loss of ndcg" not in text
    at = opened(at, "How far to trust it")
    assert "no better than chance" in said(at) and "100 cases" in said(at)


def test_every_card_of_recommend_leads_here(world):
    at = AppTest.from_file(ROOT / "app.py", default_timeout=120).run()
    at.switch_page("pages/recommend_page.py")
    at.query_params["recommend_query"] = world.save_query(Query.of(text=WORDS), RUN)
    at.run()
    links = [link.proto for link in at.get("page_link") if link.proto.label == "Why?"]
    assert not at.exception and len(links) == 12


def test_methods_and_baselines_are_told_in_words():
    assert all(one.title and one.tells for one in explain_services.methods())
    assert set(explain_services.baselines()) == {"absent", "mean", "others", "another"}
