"""Inputs for a sound and a clip, and how what was given is shown: player, waveform, spectrogram, frames."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.domain import Modality, Notice
from pages.shared import media_services, parts, services, visit
from pages.shared.theme import literal

LIMITS = services.LIMITS
SOUNDS = ["wav", "wave", "flac", "ogg", "oga", "opus", "mp3"]
CLIPS = ["mp4", "m4v", "mov", "qt", "webm", "mkv", "gif"]
PLAIN = {"displayModeBar": False, "showSendToCloud": False}


def media_inputs(run: str) -> tuple[dict[Modality, tuple[bytes, ...]], tuple[Notice, ...]]:
    """Sound and clip of the next question as our own copies, with what the readers said. Only what the run knows."""
    known = media_services.modalities_of(run)
    missing = [word for modality, word in (("audio", "sounds"), ("video", "clips")) if modality not in known]
    given: dict[Modality, tuple[bytes, ...]] = {}
    notices: list[Notice] = []
    if "audio" in known:
        given["audio"], said = sound_input()
        notices += said
    if "video" in known:
        given["video"], said = clip_input()
        notices += said
    if missing:
        beside = media_services.beside(run)
        able = [one for one in beside if {"audio", "video"} <= set(media_services.modalities_of(one))]
        hint = f" {literal(able[0])} does: choose it under Options." if able else ""
        st.caption(f"This run was trained without {parts.listed(missing, 'and')}, so it takes none.{hint}")
    return given, tuple(notices)


def sound_input() -> tuple[tuple[bytes, ...], Sequence[Notice]]:
    """One sound: a file, else a recording, else that of the opened question."""
    upload = st.file_uploader(
        "A sound", type=SOUNDS, max_upload_size=LIMITS.audio_bytes // 1_000_000, key=visit.in_round(visit.SOUND),
        help=f"WAV, FLAC, Ogg or MP3, up to {LIMITS.audio_seconds:g} s. It is mixed to one channel of 16 kHz, and "
        "tags are left out.",
    )  # fmt: skip
    recording = st.toggle("Record from the microphone", key=visit.MIC_ON)
    taken = (
        st.audio_input("Microphone", key=visit.in_round(visit.MIC), label_visibility="collapsed") if recording else None
    )
    found, notices = _taken("audio", upload or taken, "recording.wav" if taken and not upload else "")
    for content in found:
        show_sound(content)
        if not (upload or taken):
            remove_button("audio", "sound")
    return found, notices


def clip_input() -> tuple[tuple[bytes, ...], Sequence[Notice]]:
    """One clip: a file, else that of the opened question."""
    upload = st.file_uploader(
        "A clip", type=CLIPS, max_upload_size=LIMITS.video_bytes // 1_000_000, key=visit.in_round(visit.CLIP),
        help=f"MP4, MOV, WebM, MKV or a moving GIF, up to {LIMITS.video_seconds:g} s. At most 16 frames of it are "
        "used; its sound is left out.",
    )  # fmt: skip
    found, notices = _taken("video", upload, "")
    for content in found:
        show_clip(content)
        if not upload:
            remove_button("video", "clip")
    return found, notices


def remove_button(modality: Modality, word: str) -> None:
    st.button(
        f"Remove the {word}", key=f"recommend_drop_{modality}", icon=":material/close:", type="tertiary",
        on_click=visit.drop, args=(modality,), help=f"The next question goes without the {word} of this one.",
    )  # fmt: skip


def _taken(modality: Modality, file: object, name: str) -> tuple[tuple[bytes, ...], Sequence[Notice]]:
    if file is None:
        return media_services.kept_media(visit.kept_from(modality), modality)[:1], ()
    read = media_services.read_medium(modality, name or file.name, file.getvalue())  # type: ignore[attr-defined]
    return ((read.content,) if read.content else ()), read.notices


def show_sound(content: bytes) -> None:
    """Player, waveform and spectrogram."""
    wave, pitches, seconds = media_services.sound_figures(content)
    st.audio(
        content,
        format="audio/wav" if content[:4] == b"RIFF" else "audio/ogg" if content[:4] == b"OggS" else "audio/flac",
    )
    for figure, word in ((wave, "Waveform"), (pitches, "Spectrogram")):
        figure.update_layout(height=110, margin={"l": 4, "r": 4, "t": 4, "b": 24})
        figure.update_yaxes(visible=False)
        st.plotly_chart(figure, config=PLAIN, key=f"recommend_{word}", alt=f"{word} of your sound, {seconds:.1f} s")


def show_clip(content: bytes) -> None:
    """Player and four frames."""
    st.video(content, format="video/webm" if content[:4] == b"\x1aE\xdf\xa3" else "video/mp4", muted=True)
    frames, times = media_services.clip_frames(content)
    with st.container(horizontal=True, gap="xxsmall"):
        for frame, second in zip(frames, times, strict=True):
            st.image(frame, width=64, alt=f"Frame of your clip at {second:.1f} s", caption=f"{second:.1f} s")
