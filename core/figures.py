"""Values -> pictures: small SVG bars for cards, Plotly figures for charts. Knows no screen.

One colour a modality everywhere, safe for colour-blind eyes, and never the only sign: a negative contribution is
hatched, and whoever shows a bar writes its numbers beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from core.domain import Modality, RankedItem

if TYPE_CHECKING:
    import plotly.graph_objects as go

MODALITY_COLOR: dict[Modality, str] = {
    "text": "#0072B2",
    "image": "#E69F00",
    "audio": "#009E73",
    "video": "#CC79A7",
    "other": "#7F7F7F",
}
MODALITY_WORD: dict[Modality, str] = {
    "text": "words",
    "image": "photo",
    "audio": "sound",
    "video": "clip",
    "other": "other",
}
STEP_COLOR: dict[str, str] = {
    "read": "#7F7F7F",
    "encode": "#4C5B6B",
    "align": "#6F8FAF",
    "fuse": "#9DB4C0",
    "rank": "#C2CBD3",
}


def color_of(modality: Modality) -> str:
    return MODALITY_COLOR.get(modality, MODALITY_COLOR["other"])


def word_of(modality: Modality) -> str:
    return MODALITY_WORD.get(modality, modality)


def contribution_bar(item: RankedItem, players: Sequence[Modality]) -> str:
    """One stacked bar of `shares`, 300 x 14 units, as SVG; a part that pulls the score down is hatched."""
    parts = [(player, item.shares.get(player, 0.0), item.phi.get(player, 0.0)) for player in players]
    bars, x = [], 0.0
    for player, share, phi in parts:
        width = 300 * share
        fill = f"url(#down-{player})" if phi < 0 else color_of(player)
        bars.append(f'<rect x="{x:.2f}" width="{max(width - 1.5, 0):.2f}" height="14" fill="{fill}"/>')
        x += width
    patterns = "".join(
        f'<pattern id="down-{player}" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="6" height="6" fill="{color_of(player)}" fill-opacity=".35"/>'
        f'<rect width="2.5" height="6" fill="{color_of(player)}"/></pattern>'
        for player, _, phi in parts
        if phi < 0
    )
    empty = '<rect width="300" height="14" fill="#7F7F7F" fill-opacity=".25"/>' if x < 1 else ""
    return _svg(300, 14, f"<defs>{patterns}{_ROUND}</defs><g clip-path='url(#round)'>{empty}{''.join(bars)}</g>")


def timing_bar(timing_ms: Mapping[str, float]) -> str:
    """One stacked bar of the steps read, encode, align, fuse, rank, 300 x 14 units, as SVG."""
    steps = [(step, max(timing_ms.get(step, 0.0), 0.0)) for step in STEP_COLOR]
    total = sum(milliseconds for _, milliseconds in steps) or 1.0
    bars, x = [], 0.0
    for step, milliseconds in steps:
        width = 300 * milliseconds / total
        bars.append(f'<rect x="{x:.2f}" width="{max(width - 0.5, 0):.2f}" height="14" fill="{STEP_COLOR[step]}"/>')
        x += width
    return _svg(300, 14, f"<defs>{_ROUND}</defs><g clip-path='url(#round)'>{''.join(bars)}</g>")


def no_photo() -> str:
    """The picture that stands where a product has none, as SVG; readable on light and dark."""
    return _svg(
        320,
        320,
        '<rect width="320" height="320" rx="8" fill="#7F7F7F" fill-opacity=".14"/>'
        '<g fill="none" stroke="#7F7F7F" stroke-width="6" stroke-linejoin="round" stroke-linecap="round">'
        '<rect x="100" y="108" width="120" height="92" rx="10"/><circle cx="136" cy="142" r="10"/>'
        '<path d="M104 190l36-32 24 20 26-26 26 26"/><path d="M92 216L228 92"/></g>'
        '<text x="160" y="250" text-anchor="middle" font-family="sans-serif" font-size="20" fill="#7F7F7F">'
        "no photo</text>",
    )


def contributions_figure(items: Sequence[RankedItem], players: Sequence[Modality]) -> go.Figure:
    """Signed Shapley values of every item, best on top: x in score units, one bar a modality, base + sum = score."""
    import plotly.graph_objects as go

    rows = list(reversed(items))
    names = [f"{item.rank}. {plain(shorten(item.title, 34))}" for item in rows]
    figure = go.Figure()
    for player in players:
        figure.add_bar(
            y=names,
            x=[item.phi.get(player, 0.0) for item in rows],
            name=word_of(player),
            orientation="h",
            marker={"color": color_of(player), "line": {"width": 0}},
            hovertemplate="%{y}<br>" + word_of(player) + ": %{x:+.3f}<extra></extra>",
        )
    base = rows[0].base if rows else 0.0
    figure.update_layout(
        barmode="relative",
        bargap=0.35,
        height=110 + 30 * len(rows),
        margin={"l": 8, "r": 8, "t": 56, "b": 44},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        xaxis={"title": f"contribution in score units (the empty query scores {base:+.3f})", "zeroline": True},
        yaxis={"automargin": True},
    )
    return figure


def plain(text: str) -> str:
    """Text that Plotly shows as it is: its labels interpret HTML tags and %{...}."""
    return escape(text, quote=False).replace("%{", "%\u200b{")


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, minus as a true minus."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def shorten(text: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where something was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


_ROUND = '<clipPath id="round"><rect width="300" height="14" rx="4"/></clipPath>'


def _svg(width: int, height: int, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{content}</svg>'
    )
