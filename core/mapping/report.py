"""The aligned space in numbers, and the pairs that do not belong together. See `core/evaluate/alignment.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Catalogue, Modality
from core.evaluate import alignment as measure
from core.evaluate.truth import planted_truth
from core.features import parts_of
from core.mapping.space import Sides, Spaces
from core.prepare.mismatch import FEWEST, doubt

AT_MOST = 5000  # items that are measured; more are sampled
SEED = 0
FEWEST_HELD_OUT = 30  # items with two modalities that training has not seen; fewer say too little
KS = (1, 5, 10)
WORST_OF_PAIR = 8  # told of each pair of modalities, so that one loud pair does not hide the others
OTHERS, ALIGNER = "others", "aligner"
JUDGES = {  # of the pairs that may not belong together
    OTHERS: "a map fitted on the other items, and the other media of the same item",
    ALIGNER: "the distance after alignment, by an aligner that was trained on these very pairs",
}


def space_report(spaces: Spaces, catalogue: Catalogue, worst: int = 24, judge: str = OTHERS) -> dict[str, Any]:
    """Everything that `align-report` prints, run and catalogue aside; keys as in its help.

    Measured on items that training has not seen, where there are enough of them; `evaluated` says which. judge: of the
    worst pairs, one of JUDGES; the numbers of the space are the same with any.
    """
    rows, evaluated = measured_items(spaces)
    pairs = {f"{a}-{b}": (a, b) for a, b in combinations(spaces.modalities, 2)}
    both = {name: rows[spaces.present[a][rows] & spaces.present[b][rows]] for name, (a, b) in pairs.items()}
    usable = {name: pair for name, pair in pairs.items() if len(both[name]) >= measure.FEWEST}
    listed = worst_pairs(spaces, catalogue, judge)
    return {
        "evaluated": evaluated,
        "pairs": {name: pair_numbers(spaces, catalogue, *pair, both[name]) for name, pair in usable.items()},
        "gap": {name: gap_numbers(spaces, *pair, both[name]) for name, pair in usable.items()},
        "alignment": {name: alignment_numbers(spaces, *pair, both[name]) for name, pair in usable.items()},
        "uniformity": {
            m: {
                state: measure.uniformity(space[m][rows[spaces.present[m][rows]]])
                for state, space in states(spaces).items()
            }
            for m in spaces.modalities
            if spaces.present[m][rows].sum() >= measure.FEWEST
        },
        "left_out": {name: int(len(rows) - len(both[name])) for name in pairs},
        "worst_pairs": listed[:worst],
        "worst_of": {name: worst_of(listed, pair) for name, pair in pairs.items()},
        "pairs_compared": len(listed),
        "faults": found_faults(catalogue, listed),
    }


def states(spaces: Spaces) -> dict[str, Mapping[Modality, NDArray[np.float32]]]:
    return {"before": spaces.before, "after": spaces.after}


def measured_items(spaces: Spaces) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Rows of the items to measure on, in order, and what to say about them."""
    several = np.sum([spaces.present[m] for m in spaces.modalities], axis=0) >= min(2, len(spaces.modalities))
    unseen = several & ~spaces.trained
    held_out = unseen.sum() >= FEWEST_HELD_OUT
    rows = np.flatnonzero(~spaces.trained if held_out else np.ones(len(spaces.trained), dtype=bool))
    found = len(rows)
    if found > AT_MOST:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, AT_MOST, replace=False))
    return rows, {
        "items": len(rows), "of": found, "seed": SEED, "which": "held out" if held_out else "all",
        "in_sample": bool(not held_out and spaces.trained.any()),
    }  # fmt: skip


def pair_numbers(
    spaces: Spaces, catalogue: Catalogue, a: Modality, b: Modality, rows: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    """Finding an item's other side, before and after; `ceiling` is what could be reached at best, where that is known.

    Across modalities the axes of before are arbitrary, so its recall is chance; kernels (CKA) and neighbour lists are
    compared on the encoders' own vectors, where before does mean something.
    """
    contents = {m: ["\n".join(parts_of(catalogue.items[row], m)) for row in rows] for m in (a, b)}
    own = {"before": spaces.raw, "after": spaces.after}
    found = {}
    for state, space in states(spaces).items():
        x, y = space[a][rows], space[b][rows]
        there = measure.find_other_side(x, y, ks=KS, same=contents[b])
        back = measure.find_other_side(y, x, ks=KS, same=contents[a])
        inside, outside = own[state][a][rows], own[state][b][rows]
        found[state] = {
            **{f"recall@{k}": {"forward": there.recall[k], "backward": back.recall[k]} for k in KS},
            "mrr": {"forward": there.mrr, "backward": back.mrr},
            "median_rank": {"forward": there.median_rank, "backward": back.median_rank},
            "cka": measure.debiased_cka(inside, outside),
            "mutual_neighbours": measure.mutual_neighbours(inside, outside),
            "candidates": there.candidates,
            "chance": {
                **{f"recall@{k}": there.chance[k] for k in KS}, "mrr": there.chance_mrr,
                "median_rank": (there.candidates + 1) / 2, "cka": 0.0,
                "mutual_neighbours": min(10, len(rows) - 1) / (len(rows) - 1),
            },
            "ceiling": ceiling(catalogue, rows, a, b),
        }  # fmt: skip
    return found


def ceiling(catalogue: Catalogue, rows: NDArray[np.int64], a: Modality, b: Modality) -> dict[str, float] | None:
    """Recall of a perfect reader of the truth, where it ships: items cannot be told apart by what only one of the two
    modalities carries. None elsewhere."""
    truth = planted_truth(catalogue)
    if truth is None:
        return None
    items = [truth["items"][catalogue.items[row].item_id] for row in rows]
    known = [(carried(item, a), carried(item, b)) for item in items]
    shared = [str(sorted((name, one[name]) for name in one.keys() & other.keys())) for one, other in known]
    alike = np.array([shared.count(one) for one in shared])
    return {f"recall@{k}": float(np.minimum(1.0, k / alike).mean()) for k in KS}


def carried(item: Mapping[str, Any], modality: Modality) -> dict[str, str]:
    """What a modality tells of a product of Studio: words give the weight, of which the body of the sound follows;
    pictures the shape, of which its pitch follows, and the look, which two siblings share."""
    heard = item.get("heard", {})
    if modality == "audio":
        return {name: heard[name] for name in ("family", "material", "body", "pitch", "ring", "voice")}
    if modality == "text":
        return {**item["both"], **{name: heard[name] for name in ("body",) if name in heard}}
    look = {"look": f"{item['group']} {item['look']}"}
    return {**item["both"], **look, **{name: heard[name] for name in ("pitch",) if name in heard}}


def gap_numbers(spaces: Spaces, a: Modality, b: Modality, rows: NDArray[np.int64]) -> dict[str, float]:
    found = {state: measure.modality_gap(space[a][rows], space[b][rows]) for state, space in states(spaces).items()}
    halves = [measure.modality_gap_chance(spaces.after[m][rows], SEED) for m in (a, b)]
    return {**found, "chance": float(np.mean(halves))}


def alignment_numbers(spaces: Spaces, a: Modality, b: Modality, rows: NDArray[np.int64]) -> dict[str, float]:
    found = {}
    for state, space in states(spaces).items():
        found[state] = measure.alignment(space[a][rows], space[b][rows])
        found[f"chance_{state}"] = measure.alignment_chance(space[a][rows], space[b][rows])
    return found


# ---- pairs that do not belong together


def worst_pairs(spaces: Spaces, catalogue: Catalogue, judge: str = OTHERS) -> list[dict[str, Any]]:
    """Every medium against every medium of another modality of the same item, the least likely pairs first.

    `distance` is ||x - y|| after alignment; `excess` is how unlikely the pair is, in standard deviations, and `judge`
    who says so: one of JUDGES, of few items always the aligner, since nothing can be fitted on the others.
    """
    pairs: list[dict[str, Any]] = []
    for a, b in combinations(spaces.modalities, 2):
        left, right = spaces.sides[a], spaces.sides[b]
        places = side_by_side(left, right)
        if len(places) < 2:
            continue
        distances = measure.pair_distances(left.vectors[places[:, 0]], right.vectors[places[:, 1]])
        enough = judge == OTHERS and len(np.unique(left.items[places[:, 0]])) >= FEWEST
        seen = spaces.trained[right.items[places[:, 1]]]
        excess = (
            judged_by_others(left, right, places, catalogue) if enough else beyond_like(np.asarray(distances), seen)
        )
        pairs += [
            {
                "item_id": catalogue.items[right.items[j]].item_id, "title": catalogue.items[right.items[j]].title,
                "modalities": [a, b], a: left.names[i], b: right.names[j], "distance": float(distance),
                "trained": bool(trained), "excess": float(beyond), "judge": OTHERS if enough else ALIGNER,
            }
            for (i, j), distance, trained, beyond in zip(places, distances, seen, excess, strict=True)
        ]  # fmt: skip
    return sorted(pairs, key=lambda pair: -pair["excess"])


def side_by_side(left: Sides, right: Sides) -> NDArray[np.int64]:
    """(n, 2) the rows of both sides that belong to one item."""
    of_item: dict[int, list[int]] = {}
    for number, row in enumerate(left.items.tolist()):
        of_item.setdefault(row, []).append(number)
    places = [(i, j) for j, row in enumerate(right.items.tolist()) for i in of_item.get(row, ())]
    return np.array(places, dtype=np.int64).reshape(-1, 2)


def judged_by_others(
    left: Sides, right: Sides, places: NDArray[np.int64], catalogue: Catalogue
) -> NDArray[np.float64]:  # fmt: skip
    """(n,) see `core.prepare.mismatch.doubt`: on the encoders' own vectors, since the aligner has seen these pairs."""
    keys = [catalogue.items[row].item_id for row in left.items]
    media, others = right.raw[places[:, 1]].astype(np.float64), left.raw.astype(np.float64)
    return doubt(media, others, places[:, 0], keys, AT_MOST, places[:, 1])


def beyond_like(distances: NDArray[np.float64], trained: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) standard deviations above the mean of their like: training pulls the pairs it sees together, so that
    distances of seen and of unseen items cannot be compared as they are."""
    excess = np.zeros(len(distances))
    for like in (trained, ~trained):
        if like.any():
            excess[like] = (distances[like] - distances[like].mean()) / (distances[like].std() or 1.0)
    return excess


def worst_of(listed: Sequence[Mapping[str, Any]], pair: tuple[Modality, Modality]) -> dict[str, Any]:
    """The least likely of one pair of modalities, and how many of it were compared."""
    own = [one for one in listed if tuple(one["modalities"]) == pair]
    return {"compared": len(own), "pairs": own[:WORST_OF_PAIR]}


def found_faults(catalogue: Catalogue, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the truth ships: how well the list finds the wrong photos, over all pairs and over those of items that
    training has not seen: in sample an aligner has been trained to bring wrong pairs together too."""
    truth = planted_truth(catalogue)
    if truth is None:
        return {}
    files = {fault["file"] for fault in truth["faults"] if fault["kind"] == "wrong_photo"}
    asked = [pair for pair in pairs if "image" in pair and "text" in pair]
    return {"wrong_photo": detection(asked, files)} if asked else {}


def detection(pairs: Sequence[Mapping[str, Any]], wrong: set[str]) -> dict[str, dict[str, Any]]:
    """AUC of the excess for the photos named in `wrong`: over all pairs, among trained and among unseen items."""
    parts = {
        "all": list(pairs),
        "in_sample": [pair for pair in pairs if pair["trained"]],
        "held_out": [pair for pair in pairs if not pair["trained"]],
    }
    told = {}
    for name, part in parts.items():
        bad = np.array([pair["image"] in wrong for pair in part], dtype=bool)
        excess, distance = (np.array([pair[key] for pair in part]) for key in ("excess", "distance"))
        told[name] = {
            "auc": measure.area_under_curve(excess, bad), "auc_distance": measure.area_under_curve(distance, bad),
            "wrong": int(bad.sum()), "pairs": len(part),
            "precision@10": float(bad[np.argsort(-excess)[:10]].mean()) if len(part) else None,
        }  # fmt: skip
    return told
