"""Pictures of the error analysis: which modality misled, slices with their intervals, two runs case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Modality
from core.figures import color_of, plain, shorten, signed, word_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

BAR = 13  # height of one modality's bar
WORSE, UNSURE = "#B24A2E", "#8A8F98"  # never the only sign: side and sign say the same


def blame_bar(blame: Mapping[Modality, float]) -> str:
    """One bar a modality, to the right where it misled (raised the loss), else to the left; 300 units wide, SVG."""
    reach = max([abs(value) for value in blame.values()] + [1e-9])
    height = (BAR + 4) * len(blame) + 2
    bars = []
    for row, (modality, value) in enumerate(blame.items()):
        width = 144 * abs(value) / reach
        x = 150 if value > 0 else 150 - width
        bars.append(f'<rect x="{x:.1f}" y="{row * (BAR + 4) + 2}" width="{max(width, 1):.1f}" height="{BAR}" rx="2" '
                    f'fill="{color_of(modality)}"/>')  # fmt: skip
    axis = f'<line x1="150" x2="150" y1="0" y2="{height}" stroke="#8A8F98" stroke-width="1.5"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="{height}" viewBox="0 0 300 {height}">'
        f"{''.join(bars)}{axis}</svg>"
    )


def blame_words(blame: Mapping[Modality, float]) -> str:
    """The same in words, for a screen reader: "photo misled by +1.20 nats; words helped by -0.40 nats"."""
    parts = [
        f"{word_of(m)} {'misled' if value > 0 else 'helped'} by {signed(value)} nats" for m, value in blame.items()
    ]
    return "; ".join(parts)


def slices_figure(
    names: Sequence[str], differences: Sequence[float], lows: Sequence[float], highs: Sequence[float],
    found: Sequence[bool], metric: str,
) -> go.Figure:  # fmt: skip
    """Difference of each slice to the rest with its 95 % interval, the first on top; hollow: chance explains it."""
    import plotly.graph_objects as go

    rows = list(range(len(names)))[::-1]
    labels = [f"{at + 1}. {plain(shorten(name, 52))}" for at, name in enumerate(names)]
    figure = go.Figure()
    for chosen, word, symbol in ((True, "found", "circle"), (False, "chance may explain it", "circle-open")):
        at = [row for row in rows if found[row] == chosen]
        if not at:
            continue
        figure.add_scatter(
            x=[differences[row] for row in at], y=[labels[row] for row in at], mode="markers", name=word,
            marker={"symbol": symbol, "size": 11, "color": WORSE if chosen else UNSURE},
            error_x={
                "type": "data", "symmetric": False, "thickness": 2,
                "array": [highs[row] - differences[row] for row in at],
                "arrayminus": [differences[row] - lows[row] for row in at],
            },
            hovertemplate="%{y}<br>%{x:+.3f}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        height=130 + 27 * len(names), margin={"l": 8, "r": 8, "t": 40, "b": 44},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": f"{metric} in the slice minus {metric} of the rest", "zeroline": True},
        yaxis={"automargin": True, "categoryorder": "array", "categoryarray": [labels[row] for row in rows]},
    )  # fmt: skip
    return figure


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a modality's blame (nats) is spread over `cases` cases; low and high: 5 % and 95 %; misled: share above 0."""

    cases: int
    low: float
    lower: float
    median: float
    upper: float
    high: float
    misled: float

    @classmethod
    def of(cls, blame: NDArray[np.floating[Any]]) -> Spread:
        points = np.quantile(blame, (0.05, 0.25, 0.5, 0.75, 0.95)) if len(blame) else np.full(5, np.nan)
        names = ("low", "lower", "median", "upper", "high")
        misled = float((blame > 0).mean()) if len(blame) else 0.0
        return cls(cases=len(blame), misled=misled, **dict(zip(names, map(float, points), strict=True)))


def blame_figure(inside: Mapping[Modality, Spread], outside: Mapping[Modality, Spread]) -> go.Figure:
    """How the blame of each modality is spread over a slice (filled) and over the rest (outlined): quartile boxes.

    The boxes are drawn from their five numbers, so that a hundred thousand cases weigh no more than ten."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for spreads, name, filled in ((inside, "these cases", True), (outside, "the rest", False)):
        for modality, one in spreads.items():
            if one.cases:
                colour, label = color_of(modality), f"{word_of(modality)}, {name}"
                figure.add_box(
                    y=[label], q1=[one.lower], median=[one.median], q3=[one.upper], lowerfence=[one.low],
                    upperfence=[one.high], orientation="h", line={"color": colour, "width": 2},
                    fillcolor=colour if filled else "rgba(0,0,0,0)", opacity=0.75 if filled else 1.0,
                    showlegend=False, name=label,
                )  # fmt: skip
    figure.update_layout(
        height=90 + 44 * len(figure.data), margin={"l": 8, "r": 8, "t": 16, "b": 44},
        xaxis={"title": "share in the loss, nats: right of 0 it misled, left of 0 it helped", "zeroline": True},
        yaxis={"automargin": True, "autorange": "reversed"},
    )  # fmt: skip
    return figure


def ranks_figure(ours: Sequence[int], theirs: Sequence[int], names: tuple[str, str], k: int = 10) -> go.Figure:
    """Rank of the truth under two runs, one point a case, both axes logarithmic; beyond the lines it is lost."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scattergl(
        x=list(ours), y=list(theirs), mode="markers", marker={"size": 6, "opacity": 0.45, "color": "#0072B2"},
        hovertemplate="%{x} to %{y}<extra></extra>", showlegend=False,
    )  # fmt: skip
    most = max([*ours, *theirs, k + 1])
    figure.add_scatter(x=[1, most], y=[1, most], mode="lines", line={"color": UNSURE, "dash": "dot"}, showlegend=False)
    figure.add_vline(x=k + 0.5, line={"color": UNSURE, "width": 1})
    figure.add_hline(y=k + 0.5, line={"color": UNSURE, "width": 1})
    figure.update_layout(
        height=380, margin={"l": 8, "r": 8, "t": 16, "b": 44},
        xaxis={"type": "log", "title": f"rank of the truth in {plain(shorten(names[0], 30))}"},
        yaxis={"type": "log", "title": f"rank in {plain(shorten(names[1], 30))}"},
    )  # fmt: skip
    return figure


def confusion_figure(counts: NDArray[np.int64]) -> go.Figure:
    """True stars down, foretold stars across; the number in a cell is its ratings, the shade its share of the row."""
    import plotly.graph_objects as go

    stars = [str(star) for star in range(1, len(counts) + 1)]
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = go.Figure(
        go.Heatmap(
            z=share, x=stars, y=stars, text=[[f"{cell:,}" for cell in row] for row in counts.tolist()],
            texttemplate="%{text}", colorscale="Blues", zmin=0, zmax=1, showscale=False, xgap=2, ygap=2,
            hovertemplate="really %{y}, foretold %{x}: %{text}, %{z:.0%} of the row<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=330, margin={"l": 8, "r": 8, "t": 16, "b": 44},
        xaxis={"title": "stars foretold", "type": "category", "fixedrange": True},
        yaxis={"title": "stars given", "type": "category", "autorange": "reversed", "fixedrange": True},
    )  # fmt: skip
    return figure


def calibration_figure(
    sure: Sequence[float], right: Sequence[float], lows: Sequence[float], highs: Sequence[float], counts: Sequence[int]
) -> go.Figure:
    """How often the class was right (with 95 % intervals) against how sure the run was of it; the line is honesty."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": UNSURE, "dash": "dot"}, showlegend=False,
                       hoverinfo="skip")  # fmt: skip
    figure.add_scatter(
        x=list(sure), y=list(right), mode="lines+markers", showlegend=False, customdata=list(counts),
        marker={"size": 9, "color": color_of("text")}, line={"width": 1.5, "color": color_of("text")},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.5,
            "array": [high - at for high, at in zip(highs, right, strict=True)],
            "arrayminus": [at - low for low, at in zip(lows, right, strict=True)],
        },
        hovertemplate="sure %{x:.2f}, right %{y:.2f}, %{customdata:,} ratings<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        height=330, margin={"l": 8, "r": 8, "t": 16, "b": 44},
        xaxis={"title": "how sure the run was of its class", "range": [0, 1.02], "fixedrange": True},
        yaxis={"title": "share that was right", "range": [0, 1.02], "fixedrange": True},
    )  # fmt: skip
    return figure
