"""The vectors that a map shows: every item in every modality, before and after alignment, and fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import Modality, Query
from core.errors import ModelError
from core.explain.map import before_alignment
from core.features import Features, Media, contents_of, parts_of
from core.pipeline import Pipeline
from core.rank import reads

FUSED = "fused"


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Every photo, sound or clip by itself, and the words of an item as one, since a sentence may be about anything:
    the row of its item (n,), its path or text, its aligned unit vector (n, D), the encoder's own pooled vector
    (n, E)."""

    items: NDArray[np.int64]
    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    raw: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Spaces:
    """N items of a run. Rows are zero where an item lacks the modality.

    raw: modality -> (N, E) mean of the encoder's pooled vectors; before: (N, D) of unit length, see
    `core.explain.map.before_alignment`; after: (N, D), aligned, of unit length; fused (N, D); sides: modality -> its
    media one by one; present: modality -> (N,); trained (N,): whether training saw the item's media.
    """

    raw: Mapping[Modality, NDArray[np.float32]]
    before: Mapping[Modality, NDArray[np.float32]]
    after: Mapping[Modality, NDArray[np.float32]]
    fused: NDArray[np.float32]
    sides: Mapping[Modality, Sides]
    present: Mapping[Modality, NDArray[np.bool_]]
    trained: NDArray[np.bool_]

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return tuple(self.after)


def spaces_of(pipeline: Pipeline, features: Features) -> Spaces:
    """All vectors of the pipeline's catalogue. features: of the same catalogue and the run's own encoders.

    Raises ModelError where the run learned no shared space.
    """
    if reads(pipeline.settings) != "vectors":
        raise ModelError(
            "E-MODEL-TYPE",
            f"run {pipeline.run}: its ranker {pipeline.settings.rank} aligns nothing, so there is no shared space to "
            "draw. Choose a run that ranks fused vectors, such as content or multimodal.",
        )
    modalities = pipeline.model.modalities
    present = {m: np.array([bool(item.get(m)) for item in features.items]) for m in modalities}
    trained = (pipeline.known >= 0).cpu().numpy()
    raw = {m: mean_states(features, m, features.items) for m in modalities}
    after = aligned(pipeline, features, features.items)
    width = pipeline.settings.width
    return Spaces(
        raw=raw,
        before={m: before_alignment(raw[m], present[m], trained, width) for m in modalities},
        after=after,
        fused=pipeline.items.vectors[-1].float().cpu().numpy(),
        sides={m: sides_of(pipeline, features, m) for m in modalities},
        present=present,
        trained=trained,
    )


def mean_states(features: Features, modality: Modality, things: Sequence[Media]) -> NDArray[np.float32]:
    """(B, E) the encoder's pooled vector, mean over the media of a thing; zero where it has none."""
    raw = np.zeros((len(things), features.widths[modality]), dtype=np.float32)
    for row, one in enumerate(things):
        media = one.get(modality, ())
        if media:
            raw[row] = np.mean([features.states[modality][at].pooled for at in media], axis=0, dtype=np.float32)
    return raw


@torch.inference_mode()
def aligned(
    pipeline: Pipeline, features: Features, things: Sequence[Media], block: int = 64
) -> dict[Modality, NDArray[np.float32]]:
    """modality -> (B, D), every modality aligned without sight of the others: an aligner that mixes them would put the
    sides of an item together by telling each about the other. What was filled in for a missing one is set to zero.
    """
    model = pipeline.model
    banks, pieces = {m: features.bank(m) for m in model.modalities}, []
    for start in range(0, len(things), block):
        part = things[start : start + block]
        encoded = {m: bank.batch([one.get(m, ()) for one in part]).to(pipeline.device) for m, bank in banks.items()}
        standardised = model.standardise(encoded)
        apart = model.align_apart(standardised, model.align(standardised))
        pieces.append({m: one.pooled for m, one in apart.items()})
    joined = {m: torch.cat([piece[m] for piece in pieces]).float().cpu().numpy() for m in model.modalities}
    there = {m: np.array([bool(one.get(m)) for one in things]) for m in model.modalities}
    return {m: np.where(there[m][:, None], rows, 0).astype(np.float32) for m, rows in joined.items()}


def sides_of(pipeline: Pipeline, features: Features, modality: Modality) -> Sides:
    """What of the items in this modality can be wrong by itself, aligned alone, so that one wrong photo of two can be
    told."""
    owners: list[tuple[int, str, tuple[int, ...]]] = []
    for row, (item, names) in enumerate(zip(features.items, media_names(pipeline, features, modality), strict=True)):
        media = item.get(modality, ())
        if modality == "text" and media:
            owners.append((row, " ".join(names), tuple(media)))
        elif modality != "text":
            owners += [(row, name, (one,)) for name, one in zip(names, media, strict=True)]
    alone = [{modality: media} for *_, media in owners]
    empty = np.zeros((0, pipeline.settings.width), dtype=np.float32)
    return Sides(
        items=np.array([row for row, *_ in owners], dtype=np.int64),
        names=tuple(name for _, name, _ in owners),
        vectors=aligned(pipeline, features, alone)[modality] if alone else empty,
        raw=mean_states(features, modality, alone),
    )


def media_names(pipeline: Pipeline, features: Features, modality: Modality) -> list[tuple[str, ...]]:
    """Per item the path (or the text) of each of its media, "" where an unreadable file leaves it unclear which."""
    _, keys = contents_of(pipeline.catalogue, (), modality)
    found = []
    for item, media in zip(pipeline.catalogue.items, features.items, strict=True):
        different: dict[str, str] = {}
        for part in parts_of(item, modality):
            if part in keys:
                different.setdefault(keys[part], part)
        count = len(media.get(modality, ()))
        found.append(tuple(different.values()) if len(different) == count else ("",) * count)
    return found


def query_vectors(pipeline: Pipeline, query: Query) -> dict[str, NDArray[np.float32]]:
    """The query in the aligned space: one unit vector (D,) for each of its modalities, and "fused"."""
    read, _ = pipeline.read(query)
    states = pipeline.encode(read)
    players = pipeline.players(query, states)
    whole = pipeline.align(states, players)
    fused = pipeline.fuse(whole).vectors[-1]
    alone = {m: whole[m].pooled[1 << bit] for bit, m in enumerate(players)}  # without sight of the others
    return {m: vector.float().cpu().numpy() for m, vector in {**alone, FUSED: fused}.items()}
