"""Reports: one file, no request, no script, and nothing that somebody wrote becomes markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core.domain import Catalogue, Query
from core.evaluate.attributes import attributes
from core.evaluate.casebook import CaseBook
from core.evaluate.slices import Condition, search_slices
from core.files import digest_bytes, write_atomic
from core.report.html import Safe, element, page, picture, table
from core.report.page import case_page, query_page, run_page, slice_page
from core.store.values import Annotation, CaseRef
from tests.test_slices import toy_cases, toy_shop
from tests.toys import ToyPipeline, paint

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
EVIL = '<script>alert(1)</script><img src="http://example.invalid/x.png" onerror=alert(1)> "\'&'


class Tags(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


class World:
    """What a report needs of a workspace: thumbnails, and the run's own record."""

    def __init__(self, home: Path) -> None:
        self.home = home
        told = {"settings": {"rank": "multimodal", "width": 192}, "digests": {"model.safetensors": "ab" * 32},
                "metrics": {"test": {"recall@1": 0.5}}}  # fmt: skip
        write_atomic(home / "toy" / "run.json", json.dumps(told).encode())

    def run_folder(self, run: str) -> Path:
        return self.home / "toy"

    def thumbnail(self, catalogue: str, path: str, side: int) -> bytes:
        return paint("mug", "red", 64)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="module")
def book() -> CaseBook:
    shop, cases = toy_shop(), toy_cases()
    wrong = replace(shop.interactions[0], review_text=EVIL, media={"image": ("a.png",)})
    items = (replace(shop.items[0], title=EVIL, media={"image": ("b.png",)}), *shop.items[1:])
    shop = replace(shop, items=items, interactions=(wrong, *shop.interactions[1:]))
    known = attributes(cases, shop, {}, {})
    search = {"mrr": search_slices(cases.values("mrr"), cases.item, known, metric="mrr", show=5)}
    return CaseBook(cases=cases, catalogue=shop, attributes=known, searches=search)


def check(data: bytes) -> Tags:
    """No script, no form, no address but data:, a policy that forbids the rest; returns what is on the page."""
    found = Tags(data)
    policy = [its["content"] for tag, its in found.tags if its.get("http-equiv") == "Content-Security-Policy"]
    assert policy == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    assert not {tag for tag, _ in found.tags} & {"script", "iframe", "form", "link", "object", "embed", "base", "a"}
    assert all(not name.startswith("on") for _, its in found.tags for name in its)
    assert all(str(its["src"]).startswith("data:image/") for tag, its in found.tags if tag == "img")
    assert all(its.get("alt") for tag, its in found.tags if tag == "img")
    assert not re.search(r"url\(\s*['\"]?http", data.decode())
    return found


def test_a_case_stands_alone_with_photos_numbers_notes_and_fingerprints(world: World, book: CaseBook) -> None:
    ref = CaseRef(key=str(book.cases.key[0]), user="u0", item="i0")
    said = [Annotation(case=ref, author="Dora", labels=("wrong photo",), note=EVIL)]
    found = check(case_page(world, book, [0], title=EVIL, said=said))
    assert EVIL in found.text  # word for word, as words
    assert f"rank {int(book.cases.rank[0])} of 60" in found.text
    assert "Dora: wrong photo" in found.text
    assert "ab" * 32 in found.text
    shown = len({str(one) for one in book.cases.shown[0]} | {"i0"})
    assert sum(tag == "img" for tag, _ in found.tags) >= 1 + shown + 1  # the query's photo, the products, the bar


def test_a_slice_says_how_it_differs_and_shows_its_worst(world: World, book: CaseBook) -> None:
    conditions = (Condition(attribute="colour", value="red"),)
    found = check(slice_page(world, book, conditions, name="the red ones", metric="mrr"))
    one = book.slice(conditions, "mrr")
    assert "Slice: the red ones" in found.text
    assert f"{one.value:.4g}" in found.text and f"{one.rest:.4g}" in found.text
    assert found.text.count("right product at rank") == 12


def test_a_whole_run_holds_its_settings_and_what_it_was_measured_at(world: World, book: CaseBook) -> None:
    found = check(run_page(world, "toy", book))
    assert "240 held-out questions" in found.text
    assert "multimodal" in found.text and "recall@1" in found.text
    assert f"{book.cases.values('mrr').mean():.4g}" in found.text


def test_a_question_shows_its_answer_with_what_each_modality_gave(world: World) -> None:
    pipeline = ToyPipeline()
    query = Query.of(text=f"a mug {EVIL}", images=(paint("mug", "red"),))
    answer = pipeline.recommend(query, top=4)
    shop: Catalogue = pipeline.catalogue
    found = check(query_page(world, query, answer, shop))
    assert all(one.title in found.text for one in answer.items)
    first = answer.items[0]
    assert f"words {first.shares['text']:.0%}" in found.text


def test_everything_is_escaped_but_what_was_made_here() -> None:
    assert element("p", "<b>", Safe("<i>x</i>"), title='"') == '<p title="&quot;">&lt;b&gt;<i>x</i></p>'
    assert "<td>&lt;b&gt;</td>" in table([{"a": "<b>"}])


def test_pictures_are_inside_and_keep_their_kind() -> None:
    assert picture(paint("mug", "red", 32), "a mug").startswith('<img src="data:image/jpeg;base64,')
    assert picture("<svg></svg>", "a bar").startswith('<img src="data:image/svg+xml;base64,')


def test_numbers_stand_right_and_nothing_is_a_nan_to_guess_at() -> None:
    told = table([{"name": "a", "value": 0.123456, "p": 1e-9}, {"name": "b", "value": None, "p": 0.5}])
    assert '<td class="number">0.1235</td>' in told and '<td class="number">1.00e-09</td>' in told
    assert table([]) == "<p>None.</p>"


def test_the_same_report_twice_is_the_same_file() -> None:
    made = [digest_bytes(page("t", "l", element("p", "x"))) for _ in range(2)]
    assert made[0] == made[1]
