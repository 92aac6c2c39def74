"""The form of the Data page that adds one item of words, photos, a sound and a clip: ranked at once."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import streamlit as st
from PIL import Image
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner import RerunData, RerunException, get_script_run_ctx
from streamlit.testing.v1 import AppTest

from bench.cases.four import sound
from core.domain import Query, Words
from core.importing import import_source
from core.workspace import Workspace
from pages.shared import adding, media_services, services, wording
from pages.shared import data_visit as choice
from tests.test_adding import ringing, small_clip
from tests.test_data_page import page
from tests.test_pages import said


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A workspace with the catalogue `ringing`, and the name of its first run."""
    root = tmp_path_factory.mktemp("adding")
    opened = Workspace(home=root / "home", sample=root / "none")
    return opened, import_source(opened, ringing(root / "ringing"), "ringing").run


@pytest.fixture
def shop(monkeypatch, imported):
    """The run's name; it is opened before anything is added."""
    st.cache_data.clear()
    st.cache_resource.clear()
    opened, run = imported
    monkeypatch.setattr(services, "workspace", lambda: opened)
    services.engine(run)
    yield run
    st.cache_data.clear()
    st.cache_resource.clear()


def form(**cells: str) -> AppTest:
    at = page(choice.ADD, **{choice.CATALOGUE: "ringing"})
    for name, cell in cells.items():
        (at.text_area if name == "description" else at.text_input)(key=f"data_add_{name}").set_value(cell)
    return at


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((96, 96)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(("key", "name", "code"), [("sound", "no.wav", "E-AUD-TYPE"), ("clip", "no.mp4", "E-VID-")])
def test_a_broken_sound_or_clip_is_refused_in_words_and_nothing_is_added(shop, key, name, code):
    at = form(title="A brass bell")
    at.file_uploader(key=f"data_add_{key}").set_value([(name, b"RIFFxxxxnothing", "audio/wav")])
    at.button(key="data_add_go").click().run()
    assert not at.exception and not at.success
    assert "This was not added" in said(at) and code in said(at)
    assert len(services.shop("ringing").items) == 3


def test_an_id_that_is_there_is_refused_and_the_form_keeps_what_was_written(shop):
    at = form(title="A brass bell", id="mug")
    at.button(key="data_add_go").click().run()
    assert "E-ROW-DUP" in said(at) and at.text_input(key="data_add_title").value == "A brass bell"


def test_the_next_id_is_the_first_free_one():
    assert adding.next_id({}) == "new-1" and adding.next_id({"new-1": 0, "a": 0, "new-3": 0}) == "new-2"


def test_a_bundled_catalogue_has_no_form_and_says_why(shop, monkeypatch):
    [info] = services.catalogues()
    monkeypatch.setattr(services, "catalogues", lambda: [replace(info, bundled=True)])
    at = form()
    assert "stays as it is" in at.info[0].value
    assert not [one for one in at.button if one.key == "data_add_go"]


def test_words_a_photo_a_sound_and_a_clip_become_an_item_that_is_ranked_at_once(shop):
    heard, filmed = sound(9, 16_000), small_clip(9)
    at = form(title="A brass bell", category="bells", price="12.50")
    at.file_uploader(key="data_add_photos").set_value([("𝄞" * 80 + ".png", picture(), "image/png")])
    at.file_uploader(key="data_add_sound").set_value([("b.wav", heard, "audio/wav")])
    at.file_uploader(key="data_add_clip").set_value([("b.mp4", filmed, "video/mp4")])
    at.button(key="data_add_go").click().run()
    assert not at.exception and not at.error
    assert "A brass bell is in ringing: 4 products now" in " ".join(one.value for one in at.success)
    item = services.shop("ringing").items["new-1"]
    assert (item.title, item.category, item.price) == ("A brass bell", "bells", 12.5)
    assert {m: len(paths) for m, paths in item.media.items()} == {"image": 1, "audio": 1, "video": 1}
    filled = [one for kind in ("text_input", "text_area", "file_uploader") for one in at.get(kind) if one.value]
    assert not filled and at.text_input(key="data_add_id_1").placeholder == "new-2"
    at.button(key="data_add_go_1").click().run()
    assert "Nothing was given" in at.warning[0].value and len(services.shop("ringing").items) == 4
    answer = services.answer(shop, Query.of("A brass bell", sounds=(heard,), clips=(filmed,)))
    assert answer.items[0].item_id == "new-1" and len(answer.items) == 4
    assert form().text_input(key="data_add_id").placeholder == "new-2"


def test_a_second_press_while_the_first_one_works_adds_nothing_twice(shop, monkeypatch):
    """It begins the page anew, with the same press, at the first thing the page does after the item is there."""
    at, presses, core_add = form(title="A brass gong"), [], adding.add

    def pressed_again(*given):
        done = core_add(*given)
        if not presses:
            presses.append(1)
            here = get_script_run_ctx()
            widgets = WidgetStates(widgets=here.session_state.get_widget_states())
            raise RerunException(RerunData(widget_states=widgets, page_script_hash=here.page_script_hash))
        return done

    monkeypatch.setattr(adding, "add", pressed_again)
    before = len(services.shop("ringing").items)
    at.button(key="data_add_go").click().run()
    assert presses and not at.exception and not at.error
    assert f"A brass gong is in ringing: {before + 1} products now" in at.success[0].value
    assert [item.title for item in services.shop("ringing").items.values()].count("A brass gong") == 1


def test_the_title_of_an_item_is_told_as_it_was_written_and_a_run_that_reads_none_of_it_is_named(shop, monkeypatch):
    desk = Words(item="reply", items="replies", shop="help desk")
    monkeypatch.setattr(wording, "words", lambda catalogue=None: desk)
    monkeypatch.setattr(media_services, "modalities_of", lambda run: ("image",))
    at = form(title="Product of the shop")
    at.button(key="data_add_go").click().run()
    assert at.success[0].value.startswith("Product of the shop is in ringing: ") and "replies" in at.success[0].value
    assert shop in at.info[0].value.replace("\\", "") and "nothing is known" in at.info[0].value
