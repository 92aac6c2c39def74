"""Explanations as pictures: words and photos under their weights, contributions, curves. Values in; knows no screen.

One signed scale everywhere, safe for colour-blind eyes: green raises the score, purple lowers it. Colour is never the
only sign: lowering words are underlined with dashes, bars are hatched, and every picture has a table beside it.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Modality
from core.figures import color_of, plain, shorten, signed, word_of

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL.Image import Image

UP, DOWN, NEUTRAL = (27, 120, 55), (118, 42, 131), (243, 242, 238)
GREY = "#7F7F7F"
WIDE = 480  # units of the picture of words
LINE, SIZE = 34, 17


# ---- words and photos


def tint(weight: float) -> tuple[int, int, int]:
    """Weight in [-1, 1] -> colour between purple, pale and green."""
    end, strength = (UP if weight >= 0 else DOWN), min(1.0, abs(weight)) ** 0.8
    red, green, blue = (round(a + (b - a) * strength) for a, b in zip(NEUTRAL, end, strict=True))
    return red, green, blue


def dim(weight: float) -> tuple[int, int, int]:
    """The size of a weight as a grey: what explains nothing shows no sign."""
    level = round(232 - 128 * min(1.0, abs(weight)) ** 0.8)
    return level, level, level


def ink(color: tuple[int, int, int]) -> str:
    """Black or white, whichever can be read on it."""
    red, green, blue = color
    return "#FFFFFF" if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else "#16181D"


def width_of(text: str) -> float:
    """About how wide a word is drawn, in units; wide scripts count double."""
    return sum(map(_em, text)) * SIZE


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.02
    if character in "iljtfrI.,;:!|'()[]":
        return 0.36
    return 0.86 if character in "mwMW@%" else 0.68 if character.isupper() else 0.57


def words_picture(
    words: Sequence[str], weights: Sequence[float], struck: Sequence[int] = (), *, grey: bool = False
) -> str:  # fmt: skip
    """The words in their order as SVG, `WIDE` units wide, each on its colour; weights in [-1, 1]. grey: of no sign,
    for weights that explain nothing.

    Lines run from the right where the first letter does. Struck words are crossed out.
    """
    first = next((one for word in words for one in word if unicodedata.bidirectional(one) in ("L", "R", "AL")), "a")
    mirrored = unicodedata.bidirectional(first) in ("R", "AL")
    x, y, drawn = 0.0, 0.0, []
    for number, (word, weight) in enumerate(zip(words, weights, strict=True)):
        shown = shorten(word, 38)
        wide = min(WIDE, width_of(shown) + 14)
        if x and x + wide > WIDE:
            x, y = 0.0, y + LINE
        color = dim(weight) if grey else tint(weight)
        left = WIDE - x - wide if mirrored else x
        drawn.append(_tile(shown, left, y, wide, color, weight, number in struck))
        x += wide + 5
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDE}" height="{y + LINE:.0f}" '
        f'viewBox="0 0 {WIDE} {y + LINE:.0f}" font-family="system-ui, sans-serif" font-size="{SIZE}">'
        f"{''.join(drawn)}</svg>"
    )


def _tile(word: str, x: float, y: float, wide: float, color: tuple[int, int, int], weight: float, struck: bool) -> str:
    fill, middle = "#{:02X}{:02X}{:02X}".format(*color), x + wide / 2
    below = ' stroke-dasharray="4 3"' if weight < 0 else ""
    line = ""
    if abs(weight) > 0.15:
        line = (
            f'<line x1="{x + 5:.1f}" x2="{x + wide - 5:.1f}" y1="{y + 25:.1f}" y2="{y + 25:.1f}" '
            f'stroke="{ink(color)}" stroke-width="1.6"{below}/>'
        )
    cross = (
        f'<line x1="{x + 3:.1f}" x2="{x + wide - 3:.1f}" y1="{y + 14:.1f}" y2="{y + 14:.1f}" stroke="#C0392B" '
        'stroke-width="2.5"/>'
        if struck
        else ""
    )
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="29" rx="5" fill="{fill}"/>'
        f'<text x="{middle:.1f}" y="{y + 20:.1f}" text-anchor="middle" fill="{ink(color)}">'
        f"{escape(word)}</text>{line}{cross}"
    )


def heat_picture(
    photo: Image, grid: NDArray[np.float64], opacity: float, side: int = 480, *, grey: bool = False
) -> bytes:  # fmt: skip
    """The photo, at most `side` pixels, with a smooth overlay of a grid of weights in [-1, 1], as JPEG.

    Opacity 0 is the photo, 1 all colour where a weight is full. Under the overlay the photo fades to grey, so that its
    own colours are not taken for weights. grey: of no sign, for weights that explain nothing.
    """
    from PIL import Image as images

    small = photo.convert("RGB").copy()
    small.thumbnail((side, side))
    smooth = images.fromarray(np.asarray(grid, dtype=np.float32)).resize(small.size, images.Resampling.BICUBIC)
    weight = np.clip(np.asarray(smooth), -1, 1)[..., None]
    color = np.array(dim(1.0)) if grey else np.where(weight >= 0, np.array(UP), np.array(DOWN))
    share = np.abs(weight) ** 0.8 * opacity
    plain = np.asarray(small.convert("L"), dtype=np.float32)[..., None]
    faded = np.asarray(small, dtype=np.float32) * (1 - 0.85 * opacity) + plain * 0.85 * opacity
    blended = faded * (1 - share) + color * share
    buffer = io.BytesIO()
    images.fromarray(blended.round().astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def scale_picture() -> str:
    """The legend of the signed scale, as SVG."""
    stops = "".join(
        f'<stop offset="{step * 10}%" stop-color="rgb({",".join(map(str, tint(step / 5 - 1)))})"/>'
        for step in range(11)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="34" viewBox="0 0 300 34" font-size="12" '
        f'font-family="system-ui, sans-serif"><defs><linearGradient id="g">{stops}</linearGradient></defs>'
        '<rect width="300" height="12" rx="4" fill="url(#g)"/>'
        f'<text x="0" y="28" fill="{GREY}">lowers the score</text>'
        f'<text x="300" y="28" text-anchor="end" fill="{GREY}">raises it</text></svg>'
    )


# ---- charts


@dataclass(frozen=True, kw_only=True)
class Part:
    """One step of a waterfall: its name, what it adds, and its colour."""

    name: str
    value: float
    color: str


def modality_parts(phi: Mapping[Modality, float]) -> list[Part]:
    return [Part(name=word_of(m), value=value, color=color_of(m)) for m, value in phi.items()]


def waterfall_figure(start: str, base: float, parts: Sequence[Part], end: str, unit: str) -> go.Figure:
    """From a base over signed parts to the sum, top to bottom; lowering parts are hatched."""
    import plotly.graph_objects as go

    edges = np.cumsum([base, *(part.value for part in parts)])
    names = [start, *(part.name for part in parts), end]
    figure = go.Figure(
        go.Bar(
            y=names,
            x=[base, *(part.value for part in parts), edges[-1]],
            base=[0, *edges[:-1], 0],
            orientation="h",
            marker={
                "color": [GREY, *(part.color for part in parts), GREY],
                "pattern": {"shape": ["", *("/" if part.value < 0 else "" for part in parts), ""]},
            },
            text=[signed(value, 3) for value in (base, *(part.value for part in parts), edges[-1])],
            textposition="auto",
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    return _laid(figure, 70 + 42 * len(names), xaxis={"title": unit, "zeroline": True},
                 yaxis={"autorange": "reversed", "automargin": True}, showlegend=False)  # fmt: skip


def curves_figure(curves: Mapping[str, Mapping[str, Any]], title: str) -> go.Figure:
    """Deletion (full line) and insertion (dashed) of each method over the share of parts; chance in grey.

    curves: name -> {"fractions", "deletion", "insertion", "color"}.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, one in curves.items():
        for side, dash in (("deletion", "solid"), ("insertion", "dash")):
            figure.add_scatter(
                x=one["fractions"], y=one[side], mode="lines", name=f"{name}, {side}",
                line={"color": one["color"], "dash": dash, "width": 2.5},
                hovertemplate=f"{plain(name)}, {side}<br>%{{x:.0%}} of the parts: %{{y:.2f}}<extra></extra>",
            )  # fmt: skip
    return _laid(
        figure, 380, xaxis={"title": "share of the parts taken away (deletion) or given back", "tickformat": ".0%"},
        yaxis={"title": title}, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip


def areas_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """One dot a method: deletion area, with the spread of the random orders as a grey bar. rows: "name", "deletion",
    "low", "high", "passed"."""
    import plotly.graph_objects as go

    names = [str(row["name"]) for row in rows]
    figure = go.Figure()
    figure.add_bar(
        y=names, x=[row["high"] - row["low"] for row in rows], base=[row["low"] for row in rows], orientation="h",
        marker={"color": GREY, "opacity": 0.35}, width=0.5, name="random orders",
        hovertemplate="random orders from %{base:.2f}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        y=names, x=[row["deletion"] for row in rows], mode="markers", name="this method",
        marker={
            "size": 13, "color": ["#1B7837" if row["passed"] else GREY for row in rows],
            "symbol": ["circle" if row["passed"] else "x" for row in rows],
        },
        hovertemplate="%{y}: deletion area %{x:.2f}<extra></extra>",
    )  # fmt: skip
    return _laid(
        figure, 110 + 34 * len(rows), xaxis={"title": "area under the deletion curve: further left is better"},
        yaxis={"autorange": "reversed", "automargin": True},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )  # fmt: skip


def bars_figure(
    names: Sequence[str], values: Sequence[float], unit: str, ranges: Sequence[Any] = (), colors: Sequence[str] = ()
) -> go.Figure:
    """Signed bars, the first on top; `ranges` are (low, high) of each, drawn as whiskers. colors: of each bar, by sign
    where none are given."""
    import plotly.graph_objects as go

    error = None
    if ranges:
        error = {
            "type": "data", "symmetric": False, "thickness": 1.4, "color": GREY,
            "array": [high - value for (_, high), value in zip(ranges, values, strict=True)],
            "arrayminus": [value - low for (low, _), value in zip(ranges, values, strict=True)],
        }  # fmt: skip
    figure = go.Figure(
        go.Bar(
            y=[plain(shorten(name, 44)) for name in names], x=list(values), orientation="h", error_x=error,
            marker={
                "color": list(colors) or ["#1B7837" if value >= 0 else "#762A83" for value in values],
                "pattern": {"shape": ["" if value >= 0 else "/" for value in values]},
            },
            hovertemplate="%{y}: %{x:+.3f}<extra></extra>",
        )
    )  # fmt: skip
    return _laid(figure, 80 + 26 * len(names), xaxis={"title": unit, "zeroline": True},
                 yaxis={"autorange": "reversed", "automargin": True})  # fmt: skip


def _laid(figure: go.Figure, height: int, **more: Any) -> go.Figure:
    figure.update_layout(height=height, margin={"l": 8, "r": 12, "t": 34, "b": 44}, bargap=0.32, **more)
    return figure
