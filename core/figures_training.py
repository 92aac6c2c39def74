"""Training and leaderboards as figures: curves of every epoch, runs with their intervals. Knows no screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.figures import color_of, plain, shorten, word_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

CURVE_COLOR = {"mrr": "#56B4E9", "ndcg@10": "#D55E00", "recall@20": "#8C6BB1", "ndcg@20": "#D55E00"}
FLOOR_COLOR = {"popularity": "#7F7F7F", "chance": "#9A8B00", "oracle": "#009E73"}
LINE, REFERENCE, ALIGNED = "#4C8DC4", "#D55E00", "#9A8B00"
HIDDEN = {"epoch", "selection", "loss", "error", "kept"}  # error, in stars, is on another scale
UNTOLD = ("epoch", "selection", "kept")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One line of a board: low and high are None where only the mean is known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    reference: bool = False


def curve_word(name: str) -> str:
    """What a curve is, in the words of the page: "align@1 text-image" -> "words find their photo (recall@1)"."""
    if name.startswith("align@1 "):
        left, right = name.removeprefix("align@1 ").split("-")
        return f"{word_of(left)} and {word_of(right)} of a product find each other (recall@1)"
    if name.startswith("mrr_"):
        return f"held-out queries, {word_of(name.removeprefix('mrr_'))} alone (MRR)"
    known = {
        "mrr": "held-out queries, whole (MRR)", "loss": "training loss",
        "accuracy": "held-out ratings, share of right stars", "error": "held-out ratings, squared error",
    }  # fmt: skip
    return known.get(name, f"held-out likes of users ({name.upper().replace('RECALL', 'recall')})")


def best_epoch_of(rows: Sequence[Mapping[str, float]]) -> int:
    """Whose weights are kept so far: as the ranker's own epochs tell it, whose scale is another than the vectors'."""
    best = max(rows, key=lambda row: row.get("selection", row.get("recall@20", 0.0)))["epoch"]
    return int(rows[-1].get("kept", best))


def curves_figure(rows: Sequence[Mapping[str, float]], best_epoch: int | None = None) -> go.Figure:
    """Above the loss, below what is held out, one point an epoch. best_epoch: whose weights are kept, marked."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.36, 0.64], vertical_spacing=0.07)
    epochs = [row["epoch"] for row in rows]
    figure.add_scatter(
        x=epochs, y=[row.get("loss") for row in rows], name=curve_word("loss"), mode="lines+markers", row=1, col=1,
        line={"color": "#7F7F7F"}, hovertemplate="epoch %{x}: loss %{y:.3f}<extra></extra>",
    )  # fmt: skip
    for name in dict.fromkeys(name for row in rows for name in row if name not in HIDDEN):
        single, pair = name.startswith("mrr_"), name.startswith("align@1")
        color = color_of(name.removeprefix("mrr_")) if single else ALIGNED if pair else CURVE_COLOR.get(name, LINE)
        figure.add_scatter(
            x=epochs, y=[row.get(name) for row in rows], name=curve_word(name), mode="lines+markers", row=2, col=1,
            line={"color": color, "dash": "dot" if single else "dash" if pair else "solid"},
            hovertemplate="epoch %{x}: %{y:.3f}<extra>" + plain(curve_word(name)) + "</extra>",
        )  # fmt: skip
    if best_epoch is not None:
        figure.add_vline(x=best_epoch, line={"color": "#7F7F7F", "dash": "dot", "width": 1})
    figure.update_layout(
        height=430, margin={"l": 8, "r": 8, "t": 8, "b": 8}, hovermode="x unified",
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
    )  # fmt: skip
    figure.update_yaxes(title="loss", row=1, col=1)
    figure.update_yaxes(title="held out, 1 is best", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title="epoch", dtick=max(1, len(rows) // 12), row=2, col=1)
    return figure


def curves_alt(rows: Sequence[Mapping[str, float]]) -> str:
    """The curves in words: where each stands now."""
    if not rows:
        return "Curves of a training that has not finished an epoch yet"
    now = {name: value for name, value in rows[-1].items() if name not in UNTOLD}
    told = "; ".join(f"{curve_word(name)} {value:.3f}" for name, value in now.items())
    return f"Curves over {len(rows) - 1} epochs. Now: {told}"


def intervals_figure(lines: Sequence[Interval], floors: Mapping[str, float], title: str) -> go.Figure:
    """One line a run, best on top, with its 95 % interval; floors and the oracle as upright lines."""
    import plotly.graph_objects as go

    rows = list(reversed(lines))
    figure = go.Figure()
    figure.add_scatter(
        x=[row.value for row in rows],
        y=[plain(shorten(row.name, 44)) for row in rows],
        mode="markers",
        marker={
            "size": 11, "color": [REFERENCE if row.reference else LINE for row in rows],
            "symbol": [symbol_of(row) for row in rows],
        },
        error_x={
            "type": "data", "symmetric": False, "thickness": 1.6, "width": 5, "color": "#7F7F7F",
            "array": [0 if row.high is None else row.high - row.value for row in rows],
            "arrayminus": [0 if row.low is None else row.value - row.low for row in rows],
        },
        customdata=[
            "no interval: its values are not kept" if row.low is None else f"95 %: {row.low:.4f} to {row.high:.4f}"
            for row in rows
        ],
        hovertemplate="%{y}<br>%{x:.4f}<br>%{customdata}<extra></extra>",
        showlegend=False,
    )  # fmt: skip
    for name, value in floors.items():
        figure.add_vline(
            x=value, line={"color": FLOOR_COLOR.get(name, "#7F7F7F"), "dash": "dash", "width": 1.5},
            annotation={"text": name, "font": {"size": 11}}, annotation_position="top",
        )  # fmt: skip
    figure.update_layout(
        height=120 + 30 * max(2, len(rows)), margin={"l": 8, "r": 8, "t": 28, "b": 44},
        xaxis={"title": title, "rangemode": "tozero"}, yaxis={"automargin": True},
    )  # fmt: skip
    return figure


def symbol_of(line: Interval) -> str:
    """The reference is a diamond, a mean without interval an open circle."""
    return "diamond" if line.reference else "circle-open" if line.low is None else "circle"


def intervals_alt(lines: Sequence[Interval], floors: Mapping[str, float], title: str) -> str:
    """The board in words: the first three, and what they stand beside."""
    told = [
        f"{line.name} {line.value:.3f}" + ("" if line.low is None else f" ({line.low:.3f} to {line.high:.3f})")
        for line in lines[:3]
    ]
    beside = ", ".join(f"{name} {value:.3f}" for name, value in floors.items())
    return f"{title}, {len(lines)} runs, best first: {'; '.join(told)}" + (f". Beside: {beside}" if beside else "")
