"""What the Studio shop sells: families, looks (seen), specs (read) and sibling groups of four items.

In a group two looks (A, B) meet two specs (1, 2): A1 A2 B1 B2. A photo tells the look and never the spec, the words
tell the spec and never the look, so the exact item is found only by who uses both.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

VERSION = "2.0.0"
COLOURS = {
    "white": "#EFECE4", "black": "#22242A", "grey": "#8E9299", "red": "#B3262E", "orange": "#E0762A",
    "yellow": "#E9BE3B", "green": "#3F7F4F", "teal": "#2A8F8F", "blue": "#2B5FA8", "navy": "#1F2F55",
    "purple": "#6B4A8C", "pink": "#DE9BAA",
}  # fmt: skip
PATTERNS = ("plain", "striped", "dotted", "checked", "speckled")
MATERIALS = ("ceramic", "glass", "oak", "walnut", "steel", "brass", "fabric", "plastic", "stone")
SURFACES = ("table_oak", "linen", "marble", "concrete", "grass", "shelf_white", "rug", "kitchen_tile")
GROUPS_PER_FAMILY = 5
COLD_SHARE = 0.2
WARM_GROUPS_WITH_PHOTOS = 32
COLD_PHOTOS, WARM_PHOTOS = 3, 2

# Axis -> levels, worded per family class in `words.py`. The level order is from "little" to "much".
AXES: dict[str, tuple[str, ...]] = {
    "care": ("fussy", "by_hand", "machine"),
    "weight": ("light", "medium", "heavy"),
    "delivery": ("slow", "week", "next_day"),
    "price": ("bargain", "fair", "premium"),
    "warranty": ("none", "two_years", "lifetime"),
    "source": ("conventional", "part_recycled", "recycled"),
    "packing": ("plastic", "paper", "gift_box"),
    "toughness": ("delicate", "normal", "tough"),
    "handling": ("low", "middle", "high"),
}
HANDLING = {  # what "handling" means for a family, and its three levels in one phrase
    "grip": "how it lies in the hand: slim grip for small hands, two-finger grip, roomy grip for big hands",
    "seat": "how it feels to sit on or lean against: soft, medium, firm",
    "light": "light it gives: dim and cosy, adjustable, bright",
    "sound": "how loud it is: silent, quiet, loud",
    "assembly": "work before first use: none, a few screws, many parts and tools",
    "stand": "what is under the base: soft felt, nothing, non-slip rubber",
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of product. tall, ornate: loadings of the four shape parameters on the two shape impressions."""

    name: str
    shape: tuple[str, str, str, str]
    materials: tuple[str, ...]
    tall: tuple[float, float, float, float]
    ornate: tuple[float, float, float, float]
    category: str
    price: float
    care_class: str
    handling_class: str


def _family(name: str, shape: str, materials: str, tall: str, ornate: str, category: str, price: float,
            care: str, handling: str) -> Family:  # fmt: skip
    loads = [tuple(float(value) for value in text.split()) for text in (tall, ornate)]
    return Family(name=name, shape=tuple(shape.split()), materials=tuple(materials.split()), tall=loads[0],
                  ornate=loads[1], category=category, price=price, care_class=care,
                  handling_class=handling)  # fmt: skip


FAMILIES: tuple[Family, ...] = (
    _family("mug", "height taper handle lip", "ceramic glass steel plastic stone", "1 -.3 0 0", "0 .3 .6 .6",
            "Kitchen > Drinking > Mugs", 16, "tableware", "grip"),
    _family("vase", "height belly neck flare", "ceramic glass stone brass", "1 -.6 .3 0", "0 .4 .4 .7",
            "Living > Decoration > Vases", 38, "tableware", "stand"),
    _family("bowl", "depth width foot flare", "ceramic glass oak walnut steel stone", ".8 -.8 .3 0", "0 0 .6 .7",
            "Kitchen > Serving > Bowls", 24, "tableware", "grip"),
    _family("bottle", "height shoulder neck stopper", "glass steel plastic ceramic", "1 -.3 .5 0", "0 .3 .3 .8",
            "Kitchen > Drinking > Bottles", 22, "tableware", "grip"),
    _family("teapot", "roundness spout handle lid", "ceramic glass steel brass stone", "-.9 .3 .4 .3", ".3 .5 .6 .5",
            "Kitchen > Serving > Teapots", 46, "tableware", "grip"),
    _family("table_lamp", "base stem shade_width shade_taper", "ceramic brass steel oak walnut glass",
            "-.2 1 -.6 0", ".6 0 .2 .7", "Living > Lighting > Table lamps", 79, "household", "light"),
    _family("pendant_lamp", "width height curve rim", "steel brass glass fabric plastic", "-.8 1 0 0", "0 0 .7 .6",
            "Living > Lighting > Pendant lamps", 98, "household", "light"),
    _family("stool", "height seat legs splay", "oak walnut steel plastic", "1 -.5 0 -.2", "0 .3 .5 .7",
            "Living > Seating > Stools", 68, "household", "seat"),
    _family("chair", "back seat legs arms", "oak walnut steel plastic fabric", "1 -.4 .4 0", ".3 0 .4 .8",
            "Living > Seating > Chairs", 145, "household", "seat"),
    _family("side_table", "height top legs shelf", "oak walnut steel stone plastic", "1 -.7 0 0", "0 0 .6 .7",
            "Living > Tables > Side tables", 110, "household", "assembly"),
    _family("planter", "height taper rim legs", "ceramic stone steel plastic oak", "1 0 -.3 .4", "0 .4 .6 .6",
            "Garden > Planters", 34, "household", "assembly"),
    _family("clock", "roundness frame hands markers", "oak walnut steel brass plastic", "-.8 .2 .4 0", "0 .6 .5 .6",
            "Living > Decoration > Clocks", 49, "household", "sound"),
    _family("candle_holder", "height arms base cup", "brass steel glass ceramic stone", "1 -.2 -.4 0", "0 .9 .3 .3",
            "Living > Decoration > Candle holders", 29, "household", "stand"),
    _family("speaker", "height corner cones grille", "oak walnut plastic steel fabric", "1 -.2 .3 0", "0 .5 .4 .6",
            "Living > Sound > Speakers", 189, "household", "sound"),
    _family("bell", "height flare shoulder handle", "brass steel ceramic glass", "1 -.4 0 .3", "0 .6 .3 .6",
            "Living > Decoration > Bells", 27, "household", "sound"),
    _family("cushion", "size puff piping corners", "fabric", "-.4 1 0 0", "0 .2 .8 .6",
            "Living > Textiles > Cushions", 32, "textile", "seat"),
)  # fmt: skip
FAMILY = {family.name: family for family in FAMILIES}


@dataclass(frozen=True, kw_only=True)
class Look:
    """All that a photo shows. shape: four numbers in 0..1, in the order of the family's parameters."""

    family: str
    shape: tuple[float, ...]
    material: str
    colour: str
    accent: str
    pattern: str

    def as_json(self) -> dict[str, object]:
        """The LOOK object of shots.json and truth.json."""
        shape = dict(zip(FAMILY[self.family].shape, self.shape, strict=True))
        return {"family": self.family, "shape": shape, "material": self.material, "colour": self.colour,
                "accent": self.accent, "pattern": self.pattern}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Item:
    """One product. spec: level of every axis of `AXES`, by name. duplicate_of: set on near-duplicate listings only."""

    item_id: str
    group_id: str
    look_name: str
    spec_name: str
    look: Look
    spec: dict[str, str]
    colour_in_words: bool
    duplicate_of: str | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Four siblings in the order A1 A2 B1 B2."""

    group_id: str
    family: str
    items: tuple[str, str, str, str]
    cold: bool
    customer_photos: int
    colour_in_words: bool


@dataclass(frozen=True, kw_only=True)
class World:
    """Items in catalogue order (near-duplicates last are added by `faults.py`) and their groups."""

    seed: int
    items: tuple[Item, ...]
    groups: tuple[Group, ...]


def stream(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one named purpose: adding a purpose does not move the others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def choose(rng: np.random.Generator, options: tuple | list) -> object:
    """One of the options, evenly."""
    return options[int(rng.random() * len(options))]


def shuffle(rng: np.random.Generator, options: tuple | list) -> list:
    """The options in random order."""
    return [options[k] for k in np.argsort(rng.random(len(options)), kind="stable")]


def contrast(one: str, other: str) -> float:
    """Distance of two named colours in RGB, 0..1.73."""
    rgb = [np.array([int(COLOURS[name][k : k + 2], 16) for k in (1, 3, 5)]) / 255 for name in (one, other)]
    return float(np.linalg.norm(rgb[0] - rgb[1]))


@cache
def impressions(look: Look) -> tuple[float, float]:
    """(tall, ornate), each about -1..1: the two things an eye says first about a silhouette."""
    family, centred = FAMILY[look.family], np.array(look.shape) * 2 - 1
    loads = [np.array(load) for load in (family.tall, family.ornate)]
    tall, ornate = (float(centred @ load / np.abs(load).sum()) for load in loads)
    return tall, ornate


def make_world(seed: int) -> World:
    """The 320 products in 80 sibling groups; equal for equal seeds."""
    items: list[Item] = []
    groups: list[tuple[str, str, tuple[str, ...], bool]] = []
    for number, family in enumerate(FAMILIES):
        rng = stream(seed, f"family {family.name}")
        looks = _draw_looks(rng, family, named=2 + number % 2)
        for place, (pair, named) in enumerate(looks):
            group_id = f"g{number * GROUPS_PER_FAMILY + place + 1:02d}"
            specs = _draw_specs(rng)
            ids = []
            for look_name, look in zip("AB", pair, strict=True):
                for spec_name, spec in zip("12", specs, strict=True):
                    ids.append(f"s{len(items) + 1:03d}")
                    items.append(Item(item_id=ids[-1], group_id=group_id, look_name=look_name, spec_name=spec_name,
                                      look=look, spec=spec, colour_in_words=named))  # fmt: skip
            groups.append((group_id, family.name, tuple(ids), named))
    return World(seed=seed, items=tuple(items), groups=_mark_groups(seed, groups))


def _mark_groups(seed: int, groups: list[tuple[str, str, tuple[str, ...], bool]]) -> tuple[Group, ...]:
    """Cold = the first fifth by sha256 of seed and group id; then warm groups are drawn for customer photos."""
    ids = [group[0] for group in groups]
    ranked = sorted(ids, key=lambda name: hashlib.sha256(f"{seed}\t{name}".encode()).hexdigest())
    cut = round(len(ids) * COLD_SHARE)
    cold, warm = set(ranked[:cut]), sorted(ranked[cut:])
    shown = set(shuffle(stream(seed, "customer groups"), warm)[:WARM_GROUPS_WITH_PHOTOS])
    photos = {name: COLD_PHOTOS if name in cold else WARM_PHOTOS if name in shown else 0 for name in ids}
    return tuple(
        Group(group_id=name, family=family, items=items, cold=name in cold, customer_photos=photos[name],
              colour_in_words=named)
        for name, family, items, named in groups
    )  # fmt: skip


def _draw_looks(rng: np.random.Generator, family: Family, named: int) -> list[tuple[tuple[Look, Look], bool]]:
    """Five pairs of looks, no two of the family with the same colour and pattern.

    Where the words name the colour both looks have it and differ in pattern and shape; elsewhere in all three.
    """
    materials = shuffle(rng, list(family.materials))
    shapes: list[np.ndarray] = []
    taken: set[tuple[str, str]] = set()
    free = shuffle(rng, list(COLOURS)) + shuffle(rng, list(COLOURS))
    pairs = []
    for place in range(GROUPS_PER_FAMILY):
        in_words = place < named
        colours = [free.pop(0)] * 2 if in_words else [free.pop(0), free.pop(0)]
        while not in_words and contrast(*colours) < 0.3:
            free.append(colours[1])
            colours[1] = free.pop(0)
        pair, used = [], ""
        for colour in colours:
            options = [name for name in PATTERNS if name != used and (colour, name) not in taken]
            used = choose(rng, options)
            taken.add((colour, used))
            accent = choose(rng, [name for name in COLOURS if contrast(name, colour) > 0.45])
            shapes.append(_draw_shape(rng, shapes, pair_of=len(pair)))
            pair.append(Look(family=family.name, shape=tuple(float(value) for value in shapes[-1]),
                             material=materials[place % len(materials)], colour=colour, accent=accent,
                             pattern=used))  # fmt: skip
        pairs.append((tuple(pair), in_words))
    return shuffle(rng, pairs)


def _draw_shape(rng: np.random.Generator, others: list[np.ndarray], pair_of: int) -> np.ndarray:
    """Of 60 random shapes the one farthest from those there already; the sibling look counts double."""
    tries = np.round(rng.random((60, 4)), 2)
    if not others:
        return tries[0]
    gaps = np.linalg.norm(tries[:, None] - np.array(others)[None], axis=-1)
    nearest = gaps.min(1)
    if pair_of:
        nearest = np.minimum(nearest, gaps[:, -1] / 2)
    return tries[int(nearest.argmax())]


def _draw_specs(rng: np.random.Generator) -> tuple[dict[str, str], dict[str, str]]:
    """Two specs that differ on eight of nine axes, mostly by both steps, so that nearly any fact tells them apart."""
    draws = {axis: float(rng.random()) for axis in AXES}
    first = {axis: AXES[axis][1 if draw < 0.25 else 0 if draw < 0.625 else 2] for axis, draw in draws.items()}
    second = dict(first)
    for axis in shuffle(rng, list(AXES))[:8]:
        far = [level for level in (AXES[axis][0], AXES[axis][2]) if level != first[axis]]
        second[axis] = choose(rng, far) if rng.random() < 0.8 or first[axis] == AXES[axis][1] else AXES[axis][1]
    return first, second
