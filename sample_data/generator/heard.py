"""What every product sounds like: the audible attributes, planted, and which siblings they tell apart.

Sound carries what the eye and the words carry too (family, material, pitch by size, body by weight) and two things of
its own, `ring` and `voice`. These two change along the diagonal of a sibling group: A1 and B2 share them, A2 and B1
share others. So a photo halves a group by its look, the words by its spec, and a sound in a third way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.world import Group, Item, World, choose, impressions, stream

TONES = {  # material -> its family of sounds
    "ceramic": "clay", "stone": "stone", "glass": "glass", "oak": "wood", "walnut": "wood", "steel": "metal",
    "brass": "metal", "fabric": "soft", "plastic": "plastic",
}  # fmt: skip
PITCHES = ("low", "middle", "high")
BODIES = {"light": "hollow", "medium": "even", "heavy": "solid"}  # weight told by the words -> body
RINGS = ("dry", "short", "long")
VOICES = ("clear", "humming", "jingling")
HEARD_FEATURES = (
    *(f"tone:{name}" for name in dict.fromkeys(TONES.values())),
    *(f"body:{name}" for name in BODIES.values()),
    *(f"ring:{name}" for name in RINGS),
    *(f"voice:{name}" for name in VOICES),
    "pitch",
)
TOLD_BY = {  # heard attribute -> what else tells it
    "family": ["seen", "read"],
    "material": ["seen", "read"],
    "pitch": ["seen"],
    "body": ["read"],
    "ring": [],
    "voice": [],
}


@dataclass(frozen=True, kw_only=True)
class Sound:
    """The audible attributes of an item. height: pitch as a number, -1 low to 1 high; the smaller the higher."""

    family: str
    material: str
    height: float
    body: str
    ring: str
    voice: str

    @property
    def tone(self) -> str:
        """The family of sounds that the material belongs to."""
        return TONES[self.material]

    @property
    def pitch(self) -> str:
        """The height in a word."""
        return PITCHES[int(self.height > -0.25) + int(self.height > 0.25)]

    def facts(self) -> dict[str, str]:
        """Attribute -> level."""
        return {"family": self.family, "material": self.material, "tone": self.tone, "pitch": self.pitch,
                "body": self.body, "ring": self.ring, "voice": self.voice}  # fmt: skip


def give_sounds(world: World, items: tuple[Item, ...]) -> dict[str, Sound]:
    """item_id -> its sound; near-duplicates sound like their originals."""
    own = {name: pair for group in world.groups for name, pair in _draw_own(world.seed, group).items()}
    sounds = {}
    for item in items:
        ring, voice = own[item.duplicate_of or item.item_id]
        tall, _ = impressions(item.look)
        sounds[item.item_id] = Sound(
            family=item.look.family,
            material=item.look.material,
            height=round(float(np.clip(-1.6 * tall, -1, 1)), 3),
            body=BODIES[item.spec["weight"]],
            ring=ring,
            voice=voice,
        )
    return sounds


def _draw_own(seed: int, group: Group) -> dict[str, tuple[str, str]]:
    """(ring, voice) of the four siblings: one pair for A1 and B2, another for A2 and B1, both of them different."""
    rng = stream(seed, f"heard {group.group_id}")
    one = choose(rng, RINGS), choose(rng, VOICES)
    other = choose(rng, [x for x in RINGS if x != one[0]]), choose(rng, [x for x in VOICES if x != one[1]])
    return dict(zip(group.items, (one, other, other, one), strict=True))


def describe_sounds(items: tuple[Item, ...], sounds: dict[str, Sound]) -> NDArray[np.float64]:
    """(N, H) in the order of HEARD_FEATURES: one-hot tone, body, ring and voice, then the pitch in -1..1."""
    rows = []
    for item in items:
        facts = sounds[item.item_id].facts()
        rows.append([float(facts[kind] == level) for kind, level in (name.split(":") for name in HEARD_FEATURES[:-1])])
        rows[-1].append(sounds[item.item_id].height)
    return np.array(rows)


def tell_siblings(group: Group, sounds: dict[str, Sound]) -> dict[str, object]:
    """What the sounds of a group can tell apart: pairs of siblings with equal facts, and the attributes that differ."""
    facts = {name: sounds[name].facts() for name in group.items}
    a1, a2, b1, b2 = group.items
    pairs = {"looks_of_spec_1": (a1, b1), "looks_of_spec_2": (a2, b2), "specs_of_look_a": (a1, a2),
             "specs_of_look_b": (b1, b2), "diagonal_1": (a1, b2), "diagonal_2": (a2, b1)}  # fmt: skip
    apart = {name: [key for key in facts[one] if facts[one][key] != facts[other][key]]
             for name, (one, other) in pairs.items()}  # fmt: skip
    alike = [list(pair) for name, pair in pairs.items() if not apart[name]]
    return {"apart_by": apart, "alike": alike, "same_for_all": ["family", "material", "tone"]}
