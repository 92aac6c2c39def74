"""The words of the catalogue that a visitor looks at, so that support replies are not called products of a shop.

A page names its catalogue with `use` before it draws; whatever is drawn then goes through `said`.
"""

from __future__ import annotations

import streamlit as st

from core.domain import Words
from pages.shared import services

SECONDS = 30  # until a catalogue that was imported again is asked for its words

_CATALOGUE = "wording_catalogue"


def use(catalogue: str) -> None:
    st.session_state[_CATALOGUE] = catalogue


def use_run(run: str) -> None:
    """The words of the catalogue that a run ranks."""
    use(next((known.catalogue for known in services.runs() if known.run == run), ""))


def words(catalogue: str | None = None) -> Words:
    """Of this catalogue, by default the one in use."""
    return _words(st.session_state.get(_CATALOGUE, "") if catalogue is None else catalogue)


def said(text: str) -> str:
    """A sentence about products of a shop, in the words of the catalogue in use."""
    return words().said(text)


@st.cache_data(max_entries=64, ttl=SECONDS, show_spinner=False)
def _words(catalogue: str) -> Words:
    return services.workspace().words(catalogue) if catalogue else Words()
