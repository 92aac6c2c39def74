"""What one visitor does on the Data page: its session-state keys. State holds names and choices only."""

from __future__ import annotations

import streamlit as st

VIEW, CATALOGUE, PROTOCOL = "data_view", "data_catalogue", "data_protocol"
STEP, LIST_PAGE, LOOK = "data_step", "data_list_page", "data_look"
STEPS_AS_TABLE, SCORES_AS_TABLE, PRESENCE_AS_TABLE = "data_steps_table", "data_scores_table", "data_presence_table"
NAME, UPLOAD, PATH, GO = "data_name", "data_upload", "data_path", "data_import"

OVERVIEW, CLEANING, MISSING, ADD, IMPORT = "Overview", "Cleaning", "Missing", "Add", "Import"
VIEWS = (OVERVIEW, CLEANING, MISSING, ADD, IMPORT)

_ACTIVE, _FORM, _ADDED = "data_active", "data_form", "data_added"


def something_ended(active: list[int]) -> bool:
    """Whether work that was active when this visitor last looked is so no longer: the rest of the page is then old."""
    before = st.session_state.get(_ACTIVE, [])
    st.session_state[_ACTIVE] = active
    return any(ident not in active for ident in before)


def field(name: str) -> str:
    """Key of a field of the form that adds; another one for every form, since a chosen file stays with its key."""
    form = st.session_state.get(_FORM, 0)
    return f"data_add_{name}_{form}" if form else f"data_add_{name}"


def empty_form() -> None:
    """What the form held was added; the next one begins empty."""
    st.session_state[_FORM] = st.session_state.get(_FORM, 0) + 1
    st.session_state.pop(_ADDED, None)


def added() -> dict[str, object]:
    """What this form has added by now, by what it held: a second press while the first one works begins the page anew,
    after the item is in the catalogue and before the form is empty."""
    return st.session_state.setdefault(_ADDED, {})


def keep_among(key: str, options: list[str]) -> None:
    """Forgets a choice that is not to be had any more. Before the widget is drawn."""
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)


def first_page() -> None:
    """Callback: another list begins at its beginning."""
    st.session_state.pop(LIST_PAGE, None)


def show_import() -> None:
    """Callback."""
    st.session_state[VIEW] = IMPORT


def show_catalogue(name: str) -> None:
    """Callback: what was imported is looked at."""
    st.session_state[CATALOGUE] = name
    st.session_state[VIEW] = OVERVIEW
