"""What one visitor does on the map: its session-state keys. State holds ids and choices, never points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

RUN = "map_run"
PAIR = "map_pair"
COLOUR = "map_colour"
DIMENSIONS = "map_dimensions"
BLEND = "map_blend"
LINES = "map_lines"
FIND = "map_find"
GROUP = "map_group"
AS_TABLE = "map_as_table"
CHART = "map_chart"

FLAT, DEEP = "2-D", "3-D"
BLENDS = {"before": 0.0, "a quarter": 0.25, "half way": 0.5, "three quarters": 0.75, "after": 1.0}

_SELECTED, _TAKEN = "map_selected", "map_taken"


def selected() -> tuple[str, ...]:
    """Ids of the products that are looked at, in the order of the catalogue."""
    return tuple(st.session_state.get(_SELECTED, ()))


def select(item_ids: Sequence[str]) -> None:
    st.session_state[_SELECTED] = list(item_ids)


def take(item_ids: Sequence[str], figure: str) -> None:
    """What the chart reports as selected. A new figure forgets its selection, the visitor has not: then nothing
    changes. On the same figure an empty report is a selection that was cleared."""
    seen = st.session_state.get(_TAKEN)
    now = [figure, list(item_ids)]
    if seen == now:
        return
    st.session_state[_TAKEN] = now
    if item_ids or (seen and seen[0] == figure):
        select(item_ids)


def find(products: Mapping[str, str]) -> None:
    """Callback of the search box: looks at that product alone."""
    found = st.session_state.get(FIND)
    if found in products:
        select([products[found]])


def choose_group(members: Mapping[str, Sequence[str]]) -> None:
    """Callback of the group box: the same as drawing a lasso around all of them."""
    chosen = st.session_state.get(GROUP)
    if chosen in members:
        select(members[chosen])


def clear() -> None:
    """Callback: nothing is looked at, and the next report of the chart is taken as the first."""
    for key in (_SELECTED, _TAKEN, FIND, GROUP):
        st.session_state.pop(key, None)


def change_run() -> None:
    """Callback: another run has other products."""
    clear()
    for key in (COLOUR, PAIR):
        st.session_state.pop(key, None)
