"""Drawn pieces of the Errors page: one case, its products, what people said of it. Values in, elements out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.domain import Item, Modality
from core.figures import no_photo, shorten, signed, word_of
from core.figures_errors import blame_bar, blame_words
from pages.shared import parts, wording
from pages.shared.theme import literal, named

if TYPE_CHECKING:
    from core.store.values import Annotation

PLOT = {"displaylogo": False, "showSendToCloud": False}
METHOD = """
**Rank.** Place of the right product among all candidates when the question is asked with everything it has; *alone*:
when asked with that modality only.

**Loss.** Cross-entropy of the right product among all candidates, in nats: 0 is certain and right.

**Misled.** The exact Shapley value of a modality in the *loss* of a case: how much higher the loss is with it than
without, averaged over all orders of adding modalities. Right of 0 it pushed the answer away from the truth.

**Most surprising.** Cases that one modality alone would have put far higher than all of them together.

**Slices.** Every value of every attribute and every pair is compared with the rest. Cases of one product count as one
draw. *Found* means Holm's corrected p is below 5 %: of all slices looked at on harmless data, one in twenty *searches*
would show any. A pair must also differ inside both of its parents.

**Interval.** 95 % bootstrap interval of the difference, products drawn with replacement.

**Two runs.** *Fixed*: only the other run has the truth among its first 10; *broken*: only this one. McNemar's exact
test compares the two counts; the interval is of the paired difference in mean reciprocal rank.

**Kappa.** Cohen's: agreement of two people beyond what their habits would give by chance; 1 is perfect, 0 chance.
"""


def product(item_id: str, item: Item | None, picture: bytes | None, caption: str, *, truth: bool) -> None:
    """A product of a case: the truth, or one of those shown instead."""
    title = item.title if item and item.title else item_id
    st.image(picture or no_photo(), width="stretch", alt=parts.picture_alt(title, picture))
    mark = ":green-badge[:material/check: the right one]" if truth else f":gray[{literal(caption)}]"
    st.markdown(
        f":small[**{literal(shorten(title, 44))}**]  \n"
        f":small[{literal(parts.money(item.price if item else None))} {mark}]"
    )


def ranks_line(rank: int, alone: Mapping[Modality, int], candidates: int) -> str:
    """Where the truth came, fused and alone, as Markdown."""
    single = " · ".join(
        f"{named(m)} alone **{place}**" if place else f"{named(m)} :gray[not given]" for m, place in alone.items()
    )
    return wording.said("Right product") + f" at rank **{rank}** of {candidates:,} :gray[·] {single}"


def misled(blame: Mapping[Modality, float], pull: Mapping[Modality, float]) -> None:
    """Which modality misled: bar, words and numbers."""
    st.markdown(
        "**Which modality misled** :gray[:small[left: helped · right: misled]]",
        help="Exact Shapley values of the loss over the modalities, in nats. Right of the line it raised the loss.",
    )
    st.image(blame_bar(blame), width=300, alt=f"Bars of blame: {blame_words(blame)}")
    lines = [
        f":small[{named(m)} **{signed(value)}** nats :gray[· gave {signed(pull[m])} more score to what was shown]]"
        for m, value in blame.items()
    ]
    st.markdown("  \n".join(lines))


def sayings(others: Sequence[Annotation]) -> None:
    """What other people said about the case."""
    for one in others:
        said = ", ".join(one.labels) or ("a note" if one.note else "seen, no label")
        note = f": “{literal(one.note)}”" if one.note else ""
        when = f"{one.updated:%Y-%m-%d %H:%M} UTC" if one.updated else ""
        st.markdown(f":small[:material/person: **{literal(one.author)}** {literal(said)}{note} :gray[{when}]]")


def change_numbers(fixed: int, broken: int, found: int, lost: int) -> None:
    """Two runs in four numbers."""
    told = (
        ("Fixed", fixed, "only the other run has the truth among its first 10"),
        ("Broken", broken, "only this run has the truth among its first 10"),
        ("Found by both", found, "the truth is among the first 10 of either"),
        ("Lost by both", lost, "neither has the truth among its first 10"),
    )
    for column, (label, number, meaning) in zip(st.columns(4), told, strict=True):
        column.metric(label, f"{number:,}", help=meaning)


def column_names(modalities: Sequence[Modality]) -> dict[str, object]:
    """How the list of cases is shown."""
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "seen": st.column_config.CheckboxColumn("seen", width=52, help="Somebody has looked at it"),
        "rank": number("rank", width=56, help=wording.said("Rank of the right product with everything given")),
        **{
            f"alone_{m}": number(word_of(m), width=58, help=f"Rank when asked with the {word_of(m)} only")
            for m in modalities
        },
        "product": text(wording.said("right product"), width="medium"),
        "loss": number("loss", format="%.2f", width=60, help=wording.said("Cross-entropy of the right product, nats")),
        "labels": text("labels", width="small"),
    }
