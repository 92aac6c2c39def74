"""What a missing modality costs, as figures: every way to fill in with its interval, and how shares move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.figures import color_of, plain, word_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

WAY_COLOR = {
    "none": "#7F7F7F", "mean": "#56B4E9", "median": "#4C8DC4", "knn": "#8C6BB1", "iterative": "#D55E00",
    "ridge": "#9A8B00", "adversarial": "#B2556A", "generator": "#2E8B74",
}  # fmt: skip
WAY_SYMBOL = {
    "none": "circle-open", "mean": "square", "median": "square-open", "knn": "triangle-up", "iterative": "x",
    "ridge": "cross", "adversarial": "diamond", "generator": "diamond-open",
}  # fmt: skip
SPREAD = 0.7  # of the space between two shares, over which the ways to fill in stand beside each other
METRIC = {"kept": "NDCG@10 over that of the complete data", "ndcg@10": "NDCG@10", "recall@10": "recall@10"}
Rows = Sequence[Mapping[str, Any]]


def ways_of(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))


def estimate(row: Mapping[str, Any], metric: str) -> Mapping[str, float]:
    return row["kept"] if metric == "kept" else row["metrics"][metric]


def missing_figure(rows: Rows, complete: Mapping[str, Any], metric: str, modality: str) -> go.Figure:
    """x: share of things that lost the modality, the ways to fill in side by side; y: what is left, 95 % intervals.

    rows: of one subject and part; the way that validation chose is larger. complete: the same without a loss."""
    import plotly.graph_objects as go

    figure, ratios = go.Figure(), sorted({row["ratio"] for row in rows})
    ways = ways_of(rows)
    step = SPREAD / max(1, len(ways))
    for at, way in enumerate(ways):
        own = sorted((row for row in rows if row["method"] == way), key=lambda row: row["ratio"])
        aside = (at - (len(ways) - 1) / 2) * step
        figure.add_scatter(x=[ratios.index(row["ratio"]) + aside for row in own], **_way(way, own, metric))
    level = estimate(complete, metric)["value"]
    figure.add_hline(y=level, line={"color": "#7F7F7F", "dash": "dash", "width": 1.2})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=level, yanchor="bottom", text=f"nothing missing: {level:.3f}",
        showarrow=False, font={"size": 11},
    )  # fmt: skip
    figure.update_layout(
        height=400, margin={"l": 8, "r": 8, "t": 12, "b": 8}, yaxis={"title": METRIC[metric]},
        xaxis={
            "title": f"{word_of(modality)} missing, share of those that had one", "range": [-0.55, len(ratios) - 0.45],
            "tickvals": list(range(len(ratios))), "ticktext": [f"{ratio:.0%}" for ratio in ratios],
        },
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0},
    )  # fmt: skip
    return figure


def _way(way: str, own: Rows, metric: str) -> dict[str, Any]:
    """One way to fill in, its points joined: everything of its trace but where the points stand."""
    told = [estimate(row, metric) for row in own]
    colour = WAY_COLOR.get(way, "#7F7F7F")
    return {
        "y": [one["value"] for one in told], "name": plain(way), "mode": "lines+markers",
        "line": {"color": colour, "width": 1, "dash": "dot"},
        "marker": {
            "size": [13 if row["chosen"] else 8 for row in own], "color": colour,
            "symbol": WAY_SYMBOL.get(way, "circle"),
        },
        "error_y": {
            "type": "data", "symmetric": False, "thickness": 1.4, "width": 3,
            "array": [one["high"] - one["value"] for one in told],
            "arrayminus": [one["value"] - one["low"] for one in told],
        },
        "customdata": [
            [f"{row['ratio']:.0%}", one["low"], one["high"], ", chosen on validation" if row["chosen"] else ""]
            for row, one in zip(own, told, strict=True)
        ],
        "hovertemplate": "%{customdata[0]} missing: %{y:.3f} (95 %: %{customdata[1]:.3f} to %{customdata[2]:.3f})"
                         "%{customdata[3]}<extra>" + plain(way) + "</extra>",
    }  # fmt: skip


def missing_alt(rows: Rows, complete: Mapping[str, Any], metric: str, modality: str) -> str:
    """The figure in words: what validation chose at every share."""
    told = [
        f"{row['ratio']:.0%} missing, {row['method']} {estimate(row, metric)['value']:.3f} "
        f"({estimate(row, metric)['low']:.3f} to {estimate(row, metric)['high']:.3f})"
        for row in rows if row["chosen"]
    ]  # fmt: skip
    level = estimate(complete, metric)["value"]
    return f"{METRIC[metric]} with {word_of(modality)} missing; nothing missing {level:.3f}. Chosen: {'; '.join(told)}"


def moved_shares_figure(rows: Rows, complete: Mapping[str, Any], modalities: Sequence[str]) -> go.Figure:
    """Mean share of every modality, one stacked bar a way to fill in, the complete data on top. rows: of one ratio."""
    import plotly.graph_objects as go

    bars = [("nothing missing", complete), *((row["method"], row) for row in rows)][::-1]
    figure = go.Figure()
    for modality in modalities:
        told = [row["shares"][modality] for _, row in bars]
        figure.add_bar(
            y=[plain(name) for name, _ in bars], x=[one["value"] for one in told], orientation="h",
            name=word_of(modality), marker={"color": color_of(modality)}, text=[f"{one['value']:.0%}" for one in told],
            textposition="inside", insidetextanchor="middle",
            customdata=[[one["low"], one["high"]] for one in told],
            hovertemplate="%{y}, " + word_of(modality)
                          + ": %{x:.1%} (95 %: %{customdata[0]:.1%} to %{customdata[1]:.1%})<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        barmode="stack", bargap=0.3, height=110 + 30 * len(bars), margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": "mean share of the score", "tickformat": ".0%", "range": [0, 1]}, yaxis={"automargin": True},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )  # fmt: skip
    return figure


def moved_shares_alt(rows: Rows, complete: Mapping[str, Any], modalities: Sequence[str]) -> str:
    def told(row: Mapping[str, Any]) -> str:
        return ", ".join(f"{word_of(m)} {row['shares'][m]['value']:.0%}" for m in modalities)

    return f"Shares. Nothing missing: {told(complete)}. " + "; ".join(f"{row['method']}: {told(row)}" for row in rows)
