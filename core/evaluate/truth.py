"""What is known about a catalogue whose truth ships with it (truth.json): what each item is worth to each user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Catalogue


@lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> Mapping[str, Any]:
    return json.loads(path.read_text("utf-8"))


def planted_truth(catalogue: Catalogue) -> Mapping[str, Any] | None:
    """The catalogue's truth.json, None where there is none."""
    path = catalogue.root / "truth.json"
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else None


def true_utility(truth: Mapping[str, Any], users: list[str], items: list[str]) -> NDArray[np.float64]:
    """(U, N): truth.json's formula, (share_look look + share_read read) / hypot(share_look, share_read) + quality."""
    known = [truth["items"][item] for item in items]
    names = truth["vocabulary"]["look_features"]
    seen = np.array([[feature_of(item, name) for name in names] for item in known])  # (N, F)
    pairs = [name.split(":") for name in truth["vocabulary"]["read_features"]]
    read = np.array([[float(item["read"][axis] == level) for axis, level in pairs] for item in known])  # (N, G)
    quality = np.array([item["quality"] for item in known])
    rows = []
    for user in (truth["users"][name] for name in users):
        look = (seen @ np.array(user["look_taste"]) - user["look_mean"]) / user["look_sd"]
        words = (read @ np.array(user["read_taste"]) - user["read_mean"]) / user["read_sd"]
        share = user["share_look"], user["share_read"]
        rows.append((share[0] * look + share[1] * words) / np.hypot(*share) + quality)
    return np.array(rows)


def feature_of(item: Mapping[str, Any], name: str) -> float:
    if name in item["impressions"]:
        return float(item["impressions"][name])
    look = {**item["seen"], **item["both"]}
    return float(name in (look.get("colour"), look.get("pattern"), look.get("material")))
