"""Every page, run whole over the toy shop: what a visitor does, what the page then says."""

from __future__ import annotations

import ast
import csv
import io
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.domain import Query
from core.errors import StoreError
from pages.shared import services, visit
from pages.shared.theme import literal
from tests.toys import RUN, SYNERGY, ToyPipeline, ToyWorkspace, paint, toy_stories

ROOT = Path(__file__).resolve().parents[1]
MUG = "the nicest mug on our shelf"
RECOMMEND = "pages/recommend_page.py"


class World:
    """The toy workspace and pipeline behind the doors of the services."""

    def __init__(self) -> None:
        self.workspace, self.pipeline = ToyWorkspace(), ToyPipeline()
        self.engine = services.Engine(pipeline=self.pipeline, turn=threading.Semaphore(1))


@pytest.fixture
def world(monkeypatch):
    st.cache_data.clear()
    st.cache_resource.clear()
    toy = World()
    monkeypatch.setattr(services, "workspace", lambda: toy.workspace)
    monkeypatch.setattr(services, "engine", lambda run: toy.engine)
    monkeypatch.setattr(services, "stories", toy_stories)
    yield toy
    st.cache_data.clear()
    st.cache_resource.clear()


def visit_app(**parameters: str) -> AppTest:
    """The app at its first page, or with parameters at Recommend."""
    at = AppTest.from_file(ROOT / "app.py", default_timeout=60).run()
    if parameters:
        at.switch_page(RECOMMEND)
        for name, value in parameters.items():
            at.query_params[name] = value
        at.run()
    assert not at.exception
    return at


def recommend_page() -> AppTest:
    at = visit_app().switch_page(RECOMMEND).run()
    assert not at.exception
    return at


def ask(at: AppTest, words: str = "", photos: tuple = ()) -> AppTest:
    at.text_area(key=visit.TEXT).set_value(words)
    if photos:
        at.file_uploader(key=visit.PHOTO).set_value(list(photos))
    at.button(key=visit.GO).click().run()
    assert not at.exception
    return at


def photo(kind: str, colour: str) -> tuple[str, bytes, str]:
    return (f"{kind} {colour}.jpg", paint(kind, colour), "image/jpeg")


def said(at: AppTest) -> str:
    """Everything the page says, one element a line, Markdown escapes undone."""
    elements = [*at.title, *at.header, *at.subheader, *at.markdown, *at.caption, *at.text]
    return "\n".join(element.value.replace("\\", "") for element in elements)


def titles(at: AppTest) -> list[str]:
    """Titles on the cards, best first."""
    cards = [re.match(r"\*\*(\d+)\. (.*?)\*\*  \n.*score", element.value) for element in at.markdown]
    return [card.group(2) for card in cards if card]


def images(at: AppTest) -> list:
    return [picture for element in at.image for picture in element.proto.imgs]


def count_elements(at: AppTest) -> int:
    def below(block) -> int:
        return sum(below(child) if hasattr(child, "children") else 1 for child in block.children.values())

    return below(at.main)


# ---- Home


def test_home_says_what_this_is_in_three_sentences_and_offers_three_stories(world):
    at = visit_app()
    opening = at.markdown[0].value
    assert len(re.findall(r"[.](?:\s|$)", opening)) == 3
    assert [button.label for button in at.button if button.key.startswith("home_story")] == ["Open this story"] * 3


def test_home_shows_the_state_of_store_and_machine(world):
    text = said(visit_app())
    assert "toy: 36 products, 8 reviews" in text
    assert "toy-run: projection + transformer + multimodal" in text
    assert "2 of 2" in text and "Computes on" in text


def test_home_stands_when_the_store_does_not(world, monkeypatch):
    def broken() -> list:
        raise StoreError("E-DB-BROKEN", "the database is not a database; its backup lies beside it.")

    monkeypatch.setattr(services, "runs", broken)
    assert "(E-DB-BROKEN)" in said(visit_app())


def test_the_first_page_loads_no_model_library():
    code = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        f"at = AppTest.from_file({str(ROOT / 'app.py')!r}, default_timeout=60).run(); assert not at.exception; "
        "print(sorted({'torch','transformers','umap','numba','sklearn','scipy','torchvision','pyarrow'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stdout + done.stderr[-2000:]


# ---- Stories


def test_one_click_opens_a_story_with_ranked_cards(world):
    at = visit_app()
    at.button(key="home_story_same-words").click().run()
    assert not at.exception
    assert titles(at)[0] == "Alder mug"  # Alder is the red one
    assert at.text_area(key=visit.TEXT).value.endswith("mug on our shelf")
    assert at.query_params["recommend_story"] == "same-words"


def test_the_same_words_with_another_photo_have_another_leader(world):
    at = visit_app(recommend_story="same-words", recommend_step="1")
    at.segmented_control(key=visit.STEP).set_value("2. with a blue photo").run()
    assert not at.exception
    assert titles(at)[0] == "Osier mug"  # Osier is the blue one
    assert at.query_params["recommend_step"] == "2"


def test_a_missing_modality_has_no_bar_and_no_slider(world):
    at = visit_app(recommend_story="one-at-a-time", recommend_step="1")
    text = said(at)
    assert "words **100 %**" in text and "photo **" not in text
    assert len(at.slider) == 0


def test_leaving_a_story_empties_the_page(world):
    at = visit_app(recommend_story="same-words")
    at.button(key="recommend_leave").click().run()
    assert not titles(at) and at.text_area(key=visit.TEXT).value == "" and not at.query_params


# ---- Asking


def test_words_and_a_photo_give_cards_with_the_measured_shares(world):
    at = ask(recommend_page(), MUG, (photo("vase", "red"),))
    assert titles(at)[0] == "Alder mug" and len(titles(at)) == visit.DEFAULT_TOP
    asked = world.pipeline.asked[-1]
    words = 0.5
    seen = 0.6 * _likeness(asked)
    phi_words, phi_photo = words + SYNERGY * words * seen / 2, seen + SYNERGY * words * seen / 2
    share = 100 * phi_words / (phi_words + phi_photo)
    assert f"words **{share:.0f} %**" in said(at) and f"photo **{100 - share:.0f} %**" in said(at)
    assert "no contributions" in said(at)  # the gates stand apart, under their name


def _likeness(query: Query) -> float:
    from tests.toys import likeness

    return likeness(query.of_modality("image")[0].content)["red"]


def test_every_picture_and_chart_has_words_for_those_who_cannot_see_it(world):
    at = ask(recommend_page(), MUG, (photo("vase", "red"),))
    assert images(at) and all(picture.alt for picture in images(at))
    at.segmented_control(key=visit.VIEW).set_value("Contributions").run()
    chart = at.get("plotly_chart")[0].proto
    assert "Alder mug" in chart.alt and "percent" in chart.alt
    at.toggle(key=visit.AS_TABLE).set_value(True).run()
    assert not at.exception and len(at.dataframe) == 1 and not at.get("plotly_chart")


def test_sources_draw_no_picture_or_chart_without_alt_and_no_empty_label():
    drawn = {"image", "plotly_chart", "dataframe"}
    labelled = {"text_area", "slider", "selectbox", "toggle", "segmented_control", "button", "file_uploader"}
    for file in (ROOT / "pages").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            name, where = call.func.attr, f"{file.name}, line {call.lineno}"
            on_page = ast.unparse(call.func.value).split(".")[0].split("[")[0] != "clip"  # a clip has images of its own
            assert name not in drawn or not on_page or any(word.arg == "alt" for word in call.keywords), where
            assert name not in labelled or ast.unparse(call.args[0]) not in ("''", '""'), where


def test_a_page_of_twelve_cards_stays_below_150_elements(world):
    at = ask(recommend_page(), MUG, (photo("vase", "red"), photo("bowl", "blue")))
    assert 60 < count_elements(at) < 150
    at.segmented_control(key=visit.VIEW).set_value("Side by side").run()
    assert count_elements(at) < 150


def test_side_by_side_says_what_moved(world):
    at = visit_app(recommend_story="contradiction")  # the story opens in this view
    text = said(at)
    assert "words only" in text and "photo only" in text and "fused" in text
    # The green lamp is 4th of six lamps by words (rows break ties) and 4th of six green things by photo; first fused.
    assert "**1. Tern lamp**  \n:small[words :material/arrow_upward: 3 · photo :material/arrow_upward: 3]" in text


def test_a_weight_of_zero_ranks_as_if_the_modality_had_not_been_given(world):
    at = ask(recommend_page(), MUG, (photo("vase", "red"),))
    calls = len(world.pipeline.asked)
    at.slider(key=visit.weight_key("text")).set_value(0.0).run()
    assert not at.exception
    photo_only = ToyPipeline().recommend(world.pipeline.asked[-1].without("text"), top=12)
    assert titles(at) == [item.title for item in photo_only.items]
    assert len(world.pipeline.asked) == calls  # nothing was computed anew
    at.button(key="recommend_weights_back").click().run()
    assert titles(at)[0] == "Alder mug" and "re-weighted" not in said(at)


def test_equal_questions_are_answered_once(world):
    at = ask(recommend_page(), MUG)
    ask(at, MUG)
    assert len(world.pipeline.asked) == 1


def test_nothing_given_is_turned_away_kindly(world):
    at = ask(recommend_page())
    assert "nothing to go on yet" in said(at) and "(E-TXT-EMPTY)" in said(at) and not titles(at)


def test_a_known_user_alone_is_a_question(world):
    at = recommend_page()
    at.selectbox(key=visit.USER).set_value("u001")
    at = ask(at)
    assert world.pipeline.asked[-1].user == "u001" and len(titles(at)) == visit.DEFAULT_TOP


def test_a_bad_photo_is_left_out_with_its_reason_and_the_good_one_is_used(world):
    cut = ("cut.jpg", paint("bowl", "green")[:3000], "image/jpeg")
    at = ask(recommend_page(), "", (cut, photo("vase", "red")))
    assert "cut.jpg: the picture ends early" in said(at) and "(E-IMG-TRUNC)" in said(at)
    assert len(world.pipeline.asked[-1].of_modality("image")) == 1
    assert titles(at)[0].startswith("Alder")


def test_a_ninth_photo_is_left_out(world):
    colours = ("red", "orange", "yellow", "green", "blue", "purple")
    files = tuple(photo(kind, colour) for kind in ("mug", "vase") for colour in colours)[:9]
    at = ask(recommend_page(), "", files)
    assert "(E-FILE-COUNT)" in said(at)
    assert len(world.pipeline.asked[-1].of_modality("image")) == 8


def test_what_was_cleaned_is_said_and_only_the_clean_words_are_asked(world):
    at = ask(recommend_page(), f"{MUG}, write to jo@example.com")
    assert "(N-TXT-PII)" in said(at)
    assert "jo@example.com" not in world.pipeline.asked[-1].text


def test_user_text_is_shown_as_it_is(world):
    hostile = "<script>alert(1)</script> **b** :red[x] $x$ [l](http://e.x) `c` :smile: mug"
    shown = literal(hostile)
    for mark in ("<", "*", "$", "[", "`", ":"):
        assert not re.search(rf"(?<!\\){re.escape(mark)}", shown)
    assert shown.replace("\\", "") == hostile


# ---- Links


def test_a_link_brings_back_words_photos_user_and_run(world):
    query = Query.of(text=MUG, images=(paint("vase", "blue"),), user="u002")
    at = visit_app(recommend_query=world.workspace.save_query(query, RUN), recommend_top="4")
    assert at.text_area(key=visit.TEXT).value == MUG
    assert at.selectbox(key=visit.USER).value == "u002" and at.selectbox(key=visit.RUN).value == RUN
    assert titles(at)[0] == "Osier mug" and len(titles(at)) == 4
    ask(at, "a vase instead")  # the opened photo stays part of the next question
    assert titles(at)[0] == "Osier vase"
    ask(at, "a bowl instead")  # and is there once, however often is asked
    assert len(world.pipeline.asked[-1].of_modality("image")) == 1


def test_the_page_remembers_its_query_when_a_visitor_comes_back(world):
    at = ask(recommend_page(), MUG)
    key = at.query_params["recommend_query"]
    at.switch_page("pages/home_page.py")
    at.query_params.clear()
    at.run()
    at.switch_page(RECOMMEND).run()
    assert at.query_params["recommend_query"] == key and titles(at)[0].endswith("mug")


@pytest.mark.parametrize("ident", ["<script>alert(1)</script>", "nothing-here", "x" * 2000])
def test_an_address_that_leads_nowhere_says_so_and_the_page_stands(world, ident):
    at = visit_app(recommend_query=ident)
    assert "This address leads nowhere" in said(at) and "(E-URL-ITEM)" in said(at)
    assert at.button(key=visit.GO) and not titles(at)


@pytest.mark.parametrize("value", ["-1", "nan", "1e9", "5", "٤"])
def test_a_value_in_the_address_that_makes_no_sense_falls_back_and_says_so(world, value):
    ident = world.workspace.save_query(Query.of(text=MUG), RUN)
    at = visit_app(recommend_query=ident, recommend_top=value)
    assert "(E-URL-VALUE)" in said(at) and len(titles(at)) == visit.DEFAULT_TOP


# ---- Honest panels


def test_a_query_unlike_anything_is_told_so_before_the_cards(world):
    at = ask(recommend_page(), "quarterly tax form")
    assert "Unlike anything in this shop" in said(at) and "99.6 %" in said(at)
    at = ask(at, MUG)
    assert "Unlike anything" not in said(at)


def test_a_fault_of_ours_is_told_without_a_trace(world, monkeypatch, caplog):
    monkeypatch.setattr(world.pipeline, "recommend", _fall_over)
    at = ask(recommend_page(), MUG)
    assert "Something broke on our side" in said(at) and "secret" not in said(at)
    assert at.text_area(key=visit.TEXT).value == MUG


def _fall_over(query, *, top=12, without=()):
    raise RuntimeError("secret detail")


def test_a_visitor_who_asks_too_often_waits(world, monkeypatch):
    at = recommend_page()
    at.session_state["visit_acts"] = [time.monotonic()] * 60
    at = ask(at, MUG)
    assert "(E-RATE-LIMIT)" in said(at) and not world.pipeline.asked


def test_the_download_holds_the_numbers_and_no_formula(world):
    answer = services.answer(RUN, Query.of(text=MUG))
    rows = list(csv.DictReader(io.StringIO(services.csv_of(answer, services.shop("toy")).decode("utf-8-sig"))))
    assert len(rows) == services.TOP and rows[0]["title"] == "Alder mug"
    assert float(rows[0]["base"]) + float(rows[0]["phi_text"]) == pytest.approx(float(rows[0]["score"]))


# ---- Settings


def test_streamlit_knows_every_option_of_the_config():
    command = [sys.executable, "-m", "streamlit", "config", "show"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert "is not a valid config option" not in done.stdout + done.stderr


def test_the_server_keeps_to_this_machine():
    config = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    assert 'address = "127.0.0.1"' in config and "gatherUsageStats = false" in config
    assert "enableStaticServing = false" in config and "enableAgentApi" not in config
