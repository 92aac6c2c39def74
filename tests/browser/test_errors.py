"""Error analysis in a real browser: labels by key survive a reload, a slice has a link, a report asks nobody."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import Page, expect

from tests.browser.conftest import free_port, serve
from tests.browser.test_journeys import go, settle

pytestmark = pytest.mark.browser
SLOW = 60_000


@pytest.fixture(scope="module")
def errors_address(tmp_path_factory, chromium) -> Iterator[str]:
    """The Errors page over a toy book, with a real database."""
    port = free_port()
    command = [sys.executable, "-m", "tests.browser.serve_errors", str(port)]
    for address in serve(command, port, tmp_path_factory.mktemp("errors"), chromium):
        yield f"{address}/errors"


def sign(tab: Page, name: str) -> None:
    field = tab.locator(".st-key-errors_author input")
    field.fill(name)
    field.press("Enter")
    settle(tab)
    tab.locator("h2").first.click()  # keys belong to the page again, not to the field


def test_ten_cases_are_labelled_by_key_and_are_there_after_a_reload(errors_address, tab):
    go(tab, errors_address)
    sign(tab, "Dora")
    pressed = tab.locator(".st-key-errors_label_wrong-photo button[data-testid=stBaseButton-primary]")
    for number in range(1, 11):
        expect(tab.get_by_role("heading", name=f"Case {number} of 108")).to_be_visible(timeout=SLOW)
        expect(pressed).to_have_count(0, timeout=SLOW)  # the label of the case before is gone
        settle(tab)
        tab.keyboard.press("1")
        expect(pressed.first).to_be_visible(timeout=SLOW)
        settle(tab)
        tab.keyboard.press("n")
    expect(tab.get_by_role("heading", name="Case 11 of 108")).to_be_visible(timeout=SLOW)
    go(tab, f"{errors_address}?errors_view=Labels")
    expect(tab.get_by_text(re.compile("Dora: 1[01] of 108 seen, 10 labelled"))).to_be_visible(timeout=SLOW)


def test_a_saved_slice_opens_by_its_link_in_another_browser(errors_address, tab, chromium):
    from core.evaluate.slices import Condition, slice_id

    ident = slice_id((Condition(attribute="category", value="mug"),))
    go(tab, f"{errors_address}?errors_view=Slices&errors_slice={ident}")
    name = tab.locator(f".st-key-errors_slice_name_{ident} input")
    name.fill("our mugs")
    name.press("Enter")
    settle(tab)
    sign(tab, "Dora")
    tab.locator(".st-key-errors_slice_save button").click()
    settle(tab)
    other = chromium.new_context().new_page()
    go(other, f"{errors_address}?errors_slice={ident}")
    expect(other.get_by_text("our mugs").first).to_be_visible(timeout=SLOW)
    expect(other.get_by_text("18 cases").first).to_be_visible()
    other.context.close()


def test_a_report_opens_from_disk_without_any_request(errors_address, tab, chromium, tmp_path):
    go(tab, errors_address)
    with tab.expect_download(timeout=SLOW) as waiting:
        tab.locator(".st-key-errors_report button").first.click()
    file = tmp_path / "report.html"
    waiting.value.save_as(file)
    context = chromium.new_context(offline=True)
    reader, asked, said = context.new_page(), [], []
    reader.on("request", lambda request: asked.append(request.url))
    reader.on("console", lambda message: said.append(message.text))
    reader.goto(file.as_uri())
    expect(reader.get_by_role("heading", name=re.compile("^Case "))).to_have_count(2)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert said == []
    assert reader.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    context.close()
