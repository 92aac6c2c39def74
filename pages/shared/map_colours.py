"""How the map can be coloured: one word or one number for every product. Offers what is known of the catalogue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core import figures_map as figures
from core.domain import Item
from pages.shared import services

if TYPE_CHECKING:
    from pages.shared.map_services import Drawing

MANY_VALUES = 40  # of an attribute; more are no groups
Colouring = Callable[["Drawing", Sequence[Item | None]], figures.Coloured]
MODALITY = "modality"


def names(shown: Drawing) -> list[str]:
    """What the map can be coloured by: by modality, or by what is known of the products."""
    return [MODALITY, *_colourings(shown)]


def coloured(shown: Drawing, name: str) -> figures.Coloured | None:
    """The colour of every product (n,); None for the modality, which differs from point to point."""
    colour = _colourings(shown).get(name)
    return colour(shown, items_of(shown)) if colour else None


def groups_of(shown: Drawing, name: str) -> dict[str, tuple[str, ...]]:
    """Name -> ids of its products, for a colouring by groups; none otherwise."""
    wanted = coloured(shown, name)
    if wanted is None or wanted.codes is None:
        return {}
    found: dict[str, list[str]] = {}
    for item_id, code in zip(shown.map.item_ids, wanted.codes.tolist(), strict=True):
        found.setdefault(wanted.labels[code], []).append(item_id)
    return {label: tuple(found[label]) for label in wanted.labels if label in found}


def _colourings(shown: Drawing) -> dict[str, Colouring]:
    """Name -> how to colour by it. What nobody knows of this catalogue is not offered."""
    items = items_of(shown)
    found: dict[str, Colouring] = {}
    if any(item and item.category for item in items):
        found["category"] = _by_word(lambda item: item.category.split(" > ")[-1])
    if (shown.map.clusters >= 0).any():
        found["cluster"] = _by_cluster
    if any(item and item.price is not None for item in items):
        found["price"] = _by_value("price", lambda item: item.price)
    for name, values in facts(shown).items():
        found[name] = _by_value(name, lambda item, values=values: values.get(item.item_id))
    if len(shown.map.modalities) > 1:
        found["distance of the sides"] = _by_distance
    if not np.isnan(shown.map.kept).all():
        found["stability over seeds"] = _by_stability
    for name in attribute_names(items):
        found[f"attribute: {name}"] = _by_word(lambda item, name=name: item.attributes.get(name, ""))
    for name, words in planted(shown.map.catalogue, shown.map.version).items():
        found[f"planted: {name}"] = _by_word(lambda item, words=words: words.get(item.item_id, ""))
    return found


def items_of(shown: Drawing) -> list[Item | None]:
    shop = services.shop(shown.map.catalogue)
    return [shop.items.get(item_id) for item_id in shown.map.item_ids]


def attribute_names(items: Sequence[Item | None]) -> list[str]:
    names = dict.fromkeys(name for item in items if item for name in item.attributes)
    different = {name: {item.attributes.get(name, "") for item in items if item} for name in names}
    return [name for name in names if 1 < len(different[name]) <= MANY_VALUES]


def facts(shown: Drawing) -> dict[str, dict[str, float]]:
    """Numbers that only some products have: name -> item id -> value."""
    found = {
        "mean rating": mean_ratings(shown.map.catalogue, shown.map.version),
        "error: rank of the truth": error_ranks(shown.map.run),
    }
    return {name: values for name, values in found.items() if values}


@st.cache_resource(max_entries=4, show_spinner=False)
def mean_ratings(catalogue: str, version: str) -> dict[str, float]:
    given: dict[str, list[float]] = {}
    for row in services.workspace().catalogue(catalogue).interactions:
        if row.rating is not None:
            given.setdefault(row.item_id, []).append(row.rating)
    return {item_id: float(np.mean(values)) for item_id, values in given.items()}


def error_ranks(run: str) -> dict[str, float]:
    """The middle rank of a product in the held-out questions it answers, 1 is best; empty where none were judged."""
    from core.evaluate.casebook import CaseSet

    path = CaseSet(run=run).file(services.workspace())
    return _error_ranks(str(path), path.stat().st_mtime_ns) if path.is_file() else {}


@st.cache_resource(max_entries=4, show_spinner=False)
def _error_ranks(path: str, changed: int) -> dict[str, float]:
    from core.evaluate.cases import Cases

    cases, ranks = Cases.from_bytes(Path(path).read_bytes()), defaultdict(list)
    for item_id, rank in zip(cases.item.tolist(), cases.rank.tolist(), strict=True):
        ranks[item_id].append(rank)
    return {item_id: float(np.median(values)) for item_id, values in ranks.items()}


@st.cache_resource(max_entries=4, show_spinner=False)
def planted(catalogue: str, version: str) -> dict[str, dict[str, str]]:
    """Where the truth ships with the catalogue: axis -> item id -> what was planted, faults among them."""
    from core.evaluate.truth import planted_truth

    truth = planted_truth(services.workspace().catalogue(catalogue))
    if truth is None:
        return {}
    found: dict[str, dict[str, str]] = {}
    for item_id, told in truth["items"].items():
        for name, value in {**told.get("heard", {}), **told.get("read", {}), **told["both"], **told["seen"]}.items():
            if isinstance(value, str):
                found.setdefault(name, {})[item_id] = value
    faults = {item_id: "none" for item_id in truth["items"]}
    faults |= {fault["item_id"]: fault["kind"].replace("_", " ") for fault in truth["faults"] if "item_id" in fault}
    return {**found, "fault": faults}


def _by_word(word: Callable[[Item], str]) -> Colouring:
    return lambda shown, items: figures.by_group("", [word(item) if item else "" for item in items])


def _by_value(title: str, value: Callable[[Item], float | None]) -> Colouring:
    def coloured(shown: Drawing, items: Sequence[Item | None]) -> figures.Coloured:
        known = [value(item) if item else None for item in items]
        return figures.by_number(title, np.array([np.nan if one is None else one for one in known], dtype=np.float32))

    return coloured


def _by_cluster(shown: Drawing, items: Sequence[Item | None]) -> figures.Coloured:
    names = cluster_names(shown, items)
    return figures.by_group("cluster", [names.get(int(one), "") for one in shown.map.clusters])


def cluster_names(shown: Drawing, items: Sequence[Item | None]) -> dict[int, str]:
    """Number and commonest category of each cluster: "3: Mugs"."""
    members: dict[int, list[str]] = {}
    for item, cluster in zip(items, shown.map.clusters.tolist(), strict=True):
        if cluster >= 0:
            members.setdefault(cluster, []).append(item.category.split(" > ")[-1] if item else "")
    return {one: f"{one + 1}: {max(set(words), key=words.count)}".rstrip(": ") for one, words in members.items()}


def _by_distance(shown: Drawing, items: Sequence[Item | None]) -> figures.Coloured:
    return figures.by_number("distance of the sides", distances(shown))


def _by_stability(shown: Drawing, items: Sequence[Item | None]) -> figures.Coloured:
    known = ~np.isnan(shown.map.kept)
    mean = np.where(known, shown.map.kept, 0).sum(1) / np.maximum(known.sum(1), 1)
    return figures.by_number("share of neighbours kept", np.where(known.any(1), mean, np.nan).astype(np.float32))


def distances(shown: Drawing) -> NDArray[np.float32]:
    """(n,) the largest distance between two modalities of an item, NaN where it has only one."""
    found = np.full(len(shown.map.item_ids), np.nan, dtype=np.float32)
    for a, b in combinations(range(len(shown.map.modalities)), 2):
        both = shown.map.present[:, a] & shown.map.present[:, b]
        apart = np.linalg.norm(shown.map.vectors[:, a] - shown.map.vectors[:, b], axis=1)
        found[both] = np.fmax(found[both], apart[both])
    return found
