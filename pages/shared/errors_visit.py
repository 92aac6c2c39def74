"""What one visitor does on the Errors page: its session-state keys, and the reading and writing of its address.

Choices of lists live in widgets bound to the address; the open case and the slice are ids in it, so that a link, a
reload or a restart brings both back.
"""

from __future__ import annotations

import re

import streamlit as st

from pages.shared import access

RUN, KIND, PART, VIEW = "errors_run", "errors_kind", "errors_part", "errors_view"
ORDER, SHOW, SEARCH, PAGE, METRIC = "errors_order", "errors_show", "errors_search", "errors_page", "errors_metric"
LABEL, AUTHOR, OTHER, AS_TABLE = "errors_label", "errors_author", "errors_other", "errors_as_table"
FIRST, SECOND, LIST, SLICES, CHANGES = (
    "errors_first", "errors_second", "errors_list", "errors_slices", "errors_changes",
)  # fmt: skip
TASK, GIVEN, FORETOLD, STAR_PAGE = "errors_task", "errors_given", "errors_foretold", "errors_star_page"
ITEMS = "errors_items"  # sent here from the Map; no widget
REFUSED, DRAFT, MASKED = "errors_refused", "errors_draft", "errors_masked"
CASE_PARAMETER, SLICE_PARAMETER = "errors_case", "errors_slice"
_IDENT = re.compile(r"[0-9a-f]{10,16}")


def case() -> str:
    """The key of the open case, "" where the address names none."""
    return _ident(CASE_PARAMETER)


def slice_id() -> str:
    return _ident(SLICE_PARAMETER)


def open_case(key: str) -> None:
    """Callback: opens a case."""
    st.query_params[CASE_PARAMETER] = key


def open_row(keys: tuple[str, ...], table: str) -> None:
    """Callback of a table of cases: opens the one that was chosen last."""
    rows = chosen_rows(table)
    if rows and rows[-1] < len(keys):
        open_case(keys[rows[-1]])


def open_slice(ident: str) -> None:
    """Callback: narrows every view to a slice; "" leaves it."""
    if ident:
        st.query_params[SLICE_PARAMETER] = ident
    else:
        st.query_params.pop(SLICE_PARAMETER, None)
    st.session_state[PAGE] = 1


def open_slice_row(idents: tuple[str, ...]) -> None:
    """Callback of the table of slices."""
    rows = chosen_rows(SLICES)
    if rows and rows[0] < len(idents):
        open_slice(idents[rows[0]])


def show_cases_of(ident: str) -> None:
    """Callback: the cases of a slice, in their list."""
    open_slice(ident)
    st.session_state[VIEW] = "Cases"


def items() -> tuple[str, ...]:
    """Ids of the items that the list of cases is narrowed to; none: all."""
    return tuple(st.session_state.get(ITEMS, ()))


def narrow_to(items: tuple[str, ...]) -> None:
    """Callback: the list of cases shows those of these items alone; () shows all again."""
    st.session_state[ITEMS] = items
    st.session_state[VIEW] = "Cases"
    st.session_state[PAGE] = 1


def chosen_rows(table: str) -> list[int]:
    """Rows that are selected in a table."""
    kept = st.session_state.get(table)
    return list(kept["selection"]["rows"]) if kept else []


def label_key(label: str) -> str:
    return f"errors_label_{label}"


def note_key(case_key: str, version: int) -> str:
    return f"errors_note_{case_key}_{version}"


def drop_draft() -> None:
    """Callback: words that could not be kept were read, or copied."""
    st.session_state.pop(DRAFT, None)


def author() -> str:
    """Who signs what is said here: whoever signed in and may write, else the name that was given."""
    if access.signing_in():
        return access.person() if access.may_write() else ""
    return str(st.session_state.get(AUTHOR) or "").strip()


def first_page() -> None:
    """Callback of every filter: a shorter list begins at its first page."""
    st.session_state[PAGE] = 1


def first_star_page() -> None:
    """Callback: another cell of the matrix begins at its first page."""
    st.session_state[STAR_PAGE] = 1


def _ident(parameter: str) -> str:
    value = st.query_params.get(parameter, "")
    return value if _IDENT.fullmatch(value) else ""
