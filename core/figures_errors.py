"""Pictures of the error analysis: which modality misled, slices with their intervals, two runs case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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


def blame_figure(inside: Mapping[Modality, Sequence[float]], outside: Mapping[Modality, Sequence[float]]) -> go.Figure:
    """How the blame of each modality is spread over a slice (filled) and over the rest (outlined): quartile boxes."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for values, name, filled in ((inside, "these cases", True), (outside, "the rest", False)):
        for modality, numbers in values.items():
            if len(numbers):
                colour = color_of(modality)
                figure.add_box(
                    x=numbers, y=[f"{word_of(modality)}, {name}"] * len(numbers), orientation="h", boxpoints=False,
                    line={"color": colour, "width": 2}, fillcolor=colour if filled else "rgba(0,0,0,0)",
                    opacity=0.75 if filled else 1.0, showlegend=False, name=f"{word_of(modality)}, {name}",
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
