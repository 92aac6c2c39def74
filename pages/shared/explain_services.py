"""The microscope's door to core and its caches. Everything is measured once for a case and kept with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.domain import MODALITIES, Modality, Part, Query, Recommendation
from core.errors import FusescopeError
from pages.shared import services

if TYPE_CHECKING:
    from PIL.Image import Image

    from core.explaining import Microscope


ANOTHER = "another"  # the baseline that a person picks


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """A way to weigh words and patches, as a person picks it."""

    name: str
    title: str
    tells: str
    slow: bool


@dataclass(frozen=True, kw_only=True)
class Move:
    """One product before and after a change: places from 1."""

    item_id: str
    title: str
    was: int
    now: int
    score: float


@st.cache_resource(max_entries=12, show_spinner=False)
def microscope(run: str, query: Query, item_id: str) -> Microscope:
    """One product of one answer; raises what the pipeline raises."""
    from core.explaining import Microscope as Scope

    answer = services.answer(run, query)
    opened = services.engine(run)
    with opened.turn:
        return Scope(opened.pipeline, query, item_id, answer, services.workspace().vectors)


def methods() -> tuple[MethodInfo, ...]:
    from core.explain.attribution import METHODS

    return tuple(
        MethodInfo(name=name, title=one.title, tells=one.tells, slow=one.slow) for name, one in METHODS.items()
    )


def baselines() -> Mapping[str, str]:
    from core.explaining import BASELINES

    return {**BASELINES, ANOTHER: "another item"}


def scaled(weights: Mapping[Modality, NDArray[np.float64]], modality: Modality) -> NDArray[np.float64]:
    """Weights of one modality over its largest, so that its picture uses the whole scale."""
    most = float(np.abs(weights[modality]).max(initial=0))
    return weights[modality] / most if most else weights[modality]


def photos(scope: Microscope, shown: services.Shop) -> list[bytes]:
    """The photos that are explained: of the query, or of the product where its own modalities are."""
    if scope.scorer.scope == "query":
        return [part.content for part in scope.query.of_modality("image")]
    return contents(scope, shown, "image")


def contents(scope: Microscope, shown: services.Shop, modality: Modality) -> list[bytes]:
    """The files of a modality that are explained, one a medium: of the query, or of the product.

    Equal files are one medium; empty where an unreadable one, or one that is gone, leaves unclear which is which."""
    if scope.scorer.scope == "query":
        return [part.content for part in scope.query.of_modality(modality)]
    paths = scope.item.media.get(modality, ())
    try:
        different = list(dict.fromkeys(services.workspace().media(shown.name, path) for path in paths))
    except (FusescopeError, OSError):
        return []
    return different if len(different) == len(scope.scorer.media.get(modality, ())) else []


KINDS = {b"RIFF": "audio/wav", b"OggS": "audio/ogg", b"fLaC": "audio/flac", b"\x1aE\xdf\xa3": "video/webm"}


def kind_of(content: bytes) -> str:
    """Media type of a sound or clip by its first bytes."""
    return KINDS.get(content[:4], "video/mp4")


@st.cache_resource(max_entries=16, show_spinner=False)
def opened_sound(content: bytes) -> tuple[NDArray[np.float32], float]:
    """Spectrogram (bands, steps) dB and seconds, through the one reader."""
    from core.catalog.sounds import read_sound_safely
    from core.editing import spectrogram_of

    sound, _ = read_sound_safely(content, f"sound.{kind_of(content).split('/')[1]}")
    return spectrogram_of(sound), sound.seconds


@st.cache_resource(max_entries=16, show_spinner=False)
def opened_clip(content: bytes) -> tuple[tuple[Image, ...], tuple[float, ...]]:
    """Frames and their seconds, through the one reader."""
    from core.catalog.clips import read_clip_safely

    clip, _ = read_clip_safely(content, f"clip.{kind_of(content).split('/')[1]}")
    return clip.images, clip.times


def over_time(
    scope: Microscope, weights: Mapping[Modality, NDArray[np.float64]], modality: Modality
) -> list[list[dict[str, Any]]]:
    """Per sound or clip its moments, with weight and what was looked at."""
    from core.explaining import over_time as told

    return told(scope, dict(weights), modality)


@st.cache_resource(max_entries=64, show_spinner=False)
def opened_photo(photo: bytes) -> Image:
    """Decoded through the one reader."""
    from core.catalog.photos import read_image

    return read_image(photo, "photo")[0]


def overlay(photo: bytes, grid: NDArray[np.float64], opacity: float, *, grey: bool = False) -> bytes:
    key = hashlib.sha256(photo + np.ascontiguousarray(grid).tobytes()).hexdigest()
    return _overlay(key, round(opacity, 2), grey, photo, grid)


@st.cache_data(max_entries=200, show_spinner=False)
def _overlay(key: str, opacity: float, grey: bool, _photo: bytes, _grid: NDArray[np.float64]) -> bytes:
    from core.figures_explain import heat_picture

    return heat_picture(opened_photo(_photo), _grid, opacity, grey=grey)


def grid_of(scope: Microscope, weights: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    from core.explaining import grid_of as grid

    return grid(scope.scorer.units["image"], weights, number)


# ---- what if


def cells(across: tuple[int, int], down: tuple[int, int], grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Cells of the grid inside a box given in percent."""
    from core.explain.counterfactual import inside

    return inside((across[0] / 100, down[0] / 100, across[1] / 100, down[1] / 100), grid)


def painted(photo: bytes, across: tuple[int, int], down: tuple[int, int], how: str) -> bytes:
    """The photo with a box in percent covered in its mean colour, or cut out of it, as PNG."""
    from core.explain.counterfactual import cover
    from core.explaining import as_png

    image = opened_photo(photo)
    if how == "crop":
        width, height = image.size
        left, right = (round(width * one / 100) for one in across)
        top, bottom = (round(height * one / 100) for one in down)
        return as_png(image.crop((left, top, max(right, left + 16), max(bottom, top + 16))))
    return as_png(cover(image, cells(across, down, (20, 20)), (20, 20)))


def word_labels(scope: Microscope) -> dict[str, int]:
    """Label -> row of every word; a word that comes again is numbered."""
    return _labels(scope.scorer.units["text"].names)


def moment_labels(scope: Microscope, modality: Modality) -> dict[str, int]:
    """Label -> row of every moment of the sound, or frame of the clip."""
    return _labels(scope.scorer.units[modality].names)


def _labels(names: Iterable[str]) -> dict[str, int]:
    seen: Counter[str] = Counter()
    labels = {}
    for row, name in enumerate(names):
        seen[name] += 1
        labels[name if seen[name] == 1 else f"{name} ({seen[name]})"] = row
    return labels


def patch_labels(scope: Microscope) -> dict[str, int]:
    """Label -> row of every patch, photo by photo."""
    units = scope.scorer.units["image"]
    several = max(units.parts, default=0) > 0
    return {
        (f"photo {part + 1}, {name}" if several else name): row
        for row, (name, part) in enumerate(zip(units.names, units.parts, strict=True))
    }


def struck(scope: Microscope, gone: Iterable[int]) -> str:
    """The words of the question without some of them."""
    from core.explain.counterfactual import strike

    units = scope.scorer.units["text"]
    texts = scope.scorer.read["text"]
    rows = list(gone)
    return "\n".join(
        strike(text, [units.spans[row] for row in rows if units.parts[row] == number])
        for number, text in enumerate(texts)
    )


def changed(
    query: Query, text: str | None, photos: Sequence[bytes] | None, dropped: Iterable[Modality],
    others: Mapping[Modality, Sequence[Part]] | None = None,
) -> Query:  # fmt: skip
    """The question with other words and photos, without some modalities; None leaves a modality as it is. others:
    sounds and clips that take the place of those that were asked."""
    gone, instead = set(dropped), others or {}
    parts: list[Part] = [part for part in query.parts if part.modality not in {"text", "image", *instead} | gone]
    parts += [part for m, own in instead.items() if m not in gone for part in own]
    if "text" not in gone:
        parts += [*query.of_modality("text")] if text is None else Query.of(text=text).parts
    if "image" not in gone:
        parts += [*query.of_modality("image")] if photos is None else Query.of(images=tuple(photos)).parts
    return Query(parts=tuple(sorted(parts, key=lambda part: MODALITIES.index(part.modality))), user=query.user)


def moves(before: Recommendation, after: Recommendation, titles: Mapping[str, str], top: int = 10) -> list[Move]:
    """The first products after a change, and where each stood before."""
    was, now = (np.argsort(-np.asarray(one.coalitions[-1]), kind="stable") for one in (before, after))
    place = {int(column): row + 1 for row, column in enumerate(was)}
    return [
        Move(
            item_id=after.item_ids[column], title=titles.get(after.item_ids[column], after.item_ids[column]),
            was=place[int(column)], now=row + 1, score=float(after.coalitions[-1][column]),
        )
        for row, column in enumerate(now[:top].tolist())
    ]  # fmt: skip


def verdict_of_run(run: str) -> dict[str, Any] | None:
    """The stored audit of a run over its own catalogue, None where nobody made one."""
    from core.evaluate.audits import read_audit

    return read_audit(services.workspace(), run)
