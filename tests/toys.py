"""A toy shop with a known answer, for pages: words match kinds, photos match colours, nothing else matters.

Thirty-six products, six kinds in six colours. score = kind named in the words + likeness of the photo's mean colour
+ SYNERGY where both agree, so that shares, arrows and sliders have values that can be worked out by hand.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from math import factorial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from core.domain import Catalogue, Distance, Interaction, Item, Query, RankedItem, Recommendation, Words
from core.errors import ModelError, UnknownNameError

COLOURS = {
    "red": (179, 38, 46),
    "orange": (224, 118, 42),
    "yellow": (233, 190, 59),
    "green": (63, 127, 79),
    "blue": (43, 95, 168),
    "purple": (107, 74, 140),
}
KINDS = ("mug", "vase", "bowl", "lamp", "stool", "planter")
SYNERGY = 0.1
RUN = "toy-run"


def paint(kind: str, colour: str, side: int = 320) -> bytes:
    """A placeholder product picture: a simple coloured shape with a shadow on a pale ground, as JPEG."""
    big = side * 2
    ground = Image.new("RGB", (big, big), (236, 235, 231))
    shadow = Image.new("L", (big, big), 0)
    ImageDraw.Draw(shadow).ellipse((big * 0.22, big * 0.72, big * 0.82, big * 0.86), fill=110)
    ground.paste((120, 116, 110), mask=shadow.filter(ImageFilter.GaussianBlur(big // 30)))
    draw, body = ImageDraw.Draw(ground), COLOURS[colour]
    dark = tuple(int(channel * 0.72) for channel in body)
    s = big
    if kind == "mug":
        draw.ellipse((s * 0.58, s * 0.42, s * 0.84, s * 0.70), outline=dark, width=s // 22)
        draw.rounded_rectangle((s * 0.26, s * 0.32, s * 0.68, s * 0.80), s // 16, fill=body)
        draw.ellipse((s * 0.26, s * 0.27, s * 0.68, s * 0.38), fill=dark)
    elif kind == "vase":
        draw.rectangle((s * 0.43, s * 0.16, s * 0.57, s * 0.42), fill=body)
        draw.ellipse((s * 0.28, s * 0.34, s * 0.72, s * 0.82), fill=body)
        draw.ellipse((s * 0.40, s * 0.12, s * 0.60, s * 0.20), fill=dark)
    elif kind == "bowl":
        draw.pieslice((s * 0.16, s * 0.14, s * 0.84, s * 0.82), 0, 180, fill=body)
        draw.ellipse((s * 0.16, s * 0.40, s * 0.84, s * 0.56), fill=dark)
    elif kind == "lamp":
        draw.rectangle((s * 0.48, s * 0.45, s * 0.52, s * 0.78), fill=dark)
        draw.rounded_rectangle((s * 0.36, s * 0.77, s * 0.64, s * 0.82), s // 40, fill=dark)
        corners = ((0.38, 0.16), (0.62, 0.16), (0.76, 0.50), (0.24, 0.50))
        draw.polygon([(s * x, s * y) for x, y in corners], fill=body)
    elif kind == "stool":
        for left, right in ((0.30, 0.24), (0.66, 0.72)):
            draw.line([(s * left, s * 0.44), (s * right, s * 0.82)], fill=dark, width=s // 26)
        draw.rounded_rectangle((s * 0.22, s * 0.36, s * 0.78, s * 0.46), s // 30, fill=body)
    else:
        corners = ((0.26, 0.42), (0.74, 0.42), (0.66, 0.82), (0.34, 0.82))
        draw.polygon([(s * x, s * y) for x, y in corners], fill=body)
        for dx in (-0.12, 0.0, 0.12):
            draw.ellipse((s * (0.44 + dx), s * 0.16, s * (0.56 + dx), s * 0.44), fill=(86, 128, 84))
        draw.rectangle((s * 0.24, s * 0.40, s * 0.76, s * 0.46), fill=dark)
    buffer = io.BytesIO()
    ground.resize((side, side), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def toy_catalogue() -> Catalogue:
    """The thirty-six products; the last one has no photo, two users have met a few of them."""
    items = tuple(
        Item(
            item_id=f"t{row:02d}",
            title=f"{['Alder', 'Nordlys', 'Quarry', 'Tern', 'Osier', 'Fennel'][row % 6]} {kind}",
            description=f"A {kind} for every day, made to be used.",
            category=kind,
            price=None if row == 7 else 12.0 + 4.5 * row,
            media={} if row == 35 else {"image": (f"photos/{kind}_{colour}.jpg",)},
            attributes={"colour": colour},
        )
        for row, (kind, colour) in enumerate((kind, colour) for kind in KINDS for colour in COLOURS)
    )
    met = tuple(
        Interaction(user_id=f"u{n % 2 + 1:03d}", item_id=f"t{n:02d}", rating=4.0, timestamp=1_700_000_000_000 + n)
        for n in range(8)
    )
    return Catalogue(name="toy", version="toy-1", root=Path("toy"), items=items, interactions=met)


def likeness(photo: bytes) -> dict[str, float]:
    """Colour name -> likeness in [0, 1] of the middle of the photo to that colour."""
    image = Image.open(io.BytesIO(photo)).convert("RGB").resize((32, 32))
    middle = np.asarray(image, dtype=float)[12:22, 10:20].reshape(-1, 3).mean(0)
    return {name: float(np.exp(-np.linalg.norm(middle - np.array(rgb)) / 80)) for name, rgb in COLOURS.items()}


def exact_shapley(values: np.ndarray) -> np.ndarray:
    """(2^M, N) -> (M, N) by the definition: the mean marginal contribution over all orders of arrival."""
    players = int(np.log2(len(values)))
    phi = np.zeros((players, *values.shape[1:]))
    for order in permutations(range(players)):
        seen = 0
        for player in order:
            phi[player] += values[seen | 1 << player] - values[seen]
            seen |= 1 << player
    return phi / factorial(players)


@dataclass
class ToyPipeline:
    """Answers like the real one; `seconds` of thinking can be asked for."""

    catalogue: Catalogue = field(default_factory=toy_catalogue)
    run: str = RUN
    device: str = "cpu"
    percentile: float | None = None
    asked: list[Query] = field(default_factory=list)

    def recommend(self, query: Query, *, top: int = 12, without: tuple[str, ...] = ()) -> Recommendation:
        query = query.without(*without)
        self.asked.append(query)
        items, players = self.catalogue.items, query.modalities
        words = np.array([float(item.category in query.text.lower()) * 0.5 for item in items])
        photos = [likeness(part.content) for part in query.of_modality("image")]
        seen = np.array(
            [0.6 * max((photo[item.attributes["colour"]] for photo in photos), default=0.0) for item in items]
        )
        single = {"text": words, "image": seen}
        base = np.linspace(0.02, 0.0, len(items))
        coalitions = np.stack(
            [
                base
                + sum((single[player] for bit, player in enumerate(players) if subset >> bit & 1), np.zeros(len(items)))
                + (SYNERGY * words * seen if players and subset == (1 << len(players)) - 1 else 0.0)
                for subset in range(1 << len(players))
            ]
        )
        phi = exact_shapley(coalitions)
        order = np.argsort(-coalitions[-1], kind="stable")[:top]
        distance = 1 - float(coalitions[-1].max())
        return Recommendation(
            run=self.run,
            catalogue=self.catalogue.name,
            device=self.device,
            scope="query" if players else "item",
            players=players,
            items=tuple(self._card(row, rank + 1, coalitions, phi, players) for rank, row in enumerate(order)),
            coalitions=coalitions.astype(np.float32),
            item_ids=tuple(item.item_id for item in items),
            distance=Distance(value=distance, percentile=self._percentile(words, photos)),
            timing_ms={"read": 4.0, "encode": 212.0, "align": 3.1, "fuse": 5.2, "rank": 0.7, "total": 225.0},
            media_weights={"image": tuple(1 / len(photos) for _ in photos)} if photos else {},
        )

    def _percentile(self, words: np.ndarray, photos: list[dict[str, float]]) -> float:
        if self.percentile is not None:
            return self.percentile
        return 99.6 if not words.any() and not photos else 41.0

    def _card(self, row: int, rank: int, values: np.ndarray, phi: np.ndarray, players: tuple[str, ...]) -> RankedItem:
        total = float(np.abs(phi[:, row]).sum())
        item = self.catalogue.items[row]
        return RankedItem(
            item_id=item.item_id,
            title=item.title,
            rank=rank,
            score=float(values[-1, row]),
            phi={player: float(phi[n, row]) for n, player in enumerate(players)},
            shares={player: abs(float(phi[n, row])) / total if total else 0.0 for n, player in enumerate(players)},
            gates={player: 1 / len(players) for player in players},
            base=float(values[0, row]),
        )


@dataclass
class ToyWorkspace:
    """The part of Workspace that pages use, in memory."""

    shop: Catalogue = field(default_factory=toy_catalogue)
    saved: dict[str, tuple[Query, str]] = field(default_factory=dict)
    home: Path = Path("toy")
    has_database: bool = False

    @cached_property
    def vectors(self) -> Path:
        return self.home / "vectors"

    def catalogues(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                name="toy",
                items=len(self.shop.items),
                users=2,
                interactions=len(self.shop.interactions),
                media={"image": 35},
                version=self.shop.version,
                bundled=True,
            )
        ]

    def catalogue(self, name: str) -> Catalogue:
        if name != "toy":
            raise UnknownNameError("catalogue", name, ["toy"])
        return self.shop

    def words(self, name: str) -> Words:
        return self.catalogue(name).words

    def runs(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                run=RUN,
                catalogue="toy",
                align="projection",
                fuse="transformer",
                rank="multimodal",
                metrics={"test": {"recall@1": 0.62, "recall@10": 0.96}},
                created=None,
                bundled=True,
            )
        ]

    def run_folder(self, run: str) -> Path:
        raise ModelError("E-MODEL-EMPTY", f"the toy run {run} has no files")

    def save_query(self, query: Query, run: str) -> str:
        key = hashlib.sha256(repr((query, run)).encode()).hexdigest()[:10]
        self.saved[key] = (query, run)
        return key

    def query(self, query_id: str) -> tuple[Query, str]:
        if query_id not in self.saved:
            raise UnknownNameError("query", query_id, self.saved)
        return self.saved[query_id]

    def media(self, catalogue: str, path: str) -> bytes:
        kind, colour = Path(path).stem.split("_")
        return paint(kind, colour)

    def thumbnail(self, catalogue: str, path: str, side: int) -> bytes:
        kind, colour = Path(path).stem.split("_")
        return paint(kind, colour, side)


def toy_stories() -> tuple:
    """Three stories over the toy shop, shaped like assets/stories.json."""
    from pages.shared.services import Story, StoryStep

    words = "keeps tea hot for hours, the nicest mug on our shelf"
    return (
        Story(
            story_id="same-words",
            title="The same words, two photos",
            lead="One sentence about a mug. Change only the photo, and watch which mug leads.",
            catalogue="toy",
            run=RUN,
            steps=(
                StoryStep(
                    label="with a red photo", text=words, photos=("customer/vase_red.jpg",),
                    look="The words ask for a mug, the photo is red: the red mug leads, and both bars are long.",
                ),
                StoryStep(
                    label="with a blue photo", text=words, photos=("customer/vase_blue.jpg",),
                    look="Not a word has changed. Now the blue mug leads: look at the photo's part of its bar.",
                ),
            ),
        ),
        Story(
            story_id="contradiction",
            title="A photo that contradicts the words",
            lead="The words say lamp, the photo shows a bowl. Who wins, and by how much?",
            catalogue="toy",
            run=RUN,
            steps=(
                StoryStep(
                    label="words against photo", text="a warm lamp for the desk", photos=("customer/bowl_green.jpg",),
                    view="Side by side",
                    look="Left and middle: what the words alone and the photo alone would have said, and who moved.",
                ),
            ),
        ),
        Story(
            story_id="one-at-a-time",
            title="Words only, then a photo only",
            lead="The same run answers with either one missing. A missing modality weighs exactly nothing.",
            catalogue="toy",
            run=RUN,
            steps=(
                StoryStep(label="words only", text=words, look="Only the words speak: six mugs in no order of colour."),
                StoryStep(
                    label="photo only", photos=("customer/mug_purple.jpg",),
                    look="Only the photo speaks: purple things of every kind.",
                ),
            ),
        ),
    )  # fmt: skip
