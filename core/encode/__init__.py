"""Encoders: frozen pretrained networks, one file a modality; `ENCODERS` is the registry. Plus the vector store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.domain import Modality
from core.errors import UnknownNameError

if TYPE_CHECKING:
    from core.encode.image import ImageEncoder
    from core.encode.text import TextEncoder


def _text(name: str, device: str) -> TextEncoder:
    from core.encode.text import TextEncoder

    return TextEncoder(name, device)


def _image(name: str, device: str) -> ImageEncoder:
    from core.encode.image import ImageEncoder

    return ImageEncoder(name, device)


ENCODERS: dict[Modality, Callable[[str, str], TextEncoder | ImageEncoder]] = {"text": _text, "image": _image}


def load_encoder(modality: Modality, name: str, device: str = "cpu") -> TextEncoder | ImageEncoder:
    """The encoder of a modality by name (bundled, hub id or folder). Unknown modalities list the known."""
    if modality not in ENCODERS:
        raise UnknownNameError("modality", modality, ENCODERS)
    return ENCODERS[modality](name, device)
