"""Encoders: frozen pretrained networks, one file a modality; `ENCODERS` is the registry. Plus the vector store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.domain import Modality
from core.errors import UnknownNameError


def _text(name: str, device: str) -> Any:
    from core.encode.text import TextEncoder

    return TextEncoder(name, device)


def _image(name: str, device: str) -> Any:
    from core.encode.image import ImageEncoder

    return ImageEncoder(name, device)


def _audio(name: str, device: str) -> Any:
    from core.encode.audio import AudioEncoder

    return AudioEncoder(name, device)


def _video(name: str, device: str) -> Any:
    from core.encode.video import VideoEncoder

    return VideoEncoder(name, device)


ENCODERS: dict[Modality, Callable[[str, str], Any]] = {"text": _text, "image": _image, "audio": _audio, "video": _video}


def load_encoder(modality: Modality, name: str, device: str = "cpu") -> Any:
    """The encoder of a modality by name (bundled, hub id or folder). Unknown modalities list the known."""
    if modality not in ENCODERS:
        raise UnknownNameError("modality", modality, ENCODERS)
    return ENCODERS[modality](name, device)
