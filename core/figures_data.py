"""Values about data -> Plotly figures: what each cleaning step found, how well it finds, which modalities are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.domain import Modality
from core.figures import color_of, plain, word_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

FOUND, SEVERAL, NOTHING = "#B5473C", "#4C5B6B", "#C2CBD3"
SCORE_MARK = {"precision": ("#0072B2", "circle"), "recall": ("#E69F00", "diamond"), "auc": ("#7F7F7F", "line-ns-open")}


def steps_figure(rows: Sequence[tuple[str, int]]) -> go.Figure:
    """One bar a step (title, places found), longest list on top; steps that found nothing stay, with a 0."""
    import plotly.graph_objects as go

    ordered = sorted(rows, key=lambda row: row[1])
    figure = go.Figure()
    figure.add_bar(
        y=[plain(title) for title, _ in ordered], x=[found for _, found in ordered], orientation="h",
        marker={"color": FOUND}, text=[f"{found:,}" for _, found in ordered], textposition="outside", cliponaxis=False,
        hovertemplate="%{y}: %{x:,} found<extra></extra>",
    )  # fmt: skip
    return _laid_out(figure, len(rows), "places found", room=56)


def scores_figure(scores: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> go.Figure:
    """Precision, recall and area under the curve of every kind of planted fault, 0 to 1."""
    import plotly.graph_objects as go

    kinds = list(scores)[::-1]
    figure = go.Figure()
    for name, (color, symbol) in SCORE_MARK.items():
        figure.add_scatter(
            y=[plain(titles.get(kind, kind)) for kind in kinds], x=[scores[kind][name] for kind in kinds],
            mode="markers", name=name if name != "auc" else "area under the curve",
            marker={"color": color, "symbol": symbol, "size": 13 if name != "auc" else 16, "line": {"width": 2}},
            hovertemplate="%{y}<br>" + name + " %{x:.3f}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(range=[-0.02, 1.04])
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})
    return _laid_out(figure, len(kinds), "share, 1 is perfect", top=40)


def presence_figure(counts: Mapping[tuple[Modality, ...], int]) -> go.Figure:
    """How many items have exactly which modalities: one bar a combination, the largest on top."""
    import plotly.graph_objects as go

    ordered = sorted(counts.items(), key=lambda pair: pair[1])
    colors = [color_of(have[0]) if len(have) == 1 else SEVERAL if have else NOTHING for have, _ in ordered]
    figure = go.Figure()
    figure.add_bar(
        y=[presence_word(have) for have, _ in ordered], x=[count for _, count in ordered], orientation="h",
        marker={"color": colors}, text=[f"{count:,}" for _, count in ordered], textposition="outside", cliponaxis=False,
        hovertemplate="%{y}: %{x:,} items<extra></extra>",
    )  # fmt: skip
    return _laid_out(figure, len(counts), "items", room=56)


def presence_word(have: Sequence[Modality]) -> str:
    """Such as "words + photo", "photo only", "nothing"."""
    if not have:
        return "nothing"
    return " + ".join(word_of(modality) for modality in have) if len(have) > 1 else f"{word_of(have[0])} only"


def steps_alt(rows: Sequence[tuple[str, int]]) -> str:
    return "Places found by each cleaning step: " + "; ".join(f"{title} {found}" for title, found in rows)


def scores_alt(scores: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> str:
    told = (f"{titles.get(k, k)} precision {s['precision']:.2f}, recall {s['recall']:.2f}" for k, s in scores.items())
    return "Found against planted faults: " + "; ".join(told)


def presence_alt(counts: Mapping[tuple[Modality, ...], int]) -> str:
    return "Items by the modalities they have: " + "; ".join(f"{presence_word(h)} {n}" for h, n in counts.items())


def _laid_out(figure: go.Figure, rows: int, unit: str, *, room: int = 8, top: int = 8) -> go.Figure:
    figure.update_layout(
        height=70 + top + 26 * max(rows, 1), margin={"l": 8, "r": room, "t": top, "b": 44}, bargap=0.35,
        xaxis={"title": unit, "zeroline": False}, yaxis={"automargin": True}, showlegend=top > 8,
    )  # fmt: skip
    return figure
