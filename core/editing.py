"""What if: a query with words struck, patches painted over, moments made silent and frames taken out, to be asked
again for the true answer."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.catalog.clips import encode_clip, without_frames
from core.catalog.parts import read_text
from core.catalog.sounds import encode_sound, silence
from core.domain import Modality, Part, Query
from core.explain.counterfactual import cover, strike
from core.explain.scorer import Units
from core.scoring import PipelineScorer

Span = tuple[int, int]


def edited(query: Query, scorer: PipelineScorer, gone: Mapping[Modality, Iterable[int]]) -> Query:
    """The query without these units of each modality; what loses every unit is left out."""
    parts: list[Part] = []
    seen: dict[Modality, int] = {}
    for part in query.parts:
        first = seen.get(part.modality, 0)
        count = len(read_text(part.content, part.name)[0]) if part.modality == "text" else 1  # sentences of one text
        seen[part.modality] = first + count
        units, lost = scorer.units.get(part.modality), set(gone.get(part.modality, ()))
        if units is None or not lost:
            parts.append(part)
            continue
        own = {n: [row for row, of in enumerate(units.parts) if of == n] for n in range(first, first + count)}
        left = [number for number, rows in own.items() if not lost.issuperset(rows)]
        if not left:
            continue
        if part.modality == "text":
            media = scorer.read["text"]
            kept = [strike(media[n], [units.spans[row] for row in own[n] if row in lost]) for n in left]
            parts.append(replace(part, content=" ".join(kept).encode()))
        elif struck := [row for row in own[first] if row in lost]:
            edit = EDITS[part.modality]
            parts.append(replace(part, content=edit(scorer.read[part.modality][first], units, own[first], struck)))
        else:
            parts.append(part)
    return Query(parts=tuple(parts), user=query.user)


def painted(photo: Any, units: Units, own: Sequence[int], struck: Sequence[int]) -> bytes:
    """own, struck: rows of `units` of this medium, and those of them to take away."""
    cells = [units.spans[row] for row in own]
    grid = (1 + max(row for row, _ in cells), 1 + max(column for _, column in cells))
    return as_png(cover(photo, [units.spans[row] for row in struck], grid))


def silenced(sound: Any, units: Units, own: Sequence[int], struck: Sequence[int]) -> bytes:
    return encode_sound(silence(sound, [seconds(units.spans[row]) for row in struck]), exact=True)


def cut(clip: Any, units: Units, own: Sequence[int], struck: Sequence[int]) -> bytes:
    return encode_clip(without_frames(clip, [own.index(row) for row in struck]))


EDITS: Mapping[Modality, Callable[[Any, Units, Sequence[int], Sequence[int]], bytes]] = {
    "image": painted, "audio": silenced, "video": cut,
}  # fmt: skip


def spectrogram_of(sound: Any) -> Any:
    """(bands, steps) dB of a sound that was read, as its encoder sees it, for `core.figures_media.spectrogram`."""
    from core.encode.audio import log_mel

    return log_mel(sound)


def seconds(span: Span) -> tuple[float, float]:
    """Milliseconds -> seconds."""
    return span[0] / 1000, span[1] / 1000


def as_png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def moments_of(units: Units | None, weights: Sequence[float] | None, attention: Sequence[float] | None = None) -> list:
    """Per sound or clip, in the order of time: number of its medium, place in seconds (None where nobody knows it) and
    weight of each moment or frame, and what the model looked at where it has attention."""
    if units is None or weights is None:
        return []
    found: list[list[dict[str, Any]]] = [[] for _ in range(1 + max(units.parts, default=-1))]
    for row, (name, part, span) in enumerate(zip(units.names, units.parts, units.spans, strict=True)):
        start, end = seconds(span) if span[0] >= 0 else (None, None)
        found[part].append({
            "name": name, "start": start, "end": end, "weight": float(weights[row]),
            **({"attention": float(attention[row])} if attention is not None else {}),
        })  # fmt: skip
    return found
