"""Sounds and clips under the microscope: players, moments on the spectrogram, the strip of frames, and what if."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.domain import Modality, Part
from core.errors import FusescopeError
from core.figures import signed, word_of
from core.figures_media import frame_strip, moments_table, spectrogram
from pages.shared import explain_services, explain_visit, services
from pages.shared.explain_parts import CONFIG
from pages.shared.theme import named

if TYPE_CHECKING:
    from core.explaining import Microscope

HEARD_AND_SEEN: tuple[Modality, ...] = ("audio", "video")
GREYED = (
    "Greyed out, weights but no explanation: on this case the method does not show what the {word} did. The reason "
    "stands above."
)
BENCH = {
    "audio": ("Silence moments of the sound", "Press a moment to silence it, press again to put it back."),
    "video": ("Drop frames of the clip", "Press a frame to take it out, press again to put it back."),
}


def players(scope: Microscope, shop: services.Shop) -> None:
    """The sound and the clip that are explained, to be heard and watched."""
    for content in explain_services.contents(scope, shop, "audio"):
        st.audio(content, format=explain_services.kind_of(content))
    for content in explain_services.contents(scope, shop, "video"):
        st.video(content, format=explain_services.kind_of(content), muted=True, width=240)


def draw_moments(
    scope: Microscope, shop: services.Shop, weights: dict[Modality, Any], m: Modality, *, grey: bool = False
) -> None:  # fmt: skip
    """Every sound on its spectrogram, or every clip as a strip of frames, under the weights of its moments."""
    most = float(np.abs(weights[m]).max(initial=0.0))
    st.markdown(f"{named(m)} :small[:gray[full colour is {most:.3f} of score a part; dots: where the model looked]]")
    media = explain_services.contents(scope, shop, m)
    for number, moments in enumerate(explain_services.over_time(scope, weights, m)):
        strongest = max(moments, key=lambda one: abs(one["weight"]))
        told = f"strongest {strongest['name']}, {signed(strongest['weight'])}"
        try:
            figure = drawn(media[number] if number < len(media) else b"", m, moments, most, grey)
        except FusescopeError as refused:
            st.caption(f"This {word_of(m)} cannot be drawn: {refused}")
            continue
        key = f"explain_{m}_{number}_{grey}"
        st.plotly_chart(figure, config=CONFIG, key=key, alt=f"The {word_of(m)} under its weights: {told}")
    if grey:
        st.caption(GREYED.format(word=word_of(m)))


def drawn(content: bytes, m: Modality, moments: list[dict[str, Any]], most: float, grey: bool) -> Any:
    if m == "audio":
        decibels, seconds = explain_services.opened_sound(content)
        return spectrogram(decibels, seconds, moments, strongest=most, grey=grey)
    frames, times = explain_services.opened_clip(content)
    return frame_strip(frames, moments, times=times, strongest=most, grey=grey)


def moment_tables(scope: Microscope, weights: dict[Modality, Any]) -> None:
    """The same as rows, in the order of time."""
    for m in HEARD_AND_SEEN:
        for number, moments in enumerate(explain_services.over_time(scope, weights, m) if m in weights else ()):
            st.dataframe(
                moments_table(moments), hide_index=True, key=f"explain_{m}_{number}_table",
                column_config={"weight": st.column_config.NumberColumn("weight, score units", format="%+.4f")},
                alt=f"Table of the {len(moments)} moments of the {word_of(m)} with their weights",
            )  # fmt: skip


def retimed(scope: Microscope) -> dict[Modality, tuple[Part, ...]]:
    """Sounds with silent moments and clips with fewer frames; empty where nothing was changed."""
    found: dict[Modality, tuple[Part, ...]] = {}
    for m in HEARD_AND_SEEN:
        if m not in scope.scorer.units:
            continue
        label, told = BENCH[m]
        labels = explain_services.moment_labels(scope, m)
        gone = st.pills(label, list(labels), selection_mode="multi", key=explain_visit.GONE[m], wrap=True, help=told)
        if gone:
            found[m] = scope.without_units({m: [labels[one] for one in gone]}).of_modality(m)
            for part in found[m]:
                if m == "audio":
                    st.audio(part.content, format=explain_services.kind_of(part.content))
                else:
                    st.video(part.content, format=explain_services.kind_of(part.content), muted=True, width=240)
            st.caption(f"The {word_of(m)} as it is asked now." if found[m] else f"Nothing of the {word_of(m)} is left.")
    return found
