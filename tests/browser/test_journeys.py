"""What a person does, in a real browser against a real server."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.toys import paint

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
STUDIO = ROOT / "sample_data" / "studio"
UPLOAD = "[class*=st-key-recommend_photo] input[type=file]"
TITLE = re.compile(r"^\d+\. ")


def settle(tab: Page) -> None:
    """Waits until the script has run to its end and nothing is left grey."""
    tab.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']", timeout=120_000)


def go(tab: Page, url: str) -> None:
    tab.goto(url)
    settle(tab)


def type_words(tab: Page, words: str) -> None:
    tab.locator(".st-key-recommend_text textarea").fill(words)


def upload(tab: Page, *files: tuple[str, bytes]) -> None:
    payload = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
    tab.locator(UPLOAD).set_input_files(payload)


def press(tab: Page) -> None:
    tab.locator(".st-key-recommend_go button").click()


def card_titles(tab: Page):
    return tab.locator("[data-testid='stMarkdownContainer'] strong").filter(has_text=TITLE)


def test_words_and_two_photos_give_cards_with_bars(address, tab):
    photos = sorted((STUDIO / "customer").glob("*.webp"))[:2]
    with (STUDIO / "interactions.csv").open(encoding="utf-8", newline="") as file:
        review = next(row["review_text"] for row in csv.DictReader(file) if row["review_text"])
    go(tab, f"{address}/recommend")
    type_words(tab, review)
    upload(tab, *((photo.name, photo.read_bytes()) for photo in photos))
    expect(tab.locator(".st-key-recommend_strip img")).to_have_count(2)
    press(tab)
    expect(tab.get_by_role("heading", name=re.compile(r"12 of [\d,]+ products"))).to_be_visible(timeout=120_000)
    expect(card_titles(tab)).to_have_count(12)
    bars = tab.get_by_role("img", name=re.compile(r"Measured contributions: words \d+ percent.*; photo \d+ percent"))
    expect(bars).to_have_count(12)
    expect(tab).to_have_url(re.compile(r"recommend_query=\w+"))


def test_the_same_journey_over_the_toy_shop_is_restored_by_its_link(toy_address, tab, chromium):
    go(tab, f"{toy_address}/recommend")
    type_words(tab, "the nicest mug on our shelf")
    upload(tab, ("red.jpg", paint("vase", "red")), ("blue.jpg", paint("bowl", "blue")))
    expect(tab.locator(".st-key-recommend_strip img")).to_have_count(2)
    press(tab)
    expect(card_titles(tab).first).to_have_text("1. Alder mug")
    expect(tab).to_have_url(re.compile(r"recommend_query=\w+"))
    other = chromium.new_context().new_page()
    go(other, tab.url)
    expect(card_titles(other).first).to_have_text("1. Alder mug", timeout=30_000)
    expect(other.locator(".st-key-recommend_text textarea")).to_have_value("the nicest mug on our shelf")
    other.context.close()


def test_a_bad_file_is_refused_with_a_clear_message_and_the_page_goes_on(toy_address, tab):
    go(tab, f"{toy_address}/recommend")
    upload(
        tab,
        ("holiday.jpg", paint("bowl", "green")[:3000]),
        ("<img src=x onerror=alert(1)>.png", b"<svg onload=alert(1)></svg>"),
        ("good.jpg", paint("vase", "blue")),
    )
    expect(tab.get_by_text("holiday.jpg: the picture ends early").first).to_be_visible()
    expect(tab.get_by_text("(E-IMG-TRUNC)").first).to_be_visible()
    expect(tab.get_by_text("(E-IMG-TYPE)").first).to_be_visible()
    expect(tab.locator(".st-key-recommend_strip img")).to_have_count(1)
    press(tab)
    expect(card_titles(tab).first).to_have_text(re.compile("^1. Osier"))  # Osier is the blue one


def test_a_slider_re_ranks_at_once(toy_address, tab):
    go(tab, f"{toy_address}/recommend?recommend_story=same-words&recommend_step=1")
    expect(card_titles(tab).nth(1)).to_have_text("2. Nordlys mug")
    slider = tab.locator(".st-key-recommend_weight_text input[type=range]")
    slider.focus()
    slider.press("Home")
    expect(card_titles(tab).nth(1)).to_have_text("2. Alder vase")  # by photo alone: red things of every kind
    expect(tab.get_by_text("re-weighted by you")).to_be_visible()


def test_a_story_is_one_click_away_and_its_steps_change_the_answer(toy_address, tab):
    go(tab, toy_address)
    tab.locator(".st-key-home_story_same-words button").click()
    expect(card_titles(tab).first).to_have_text("1. Alder mug")
    tab.get_by_role("radio", name="2. with a blue photo").click()
    expect(card_titles(tab).first).to_have_text("1. Osier mug")


def test_hostile_words_stay_words(toy_address, tab):
    go(tab, f"{toy_address}/recommend")
    type_words(tab, "mug <script>alert(1)</script> ![x](http://example.com/x.png) $e^x$ :red[no]")
    press(tab)
    expect(card_titles(tab).first).to_have_text(re.compile("mug$"))
    go(tab, f"{toy_address}/recommend?recommend_query=<script>alert(1)</script>")
    expect(tab.get_by_text('no query is stored under "<script>alert(1)</script>"')).to_be_visible()


def test_a_phone_shows_the_page_without_sideways_scrolling(toy_address, chromium):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    phone = context.new_page()
    for path in ("", "/recommend?recommend_story=contradiction"):
        go(phone, toy_address + path)
        phone.wait_for_timeout(500)
        wide = phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= 390
    context.close()
