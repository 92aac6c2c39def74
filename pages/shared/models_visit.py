"""What one visitor does on the Models page: its session-state keys. State holds names and choices only."""

from __future__ import annotations

import time

import streamlit as st

from pages.shared import visit

VIEW = "models_view"
CATALOGUE, RANK, ALIGN, FUSE = "models_catalogue", "models_rank", "models_align", "models_fuse"
PROTOCOL, EPOCHS, SEED = "models_protocol", "models_epochs", "models_seed"
IMPUTE, CLEAN, UNFREEZE = "models_impute", "models_clean", "models_unfreeze"
STANDARDISE, DROP_TOKENS, VIEWS_OF_PHOTOS = "models_standardise", "models_drop_tokens", "models_views"
GRID, GRID_ALIGN, GRID_FUSE = "models_grid", "models_grid_align", "models_grid_fuse"
GO = "models_train"
WATCHED, CURVES_AS_TABLE = "models_watched", "models_curves_as_table"
BOARD, SUBJECT, METRIC, PART = "models_board", "models_subject", "models_metric", "models_part"
REFERENCE, OVER_SEEDS, BOARD_AS_TABLE = "models_reference", "models_over_seeds", "models_board_as_table"
LEFT, RIGHT, ASKED_BY, USER, WORDS, PHOTO = (
    "models_left", "models_right", "models_asked_by", "models_user", "models_words", "models_photo",
)  # fmt: skip

TRAIN, LEADERBOARD, SIDES, MISSING = "Train", "Leaderboard", "Side by side", "What if missing"
VIEWS = (TRAIN, LEADERBOARD, SIDES, MISSING)
AGAIN_AFTER = 3.0  # seconds in which the same press again is a double click

_PRESSED, _ACTIVE = "models_pressed", "models_active"


def is_double_click(asked: str) -> bool:
    """Whether this visitor pressed the very same a moment ago; remembers the press."""
    now, before = time.monotonic(), st.session_state.get(_PRESSED)
    st.session_state[_PRESSED] = [asked, now]
    return bool(before) and before[0] == asked and now - before[1] < AGAIN_AFTER


def something_ended(active: list[int]) -> bool:
    """Whether work that was active when this visitor last looked is so no longer: the rest of the page is then old."""
    before = st.session_state.get(_ACTIVE, [])
    st.session_state[_ACTIVE] = active
    return any(ident not in active for ident in before)


def watch(run: str) -> None:
    """Callback: the curves of this run are shown."""
    st.session_state[WATCHED] = run


def keep_among(key: str, options: list[str] | tuple[str, ...]) -> None:
    """Forgets a choice that is not to be had any more. Before the widget is drawn."""
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)


def choose_run(run: str) -> None:
    """Callback: Recommend opens with this run."""
    st.session_state[visit.RUN] = run
