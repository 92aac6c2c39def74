"""Sounds and clips as pictures: wave, spectrogram with what its moments did, a strip of frames. Values in; knows no
screen.

The scale of colours is that of words and photos: green raises the score, purple lowers it. Lowering moments are hatched
and every weight is in the hover, so that colour is never the only sign.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.figures import color_of, signed
from core.figures_explain import dim, tint

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL.Image import Image

TALL, STRIP, LOOKED_AT = 260, 190, 40  # pixels; the last is what a strip grows by for the dots over its frames
POINTS = 1200  # of a wave; more cannot be seen
GREY, LOOKED = "#7F7F7F", "#D55E00"
BARE: Mapping[str, Any] = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}
Moments = Sequence[Mapping[str, Any]]  # name, start and end in seconds (None where unknown), weight, maybe attention


def waveform(samples: NDArray[np.float32], rate: int, title: str = "") -> go.Figure:
    """samples (S,) in [-1, 1] as the highest and lowest point of each stretch."""
    import plotly.graph_objects as go

    step = max(1, len(samples) // POINTS)
    whole = samples[: len(samples) // step * step].reshape(-1, step)  # (points, step)
    seconds = (np.arange(len(whole)) + 0.5) * step / rate
    place = np.concatenate([seconds, seconds[::-1]])
    level = np.concatenate([whole.max(1), whole.min(1)[::-1]])
    figure = go.Figure(
        go.Scatter(x=place, y=level, fill="toself", mode="lines", line={"width": 0.5, "color": color_of("audio")},
                   hoverinfo="skip")
    )  # fmt: skip
    figure.update_xaxes(title="seconds", range=[0, len(samples) / rate], zeroline=False)
    figure.update_yaxes(title="level", range=[-1, 1], fixedrange=True)
    return framed(figure, title, 150)


def spectrogram(
    decibels: NDArray[np.float32],
    seconds: float,
    moments: Moments = (),
    *,
    title: str = "",
    strongest: float = 0.0,
    grey: bool = False,
) -> go.Figure:
    """decibels (bands, steps), the lowest pitch first, 0 is the loudest; over it what each moment did to the score, and
    a line for what the model looked at where that is known. strongest: weight that gets full colour (0: the largest).
    """
    import plotly.graph_objects as go

    bands, steps = decibels.shape
    figure = go.Figure(
        go.Heatmap(
            z=decibels, x0=seconds / steps / 2, dx=seconds / steps, y0=0.5, dy=1.0, colorscale="Greys",
            reversescale=True, zmin=-80, zmax=0, showscale=False,
            hovertemplate="%{x:.2f} s, band %{y:.0f}<br>%{z:.0f} dB<extra></extra>",
        )
    )  # fmt: skip
    most = strongest or max([abs(one["weight"]) for one in moments], default=0.0) or 1.0
    for one in moments:
        start, end = one["start"], min(one["end"], seconds)
        figure.add_shape(type="rect", x0=start, x1=end, y0=0, y1=bands, layer="above", line_width=0,
                         fillcolor=rgba(one["weight"] / most, 0.55, grey))  # fmt: skip
    if moments:
        figure.add_trace(weights_bar(moments, most, bands, seconds, grey))
    if any("attention" in one for one in moments):
        figure.add_trace(attention_line(moments, bands, seconds))
    figure.update_xaxes(title="seconds", range=[0, seconds], zeroline=False, showgrid=False)
    figure.update_yaxes(title="pitch, low to high", range=[0, 1.18 * bands if moments else bands], showticklabels=False,
                        zeroline=False, showgrid=False)  # fmt: skip
    return framed(figure, title, TALL)


def weights_bar(moments: Moments, most: float, bands: int, seconds: float, grey: bool) -> go.Bar:
    """A bar above the spectrogram for every moment, hatched where it lowers the score, its weight in the hover."""
    import plotly.graph_objects as go

    ends = [min(one["end"], seconds) for one in moments]
    weights = [one["weight"] for one in moments]
    return go.Bar(
        x=[(one["start"] + end) / 2 for one, end in zip(moments, ends, strict=True)],
        width=[max(end - one["start"], 0.01) * 0.96 for one, end in zip(moments, ends, strict=True)],
        y=[0.16 * bands * min(1.0, abs(weight) / most) for weight in weights], base=bands * 1.01,
        marker={
            "color": [rgba(weight / most, 1.0, grey) for weight in weights], "line": {"width": 1, "color": GREY},
            "pattern": {"shape": ["/" if weight < 0 and not grey else "" for weight in weights]},
        },
        customdata=[[one["name"], signed(one["weight"])] for one in moments],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<extra></extra>", showlegend=False,
    )  # fmt: skip


def attention_line(moments: Moments, bands: int, seconds: float) -> go.Scatter:
    """Where the model looked, as steps of their own height; the highest reaches half of the picture."""
    import plotly.graph_objects as go

    looked = [one.get("attention", 0.0) for one in moments]
    top = max(looked) or 1.0
    place = [(one["start"] + min(one["end"], seconds)) / 2 for one in moments]
    return go.Scatter(
        x=place, y=[bands * value / top / 2 for value in looked], mode="lines+markers",
        line={"shape": "hvh", "dash": "dot"},
        marker={"size": 5}, line_color=LOOKED, customdata=looked, showlegend=False,
        hovertemplate="looked at: %{customdata:.3f}<extra></extra>",
    )  # fmt: skip


def frame_strip(
    frames: Sequence[Image], moments: Moments = (), *, times: Sequence[float] = (), title: str = "",
    strongest: float = 0.0, grey: bool = False,
) -> go.Figure:  # fmt: skip
    """Frames side by side in their order, below each its time and what it did to the score; above them, where that is
    known, how much the model looked at each."""
    import plotly.graph_objects as go

    weights = [one["weight"] for one in moments] or [0.0] * len(frames)
    most = strongest or max(map(abs, weights), default=0.0) or 1.0
    begun: list[float | None] = list(times) or [one.get("start") for one in moments] or [None] * len(frames)
    named = [f"{second:.1f} s" if second is not None else f"{at + 1}" for at, second in enumerate(begun)]
    figure = go.Figure(
        go.Bar(
            x=list(range(len(frames))), y=[weight / most * 0.4 if moments else 0 for weight in weights], width=0.92,
            base=-0.45,
            marker={
                "color": [rgba(weight / most, 1.0, grey) for weight in weights], "line": {"width": 1, "color": GREY},
                "pattern": {"shape": ["/" if weight < 0 and not grey else "" for weight in weights]},
            },
            customdata=[[name, signed(weight)] for name, weight in zip(named, weights, strict=True)],
            hovertemplate="frame at %{customdata[0]}: %{customdata[1]}<extra></extra>" if moments else
            "frame at %{customdata[0]}<extra></extra>",
        )
    )  # fmt: skip
    for at, frame in enumerate(frames):
        figure.add_layout_image(source=as_url(frame), x=at, y=1.0, sizex=0.92, sizey=1.0, xref="x", yref="y",
                                xanchor="center", yanchor="top", sizing="contain", layer="above")  # fmt: skip
    looked = any("attention" in one for one in moments)
    if looked:
        figure.add_trace(attention_dots(moments))
    figure.update_xaxes(tickvals=list(range(len(frames))), ticktext=named, range=[-0.5, len(frames) - 0.5],
                        showgrid=False, zeroline=False, fixedrange=True)  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.9 if moments else -0.02, 1.42 if looked else 1.02],
                        fixedrange=True)  # fmt: skip
    return framed(figure, title, STRIP + (LOOKED_AT if looked else 0))


def attention_dots(moments: Moments) -> go.Scatter:
    """Where the model looked, a dot over each frame; the highest stands for the most."""
    import plotly.graph_objects as go

    looked = [one.get("attention", 0.0) for one in moments]
    top = max(looked) or 1.0
    return go.Scatter(
        x=list(range(len(looked))), y=[1.06 + 0.28 * value / top for value in looked], mode="lines+markers",
        line={"dash": "dot", "color": LOOKED}, marker={"size": 6}, customdata=looked, showlegend=False,
        hovertemplate="looked at: %{customdata:.3f}<extra></extra>",
    )  # fmt: skip


def moments_table(moments: Moments) -> list[dict[str, Any]]:
    """The same as rows: the twin of the picture."""
    return [
        {"part": one["name"], "from": one["start"], "to": one["end"], "weight": one["weight"],
         **({"looked at": one["attention"]} if "attention" in one else {})}
        for one in moments
    ]  # fmt: skip


def as_url(frame: Image, side: int = 200) -> str:
    """A small JPEG as a data address: nothing is fetched."""
    small = frame.convert("RGB").copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def rgba(weight: float, full: float, grey: bool = False) -> str:
    """Weight in [-1, 1] -> its colour, the more opaque the stronger; `full` at 1. grey: of no sign."""
    red, green, blue = dim(weight) if grey else tint(weight)
    return f"rgba({red},{green},{blue},{full * min(1.0, abs(weight)) ** 0.8 if full < 1 else 1:.3f})"


def framed(figure: go.Figure, title: str, height: int) -> go.Figure:
    figure.update_layout(height=height, margin={"l": 48, "r": 8, "t": 34 if title else 8, "b": 40}, title=title or None,
                         showlegend=False, bargap=0, **BARE)  # fmt: skip
    return figure
