"""Explain in a real browser: why this product, a struck word that changes the order, and no mouse needed."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.browser.test_journeys import go, press, settle, type_words

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)


def explained(tab: Page, address: str, words: str) -> None:
    """Asks in words and opens "Why?" of the first product."""
    go(tab, f"{address}/recommend")
    type_words(tab, words)
    press(tab)
    expect(tab.get_by_role("link", name="Why?").first).to_be_visible(timeout=120_000)
    tab.get_by_role("link", name="Why?").first.click()
    words_drawn = tab.get_by_role("img", name=re.compile("The words, (coloured|in greys) by their weight")).first
    expect(words_drawn).to_be_visible(timeout=120_000)
    settle(tab)


def view(tab: Page, name: str) -> None:
    tab.locator(".st-key-explain_view").get_by_role("radio", name=name).click()
    settle(tab)


def test_a_product_is_explained_and_striking_a_word_changes_the_order(address, tab):
    explained(tab, address, "a red dotted mug that is light and can go in the machine")
    expect(tab.get_by_text("Residual, base + contributions")).to_be_visible()
    view(tab, "What if")
    after = tab.locator(".stMarkdown").filter(has_text=re.compile(r"is now"))
    expect(after.filter(has_text="Nothing is changed yet").first).to_be_visible()
    expect(order(tab)).to_have_count(8)
    before = order(tab).all_inner_texts()
    tab.locator(".st-key-explain_struck").get_by_role("button", name="mug", exact=True).click()
    settle(tab)
    expect(tab.get_by_text("Nothing is changed yet")).to_have_count(0)
    expect(order(tab)).to_have_count(8)
    assert order(tab).all_inner_texts() != before
    tab.get_by_role("button", name="Put everything back").click()
    settle(tab)
    expect(tab.get_by_text("Nothing is changed yet").first).to_be_visible()
    expect(order(tab)).to_have_text(before)


def order(tab: Page):
    """The list beside the bench: "1. Title" and so on, from the top."""
    return tab.locator("[data-testid='stMarkdownContainer'] strong").filter(has_text=re.compile(r"^\d+\. "))


def test_a_word_is_struck_and_the_table_opened_from_the_keyboard(address, tab):
    explained(tab, address, "a red dotted mug")
    table = tab.locator(".st-key-explain_words_table").get_by_role("switch")
    table.focus()
    table.press("Space")
    settle(tab)
    expect(tab.get_by_role("region", name=re.compile("Table of 4 parts"))).to_be_visible()
    view(tab, "What if")
    word = tab.locator(".st-key-explain_struck").get_by_role("button", name="dotted", exact=True)
    word.focus()
    word.press("Enter")
    settle(tab)
    expect(tab.get_by_text("Nothing is changed yet")).to_have_count(0)


def test_the_page_fits_a_phone(address, chromium):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    phone = context.new_page()
    explained(phone, address, "a red dotted mug")
    assert phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    context.close()
