"""What one visitor is doing: the only session-state keys and the only reading and writing of the address.

State holds ids and choices. What is asked lives in the store (or in a guided story) and is named in the address, so
that a link, a reload or a restart brings it back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.domain import Modality, Notice, Query

TEXT = "recommend_text"
PHOTO = "recommend_photo"
CAMERA_ON = "recommend_camera_on"
CAMERA = "recommend_camera"
SOUND = "recommend_sound"
CLIP = "recommend_clip"
MIC_ON = "recommend_microphone_on"
MIC = "recommend_microphone"
USER = "recommend_user"
RUN = "recommend_run"
TOP = "recommend_top"
VIEW = "recommend_view"
AS_TABLE = "recommend_as_table"
STEP = "recommend_step"
GO = "recommend_go"

QUERY_PARAMETER, STORY_PARAMETER, STEP_PARAMETER = "recommend_query", "recommend_story", "recommend_step"
TOPS = (4, 8, 12, 24)
DEFAULT_TOP = 12

_OPENED, _KEPT, _ROUND, _NOTICES, _ACTIONS = "visit_opened", "visit_kept", "visit_round", "visit_notices", "visit_acts"
_ANEW, _DROPPED = "visit_anew", "visit_dropped"


@dataclass(frozen=True, kw_only=True)
class Address:
    """What the address bar asks for: a stored query, or a step (from 1) of a guided story, or neither."""

    query: str = ""
    story: str = ""
    step: int = 1

    def __bool__(self) -> bool:
        return bool(self.query or self.story)

    def as_parameters(self) -> dict[str, str]:
        if self.story:
            return {STORY_PARAMETER: self.story, STEP_PARAMETER: str(self.step)}
        return {QUERY_PARAMETER: self.query} if self.query else {}


def address() -> tuple[Address, tuple[Notice, ...]]:
    """The address as asked, values that make no sense replaced by defaults and reported as E-URL-VALUE."""
    story, query = st.query_params.get(STORY_PARAMETER, ""), st.query_params.get(QUERY_PARAMETER, "")
    step, step_notices = _number(STEP_PARAMETER, tuple(range(1, 10)), 1)
    _, top_notices = _number(TOP, TOPS, DEFAULT_TOP)
    return Address(query=query, story=story, step=step), step_notices + top_notices


def return_to_last() -> Address:
    """Coming back to the page without an address: the query shown before, put into the address again."""
    last = st.session_state.get(_OPENED)
    if not last:
        return Address()
    found = Address(query=last[0], story=last[1], step=last[2])
    st.query_params.from_dict(found.as_parameters())
    return found


def is_open(asked: Address) -> bool:
    return st.session_state.get(_OPENED) == [asked.query, asked.story, asked.step]


def open_query(asked: Address, query: Query, run: str, *, view: str = "", keep_inputs: bool = False) -> None:
    """Shows a query; its words and photos fill the inputs unless they came from there. Before widgets are drawn."""
    st.session_state[_OPENED] = [asked.query, asked.story, asked.step]
    if keep_inputs:
        return
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    st.session_state[_KEPT] = [asked.query, asked.story, asked.step]
    st.session_state[_NOTICES] = []
    st.session_state[_DROPPED] = []
    st.session_state[TEXT] = query.text
    st.session_state[USER] = query.user
    st.session_state[RUN] = run
    if view:
        st.session_state[VIEW] = view
    if TOP not in st.session_state:
        st.session_state[TOP] = _number(TOP, TOPS, DEFAULT_TOP)[0]


def go_to(asked: Address) -> None:
    """Puts a query into the address; the page opens it at its next run."""
    top = st.query_params.get(TOP)
    st.query_params.from_dict(asked.as_parameters() | ({TOP: top} if top else {}))


def go_to_step(story: str) -> None:
    """Callback of a story's step control, whose labels start with the number of the step."""
    go_to(Address(story=story, step=int(st.session_state[STEP].split(".")[0])))


def start_afresh() -> None:
    """Callback: forgets what is shown and empties the inputs."""
    for key in (_OPENED, _KEPT, _NOTICES, TEXT, USER):
        st.session_state.pop(key, None)
    st.session_state[_ANEW] = False
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    st.query_params.clear()


def kept_from(modality: Modality) -> Address:
    """The query whose media of a modality belong to the next one too: the last that was opened by its address, not
    asked here."""
    kept = None if modality in st.session_state.get(_DROPPED, []) else st.session_state.get(_KEPT)
    return Address(query=kept[0], story=kept[1], step=kept[2]) if kept else Address()


def drop(modality: Modality) -> None:
    """Callback: the next query goes without what the opened one has of this modality."""
    st.session_state[_DROPPED] = [*st.session_state.get(_DROPPED, []), modality]


def uploader_key() -> str:
    """A new key empties the uploader when another query is opened."""
    return in_round(PHOTO)


def in_round(key: str) -> str:
    """The key of an input that empties itself when another query is opened."""
    turn = st.session_state.get(_ROUND, 0)
    return key if turn <= 1 else f"{key}_{turn}"


def told_anew() -> tuple[Notice, ...]:
    """Until the next question: the tab was open before this visit began, so what it held but never sent is gone."""
    if _ANEW not in st.session_state:
        st.session_state[_ANEW] = _tab_is_older()
    message = (
        "this tab is older than the visit it belongs to now; the app was started anew, or you were away for long. The "
        "question in the address is shown again. What was typed or chosen after it is gone; give it again."
    )
    return (Notice(code="N-SESSION-NEW", message=message),) if st.session_state[_ANEW] else ()


def _tab_is_older() -> bool:
    """A tab that connects again names the visit it had: the third of the protocols it offers."""
    offered = st.context.headers.get("Sec-WebSocket-Protocol", "").split(",")
    mine = get_script_run_ctx(suppress_warning=True)
    return len(offered) > 2 and mine is not None and offered[2].strip() not in ("", mine.session_id)


def remember_notices(notices: tuple[Notice, ...]) -> None:
    """Of the question that was just asked."""
    st.session_state[_NOTICES] = [[notice.code, notice.message, notice.where] for notice in notices]
    st.session_state[_ANEW] = False


def notices() -> tuple[Notice, ...]:
    stored = st.session_state.get(_NOTICES, [])
    return tuple(Notice(code=code, message=message, where=where) for code, message, where in stored)


def seconds_to_wait(a_minute: int) -> float:
    """Counts one heavy action; how long this visitor must wait first, 0 when fewer than `a_minute` were counted."""
    now = time.monotonic()
    recent = [then for then in st.session_state.get(_ACTIONS, []) if now - then < 60]
    if len(recent) >= a_minute:
        return 60 - (now - recent[0])
    st.session_state[_ACTIONS] = [*recent, now]
    return 0.0


def weight_key(modality: str) -> str:
    return f"recommend_weight_{modality}"


def restore_weights(modalities: tuple[str, ...]) -> None:
    """Callback: back to the model's own weights."""
    for modality in modalities:
        st.session_state[weight_key(modality)] = 1.0


def _number(parameter: str, allowed: tuple[int, ...], default: int) -> tuple[int, tuple[Notice, ...]]:
    values = st.query_params.get_all(parameter)
    if not values:
        return default, ()
    if len(values) == 1 and values[0].isascii() and values[0].isdigit() and len(values[0]) < 6:
        number = int(values[0])
        if number in allowed:
            return number, ()
    choices = ", ".join(map(str, allowed))
    message = (
        f'the address asks for {parameter} = "{", ".join(values)[:80]}"; one of {choices} was expected. '
        f"{default} is used. (E-URL-VALUE)"
    )
    return default, (Notice(code="E-URL-VALUE", message=message),)
