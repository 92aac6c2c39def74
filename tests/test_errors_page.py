"""The Errors page over a toy book of cases: what a person does, what the page then says, what the store keeps."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.catalog.clean import Detection, Mark
from core.domain import Interaction, Words
from core.evaluate.attributes import attributes
from core.evaluate.casebook import CaseBook
from core.evaluate.cases import METRICS
from core.evaluate.slices import Condition, search_slices, slice_id
from core.people import annotations_of, put_label, put_note, saved_slices
from core.store.values import CaseRef
from core.workspace import Workspace
from pages.shared import errors_services, services
from pages.shared import errors_visit as visit
from tests.test_slices import toy_cases
from tests.toys import RUN, ToyWorkspace, toy_catalogue

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "mug <script>alert(1)</script> **bold** :red[no]"


def toy_book() -> CaseBook:
    """A hundred and eight cases of the thirty-six toy products; the first is the worst and hostile, mugs do worse."""
    items = toy_catalogue().items
    met = tuple(
        Interaction(user_id=f"u{n}", item_id=items[n % 36].item_id, rating=4.0, timestamp=n,
                    review_text=HOSTILE if n == 0 else f"a {items[n % 36].category} of mine, number {n}")
        for n in range(108)
    )  # fmt: skip
    shop = replace(toy_catalogue(), interactions=met)
    rank = np.array([60 if n == 0 else 30 if shop.items[n % 36].category == "mug" else 1 + n % 9 for n in range(108)])
    cases = toy_cases(
        108, 36, rank=rank.astype(np.int32), loss=np.log(rank).astype(np.float32),
        item=np.array([one.item_id for one in met]), shown=np.full((108, 5), "t05"),
    )  # fmt: skip
    known = attributes(cases, shop, {}, {})
    searches = {
        metric: search_slices(
            cases.values(metric), cases.item, known, metric=metric, worse=1 if metric == "loss" else -1
        )
        for metric in METRICS
    }
    return CaseBook(cases=cases, catalogue=shop, attributes=known, searches=searches)


@pytest.fixture(scope="module")
def book() -> CaseBook:
    return toy_book()


@pytest.fixture
def world(monkeypatch, tmp_path, book):
    """The toy shop with a real database, and one book for every kind of cases."""
    st.cache_data.clear()
    st.cache_resource.clear()
    real, toy = Workspace.open(tmp_path / "home"), ToyWorkspace(shop=book.catalogue, home=tmp_path / "home")
    toy.store, toy.has_database = real.store, True
    monkeypatch.setattr(services, "workspace", lambda: toy)
    monkeypatch.setattr(errors_services, "book", lambda wanted: book)
    yield toy
    st.cache_data.clear()
    st.cache_resource.clear()


def errors_page(**parameters: str) -> AppTest:
    at = AppTest.from_file(ROOT / "pages" / "errors_page.py", default_timeout=120)
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    elements = [*at.header, *at.subheader, *at.markdown, *at.caption, *at.text, *at.info, *at.warning, *at.error]
    return "\n".join(element.value.replace("\\", "") for element in elements)


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    return at


def count_elements(at: AppTest) -> int:
    def below(block) -> int:
        return sum(below(child) if hasattr(child, "children") else 1 for child in block.children.values())

    return below(at.main)


def test_the_worst_case_is_open_with_ranks_truth_and_who_misled(world, book):
    at = errors_page()
    text = said(at)
    assert "Case 1 of 108" in text
    assert "Right product at rank **60** of 60" in text
    assert "Which modality misled" in text and "the right one" in text
    assert count_elements(at) <= 150


def test_what_people_wrote_stays_words(world):
    shown = [element.value for element in errors_page().markdown if "script" in element.value]
    assert shown and all("\\<script" in value for value in shown)
    assert HOSTILE in "\n".join(value.replace("\\", "") for value in shown)


def test_next_and_back_walk_the_list_and_the_address_names_the_case(world, book):
    at = press(errors_page(), "errors_next")
    order = book.cases.order("worst")
    assert "Case 2 of 108" in said(at)
    assert at.query_params[visit.CASE_PARAMETER] == str(book.cases.key[order[1]])
    assert "Case 1 of 108" in said(press(at, "errors_back"))
    assert at.button(key="errors_back").disabled


def test_a_link_opens_its_case_and_an_unknown_one_opens_the_worst(world, book):
    key = str(book.cases.key[book.cases.order("worst")[7]])
    assert "Case 8 of 108" in said(errors_page(errors_case=key))
    assert "Case 1 of 108" in said(errors_page(errors_case="0123456789abcdef"))
    assert "Case 1 of 108" in said(errors_page(errors_case="<script>"))


def test_a_label_is_kept_at_once_and_taken_back_by_the_same_key(world, book):
    at = errors_page()
    label = visit.label_key("wrong photo")
    assert at.button(key=label).disabled  # nobody signed
    at.text_input(key=visit.AUTHOR).set_value("Dora").run()
    press(at, label)
    [one] = annotations_of(world, "toy")
    assert (one.author, one.labels, one.case.item) == ("Dora", ("wrong photo",), "t00")
    assert at.button(key=label).proto.type == "primary"
    press(at, label)
    assert [one.labels for one in annotations_of(world, "toy")] == [()]


def test_a_case_that_was_looked_at_counts_as_seen(world):
    at = errors_page()
    at.text_input(key=visit.AUTHOR).set_value("Dora").run()
    press(at, "errors_next")
    assert len(annotations_of(world, "toy")) == 2
    at.selectbox(key=visit.SHOW).set_value("not seen yet").run()
    assert "106 of 108 cases" in said(at)


def test_a_note_that_somebody_else_changed_is_not_overwritten_and_ours_stays_in_sight(world, book):
    at = errors_page()
    at.text_input(key=visit.AUTHOR).set_value("Dora").run()
    key = str(book.cases.key[0])
    at.text_area(key=visit.note_key(key, 1)).set_value("first").run()
    assert [one.note for one in annotations_of(world, "toy")] == ["first"]
    ref = CaseRef(key=key, user="u0", item="t00")
    put_note(world, "toy", ref, "Dora", "from another tab", 2)
    at.text_area(key=visit.note_key(key, 2)).set_value("mine").run()
    assert "your note was not saved over it" in said(at)
    assert any(code.value == "mine" for code in at.code)
    assert annotations_of(world, "toy")[0].note == "from another tab"


def test_the_page_speaks_in_the_words_of_the_catalogue(world, book):
    world.shop = replace(world.shop, words=Words(item="reply", items="replies", query="message", queries="messages"))
    st.cache_data.clear()
    ident = slice_id(next(iter(book.searches["mrr"].slices)).conditions)
    shown = [errors_page(), errors_page(errors_view="Slices", errors_slice=ident)]
    for at in shown:
        tables = [column for table in at.dataframe for column in table.proto.columns.split('"') if table.proto.columns]
        told = said(at) + " ".join(tables) + " ".join(str(table.value.to_dict()) for table in at.dataframe)
        told += " ".join(element.proto.help for element in at.markdown)
        told += " ".join(one.placeholder for one in at.text_input)
        assert not re.findall(r"\b(?:right |of the |of \d+ |the )products?\b", told, re.IGNORECASE)
    assert "Right reply at rank" in said(shown[0])
    assert "replies," in said(shown[1])


@pytest.mark.parametrize(("kept", "told"), [
    (None, "nobody has searched this catalogue for faults"),
    ((), "it found nothing that touches these cases"),
    (("t00",), "older than its findings"),
    (("elsewhere",), "it found nothing that touches these cases"),
])  # fmt: skip
def test_slices_say_why_none_is_about_cleaning(world, book, monkeypatch, kept, told):
    marks = None if kept is None else tuple(Mark(item_id=one, score=1.0) for one in kept)
    found = None if marks is None else (Detection(step="wrong_photo", marks=marks, looked_at=1),)
    monkeypatch.setattr("core.prepare.findings.kept_faults", lambda vectors, catalogue: found)
    assert told in said(errors_page(errors_view="Slices"))
    sliced = replace(book, attributes=(*book.attributes, replace(book.attributes[0], name="cleaning, wrong photo")))
    assert errors_services.cleaning_note(sliced) == ""


def test_words_and_filters_narrow_the_list(world, book):
    at = errors_page()
    at.text_input(key=visit.SEARCH).set_value(str(book.cases.key[17])).run()
    assert "1 of 108 cases" in said(at)
    at.text_input(key=visit.SEARCH).set_value("nothing like it").run()
    assert "No case passes these filters" in said(at)
    at.text_input(key=visit.SEARCH).set_value("").run()
    at.selectbox(key=visit.SHOW).set_value("not in the first 10").run()
    assert "18 of 108 cases" in said(at)  # the mugs


def test_what_was_selected_on_the_map_narrows_the_list_until_it_is_left(world, book):
    chosen = tuple(dict.fromkeys(map(str, book.cases.item)))[:2]
    at = AppTest.from_file(ROOT / "pages" / "errors_page.py", default_timeout=120)
    at.session_state[visit.ITEMS] = chosen
    at.run()
    of_them = int(np.isin(book.cases.item, chosen).sum())
    assert not at.exception and f"Case 1 of {of_them}" in said(at) and "2 products selected on the Map" in said(at)
    press(at, "errors_leave_items")
    assert "Case 1 of 108" in said(at) and "selected on the Map" not in said(at)


def test_slices_are_listed_and_a_saved_one_has_a_link_that_brings_it_back(world, book):
    at = errors_page(errors_view="Slices")
    assert "slices looked at" in said(at)
    conditions = (Condition(attribute="category", value="mug"),)
    at = errors_page(errors_view="Slices", errors_slice=slice_id(conditions))
    assert "18 cases" in said(at)
    at.text_input(key=visit.AUTHOR).set_value("Dora").run()
    at.text_input(key=f"errors_slice_name_{slice_id(conditions)}").set_value("our mugs").run()
    press(at, "errors_slice_save")
    assert [one.name for one in saved_slices(world, "toy")] == ["our mugs"]
    assert "our mugs" in said(errors_page(errors_slice=slice_id(conditions)))  # another visitor
    assert "No slice is known" in said(errors_page(errors_slice="0123456789"))


def test_who_misled_is_told_in_words_and_as_a_table(world):
    at = errors_page(errors_view="Which modality misled")
    assert "the modality that misled most was the words in" in said(at)
    at.toggle(key="errors_misled_table").set_value(True).run()
    assert not at.exception and len(at.dataframe) == 1


def test_cases_that_nobody_judged_are_offered_and_the_work_is_started_once(world, monkeypatch):
    started = []
    monkeypatch.setattr(errors_services, "book", lambda wanted: None)
    monkeypatch.setattr(errors_services, "job", lambda wanted: None)
    monkeypatch.setattr(errors_services, "make", lambda wanted: started.append(wanted))
    at = errors_page()
    assert "These cases were not judged yet" in said(at)
    at.button(key="errors_make").click().run()
    assert [(one.run, one.kind, one.part) for one in started] == [(RUN, "review+photo", "test")]


def test_without_any_run_the_page_says_what_to_do(world, monkeypatch):
    monkeypatch.setattr(services, "runs", lambda: [])
    assert "No trained run is here yet" in said(errors_page())


def test_two_runs_on_the_same_cases_are_fixed_broken_or_unchanged(world, book, monkeypatch):
    better = replace(book.cases, rank=np.where(book.cases.rank == 30, 2, book.cases.rank).astype(np.int32),
                     about={**book.cases.about, "digest": "other"})  # fmt: skip
    books = {RUN: book, "toy-better": replace(book, cases=better)}
    monkeypatch.setattr(errors_services, "book", lambda wanted: books[wanted.run])
    runs = [SimpleNamespace(run=name, catalogue="toy") for name in books]
    monkeypatch.setattr(services, "runs", lambda: runs)
    at = errors_page(errors_view="Two runs")
    assert [metric.value for metric in at.metric] == ["17", "0", "90", "1"]  # all mugs but the hostile one
    assert "McNemar" in said(at)


def test_a_slice_is_compared_between_two_runs_by_its_own_cases(world, book, monkeypatch):
    """The better run helps every mug; within the mugs the difference is theirs alone."""
    better = replace(book.cases, rank=np.where(book.cases.rank == 30, 2, book.cases.rank).astype(np.int32),
                     about={**book.cases.about, "digest": "other"})  # fmt: skip
    books = {RUN: book, "toy-better": replace(book, cases=better)}
    monkeypatch.setattr(errors_services, "book", lambda wanted: books[wanted.run])
    monkeypatch.setattr(services, "runs", lambda: [SimpleNamespace(run=name, catalogue="toy") for name in books])
    mugs = slice_id((Condition(attribute="category", value="mug"),))
    at = errors_page(errors_view="Two runs", errors_slice=mugs)
    assert [metric.value for metric in at.metric] == ["17", "0", "0", "1"]
    before, after = (17 / 30 + 1 / 60) / 18, (17 / 2 + 1 / 60) / 18
    assert f"in this slice: **toy-better** {after:.3f}" in said(at)
    assert f"{before:.3f}; difference **{after - before:+.3f} [" in said(at)


def test_labels_of_cases_that_a_new_import_took_away_are_shown_as_such(world, book):
    gone = CaseRef(key="0123456789abcdef", user="u", item="i")
    put_label(world, "toy", [gone], "Dora", "duplicate")
    at = errors_page(errors_view="Labels")
    assert any("1 labelled cases are no longer in this catalogue" in one.label for one in at.expander)


def test_what_is_sent_does_not_grow_with_the_number_of_cases():
    """Every click on 300 and 3,000 cases: never more than 150 elements, and the same bytes but for longer numbers."""
    from bench.errors_page import MOST_BYTES, large_book, measure

    few, many = (measure(large_book(count), said=60) for count in (300, 3000))
    for small, large in zip(few, many, strict=True):
        assert large.elements <= 150, large.name
        assert large.bytes < MOST_BYTES, large.name
        assert large.bytes < small.bytes + 60_000, large.name
