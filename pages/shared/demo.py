"""The demo walk: `?demo=1` opens a bar above every page with next, back and the presenter's notes.

The walk only opens addresses. It writes nothing, so nothing that is shown can be destroyed; Reset empties the inputs of
this visit and goes to its first step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.shared import visit
from pages.shared.theme import literal

PARAMETER = "demo"
_STEP, _NOTES = "demo_step", "demo_notes"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Stop:
    """One step of the walk: the page, what its address asks for, a headline, and what the presenter says."""

    page: str
    address: Mapping[str, str]
    title: str
    note: str


@st.cache_data(max_entries=1, show_spinner=False)
def stops() -> tuple[Stop, ...]:
    rows = json.loads((ROOT / "assets" / "demo.json").read_text(encoding="utf-8"))
    return tuple(Stop(**row) for row in rows)


def draw_bar() -> None:
    """Nothing, unless this visitor walks. Called by the frame, above every page."""
    asked = st.query_params.get(PARAMETER, "")
    known = stops()
    if asked.isascii() and asked.isdigit() and 1 <= int(asked) <= len(known):
        st.session_state[_STEP] = int(asked)
    step = st.session_state.get(_STEP)
    if step is None:
        return
    now = known[step - 1]
    with st.container(border=True, key="demo_bar", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f":material/slideshow: **{step} of {len(known)} · {literal(now.title)}**", width="content")
            with st.container(horizontal=True, width="content", gap="xsmall"):
                back = st.button("Back", key="demo_back", icon=":material/arrow_back:", disabled=step == 1,
                                 shortcut="Alt+Left")  # fmt: skip
                ahead = st.button("Next", key="demo_next", icon=":material/arrow_forward:", shortcut="Alt+Right",
                                  disabled=step == len(known))  # fmt: skip
                reset = st.button(
                    "Reset", key="demo_reset", type="tertiary", icon=":material/restart_alt:",
                    help="Empties your inputs and goes to the first step. Nothing stored is touched.",
                )  # fmt: skip
                st.button("Leave", key="demo_leave", type="tertiary", icon=":material/close:", on_click=_leave)
        if st.toggle("Presenter's notes", key=_NOTES):
            st.caption(literal(now.note))
    if reset:
        visit.start_afresh()
    if back or ahead or reset:
        _open(1 if reset else step + (1 if ahead else -1))


def _open(step: int) -> None:
    st.session_state[_STEP] = step
    stop = stops()[step - 1]
    st.switch_page(f"pages/{stop.page}_page.py", query_params={**stop.address, PARAMETER: str(step)})


def _leave() -> None:
    st.session_state.pop(_STEP, None)
    st.query_params.pop(PARAMETER, None)
