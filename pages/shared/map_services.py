"""The map's door to core and its caches: what is drawn, how it is coloured, where the query stands. Loads no model
before a query is placed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core import figures_map as figures
from core.domain import Item, Query
from core.errors import FusescopeError, JobError
from pages.shared import access, map_colours, services, wording

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from core.explain.map import Placed
    from core.jobs.queue import JobInfo
    from core.mapping.stored import StoredMap

FUSED = figures.FUSED
log = logging.getLogger("fusescope.pages")


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """A map as far as it is there. key: names this state of it; row_of: item id -> row."""

    key: str
    map: StoredMap
    row_of: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The query in the space of a map: for each of its sides and fused, where it belongs."""

    sides: Mapping[str, Placed]

    def ids(self, drawing: Drawing, slot: str) -> tuple[str, ...]:
        return tuple(drawing.map.item_ids[row] for row in there(drawing, slot)[self.sides[slot].rows])


# ---- the map and its making


def drawing(run: str) -> Drawing | None:
    """What is drawn of the run's map so far. Raises UnknownNameError, ModelError."""
    from core.mapping.stored import map_file

    path = map_file(services.workspace(), run)
    if path is None:
        return None
    state = path.stat()
    return _drawing(run, f"{run}:{state.st_mtime_ns}:{state.st_size}")


@st.cache_resource(max_entries=4, show_spinner=False)
def _drawing(run: str, key: str) -> Drawing | None:
    from core.mapping.stored import load_map

    found = load_map(services.workspace(), run)
    if found is None:
        return None
    return Drawing(key=key, map=found, row_of={item_id: row for row, item_id in enumerate(found.item_ids)})


def newest_job(run: str) -> JobInfo | None:
    """The last time this map was drawn, or is being drawn."""
    from core.jobs.queue import jobs

    wanted = (job for job in jobs(services.workspace()) if (job.kind, job.target) == ("map", run))
    return next(wanted, None)


def start(run: str) -> None:
    """Begins to draw in a process of its own, unless somebody else did."""
    from core.jobs.queue import start as start_job

    try:
        start_job(access.writable(), "map", run, ("--run", run))
    except JobError as running:
        if running.code != "E-JOB-RUNNING":
            raise


def cancel(job: int) -> None:
    from core.jobs.queue import cancel as cancel_job

    cancel_job(access.writable(), job)


# ---- the figure


def figure(
    shown: Drawing, *, colour: str, dimensions: int, blend: float, lines: bool, found: str = "",
    asked: Asked | None = None, asked_key: str = "",
) -> tuple[go.Figure, str]:  # fmt: skip
    """The figure, the very same object for the same choices, and its name. A selection lives on one name."""
    name = f"{shown.key}|{colour}|{dimensions}|{blend}|{lines}|{found}|{asked_key}"
    return _figure(name, shown, colour, dimensions, blend, lines, found, asked), name


@st.cache_resource(max_entries=32, show_spinner=False)
def _figure(
    name: str, _shown: Drawing, _colour: str, _dimensions: int, _blend: float, _lines: bool, _found: str,
    _asked: Asked | None,
) -> go.Figure:  # fmt: skip
    frame = blended(_shown, _dimensions, _blend)
    points = points_of(_shown, frame)
    wanted = map_colours.coloured(_shown, _colour)
    rows = points.numbers.astype(np.int64) // len(_shown.map.slots)
    return figures.map_figure(
        points, wanted.at(rows) if wanted else figures.by_slot(points), subtitle=subtitle(_shown, _dimensions),
        lines=figures.join_lines(frame) if _lines else None, marks=marks(_shown, frame, _blend, _found, _asked),
    )  # fmt: skip


def blended(shown: Drawing, dimensions: int, blend: float) -> NDArray[np.float32]:
    """(n, S, d): before at 0, after at 1, straight between; fused is there after alignment only."""
    before, after = (shown.map.frames[f"{state}-{dimensions}"] for state in ("before", "after"))
    if blend >= 1:
        return after
    return ((1 - blend) * before + blend * after).astype(np.float32)  # NaN before stays NaN: fused is not there yet


def points_of(shown: Drawing, frame: NDArray[np.float32]) -> figures.Points:
    there = ~np.isnan(frame[..., 0])
    rows, slots = np.nonzero(there)
    words = [
        hover_of(item, item_id) for item, item_id in zip(map_colours.items_of(shown), shown.map.item_ids, strict=True)
    ]
    return figures.Points(
        places=frame[there],
        numbers=(rows * len(shown.map.slots) + slots).astype(np.int32),
        slots=slots.astype(np.int16),
        names=shown.map.slots,
        hover=tuple(
            f"{words[row]}<br>{figures.SIGN[shown.map.slots[slot]]} {figures.slot_word(shown.map.slots[slot])}"
            for row, slot in zip(rows.tolist(), slots.tolist(), strict=True)
        ),
    )


def hover_of(item: Item | None, item_id: str) -> str:
    from core.figures import plain, shorten

    if item is None:
        return plain(shorten(item_id, 40))
    return f"<b>{plain(shorten(item.title or item_id, 44))}</b><br>{plain(shorten(item.category, 44))}"


def subtitle(shown: Drawing, dimensions: int) -> str:
    points, items = int(shown.map.present.sum()), len(shown.map.item_ids)
    sample = f" of {shown.map.of:,}, seed {shown.map.seed}" if items < shown.map.of else ""
    how = "UMAP, 15 neighbours, cosine, seed 0" if shown.map.method == "UMAP" else "principal axes (PCA)"
    return wording.said(f"{how}; {points:,} points of {items:,} products{sample}, places have no unit")


def marks(
    shown: Drawing, frame: NDArray[np.float32], blend: float, found: str, asked: Asked | None
) -> list[figures.Mark]:
    """What is pointed at: the product that was searched for, and the query, which has a place after alignment only."""
    told = []
    if found in shown.row_of:
        row = shown.row_of[found]
        slots = [slot for slot in range(len(shown.map.slots)) if not np.isnan(frame[row, slot, 0])]
        told += [
            figures.Mark(
                name="found" if slot == slots[-1] else "", slot="found", place=tuple(frame[row, slot].tolist())
            )
            for slot in slots
        ]
    for slot, placed in asked.sides.items() if asked and blend >= 1 else ():
        where = placed.on(frame[there(shown, slot), shown.map.slots.index(slot)])
        name = "your query, fused" if slot == FUSED else f"your {figures.slot_word(slot)}"
        told.append(figures.Mark(name=name, slot=slot, place=tuple(where.tolist())))
    return told


def there(shown: Drawing, slot: str) -> NDArray[np.int64]:
    """Rows of the items that have a point in this slot."""
    return np.flatnonzero(shown.map.present[:, shown.map.slots.index(slot)])


# ---- neighbours


def placed(shown: Drawing, run: str, query: Query) -> Asked:
    """The query among the points of the map; loads the run. Raises InputError, ModelError, SettingsError."""
    return _placed(shown.key, run, query, shown)


@st.cache_resource(max_entries=32, show_spinner=False)
def _placed(key: str, run: str, query: Query, _shown: Drawing) -> Asked:
    from core.explain.map import place
    from core.mapping.space import query_vectors

    opened = services.engine(run)
    with opened.turn:
        vectors = query_vectors(opened.pipeline, query)
    slots = {slot: there(_shown, slot) for slot in vectors if slot in _shown.map.slots}
    return Asked(
        sides={
            slot: place(vectors[slot], _shown.map.vectors[rows, _shown.map.slots.index(slot)])
            for slot, rows in slots.items()
            if len(rows)
        }
    )


def neighbours(shown: Drawing, item_id: str, slot: str, k: int = 5) -> tuple[str, ...]:
    """The products nearest to one, in one modality or fused, itself left out; () where it has no such point."""
    row, at = shown.row_of[item_id], shown.map.slots.index(slot)
    if not shown.map.present[row, at]:
        return ()
    rows = there(shown, slot)
    cosines = shown.map.vectors[rows, at] @ shown.map.vectors[row, at]
    order = rows[np.argsort(-cosines, kind="stable")]
    return tuple(shown.map.item_ids[one] for one in order if one != row)[:k]


def agreement(shown: Drawing, lists: Mapping[str, Sequence[str]]) -> list[str]:
    """Why neighbours differ, in sentences: what each side's have in common, and how many they share."""
    items = services.shop(shown.map.catalogue).items
    told = []
    for slot, ids in lists.items():
        words = [items[one].category.split(" > ")[-1] for one in ids if one in items and items[one].category]
        if words:
            most = max(set(words), key=words.count)
            told.append(f"{figures.slot_word(slot)}: {words.count(most)} of {len(ids)} are {most}")
    for a, b in combinations(lists, 2):
        both = len(set(lists[a]) & set(lists[b]))
        told.append(f"{figures.slot_word(a)} and {figures.slot_word(b)} share {both} of {len(lists[a])}")
    return told


# ---- tables


def search_labels(shown: Drawing) -> dict[str, str]:
    """What a person searches by -> item id; the id stands behind a title that several products have."""
    titles = services.shop(shown.map.catalogue).titles
    named = [titles.get(item_id, item_id) for item_id in shown.map.item_ids]
    twice = {name for name, count in Counter(named).items() if count > 1}
    pairs = zip(named, shown.map.item_ids, strict=True)
    return {f"{name} ({item_id})" if name in twice else name: item_id for name, item_id in pairs}


def item_rows(shown: Drawing, item_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Products as rows, for the table and the download."""
    items, apart = services.shop(shown.map.catalogue).items, map_colours.distances(shown)
    kept, names = shown.map.kept, map_colours.cluster_names(shown, map_colours.items_of(shown))
    rows = []
    for item_id in item_ids:
        row, item = shown.row_of[item_id], items.get(item_id)
        stable = kept[row][~np.isnan(kept[row])]
        rows.append(
            {
                "item_id": item_id, "title": item.title if item else "", "category": item.category if item else "",
                "price": item.price if item else None, "cluster": names.get(int(shown.map.clusters[row]), ""),
                "distance_of_sides": None if np.isnan(apart[row]) else float(apart[row]),
                "neighbours_kept_over_seeds": float(stable.mean()) if len(stable) else None,
                "run": shown.map.run, "catalogue": shown.map.catalogue,
            }
        )  # fmt: skip
    return rows


def point_rows(shown: Drawing, dimensions: int, blend: float) -> list[dict[str, Any]]:
    """Every point of the picture as a row: its table twin."""
    frame, items = blended(shown, dimensions, blend), map_colours.items_of(shown)
    rows = []
    for row, slot in np.argwhere(~np.isnan(frame[..., 0])).tolist():
        item = items[row]
        rows.append(
            {
                "item_id": shown.map.item_ids[row], "title": item.title if item else "",
                "category": item.category if item else "", "modality": figures.slot_word(shown.map.slots[slot]),
                **{axis: float(value) for axis, value in zip("xyz", frame[row, slot], strict=False)},
            }
        )  # fmt: skip
    return rows


def csv_of(rows: Sequence[Mapping[str, object]]) -> bytes:
    """A file that a spreadsheet will not execute."""
    from core.report.tables import as_csv

    return as_csv(rows)


def medium(catalogue: str, path: str) -> bytes | None:
    """A sound or a clip of a product, None where it is not there."""
    try:
        return services.workspace().media(catalogue, path)
    except (FusescopeError, OSError):
        return None


@st.cache_data(max_entries=500, show_spinner=False)
def thumbnail(catalogue: str, version: str, path: str, side: int) -> bytes | None:
    """One photo of a product, by path; None where it cannot be read."""
    try:
        return services.as_jpeg(services.workspace().thumbnail(catalogue, path, side))
    except (FusescopeError, OSError) as reason:
        log.warning("thumbnail left out: %s", type(reason).__name__)
        return None


def picked(shown: Drawing, points: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Ids behind the points of a selection, each once, in the order of the catalogue."""
    numbers = {int(_first(point["customdata"])) for point in points if point.get("customdata") is not None}
    rows = sorted({number // len(shown.map.slots) for number in numbers})
    return tuple(shown.map.item_ids[row] for row in rows if 0 <= row < len(shown.map.item_ids))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value
