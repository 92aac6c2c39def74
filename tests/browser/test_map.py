"""The map in a real browser: a lasso, the query in its place, and the same from the keyboard."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.browser.test_journeys import go, press, settle, type_words

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)  # a first WebGL chart in software takes its time
ROUND = [(0.03, 0.03), (0.97, 0.03), (0.97, 0.97), (0.03, 0.97), (0.03, 0.03)]


def lasso(tab: Page, corners: list[tuple[float, float]]) -> None:
    """Drags around these corners of the chart, in shares of its width and height."""
    chart = tab.locator(".st-key-map_chart .nsewdrag").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=12)
    tab.mouse.up()


def test_a_lasso_selects_a_group_that_survives_a_change_of_colour(toy_address, tab):
    go(tab, f"{toy_address}/map")
    expect(tab.locator(".st-key-map_chart canvas").first).to_be_attached()
    lasso(tab, ROUND)
    group = tab.locator(".st-key-map_group_panel")
    expect(group.get_by_text("36 products selected")).to_be_visible()
    expect(group.get_by_role("img", name="Photo of the product Alder mug")).to_be_visible()
    settle(tab)
    tab.locator(".st-key-map_colour input").click()
    tab.get_by_role("option", name="category").click()
    settle(tab)
    expect(group.get_by_text("36 products selected")).to_be_visible()
    group.get_by_role("button", name="To error analysis").click()
    expect(tab).to_have_url(re.compile(r"/errors"))
    expect(tab.get_by_role("heading", name="Errors")).to_be_visible()


def test_the_query_is_placed_in_the_map(toy_address, tab):
    go(tab, f"{toy_address}/recommend")
    type_words(tab, "the nicest mug on our shelf")
    press(tab)
    expect(tab).to_have_url(re.compile(r"recommend_query=\w+"))
    settle(tab)
    tab.get_by_role("link", name="Map").click()
    query = tab.locator(".st-key-map_query")
    expect(query.get_by_text("place approximate")).to_be_visible()
    expect(query.get_by_role("img", name="Photo of the product Alder mug").first).to_be_visible()
    expect(tab).to_have_url(re.compile(r"/map\?recommend_query=\w+"))  # the link restores it


def test_everything_is_reached_without_a_mouse(toy_address, tab):
    go(tab, f"{toy_address}/map")
    box = tab.locator(".st-key-map_find input")
    box.focus()
    box.press_sequentially("Tern bowl")
    box.press("Enter")
    expect(tab.locator(".st-key-map_product").get_by_text("Tern bowl").first).to_be_visible()
    slider = tab.locator(".st-key-map_blend input[type=range], .st-key-map_blend [role=slider]").first
    slider.focus()
    slider.press("ArrowLeft")
    expect(tab.locator(".st-key-map_blend").get_by_text("three quarters")).to_be_visible()
    settle(tab)
    table = tab.get_by_role("switch", name="Show as table")
    table.focus()
    table.press("Space")
    settle(tab)
    expect(tab.get_by_role("region", name="Table of the 71 points")).to_be_visible()


def test_the_map_fits_a_phone(toy_address, chromium):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    phone = context.new_page()
    go(phone, f"{toy_address}/map")
    expect(phone.locator(".st-key-map_chart canvas").first).to_be_attached(timeout=30_000)
    assert phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    context.close()
