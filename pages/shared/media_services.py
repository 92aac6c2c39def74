"""Sounds and clips of a question: read once by the one reader, kept as our own copies, and their small pictures."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.domain import MODALITIES, Modality, Notice, Query
from core.errors import FusescopeError
from pages.shared import services

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from pages.shared.visit import Address

log = logging.getLogger("fusescope.pages")
WORDS_AND_PHOTOS: tuple[Modality, ...] = ("text", "image")


@dataclass(frozen=True, kw_only=True)
class MediumRead:
    """One sound or clip after reading: our own encoding of it (empty where it was refused), and what to say."""

    content: bytes = b""
    name: str = ""
    notices: tuple[Notice, ...] = ()


@st.cache_data(max_entries=64, ttl=60, show_spinner=False)
def modalities_of(run: str) -> tuple[Modality, ...]:
    """The modalities a run was trained with; words and photos where its record cannot be read."""
    try:
        wanted = json.loads((services.workspace().run_folder(run) / "run.json").read_text(encoding="utf-8"))["widths"]
    except (FusescopeError, OSError, KeyError, ValueError):
        return WORDS_AND_PHOTOS
    return tuple(modality for modality in MODALITIES if modality in wanted)


def read_medium(modality: Modality, name: str, data: bytes) -> MediumRead:
    """An upload or a recording through the reader of its modality, in its worker process; read once a session."""
    return _read_medium(modality, name, hashlib.sha256(data).hexdigest(), data)


@st.cache_data(max_entries=8, scope="session", show_spinner="Reading what you gave")
def _read_medium(modality: Modality, name: str, digest: str, _data: bytes) -> MediumRead:
    from core.catalog.clips import encode_clip, read_clip_safely
    from core.catalog.sounds import encode_sound, read_sound_safely

    try:
        if modality == "audio":
            sound, notices = read_sound_safely(_data, name)
            return MediumRead(content=encode_sound(sound), name=name, notices=notices)
        clip, notices = read_clip_safely(_data, name)
        return MediumRead(content=encode_clip(clip), name=name, notices=notices)
    except FusescopeError as refused:
        log.info("refused code=%s kind=%s files=1", refused.code, modality)
        return MediumRead(name=name, notices=(Notice(code=refused.code, message=str(refused)),))


def kept_media(address: Address, modality: Modality) -> tuple[bytes, ...]:
    """The sounds or clips of the query behind an address; none where it is empty or leads nowhere any more."""
    try:
        query, _ = services.recall(address.query, address.story, address.step) if address else (Query(), "")
    except FusescopeError:
        return ()
    return tuple(part.content for part in query.of_modality(modality))


@st.cache_data(max_entries=16, show_spinner="Drawing the sound")
def sound_figures(content: bytes) -> tuple[go.Figure, go.Figure, float]:
    """Waveform, spectrogram and seconds of one of our own copies."""
    from core.catalog.sounds import read_sound_safely
    from core.editing import spectrogram_of
    from core.figures_media import spectrogram, waveform

    sound, _ = read_sound_safely(content, "sound.flac")
    return waveform(sound.samples, sound.rate), spectrogram(spectrogram_of(sound), sound.seconds), sound.seconds


@st.cache_data(max_entries=16, show_spinner="Drawing the frames")
def clip_frames(content: bytes) -> tuple[tuple[bytes, ...], tuple[float, ...]]:
    """Four frames of one of our own copies as JPEG, evenly spread, and their seconds."""
    from core.catalog.clips import read_clip_safely

    clip, _ = read_clip_safely(content, "clip.mp4")
    count = len(clip.frames)
    chosen = sorted({round(at * (count - 1) / 3) for at in range(4)})
    return tuple(_jpeg(clip.image(at)) for at in chosen), tuple(clip.times[at] for at in chosen)


def _jpeg(image: object) -> bytes:
    import io

    from PIL.Image import Image

    assert isinstance(image, Image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def beside(run: str) -> list[str]:
    """The other runs over the catalogue of this one."""
    home = {known.run: known.catalogue for known in services.runs()}
    return [other for other, catalogue in home.items() if other != run and catalogue == home.get(run)]
