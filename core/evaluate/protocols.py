"""Who is held out, by name; and the evaluation of a run under a protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from core.domain import Catalogue
from core.errors import UnknownNameError
from core.evaluate.splits import (
    TRAIN,
    UNUSED,
    Split,
    fingerprint,
    global_time,
    item_cold,
    label_column,
    leave_last,
    per_user_random,
    rated_rows,
    studio_split,
)

if TYPE_CHECKING:
    from core.pipeline import Pipeline


def everything(catalogue: Catalogue, seed: int = 0) -> Split:
    """All rows train: for a catalogue that should answer at once and is not measured."""
    labels = (TRAIN,) * len(catalogue.interactions)
    return Split(name="everything", seed=seed, labels=labels, fingerprint=fingerprint(catalogue, labels))


def cold(catalogue: Catalogue, seed: int = 0) -> Split:
    """A fifth of the products unseen. A catalogue that names its cold products in truth.json is split by them, and each
    user's last likes among the others are held out as well; any other by `item_cold`."""
    named = catalogue.root / "truth.json"
    if named.is_file():
        return studio_split(catalogue, set(json.loads(named.read_text("utf-8"))["cold"]["items"]), seed)
    return item_cold(catalogue, seed)


PROTOCOLS: dict[str, Callable[[Catalogue, int], Split]] = {
    "everything": everything,
    "cold": cold,
    "random": lambda catalogue, seed: per_user_random(catalogue, seed),
    "ratings": lambda catalogue, seed: per_user_random(catalogue, seed, rated_rows(catalogue)),
    "leave-last": lambda catalogue, seed: leave_last(catalogue),
    "time": lambda catalogue, seed: global_time(catalogue),
    "label": lambda catalogue, seed: label_column(catalogue),
}


TOLD: dict[str, str] = {
    "everything": "all rows train; nothing is measured",
    "cold": "a fifth of the products is never seen in training; users' last likes are held out too where truth ships",
    "random": "a tenth of every user's likes for test, a tenth for validation, drawn by id",
    "ratings": "a tenth of every user's ratings for test, a tenth for validation, liked or not; for foretelling stars",
    "leave-last": "every user's last like for test, the one before for validation; needs timestamps",
    "time": "before one moment train, then validation, then test; needs timestamps",
    "label": "the parts that came with the data, in their column split",
}


def split_by(protocol: str, catalogue: Catalogue, seed: int = 0) -> Split:
    """The split of a catalogue under a protocol. Unknown names list the known."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    return PROTOCOLS[protocol](catalogue, seed)


def split_of(pipeline: Pipeline, protocol: str = "") -> Split:
    """The split of a run's catalogue, by default under its own protocol, as it was when the run was trained: items that
    were added since are new, held out of nothing and trained on by nobody. Raises UnknownNameError.
    """
    catalogue, protocol = pipeline.catalogue, protocol or pipeline.settings.protocol
    if not pipeline.at_home:
        return split_by(protocol, catalogue)
    count = pipeline.told["data"].get("split", {}).get("items", 0) or len(catalogue.items)  # what is added comes last
    known = catalogue.items[: count - sum(row < count for row in catalogue.gone)]
    if len(known) == len(catalogue.items):
        return split_by(protocol, catalogue)
    ids = {item.item_id for item in known}
    mine = [row.item_id in ids for row in catalogue.interactions]
    rows = tuple(row for row, own in zip(catalogue.interactions, mine, strict=True) if own)
    found = split_by(protocol, replace(catalogue, items=known, interactions=rows))
    given = iter(found.labels)
    return replace(found, labels=tuple(next(given) if own else UNUSED for own in mine))
