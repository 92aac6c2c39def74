"""The loads of the bench in small, against real servers; no test looks at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import load


def apart(work, *given):
    """In a thread of its own: the browser tests keep an event loop in the main one, and a load starts another."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work, *given).result()


@pytest.mark.slow
def test_l9_a_large_map_comes_whole_and_a_selection_that_is_too_long_is_told(tmp_path):
    asked = []
    row = apart(load.l9, tmp_path, 400, lambda address: asked.append(address) or 3_000_001)
    assert not row.errors and 0 < row.found["MB largest message"] < 3
    assert asked[0].startswith("http://127.0.0.1:") and row.found["MB selection"] == 3
    assert not row.passed and "L9 MISS" in row.line


@pytest.mark.slow
def test_l10_the_errors_page_shows_a_page_of_its_cases(tmp_path):
    row = apart(load.l10, tmp_path, 1500)
    assert row.passed and not row.errors, row.line
    assert row.found["MB page"] < 1
