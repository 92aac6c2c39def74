"""What one visitor does under the microscope: its session-state keys. State holds ids and choices, never weights."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.domain import MODALITIES

ITEM = "explain_item"
BASELINE = "explain_baseline"
VALUE = "explain_value"
METHOD = "explain_method"
OPACITY = "explain_opacity"
WORD = "explain_word"
PATCH = "explain_patch"
MAP = "explain_map"
VIEW = "explain_view"
AS_TABLE = "explain_as_table"
WORDS_TABLE = "explain_words_table"
OTHER = "explain_other"
STAND_IN = "explain_stand_in"
STRUCK = "explain_struck"
REWORDED = "explain_reworded"
DROPPED = "explain_dropped"
PHOTO = "explain_photo"
EDIT = "explain_edit"
ACROSS = "explain_across"
DOWN = "explain_down"
WEIGHT: Mapping[str, str] = {m: f"explain_weight_{m}" for m in MODALITIES}
GONE: Mapping[str, str] = {"audio": "explain_silenced", "video": "explain_cut"}

_SHOWN = "explain_shown"
_SWAPS = "explain_swaps"


def swap_key() -> str:
    """Another after every clearing: a browser keeps the file of an uploader that keeps its key."""
    return f"explain_swap_{st.session_state.get(_SWAPS, 0)}"


def address_item() -> str:
    """The item that the address asks for, "" when it asks for none."""
    return st.query_params.get(ITEM, "")


def put_item(item_id: str) -> None:
    if st.query_params.get(ITEM) != item_id:
        st.query_params[ITEM] = item_id


def choose(labels: Mapping[str, str]) -> None:
    """Callback of the product box: puts the product into the address."""
    chosen = labels.get(str(st.session_state.get(ITEM)))
    if chosen:
        put_item(chosen)


def start_bench(case: str, text: str) -> None:
    """A new case empties the bench; its text is the text of the question. Before widgets are drawn."""
    if st.session_state.get(_SHOWN) == case:
        return
    st.session_state[_SHOWN] = case
    clear_bench(text)


def clear_bench(text: str) -> None:
    """Callback: nothing struck, nothing covered, every modality there with its whole weight."""
    for key in (STRUCK, DROPPED, EDIT, ACROSS, DOWN, WORD, PATCH, OTHER, PHOTO, *GONE.values(), *WEIGHT.values()):
        st.session_state.pop(key, None)
    st.session_state[_SWAPS] = st.session_state.get(_SWAPS, 0) + 1
    st.session_state[REWORDED] = text
