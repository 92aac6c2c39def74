"""What is known about a catalogue whose truth ships with it (truth.json): what each item is worth to each user, and
what was broken on purpose. For scoring only: nothing that finds, trains or ranks reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.catalog.clean import Detection
from core.domain import Catalogue


@lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> Mapping[str, Any]:
    return json.loads(path.read_text("utf-8"))


def planted_truth(catalogue: Catalogue) -> Mapping[str, Any] | None:
    """The catalogue's truth.json, None where there is none."""
    path = catalogue.root / "truth.json"
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else None


def true_utility(truth: Mapping[str, Any], users: list[str], items: list[str]) -> NDArray[np.float64]:
    """(U, N): truth.json's formula, the sum of share times part over looks, words and (for listeners) sounds, over the
    root of the sum of the squared shares, + quality."""
    known = [truth["items"][item] for item in items]
    names = truth["vocabulary"]["look_features"]
    seen = np.array([[feature_of(item, name) for name in names] for item in known])  # (N, F)
    pairs = [name.split(":") for name in truth["vocabulary"]["read_features"]]
    read = np.array([[float(item["read"][axis] == level) for axis, level in pairs] for item in known])  # (N, G)
    quality = np.array([item["quality"] for item in known])
    heard = np.array([[heard_feature(item, name) for name in truth["vocabulary"].get("heard_features", ())]
                      for item in known])  # (N, H)  # fmt: skip
    rows = []
    for user in (truth["users"][name] for name in users):
        look = (seen @ np.array(user["look_taste"]) - user["look_mean"]) / user["look_sd"]
        words = (read @ np.array(user["read_taste"]) - user["read_mean"]) / user["read_sd"]
        share = user["share_look"], user["share_read"], user.get("share_heard", 0.0)
        worth = share[0] * look + share[1] * words
        if share[2]:
            worth = worth + share[2] * (heard @ np.array(user["heard_taste"]) - user["heard_mean"]) / user["heard_sd"]
        rows.append(worth / np.linalg.norm(share) + quality)
    return np.array(rows)


def feature_of(item: Mapping[str, Any], name: str) -> float:
    if name in item["impressions"]:
        return float(item["impressions"][name])
    look = {**item["seen"], **item["both"]}
    return float(name in (look.get("colour"), look.get("pattern"), look.get("material")))


def heard_feature(item: Mapping[str, Any], name: str) -> float:
    """1 or 0 for "ring:long" and the like, the height of the tone in -1..1 for "pitch"."""
    kind, _, level = name.partition(":")
    return float(item["heard"]["height"]) if not level else float(item["heard"][kind] == level)


FAULT_PLACE = {  # kind of fault -> the fields of a mark that must agree with it, and their names in truth.json
    "wrong_photo": {"item_id": "item_id", "file": "file"},
    "no_photo": {"item_id": "item_id"},
    "dead_path": {"item_id": "item_id", "file": "file"},
    "no_words": {"item_id": "item_id"},
    "near_duplicate": {"item_id": "item_id", "other": "of"},
    "mojibake": {"user_id": "user_id", "item_id": "item_id", "column": "column"},
    "html": {"user_id": "user_id", "item_id": "item_id", "column": "column"},
    "price_outlier": {"item_id": "item_id"},
    "no_sound": {"item_id": "item_id"},
    "silent_sound": {"item_id": "item_id", "file": "file"},
    "contradictory_review": {"user_id": "user_id", "item_id": "item_id"},
}


def fault_scores(truth: Mapping[str, Any], detections: Iterable[Detection]) -> dict[str, dict[str, float]]:
    """kind -> planted, found, precision, recall, f1 and auc of the step of that name; kinds nobody looked for are left
    out. auc: chance that a planted fault scores above a place that is none, over all places that were looked at.
    """
    planted: dict[str, set[tuple[str, ...]]] = {kind: set() for kind in FAULT_PLACE}
    for fault in truth["faults"]:
        names = FAULT_PLACE.get(fault["kind"])
        if names:
            planted[fault["kind"]].add(tuple(str(fault.get(name, "")) for name in names.values()))
    return {
        one.step: scores_of(one, planted[one.step], tuple(FAULT_PLACE[one.step]))
        for one in detections
        if one.step in FAULT_PLACE
    }


def scores_of(detection: Detection, planted: set[tuple[str, ...]], fields: Sequence[str]) -> dict[str, float]:
    scores: dict[tuple[str, ...], float] = {}
    for mark in detection.marks:
        place = tuple(getattr(mark, name) for name in fields)
        scores[place] = max(mark.score, scores.get(place, -np.inf))
    found = {place for place, score in scores.items() if score > detection.limit}
    right = len(found & planted)
    precision = right / len(found) if found else float(not planted)
    recall = right / len(planted) if planted else 1.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {
        "planted": len(planted), "found": len(found), "precision": precision, "recall": recall, "f1": f1,
        "auc": area_under_curve(scores, planted, max(detection.looked_at, len(scores))),
    }  # fmt: skip


def area_under_curve(scores: Mapping[tuple[str, ...], float], planted: set[tuple[str, ...]], places: int) -> float:
    """Area under the ROC curve; of `places` those without a score are below all that have one. NaN without both
    kinds of places."""
    good = np.array([scores.get(place, -np.inf) for place in planted])
    bad = np.array([score for place, score in scores.items() if place not in planted])
    bad = np.sort(np.concatenate([np.full(max(0, places - len(scores) - int(np.isinf(good).sum())), -np.inf), bad]))
    if not len(good) or not len(bad):
        return float("nan")
    below, upto = np.searchsorted(bad, good, "left"), np.searchsorted(bad, good, "right")
    return float(((below + upto) / 2 / len(bad)).mean())
