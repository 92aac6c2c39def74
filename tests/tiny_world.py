"""A shop small enough to train on in a second, whose encoders are known: words name the kind, photos show the colour.

Every item is one kind in one colour; a review names its product's kind, a customer photo its colour, both with noise.
Users like one colour. No network runs: `tiny_features` stands in for the encoders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.config import RunSettings
from core.domain import Catalogue, Interaction, Item
from core.encode.states import States
from core.features import Features

KINDS, COLOURS, USERS = 6, 5, 16
WIDTHS = {"text": 12, "image": 10}


def tiny_catalogue(root: Path = Path("tiny"), name: str = "tiny") -> Catalogue:
    """Thirty products; each of sixteen users met all six of the colour they like and two others."""
    items = tuple(
        Item(item_id=f"i{kind}{colour}", title=f"kind {kind}", media={"image": (f"{kind}{colour}.jpg",)})
        for kind in range(KINDS)
        for colour in range(COLOURS)
    )
    met = [
        Interaction(
            user_id=f"u{user:02d}", item_id=f"i{kind}{colour}", rating=5.0 if colour == user % COLOURS else 2.0,
            timestamp=1_700_000_000_000 + 1000 * user + (kind + user) % KINDS,
            review_text=f"user {user} on kind {kind} of {colour}",
            media={"image": (f"{user}-{kind}{colour}.jpg",)},
        )
        for user in range(USERS)
        for kind, colour in [*((k, user % COLOURS) for k in range(KINDS)), (user % KINDS, (user + 1) % COLOURS),
                             ((user + 1) % KINDS, (user + 2) % COLOURS)]
    ]  # fmt: skip
    return Catalogue(name=name, version="tiny-1", root=root, items=items, interactions=tuple(met))


def tiny_features(catalogue: Catalogue, *_: object, interactions: bool = True, **__: object) -> Features:
    """What encoders would say: three tokens a medium around the direction of its kind or colour."""
    draw = np.random.default_rng(7)
    directions = {m: draw.normal(size=(6, width)) for m, width in WIDTHS.items()}
    states: dict[str, list[States]] = {m: [] for m in WIDTHS}

    def medium(modality: str, which: int, noise: float) -> int:
        tokens = directions[modality][which] + noise * draw.normal(size=(3, WIDTHS[modality]))
        states[modality].append(States(tokens=tokens, pooled=tokens.mean(0)).rounded())
        return len(states[modality]) - 1

    def media(item_id: str, noise: float) -> dict[str, tuple[int, ...]]:
        kind, colour = int(item_id[1]), int(item_id[2])
        return {"text": (medium("text", kind, noise),), "image": (medium("image", colour, noise),)}

    items = tuple(media(item.item_id, 0.3) for item in catalogue.items)
    rows = tuple(media(row.item_id, 0.6) for row in catalogue.interactions) if interactions else ()
    return Features(states=states, items=items, interactions=rows, widths=WIDTHS, encoded=0)


def tiny_settings(**given: object) -> RunSettings:
    standard = {"catalogue": "tiny", "protocol": "leave-last", "epochs": 3, "batch": 32, "width": 8, "kept": 8}
    return RunSettings(**(standard | {"threads": 1} | given))  # type: ignore[arg-type]
