"""A catalogue need not be a shop: its own words, checked, kept with it, and used on the screen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.catalog.folder import read_folder
from core.catalog.ledger import Ledger
from core.catalog.wording import read_words
from core.domain import Words
from core.workspace import Workspace
from pages.shared import services

ROOT = Path(__file__).resolve().parents[1]
REPLIES = Words(item="answer", items="answers", query="message", queries="messages", shop="help desk", price="time")


def told(tmp_path: Path, content: str) -> tuple[Words, list[str]]:
    (tmp_path / "catalogue.json").write_text(content, "utf-8")
    ledger = Ledger()
    return read_words(tmp_path, ledger), [f"{one.where} {one.message}" for one in ledger.problems]


def test_a_folder_without_words_speaks_of_products_of_a_shop(tmp_path):
    assert read_words(tmp_path) == Words()
    assert Words().said("A product of this shop") == "A product of this shop"


def test_a_sentence_takes_the_words_of_the_catalogue_with_article_and_capital():
    assert REPLIES.said("A product, no price. Products of the shop; 3 reviews") == (
        "An answer, no time. Answers of the help desk; 3 messages"
    )
    assert REPLIES.said("production, workshop and preview stay") == "production, workshop and preview stay"


def test_good_words_are_taken_and_bad_ones_listed_with_the_standard_in_their_place(tmp_path):
    words, problems = told(tmp_path, json.dumps({"words": {
        "item": "Antwort", "items": "<b>x</b>", "price": 7, "unit": "min", "colour": "blue", "query": "a" * 30,
    }}))  # fmt: skip
    assert words == Words(item="Antwort", unit="min")
    assert len(problems) == 4
    assert any("items" in one and "expected" in one for one in problems)


@pytest.mark.parametrize("content", ["{", "[]", '{"words": []}', '{"words": {"item": null}}', "\ud83d".encode(
    "utf-8", "surrogatepass").decode("latin1"), "[" * 5000, " " * 10_001])  # fmt: skip
def test_whatever_stands_there_the_catalogue_is_read(tmp_path, content):
    words, problems = told(tmp_path, content)
    assert words == Words() and len(problems) == 1


def test_words_are_part_of_the_catalogue_and_of_its_version(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title\na,one\n")
    plain = read_folder(tmp_path, "desk")[0]
    told(tmp_path, '{"words": {"item": "reply", "items": "replies"}}')
    found = read_folder(tmp_path, "desk")[0]
    assert plain.words == Words() and found.words == Words(item="reply", items="replies")
    assert plain.version != found.version


def test_what_is_stored_comes_back_with_its_words(tmp_path):
    from dataclasses import replace

    from core.store.catalogues import save_catalogue
    from core.workspace import Workspace
    from tests.tiny_world import tiny_catalogue

    workspace = Workspace(home=tmp_path, sample=tmp_path / "nothing-bundled")
    with workspace.store.writing() as session:
        save_catalogue(session, replace(tiny_catalogue(workspace.media_folder), words=REPLIES), {})
    assert workspace.catalogue("tiny").words == workspace.words("tiny") == REPLIES
    assert workspace.words("nobody") == Words()


def test_the_support_catalogue_is_replies_with_held_out_messages_and_small():
    from core.workspace import Workspace

    workspace = Workspace.open(Path("nowhere"))
    desk = workspace.catalogue("support")
    assert len(desk.items) == 60 and len({item.category for item in desk.items}) == 12
    assert desk.words == workspace.words("support") and desk.words.items == "replies"
    of = {item.item_id: [row.split for row in desk.interactions if row.item_id == item.item_id] for item in desk.items}
    assert all(sorted(labels) == ["test", "test", "train", "train", "validation"] for labels in of.values())
    assert all(row.text for row in desk.interactions)
    assert sum(path.stat().st_size for path in desk.root.rglob("*") if path.is_file()) < 3_000_000


def drawn(at: AppTest) -> list[str]:
    """Every text of the page that a person may see, one element a string."""
    found, waiting = [], [at._tree]
    while waiting:
        one = waiting.pop()
        waiting += list(getattr(one, "children", {}).values())
        if getattr(one, "proto", None) is not None:
            found.append(str(one.proto))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("page", "state"), [
    ("recommend", {"recommend_run": "support-default"}),
    ("map", {"map_run": "support-default"}),
    ("recommend", {"recommend_story": "support"}),
    ("explain", {"recommend_story": "support"}),
    ("models", {"models_catalogue": "support"}),
    ("errors", {"errors_run": "support-default"}),
    ("data", {"data_catalogue": "support"}),
    ("data", {"data_catalogue": "support", "data_view": "Missing"}),
    ("data", {"data_catalogue": "support", "data_view": "Add"}),
])  # fmt: skip
def test_no_page_speaks_of_products_of_a_shop_on_a_catalogue_that_is_none(page, state, tmp_path, monkeypatch):
    opened = Workspace(home=tmp_path)
    monkeypatch.setattr(services, "workspace", lambda: opened)
    st.cache_data.clear()
    st.cache_resource.clear()
    at = AppTest.from_file(ROOT / "app.py", default_timeout=120).run()
    at.switch_page(f"pages/{page}_page.py")
    for key, value in state.items():
        (at.query_params if key.endswith("_story") else at.session_state)[key] = value
    at.run()
    st.cache_data.clear()
    st.cache_resource.clear()
    assert not at.exception
    wrong = [text for text in drawn(at) if re.search(r"\b(products?|reviews?|shops?|prices?)\b", text, re.IGNORECASE)]
    assert not wrong, "\n----\n".join(wrong)
