"""Drawn pieces: values in, elements out. No state, no core calls, no computing beyond wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.domain import Distance, Item, Modality, Notice, RankedItem, Recommendation, Words
from core.errors import FusescopeError
from core.figures import contribution_bar, no_photo, shorten, signed, timing_bar, word_of
from pages.shared import wording
from pages.shared.theme import literal, named, square

READ_ON_CARD = 220  # letters of an item that is read, not bought

if TYPE_CHECKING:
    from core.explain.compare import Standing

METHOD = """
**Contribution.** How much a modality moved a product's score: its exact Shapley value over the modalities you gave,
found by scoring the query with every subset of them present. The values add up: empty query + contributions = score.

**Share.** The size of a contribution among all of a product, |contribution| / sum of |contributions|. A hatched part of
a bar pulled the score *down*.

**Gate.** The weight the fuser gave a modality inside the model. It is no contribution: a modality can have a large gate
and move nothing. So it is shown apart.

**Sliders.** Score at weight *w* = the expected score when a modality is present with probability *w* (multilinear
extension). 1 is the model as trained, 0 is the modality taken away.

**Distance.** 1 - the best cosine between your query and any product. Its percentile says how many held-out queries of
this run were closer to the shop than yours.
"""


def money(price: float | None) -> str:
    """The price in the words and the unit of the catalogue in use."""
    if price is None:
        return wording.said("no price")
    unit = wording.words().unit
    return f"{price:g} {unit}" if unit else f"{price:,.2f}"


def ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def listed(words: Sequence[str], joint: str = "and") -> str:
    return f" {joint} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def device_name(device: str) -> str:
    """The device in words: cpu -> CPU, cuda:0 -> GPU (cuda:0)."""
    return "CPU" if device == "cpu" else f"GPU ({device})" if device.startswith(("cuda", "mps")) else device


def foot(device: str, more: str = "") -> None:
    """The last line of every page: where it computes."""
    st.caption(
        f":material/memory: Computes on **{literal(device_name(device))}**. "
        f"Nothing you type or drop leaves this machine. {more}"
    )


def story_ingredients(photos: Sequence[bytes], words: str, sounds: Sequence[bytes] = ()) -> None:
    """What goes into a guided story: its photos and its words, side by side, and its sounds to listen to."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for number, photo in enumerate(photos, start=1):
            st.image(photo, width=96, alt=f"Customer photo {number} of this story")
        if words:
            with st.container(width="stretch"):
                st.markdown(f":gray[*“{literal(words)}”*]")
    for sound in sounds:
        st.audio(sound, format="audio/ogg")


def message_card(notice: Notice, *, refused: bool | None = None, narrow: bool = False) -> None:
    """One message of a reader, word for word: what was left out, or what a person should know."""
    left_out = notice.code.startswith("E-") if refused is None else refused
    where = f"{notice.where}: " if notice.where and notice.where not in notice.message else ""
    code = "" if notice.code in notice.message else f" ({notice.code})"
    with st.container(border=True, horizontal=not narrow, vertical_alignment="center", gap="xsmall"):
        if left_out:
            st.badge("Left out", icon=":material/block:", color="red")
        else:
            st.badge("Note", icon=":material/info:", color="gray")
        with st.container(width="stretch"):
            st.markdown(f":small[{literal(where + notice.message + code)}]")


def message_cards(notices: Sequence[Notice], *, refused: bool | None = None, narrow: bool = False) -> None:
    for notice in notices:
        message_card(notice, refused=refused, narrow=narrow)


def refusal(error: FusescopeError, *, title: str = "This cannot be answered") -> None:
    """A refusal in the place of a result: what happened and what to do next."""
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"#### :material/do_not_disturb_on: {title}")
        st.text(str(error))


def failure() -> None:
    """Our own fault: said so, with what still works."""
    with st.container(border=True, gap="xsmall"):
        st.markdown("#### :material/report: Something broke on our side")
        st.markdown(
            "Your words and photos are still in the form above. Press **Recommend** again; if it happens twice, "
            "`python -m core doctor` on this machine says what is missing."
        )


def unlike_anything(distance: Distance) -> None:
    """The honest panel: the list below is the least far, not a match."""
    with st.container(border=True, gap="xsmall"):
        st.markdown(wording.said("#### :material/travel_explore: Unlike anything in this shop"))
        told = wording.said(
            f"This query is farther from every product than **{distance.percentile:.1f} %** of held-out queries "
            f"(distance {distance.value:.2f}). What follows is the least far away, not a match. "
            "Say more, or show a photo of the product alone."
        )
        st.markdown(told)


def photo_strip(photos: Sequence[bytes], names: Sequence[str], width: int = 72) -> None:
    """The photos of the query, small, one after another in the row they are drawn into."""
    for photo, name in zip(photos, names, strict=True):
        st.image(photo, width=width, alt=f"Photo of your query: {name}")


def share_words(item: RankedItem, players: Sequence[Modality]) -> str:
    """Shares and signed contributions as Markdown, a line each."""
    shown = [
        f":small[{named(player)} **{100 * item.shares.get(player, 0.0):.0f} %** "
        f":gray[{signed(item.phi.get(player, 0.0))}]]"
        for player in players
    ]
    return "  \n".join(shown)


def share_alt(item: RankedItem, players: Sequence[Modality]) -> str:
    """The bar in words, for screen readers."""
    if not players:
        return "No modality was given, so there is nothing to attribute"
    shown = [
        f"{word_of(player)} {100 * item.shares.get(player, 0.0):.0f} percent"
        + (", pulling the score down" if item.phi.get(player, 0.0) < 0 else "")
        for player in players
    ]
    return "Measured contributions: " + "; ".join(shown)


def card(item: RankedItem, product: Item | None, picture: bytes | None, players: Sequence[Modality]) -> None:
    """One product: photo, rank and title, price and score, the bar and its numbers."""
    title = literal(shorten(item.title, 70))
    st.image(picture or no_photo(), width="stretch", alt=picture_alt(item.title, picture))
    st.markdown(
        f"**{item.rank}. {title}**  \n{money(product.price if product else None)} "
        f":gray[·] score **{item.score:.3f}**".replace("**-", "**\u2212")
    )
    if product and product.description and wording.words() != Words():  # what is read is the thing itself
        st.caption(literal(shorten(product.description, READ_ON_CARD)))
    if players:
        st.image(contribution_bar(item, players), width="stretch", alt=share_alt(item, players))
        st.markdown(share_words(item, players))


def picture_alt(title: str, picture: bytes | None) -> str:
    thing = wording.words().item
    return f"Photo of the {thing} {title}" if picture else f"The {thing} {title} has no photo"


def bars_line(answer: Recommendation) -> str:
    """What the bars of the cards are, as Markdown: contributions of the query's parts, or of the products' own."""
    legend = " · ".join(named(player) for player in answer.players)
    whose = "" if answer.scope == "query" else wording.said(" of each product's own")
    return f":small[:gray[Bars, the measured contributions{whose}:] {legend} :gray[· hatched: pulls the score down]]"


def gates_line(item: RankedItem, players: Sequence[Modality]) -> str:
    """The fuser's gates as Markdown, named as such."""
    shown = " · ".join(f"{named(player)} {item.gates.get(player, 0.0):.2f}" for player in players)
    return f":small[:gray[Gates, the fuser's weights inside the model, are no contributions:] {shown}]"


def standing(
    column: Standing,
    everything: Standing,
    others: Sequence[Standing],
    titles: Mapping[str, str],
    pictures: Mapping[str, bytes | None],
    rows: int,
) -> None:
    """One column of the comparison: who leads by these modalities, and where they stand otherwise."""
    fused = column is everything
    if fused:
        st.markdown(f"**{' '.join(square(modality) for modality in column.modalities)} fused**")
        st.caption("everything together; places won or lost against each alone")
    else:
        st.markdown(f"**{square(column.modalities[0])} {word_of(column.modalities[0])} only**")
        st.caption("the rest taken away; where each lands when fused")
    for place, item_id in enumerate(column.order[:rows], start=1):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            title, shown = titles.get(item_id, item_id), pictures.get(item_id)
            st.image(shown or no_photo(), width=64, alt=picture_alt(title, shown))
            if fused:
                against = [(word_of(other.modalities[0]), other.place(item_id)) for other in others]
                line = " · ".join(f"{word} {moved(was, place)}" for word, was in against)
            else:
                now = everything.place(item_id)
                line = f"{moved(place, now)} to {ordinal(now)}" if now != place else "stays where it is"
            with st.container(width="stretch"):
                st.markdown(f"**{place}. {literal(shorten(title, 40))}**  \n:small[{line}]")


def moved(was: int, now: int) -> str:
    """Places won or lost: an arrow and a number."""
    if was == now:
        return "="
    return f":material/arrow_upward: {was - now}" if now < was else f":material/arrow_downward: {now - was}"


def timing(answer: Recommendation) -> None:
    """Where the time went, as a bar and as a table."""
    steps = ("read", "encode", "align", "fuse", "rank", "total")
    known = [(step, answer.timing_ms[step]) for step in steps if step in answer.timing_ms]
    spoken = ", ".join(f"{step} {ms:.1f} ms" for step, ms in known)
    st.image(timing_bar(answer.timing_ms), width=300, alt=f"Time of each step: {spoken}")
    rows = "\n".join(f"| {step} | {ms:.1f} |" for step, ms in known)
    st.markdown(f"| step | ms |\n|:--|--:|\n{rows}")
    st.caption(f"Measured when this question was answered, on {literal(device_name(answer.device))}.")
