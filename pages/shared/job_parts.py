"""The row of a job, the same on every page that starts some: its state, how far it is, what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from pages.shared import access
from pages.shared.theme import literal

if TYPE_CHECKING:
    from core.jobs.queue import JobInfo

STATE = {
    "queued": ("waiting", ":material/hourglass_empty:", "gray"),
    "running": ("under way", ":material/autorenew:", "blue"),
    "done": ("done", ":material/check:", "green"),
    "failed": ("failed", ":material/error:", "red"),
    "cancelled": ("cancelled", ":material/block:", "gray"),
    "interrupted": ("broken off", ":material/power_off:", "orange"),
}


def job_row(
    job: JobInfo, title: str, *, key: str, cancel: tuple[Callable, str], resume: tuple[Callable, str], waits: str,
    outcome: str, doors: Callable[[], None] = lambda: None, running: str = STATE["running"][0],
) -> None:  # fmt: skip
    """title: Markdown. key: of the page, before those of the buttons. cancel, resume: what is called with the job's id,
    and what its button says of itself. waits, outcome: said of a job in the queue, and of one that is done. doors:
    draws the page's own buttons. running: the word for a job at work."""
    word, icon, color = STATE[job.state]
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(title, width="content")
            with st.container(horizontal=True, width="content", gap="xsmall", vertical_alignment="center"):
                st.badge(running if job.state == "running" else word, icon=icon, color=color)  # type: ignore[arg-type]
                doors()
                if job.active:
                    st.button(
                        "Cancel", key=f"{key}_cancel_{job.id}", type="tertiary", icon=":material/close:",
                        on_click=cancel[0], args=(job.id,), help=cancel[1], disabled=not access.may_write(),
                    )  # fmt: skip
                elif job.state != "done":
                    st.button(
                        "Resume", key=f"{key}_resume_{job.id}", type="tertiary", icon=":material/play_arrow:",
                        on_click=resume[0], args=(job.id,), help=resume[1], disabled=not access.may_write(),
                    )  # fmt: skip
        if job.state == "running":
            st.progress(job.fraction, text=f"{literal(job.label)} · {job.fraction:.0%} · {left(job.remaining)}")
        elif job.state == "queued":
            st.caption(waits)
        elif job.state == "done":
            if outcome:
                st.caption(literal(outcome))
        elif job.message:
            st.caption(literal(f"{job.message} ({job.code})" if job.code else job.message))


def left(seconds: float | None) -> str:
    """A remaining time in words."""
    if seconds is None:
        return "remaining time not known yet"
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left" if seconds < 5400 else f"about {seconds / 3600:.1f} h left"
