"""How things are coloured in Markdown: the named colours of .streamlit/config.toml, one for each modality."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from core.domain import Modality
from core.figures import word_of

_NAMED: dict[Modality, str] = {"text": "blue", "image": "orange", "audio": "green", "video": "violet"}
_SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]()<>#+-.!|~:$&=^\"'"})
ICON: dict[Modality, str] = {
    "text": ":material/notes:",
    "image": ":material/photo_camera:",
    "audio": ":material/graphic_eq:",
    "video": ":material/movie:",
}


def leading() -> Literal["primary", "secondary"]:
    """The main button of a page: filled on light; outlined on dark, where no blue carries both page and label."""
    return "secondary" if st.context.theme.type == "dark" else "primary"


def literal(text: str) -> str:
    """User text as Markdown that shows it as it is: no emphasis, links, pictures, directives, formulas or breaks."""
    return " ".join(text.split()).translate(_SPECIAL)


def square(modality: Modality) -> str:
    """The coloured square of a legend."""
    return f":{_NAMED.get(modality, 'gray')}[■]"


def named(modality: Modality) -> str:
    """Square and word: the colour is never the only sign."""
    return f"{square(modality)} {word_of(modality)}"
