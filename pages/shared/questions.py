"""How long a question lives: a day after it was last asked, so that a reload, a restart and its link bring it back;
longer only where somebody keeps it."""

from __future__ import annotations

import logging

import streamlit as st

from core.errors import FusescopeError
from core.limits import LIMITS
from pages.shared import access, services, visit

log = logging.getLogger("fusescope.pages")


@st.cache_data(ttl=600, max_entries=1, show_spinner=False)
def sweep() -> int:
    """Removes what ran out, at most every ten minutes, whoever comes by; how many questions."""
    from core.asked import sweep_questions

    try:
        return sweep_questions(services.workspace())
    except FusescopeError as refused:  # a page is shown all the same
        log.warning("questions were not swept code=%s", refused.code)
        return 0


def draw_keeping(address: visit.Address) -> None:
    """How long the address works, and the button that makes it stay."""
    from core.asked import question_is_kept

    workspace = services.workspace()
    if not address.query or not workspace.has_database:
        return
    if question_is_kept(workspace, address.query):
        st.caption(":material/bookmark: Kept: its address works until the question is forgotten.")
        return
    st.caption(f"Words, photos, sound and clip are removed {LIMITS.question_hours} hours after they were last asked.")
    st.button(
        "Keep this question", key="recommend_keep", icon=":material/bookmark:", on_click=_keep, args=(address.query,),
        disabled=not access.may_write(),
    )  # fmt: skip


def _keep(ident: str) -> None:
    """Callback of the button."""
    from core.asked import keep_question

    keep_question(access.writable(), ident)
