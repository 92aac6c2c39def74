"""The map of the aligned space as a Plotly figure. Values in, figure out; knows no screen.

A point's `customdata` is its number, item row x slots + slot: the one thing that comes back from a selection. Shape
tells the modality even where colour tells something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import MODALITIES, Modality
from core.errors import ShapeError
from core.figures import color_of, plain, shorten, word_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

FUSED = "fused"
SYMBOL: dict[str, str] = {"text": "circle", "image": "diamond", "audio": "square", "video": "cross", FUSED: "x"}
SIGN: dict[str, str] = {"text": "●", "image": "◆", "audio": "■", "video": "✚", FUSED: "✕"}
GROUP_COLORS = (  # the first eight are safe for colour-blind eyes; hover names every group; the last is for the rest
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#9A8B00", "#8C6BB1", "#A6611A", "#1B9E9E",
    "#E7298A", "#66A61E", "#C05A5A", "#5F7FBF", "#B8860B", "#7570B3", "#7F7F7F",
)  # fmt: skip
OTHERS = "all others"
FOUND_COLOR = "#D55E00"
DIMMED = {"selected": {"marker": {"opacity": 1.0}}, "unselected": {"marker": {"opacity": 0.18}}}  # 2-D only
SIZE = {2: 7, 3: 3.5}


@dataclass(frozen=True, kw_only=True)
class Coloured:
    """How p points are coloured: by group (`codes` (p,) into `labels`) or by number (`values` (p,), NaN = unknown)."""

    title: str
    labels: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    codes: NDArray[np.int16] | None = None
    values: NDArray[np.float32] | None = None

    def at(self, rows: NDArray[np.int64]) -> Coloured:
        """The colours of these rows, again and again where a row is named again."""
        codes = None if self.codes is None else self.codes[rows]
        return replace(self, codes=codes, values=None if self.values is None else self.values[rows])


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something pointed at on the map: a product that was searched for, or a side of the query."""

    name: str
    slot: str
    place: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Points:
    """p points: places (p, 2 or 3) float32, numbers (p,) item row x slots + slot, hover texts (p,), which slot (p,)."""

    places: NDArray[np.float32]
    numbers: NDArray[np.int32]
    slots: NDArray[np.int16]
    names: tuple[str, ...]
    hover: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.places) == len(self.numbers) == len(self.slots) == len(self.hover):
            raise ShapeError(f"{len(self.places)} places and {len(self.numbers)} numbers came; one each was expected")


def slot_word(slot: Modality) -> str:
    return FUSED if slot == FUSED else word_of(slot)


def slot_color(slot: Modality) -> str:
    return color_of(slot)


def by_slot(points: Points) -> Coloured:
    return Coloured(
        title="modality",
        labels=tuple(f"{slot_word(slot)}" for slot in points.names),
        colors=tuple(slot_color(slot) for slot in points.names),
        codes=points.slots,
    )


def by_group(title: str, values: Sequence[str]) -> Coloured:
    """The largest groups get a colour each, the rest one together; "" is a group like any other, named unknown."""
    names, codes = np.unique(np.array([value or "unknown" for value in values], dtype=object), return_inverse=True)
    counts = np.bincount(codes, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    shown = order if len(order) <= len(GROUP_COLORS) else order[: len(GROUP_COLORS) - 1]
    code_of = np.full(len(names), len(shown), dtype=np.int16)
    code_of[shown] = np.arange(len(shown))
    labels = [str(names[one]) for one in shown] + ([OTHERS] if len(shown) < len(names) else [])
    return Coloured(title=title, labels=tuple(labels), colors=GROUP_COLORS[: len(labels)], codes=code_of[codes])


def by_number(title: str, values: NDArray[np.float32]) -> Coloured:
    return Coloured(title=title, values=np.asarray(values, dtype=np.float32))


def map_figure(
    points: Points, colour: Coloured, *, subtitle: str, lines: NDArray[np.float32] | None = None,
    marks: Sequence[Mark] = (), height: int = 620,
) -> go.Figure:  # fmt: skip
    """The map in two or three dimensions, whatever `points.places` has.

    lines (q, d): joined in order, NaN breaks. subtitle: told below the picture, a line for each part between "; ".
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    dimensions = points.places.shape[1]
    trace = go.Scatter3d if dimensions == 3 else go.Scattergl
    if lines is not None and len(lines):
        figure.add_trace(
            trace(
                **_axes(lines),
                mode="lines",
                line={"color": "rgba(127,127,127,.28)", "width": 1},
                hoverinfo="skip",
                showlegend=False,
                name="one product",
            )
        )
    for part, name, marker in _parts(points, colour):
        figure.add_trace(
            trace(
                **_axes(points.places[part]),
                mode="markers",
                name=plain(shorten(name, 32)),
                marker={
                    "size": SIZE[dimensions],
                    "opacity": 0.85,
                    "line": {"width": 0},
                    "symbol": _symbols(points, part),
                    **marker,
                },
                customdata=points.numbers[part].astype(np.int32),
                text=[points.hover[row] for row in np.flatnonzero(part)],
                hovertemplate="%{text}<extra></extra>",
                **(DIMMED if dimensions == 2 else {}),
            )
        )
    for mark in marks:
        figure.add_trace(_mark(mark, dimensions))
    _lay_out(figure, dimensions, subtitle, height)
    return figure


def join_lines(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, S, d) -> (n (S + 1), d): the points of an item one after another, a break after each item. Fused in between,
    where it is there, so that the line reads as modality - fused - modality."""
    order = [0, frame.shape[1] - 1, *range(1, frame.shape[1] - 1)]
    broken = np.concatenate([frame[:, order], np.full_like(frame[:, :1], np.nan)], axis=1)
    flat = broken.reshape(-1, frame.shape[2])
    return _without_gaps(flat, frame.shape[1] + 1)


def _without_gaps(flat: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Absent points are left out, so that the line goes on to the next one; the breaks between items stay."""
    last = np.arange(len(flat)) % stride == stride - 1
    return flat[last | ~np.isnan(flat[:, 0])]


def _symbols(points: Points, part: NDArray[np.bool_]) -> str | list[str]:
    """One word where all points of a trace are of one modality: thousands of equal words would travel otherwise."""
    symbols = [SYMBOL[points.names[slot]] for slot in points.slots[part]]
    return symbols[0] if len(set(symbols)) == 1 else symbols


def _parts(points: Points, colour: Coloured) -> list[tuple[Any, str, dict[str, Any]]]:
    """(which points, name, marker) of every trace."""
    parts: list[tuple[Any, str, dict[str, Any]]]
    if colour.codes is not None:
        named = zip(colour.labels, colour.colors, strict=True)
        parts = [(colour.codes == code, label, {"color": color}) for code, (label, color) in enumerate(named)]
        return [part for part in parts if part[0].any()]
    values = colour.values
    if values is None:
        raise ShapeError("points are coloured by groups or by numbers; neither came")
    known = ~np.isnan(values)
    scale = {
        "color": values[known], "colorscale": "Viridis", "showscale": True,
        "colorbar": {"title": {"text": plain(colour.title), "side": "right"}, "thickness": 12, "len": 0.8},
    }  # fmt: skip
    parts = [(~known, "unknown", {"color": GROUP_COLORS[-1]}), (known, colour.title, scale)]
    return [part for part in parts if part[0].any()]


def _axes(places: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {axis: np.ascontiguousarray(places[:, at], np.float32) for at, axis in enumerate("xyz"[: places.shape[1]])}


def _mark(mark: Mark, dimensions: int) -> object:
    """A large open ring around a place, with its name beside it; it stays bright whatever is selected."""
    import plotly.graph_objects as go

    place = {axis: [float(value)] for axis, value in zip("xyz", mark.place, strict=False)}
    color = slot_color(mark.slot) if mark.slot in (*MODALITIES, FUSED) else FOUND_COLOR
    above = {"text": "top center", "image": "bottom center"}
    bright = {"unselected": {"marker": {"opacity": 1.0}, "textfont": {"color": color}}} if dimensions == 2 else {}
    drawn = go.Scatter3d if dimensions == 3 else go.Scatter  # a few rings: as SVG they lie on top, with bold names
    return drawn(
        **place,
        **bright,
        mode="markers+text" if mark.name else "markers",
        name=plain(mark.name),
        text=[f"<b>{plain(mark.name)}</b>"],
        textposition=above.get(mark.slot, "middle right"),
        textfont={"color": color, "size": 13},
        marker={
            "size": 20 if dimensions == 2 else 9, "symbol": "circle-open", "color": color, "opacity": 1.0,
            "line": {"width": 4, "color": color},
        },
        hovertemplate=f"{plain(mark.name)}<extra></extra>",
        showlegend=False,
    )  # fmt: skip


def _lay_out(figure: go.Figure, dimensions: int, subtitle: str, height: int) -> None:
    bare = {"showticklabels": False, "showgrid": False, "zeroline": False, "title": {"text": ""}}
    names = ("first axis (no unit)", "second axis (no unit)", "third axis (no unit)")
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 44, "b": 44},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "itemsizing": "constant"},
        uirevision="map",
        hovermode="closest",
        dragmode="lasso" if dimensions == 2 else "orbit",
        annotations=[
            {
                "text": "<br>".join(map(plain, subtitle.split("; "))),
                "xref": "paper", "yref": "paper", "x": 0, "y": 0, "yanchor": "top",
                "yshift": -6, "align": "left", "showarrow": False, "font": {"size": 11, "color": "#7F7F7F"},
            }
        ],
    )  # fmt: skip
    if dimensions == 3:
        axes = {f"{axis}axis": {**bare, "title": {"text": name}} for axis, name in zip("xyz", names, strict=True)}
        figure.update_layout(scene={**axes, "aspectmode": "data"})
    else:
        figure.update_layout(xaxis=bare, yaxis={**bare, "scaleanchor": "x"})
