"""The demo walk: one address opens it, next and back lead through real pages, nobody else sees it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.shared import demo, services
from pages.shared.theme import literal
from tests.toys import ToyPipeline, ToyWorkspace, toy_stories

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def world(monkeypatch):
    st.cache_data.clear()
    st.cache_resource.clear()
    toy, engine = ToyWorkspace(), services.Engine(pipeline=ToyPipeline(), turn=threading.Semaphore(1))
    monkeypatch.setattr(services, "workspace", lambda: toy)
    monkeypatch.setattr(services, "engine", lambda run: engine)
    monkeypatch.setattr(services, "stories", toy_stories)
    yield toy
    st.cache_data.clear()
    st.cache_resource.clear()


def opened(**parameters: str) -> AppTest:
    at = AppTest.from_file(ROOT / "app.py", default_timeout=120)
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def headline(at: AppTest) -> str:
    return next((one.value for one in at.markdown if "slideshow" in one.value), "")


def test_without_the_address_there_is_no_bar(world):
    assert headline(opened()) == ""
    assert headline(opened(demo="yes")) == ""


def test_the_walk_begins_at_its_first_step_and_ends_where_somebody_leaves(world):
    at = opened(demo="1")
    assert f"1 of {len(demo.stops())}" in headline(at)
    assert at.button(key="demo_back").disabled
    at.button(key="demo_leave").click().run()
    assert not at.exception and headline(at) == ""
    assert "demo" not in at.query_params


def test_the_presenters_notes_are_hidden_until_somebody_opens_them(world):
    """Every step has one; the audience sees none of it unless the presenter wants to."""
    assert all(stop.note for stop in demo.stops())
    note = literal(demo.stops()[0].note)
    assert note not in [one.value for one in opened(demo="1").caption]
    at = AppTest.from_file(ROOT / "app.py", default_timeout=120)
    at.query_params["demo"], at.session_state["demo_notes"] = "1", True
    at.run()
    assert not at.exception and note in [one.value for one in at.caption]


def test_whoever_asks_while_others_do_is_told_how_many_come_first():
    turn = services.Turnstile()
    assert turn.ahead == 0
    with turn:
        waiting = threading.Thread(target=lambda: turn.__enter__() and turn.__exit__(None, None, None))
        waiting.start()
        for _ in range(200):
            if turn.ahead == 2:
                break
            waiting.join(0.01)
        assert turn.ahead == 2
    waiting.join(10)
    assert turn.ahead == 0


def test_every_stop_leads_to_a_page_and_a_story_that_exist():
    from pages.shared.services import stories

    known = {one.story_id: len(one.steps) for one in stories()}
    for stop in demo.stops():
        assert (ROOT / "pages" / f"{stop.page}_page.py").is_file()
        if "recommend_story" in stop.address:
            assert int(stop.address["recommend_step"]) <= known[stop.address["recommend_story"]]
