"""The sounds and clips of a question in a report: what each moment and frame did to the score of the first product."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.domain import Modality, Query, Recommendation
from core.figures import signed, word_of
from core.figures_explain import tint
from core.figures_media import as_url, moments_table
from core.report.html import Safe, element, picture, table

if TYPE_CHECKING:
    from core.pipeline import Pipeline

WIDE, TALL, BAR = 640, 140, 28  # pixels of a spectrogram and of the bars above it
READING = (
    "Integrated gradients: green raised the score, purple lowered it; the table has the same numbers in score units. "
    "Looked at is the attention of the model, which says where it looked, not what counted."
)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One sound or clip as it was read, its moments or frames in order, and why they are not to be trusted ("" where
    they are)."""

    modality: Modality
    medium: Any
    moments: Sequence[Mapping[str, Any]]
    reason: str = ""


def timed(pipeline: Pipeline, query: Query, answer: Recommendation, vectors: Path) -> tuple[Timed, ...]:
    """The sounds and clips of a question before the first product of its answer; nothing where it has none.

    answer: with the scores of all products, as `recommend` gives it.
    """
    from core.explain.attribution import DEFAULT
    from core.explaining import Microscope, over_time

    players = [m for m in ("audio", "video") if m in answer.players and query.of_modality(m)]
    if not players or not answer.items:
        return ()
    scope = Microscope(pipeline, query, answer.items[0].item_id, answer, vectors)
    read, weights, verdicts = pipeline.read(query)[0], scope.weights(), scope.verdicts(DEFAULT).get(DEFAULT, {})
    return tuple(
        Timed(modality=m, medium=medium, moments=moments, reason=verdicts[m].reason if m in verdicts else "")
        for m in players
        for medium, moments in zip(read[m], over_time(scope, weights, m), strict=True)
    )


def moments_section(told: Sequence[Timed], title: str) -> Safe | None:
    """Picture and table of every sound and clip; title: of the product whose score is split."""
    if not told:
        return None
    return element(
        "section",
        element("h2", f"Moments and frames: what moved the score of {title}"),
        element("p", READING),
        *(piece for one in told for piece in _pieces(one)),
    )


def _pieces(one: Timed) -> list[Safe | None]:
    strongest = max(one.moments, key=lambda moment: abs(moment["weight"]), default=None)
    if strongest is None:
        return []
    said = f"strongest: {strongest['name']}, {signed(strongest['weight'])}"
    warned = f"Not to be trusted on this question: {one.reason}." if one.reason else None
    drawn = _sound(one, said) if one.modality == "audio" else _frames(one)
    return [
        element("h3", f"The {word_of(one.modality)}; {said}"),
        element("p", warned) if warned else None,
        drawn,
        table(moments_table(one.moments), f"The {word_of(one.modality)}, part by part; seconds, score units"),
    ]


def _sound(one: Timed, said: str) -> Safe:
    from core.editing import spectrogram_of

    image = painted(spectrogram_of(one.medium), one.medium.seconds, one.moments)
    return element("div", picture(image, f"Spectrogram under its weights; {said}"), class_="sound")


def painted(decibels: np.ndarray, seconds: float, moments: Sequence[Mapping[str, Any]]) -> bytes:
    """decibels (bands, steps), 0 the loudest -> PNG: the spectrogram, dark is loud, tinted by what each moment did,
    under a bar for each."""
    from PIL import Image, ImageDraw

    level = np.clip(-decibels[::-1] / 80 * 255, 0, 255).astype(np.uint8)
    whole = Image.new("RGB", (WIDE, TALL + BAR), "white")
    whole.paste(Image.fromarray(level).resize((WIDE, TALL)).convert("RGB"), (0, BAR))
    draw = ImageDraw.Draw(whole, "RGBA")
    most = max((abs(moment["weight"]) for moment in moments), default=0.0) or 1.0
    for moment in moments:
        left, right = (round(WIDE * min(moment[end] / seconds, 1.0)) for end in ("start", "end"))
        weight = moment["weight"] / most
        draw.rectangle((left, BAR, right - 1, BAR + TALL), fill=(*tint(weight), round(140 * abs(weight) ** 0.8)))
        if round((BAR - 2) * abs(weight)):
            top = BAR - round((BAR - 2) * abs(weight))
            draw.rectangle((left + 1, top, max(right - 2, left + 1), BAR - 1), fill=tint(weight), outline="#7F7F7F")
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()


def _frames(one: Timed) -> Safe:
    most = max(abs(moment["weight"]) for moment in one.moments) or 1.0
    figures = []
    for frame, second, moment in zip(one.medium.images, one.medium.times, one.moments, strict=True):
        red, green, blue = tint(moment["weight"] / most)
        figures.append(
            element(
                "figure",
                element("img", src=as_url(frame), alt=f"Frame at {second:.1f} s"),
                element("figcaption", f"{second:.1f} s: {signed(moment['weight'])}"),
                style=f"border-bottom: 5px solid rgb({red},{green},{blue})",
            )
        )
    return element("div", *figures, class_="row")
