"""Every value that a run's means are made of: one a user, one a query. Kept with the run, so that intervals and paired
tests need no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError, ShapeError

MEASURED = "measured.safetensors"
_TOLD = "told"


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One subject of one part: "users", or queries such as "warm review+photo".

    ids name the rows, the same in every run over the same split; groups (of queries: their product) are what is drawn
    in a bootstrap; values: metric -> (R,). floors: of the same rows, "popularity" and, where the truth is known,
    "oracle". about: numbers of the whole, such as chance and what the lists do to the shop.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    floors: Mapping[str, Mapping[str, NDArray[np.float64]]]
    about: Mapping[str, float]

    def __post_init__(self) -> None:
        tables = [self.values, *self.floors.values()]
        lengths = {len(self.ids), len(self.groups), *(len(v) for table in tables for v in table.values())}
        if len(lengths) > 1:
            raise ShapeError(f"ids, groups and values of {sorted(lengths)} rows came; one length was expected")


def pack(measured: Mapping[str, Measured]) -> bytes:
    """ "validation users", "test cold photo" ... -> their values, as safetensors."""
    from safetensors.numpy import save

    told, arrays = {}, {}
    for subject, one in measured.items():
        told[subject] = {"ids": one.ids, "groups": one.groups, "about": dict(one.about)}
        for name, values in one.values.items():
            arrays[f"{subject}/ours/{name}"] = values
        for floor, table in one.floors.items():
            arrays |= {f"{subject}/{floor}/{name}": values for name, values in table.items()}
    arrays = {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in arrays.items()}
    return save(arrays | {_TOLD: np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)})


def unpack(data: bytes) -> dict[str, Measured]:
    """Raises ModelError where the file is not one of ours."""
    from safetensors.numpy import load

    try:
        arrays = load(data)
        told = json.loads(arrays.pop(_TOLD).tobytes())
    except Exception as error:
        raise ModelError("E-MODEL-SUM", f"{MEASURED}: it cannot be read. Measure the run again.") from error
    tables: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = {subject: {} for subject in told}
    for name, values in arrays.items():
        subject, whose, metric = name.split("/", 2)
        tables[subject].setdefault(whose, {})[metric] = values
    return {
        subject: Measured(
            ids=tuple(one["ids"]),
            groups=tuple(one["groups"]),
            values=tables[subject].pop("ours", {}),
            floors=tables[subject],
            about=one["about"],
        )
        for subject, one in told.items()
    }
