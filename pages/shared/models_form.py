"""Choices of the Train form that most trainings leave alone, and how a method is picked."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.config import RunSettings
from pages.shared import models_services as models
from pages.shared import models_visit as choice
from pages.shared import wording
from pages.shared.theme import literal

STANDARD = RunSettings()
MOST_HIDDEN, MOST_VIEWS = 0.5, 8


def draw_more(known: models.Choices, rank: str) -> dict[str, Any]:
    """Settings by name, of rankers that align and fuse; of others none."""
    if rank in known.deaf:
        return {}
    with st.expander("More choices", icon=":material/tune:"):
        standardise = picked(
            "Made comparable by", known.standardise, choice.STANDARDISE, STANDARD.standardise,
            "How the vectors of words and photos are brought to one scale before they are aligned; learned from the "
            "training part alone and kept with the run.",
        )  # fmt: skip
        impute = picked(
            "Missing modality", known.impute, choice.IMPUTE, STANDARD.impute,
            wording.said("What stands in for a photo or words that a product or a query does not have."),
        )  # fmt: skip
        clean = st.multiselect(
            "Cleaning", list(known.clean), key=choice.CLEAN, format_func=models.step_title,
            placeholder="as imported", persist_state="session", help="Steps of the Data page to train with.",
        )  # fmt: skip
        varied = draw_variety()
        unfreeze = st.number_input(
            "Fine-tuned blocks of the text encoder", 0, 6, STANDARD.unfreeze, key=choice.UNFREEZE,
            persist_state="session",
            help="0 keeps the encoder frozen. Else its last blocks learn with the rest, slowly, and belong to the run.",
        )  # fmt: skip
    more = {"standardise": standardise, "impute": impute, "clean": ",".join(clean), "unfreeze": int(unfreeze)}
    return more | varied


def draw_variety() -> dict[str, Any]:
    """What training varies so that nothing is learned by heart."""
    hidden = st.slider(
        "Words and patches hidden", 0.0, MOST_HIDDEN, STANDARD.drop_tokens, 0.05, key=choice.DROP_TOKENS,
        persist_state="session", help="The chance that training does not see a word, or a part of a photo.",
    )  # fmt: skip
    views = st.number_input(
        "Altered versions of each photo", 0, MOST_VIEWS, STANDARD.views, key=choice.VIEWS_OF_PHOTOS,
        persist_state="session",
        help="Training photos cropped, recoloured and blurred, drawn in turn with the photo itself; never where a run "
        "is measured or asked. Each has to be encoded once: the first training takes that much longer.",
    )  # fmt: skip
    return {"drop_tokens": float(hidden), "views": int(views)}


def picked(label: str, known: dict[str, str], key: str, standard: str, help: str) -> str:
    """A method of a registry, and in one sentence what it is."""
    names = list(known)
    choice.keep_among(key, names)
    name = st.selectbox(
        label, names, index=names.index(standard) if standard in names else 0, key=key, help=help,
        persist_state="session",
    )  # fmt: skip
    st.caption(literal(wording.said(known[name])))
    return name
