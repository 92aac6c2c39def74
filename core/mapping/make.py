"""The long work behind a map: encode, measure, draw by PCA, then by UMAP, each step kept as soon as it is there.

Runs in a process of its own (`core/jobs`): UMAP compiles for seconds and may not run beside visitors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from core.evaluate import alignment as measure
from core.explain import map as layout
from core.features import catalogue_features
from core.mapping.report import AT_MOST, SEED, space_report
from core.mapping.space import FUSED, Spaces, spaces_of
from core.mapping.stored import StoredMap, load_map, save_map
from core.pipeline import Pipeline, open_pipeline

if TYPE_CHECKING:
    from core.workspace import Workspace

MOST_POINTS = 20_000  # that a browser can select among; more items than that are sampled
SEEDS = 5  # maps whose agreement is the stability
OnStep = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The points of one frame: `there` (n, S) says which exist, vectors (p, D) are theirs, row by row."""

    there: NDArray[np.bool_]
    vectors: NDArray[np.float32]

    def spread(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """(p, d) -> (n, S, d), NaN where there is no point."""
        whole = np.full((*self.there.shape, places.shape[1]), np.nan, dtype=np.float32)
        whole[self.there] = places
        return whole


def make_map(
    workspace: Workspace, run: str, catalogue: str | None = None, on_step: OnStep | None = None
) -> StoredMap:  # fmt: skip
    """The whole map of a run: the one that is kept, else drawn now and kept. Raises UnknownNameError, ModelError."""
    tell = on_step or (lambda label, fraction: None)
    kept = load_map(workspace, run, catalogue)
    if kept is not None and kept.whole:
        return kept
    tell("opening the run", 0.0)
    pipeline, spaces = run_spaces(workspace, run, catalogue, lambda label, fraction: tell(label, 0.4 * fraction))
    tell("measuring the space", 0.4)
    drawn = sketch(pipeline, spaces)
    save_map(workspace, drawn)
    if drawn.present.sum() < layout.FEWEST_FOR_UMAP:
        drawn = replace(drawn, whole=True)
        save_map(workspace, drawn)
        tell("done: too few points for UMAP, drawn by PCA", 1.0)
        return drawn
    for dimensions, label, fraction in ((2, "drawing the map", 0.45), (3, "drawing it in three dimensions", 0.7)):
        tell(label, fraction)
        drawn = redraw(drawn, spaces_clouds(drawn, spaces), dimensions)
        save_map(workspace, drawn)
    drawn = judge_stability(drawn, lambda done: tell("drawing with other seeds", 0.85 + 0.15 * done))
    save_map(workspace, drawn)
    tell("done", 1.0)
    return drawn


def renew_report(workspace: Workspace, run: str, folder: Path | None = None) -> Path:
    """Measures the space of a map again and keeps it in folder (by default the workspace's); its places stay.

    Returns its JSON file. Raises ModelError where nothing was drawn yet.
    """
    kept = load_map(workspace, run)
    if kept is None:
        raise ModelError("E-MODEL-EMPTY", f"run {run} has no map yet; draw it with python -m core map --run {run}.")
    pipeline, spaces = run_spaces(workspace, run)
    return save_map(workspace, replace(kept, report=space_report(spaces, pipeline.catalogue)), folder)


def run_spaces(
    workspace: Workspace, run: str, catalogue: str | None = None, on_step: OnStep | None = None
) -> tuple[Pipeline, Spaces]:  # fmt: skip
    """A run, and the vectors of its items before and after alignment; media that were never encoded are encoded now."""
    pipeline = open_pipeline(workspace, run, catalogue)
    features = catalogue_features(
        pipeline.catalogue, pipeline.settings, workspace.vectors, interactions=False, on_step=on_step
    )
    return pipeline, spaces_of(pipeline, features)


def sketch(pipeline: Pipeline, spaces: Spaces) -> StoredMap:
    """The map by PCA, with all numbers of the space: there in a moment, and all there is for very few points."""
    items, slots = pipeline.catalogue.items, (*spaces.modalities, FUSED)
    rows = drawn_rows(len(items), len(slots))
    present = np.stack([*(spaces.present[m][rows] for m in spaces.modalities)], axis=1)
    present = np.concatenate([present, present.any(1, keepdims=True)], axis=1)
    vectors = np.stack([*(spaces.after[m][rows] for m in spaces.modalities), spaces.fused[rows]], axis=1)
    whole = StoredMap(
        run=pipeline.run, catalogue=pipeline.catalogue.name, version=pipeline.catalogue.version,
        model=pipeline.told["digests"]["model.safetensors"], item_ids=tuple(items[row].item_id for row in rows),
        slots=slots, of=len(items), seed=SEED, method="PCA", whole=False, present=present, frames={},
        vectors=vectors, clusters=groups(vectors[:, -1], present[:, -1]),
        kept=np.full(present.shape, np.nan, dtype=np.float32), numbers={},
        report=space_report(spaces, pipeline.catalogue),
    )  # fmt: skip
    clouds = spaces_clouds(whole, spaces)
    for dimensions in (2, 3):
        after = layout.pca_places(clouds["after"].vectors, dimensions)
        before = layout.pca_places(clouds["before"].vectors, dimensions)
        whole = with_frames(whole, clouds, dimensions, before, after)
    return whole


def drawn_rows(items: int, slots: int) -> NDArray[np.int64]:
    """Rows of the catalogue that are drawn, in order: all, or a seeded sample of MOST_POINTS points."""
    most = MOST_POINTS // slots
    if items <= most:
        return np.arange(items)
    return np.sort(np.random.default_rng(SEED).choice(items, most, replace=False))


def groups(vectors: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.int16]:
    found = np.full(len(vectors), -1, dtype=np.int16)
    if there.sum() >= layout.FEWEST_FOR_UMAP:
        found[there] = layout.clusters(vectors[there], SEED)
    return found


def spaces_clouds(drawn: StoredMap, spaces: Spaces) -> dict[str, Cloud]:
    """The points of both frames. Nothing is fused before alignment."""
    rows = rows_of(drawn, spaces)
    before = np.stack([*(spaces.before[m][rows] for m in drawn.modalities), np.zeros_like(spaces.fused[rows])], axis=1)
    there = drawn.present.copy()
    there[:, -1] = False
    return {
        "before": Cloud(there=there, vectors=before[there]),
        "after": Cloud(there=drawn.present, vectors=drawn.vectors[drawn.present]),
    }


def rows_of(drawn: StoredMap, spaces: Spaces) -> NDArray[np.int64]:
    return drawn_rows(len(spaces.fused), len(drawn.slots))


def redraw(drawn: StoredMap, clouds: Mapping[str, Cloud], dimensions: int) -> StoredMap:
    """The same map by UMAP. Before begins where after ended, each modality shifted aside: their spaces share no axes,
    and an item is then easy to follow from one frame to the other."""
    near = {state: layout.nearest(cloud.vectors) for state, cloud in clouds.items()}
    first = layout.pca_places(clouds["after"].vectors, dimensions)
    after = layout.umap_places(near["after"], dimensions, SEED, first)
    begun = clouds["after"].spread(after) + aside(len(drawn.slots), dimensions, after)
    before = layout.umap_places(near["before"], dimensions, SEED, begun[clouds["before"].there])
    return replace(with_frames(drawn, clouds, dimensions, before, after), method="UMAP")


def aside(slots: int, dimensions: int, places: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, d) shifts on a circle as wide as the map."""
    angle = 2 * np.pi * np.arange(slots) / max(slots - 1, 1)
    shifts = np.zeros((slots, dimensions), dtype=np.float32)
    shifts[:, 0], shifts[:, 1] = np.cos(angle), np.sin(angle)
    return shifts * np.ptp(places, axis=0).max()


def with_frames(
    drawn: StoredMap, clouds: Mapping[str, Cloud], dimensions: int, before: NDArray[np.float32],
    after: NDArray[np.float32],
) -> StoredMap:  # fmt: skip
    """Both frames of one size, `before` turned onto `after`, with how true each is."""
    fixed = clouds["after"].spread(after)
    before = layout.onto(before, fixed[clouds["before"].there])
    frames = {f"before-{dimensions}": clouds["before"].spread(before), f"after-{dimensions}": fixed}
    numbers = {
        f"{state}-{dimensions}": map_numbers(clouds[state].vectors, places)
        for state, places in (("before", before), ("after", after))
    }
    return replace(drawn, frames={**drawn.frames, **frames}, numbers={**drawn.numbers, **numbers})


def map_numbers(vectors: NDArray[np.float32], places: NDArray[np.float32]) -> dict[str, Any]:
    """How true a map is, on at most AT_MOST points."""
    rows = sampled(len(vectors))
    if len(rows) < measure.FEWEST:
        return {"points": len(rows), "of": len(vectors)}
    space, drawn = vectors[rows], places[rows]
    return {
        "trustworthiness": measure.trustworthiness(space, drawn),
        "continuity": measure.continuity(space, drawn),
        "neighbours_kept": measure.neighbour_preservation(space, drawn),
        "points": len(rows), "of": len(vectors), "seed": SEED,
    }  # fmt: skip


def judge_stability(drawn: StoredMap, on_seed: Callable[[float], None]) -> StoredMap:
    """The map once more with other seeds: how much of it is the data, and for which points."""
    there, vectors = drawn.present, drawn.vectors[drawn.present]
    near, first = layout.nearest(vectors), layout.pca_places(vectors, 2)
    maps = [drawn.frames["after-2"][there]]
    for seed in range(1, SEEDS):
        on_seed((seed - 1) / (SEEDS - 1))
        maps.append(layout.umap_places(near, 2, SEED + seed, first))
    rows = sampled(len(vectors))
    apart = [measure.disparity(maps[a], maps[b]) for a in range(SEEDS) for b in range(a)]
    shares = np.full(len(vectors), np.nan)
    shares[rows] = measure.kept_neighbours([one[rows] for one in maps])
    kept = np.full(there.shape, np.nan, dtype=np.float32)
    kept[there] = shares
    stability = {"disparity": float(np.mean(apart)), "neighbours_kept": float(np.nanmean(shares)), "seeds": SEEDS}
    return replace(drawn, kept=kept, whole=True, numbers={**drawn.numbers, "stability": stability})


def sampled(count: int) -> NDArray[np.int64]:
    if count <= AT_MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, AT_MOST, replace=False))
