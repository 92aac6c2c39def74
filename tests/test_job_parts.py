"""The row of a job: the same doors and words on every page."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest


def page(state: str) -> None:
    from types import SimpleNamespace

    from pages.shared.job_parts import job_row

    job = SimpleNamespace(
        id=7, state=state, active=state in ("queued", "running"), fraction=0.25, label="epoch 1", remaining=600.0,
        message="the disk is full" if state == "failed" else "", code="E-DISK-FULL" if state == "failed" else "",
    )  # fmt: skip
    job_row(
        job, "**mine**", key="page", cancel=(print, "Ends it."), resume=(print, "Goes on."),
        waits="second in the queue",
        outcome="all well", running="training",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "word", "said", "door"),
    [
        ("queued", "waiting", "second in the queue", "page_cancel_7"),
        ("running", "training", "", "page_cancel_7"),
        ("done", "done", "all well", None),
        ("failed", "failed", "the disk is full (E-DISK-FULL)", "page_resume_7"),
        ("cancelled", "cancelled", "", "page_resume_7"),
        ("interrupted", "broken off", "", "page_resume_7"),
    ],
)
def test_a_job_has_the_word_and_the_door_of_its_state(state, word, said, door):
    at = AppTest.from_function(page, args=(state,)).run(timeout=60)
    assert not at.exception
    assert [button.key for button in at.button] == ([door] if door else [])
    assert any(f" {word}]" in one.value for one in at.markdown)
    assert [one.value.replace("\\", "") for one in at.caption] == ([said] if said else [])


def test_a_remaining_time_is_told_in_words():
    from pages.shared.job_parts import left

    assert [left(seconds) for seconds in (None, 20, 600, 7200)] == [
        "remaining time not known yet", "about 20 s left", "about 10 min left", "about 2.0 h left",
    ]  # fmt: skip
