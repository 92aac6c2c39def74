"""A map of the toy shop whose neighbours are known: words lie by kind, photos by colour, fused in between."""

from __future__ import annotations

import numpy as np

from core.explain.map import pca_places, place
from core.mapping.stored import StoredMap
from pages.shared.map_services import Asked, Drawing, there
from tests.toys import COLOURS, KINDS, RUN, toy_catalogue


def toy_drawing() -> Drawing:
    """Thirty-six products, the last one without a photo; a report whose numbers are round."""
    shop = toy_catalogue()
    kind = np.array([KINDS.index(item.category) for item in shop.items])
    colour = np.array([list(COLOURS).index(item.attributes["colour"]) for item in shop.items])
    vectors = np.zeros((36, 3, 12), dtype=np.float32)
    vectors[range(36), 0, kind] = 1
    vectors[range(36), 1, 6 + colour] = 1
    vectors[:, 2] = (vectors[:, 0] + vectors[:, 1]) / np.sqrt(2)
    present = np.ones((36, 3), dtype=bool)
    present[35, 1] = False
    frames = {}
    for dimensions in (2, 3):
        places = pca_places(vectors.reshape(-1, 12), dimensions).reshape(36, 3, dimensions)
        places += np.arange(36)[:, None, None] * 0.01  # no two points in one place
        places[~present] = np.nan
        before = places.copy()
        before[:, 2] = np.nan
        frames |= {f"after-{dimensions}": places, f"before-{dimensions}": before}
    true = {"trustworthiness": 0.99, "continuity": 0.98, "neighbours_kept": 0.7}
    drawn = StoredMap(
        run=RUN, catalogue=shop.name, version=shop.version, model="toy", item_ids=tuple(i.item_id for i in shop.items),
        slots=("text", "image", "fused"), of=36, seed=0, method="UMAP", whole=True, present=present, frames=frames,
        vectors=vectors, clusters=kind.astype(np.int16), kept=np.where(present, 0.8, np.nan).astype(np.float32),
        numbers={**{name: true for name in frames}, "stability": {"disparity": 0.01, "neighbours_kept": 0.8}},
        report=toy_report(),
    )  # fmt: skip
    return Drawing(key="toy", map=drawn, row_of={item_id: row for row, item_id in enumerate(drawn.item_ids)})


def toy_report() -> dict:
    both = {"forward": 0.5, "backward": 0.6}
    state = {
        **{f"recall@{k}": both for k in (1, 5, 10)}, "mrr": both, "median_rank": {"forward": 2, "backward": 3},
        "cka": 0.5, "mutual_neighbours": 0.4, "candidates": 36, "ceiling": None,
        "chance": {"recall@1": 0.03, "recall@5": 0.14, "recall@10": 0.28, "mrr": 0.1, "mutual_neighbours": 0.3},
    }  # fmt: skip
    return {
        "evaluated": {"items": 36, "of": 36, "seed": 0, "which": "all", "in_sample": True},
        "pairs": {"text-image": {"before": state, "after": state}},
        "gap": {"text-image": {"before": 0.4, "after": 0.2, "chance": 0.1}},
        "alignment": {"text-image": {"before": 2.0, "after": 0.7, "chance_before": 2.0, "chance_after": 1.2}},
        "uniformity": {"text": {"before": -3.0, "after": -2.0}, "image": {"before": -3.0, "after": -2.0}},
        "left_out": {"text-image": 1}, "pairs_compared": 35, "faults": {},
        "worst_pairs": [
            {
                "item_id": "t22", "title": "Osier lamp", "modalities": ["text", "image"], "distance": 1.2,
                "excess": 3.1, "trained": True, "text": "Osier lamp. A lamp for every day, made to be used.",
                "image": "photos/lamp_blue.jpg",
            }
        ],
    }  # fmt: skip


def toy_asked(shown: Drawing) -> Asked:
    """Words about a mug."""
    query = np.eye(12)[0]
    slots = {slot: there(shown, slot) for slot in ("text", "fused")}
    vectors = {slot: shown.map.vectors[rows, shown.map.slots.index(slot)] for slot, rows in slots.items()}
    return Asked(sides={slot: place(query, rows) for slot, rows in vectors.items()})
