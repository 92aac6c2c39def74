"""What is broken in Studio on purpose, so that what cleans and warns can be measured against a list."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageEnhance

from sample_data.generator.people import Row
from sample_data.generator.words import Copy
from sample_data.generator.world import Item, World, choose, shuffle, stream

COUNTS = {
    "wrong_photo": 28,
    "no_photo": 12,
    "dead_path": 10,
    "no_words": 10,
    "near_duplicate": 12,
    "mojibake": 16,
    "html": 16,
    "price_outlier": 10,
    "contradictory_review": 30,
    "no_sound": 10,
    "silent_sound": 10,
}
TEXTS_OF_ITEMS = 8  # of the mojibake and of the HTML texts; the others are reviews


@dataclass(frozen=True, kw_only=True)
class ItemFaults:
    """Broken items, no item twice.

    wrong_photo: (item, view) -> item shown. dead_path: item -> view. price: item -> factor.
    """

    wrong_photo: dict[tuple[str, int], Item]
    no_photo: tuple[str, ...]
    dead_path: dict[str, int]
    no_words: tuple[str, ...]
    duplicates: tuple[Item, ...]
    mojibake: tuple[str, ...]
    html: tuple[str, ...]
    price: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ReviewFaults:
    """Numbers of broken interaction rows, no row twice, none of them with a customer photo."""

    contradictory: frozenset[int]
    mojibake: frozenset[int]
    html: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class SoundFaults:
    """Items without a sound, and items whose sound file is silent."""

    no_sound: tuple[str, ...]
    silent: tuple[str, ...]


def break_items(world: World) -> ItemFaults:
    """Draws the broken items, warm and cold alike; near-duplicates are extra listings of warm ones."""
    rng = stream(world.seed, "item faults")
    cold = {name for group in world.groups if group.cold for name in group.items}
    deck = shuffle(rng, list(world.items))
    warm = [item for item in deck if item.item_id not in cold][: COUNTS["near_duplicate"]]
    copied = {item.item_id for item in warm}
    deck = [item for item in deck if item.item_id not in copied]

    def deal(amount: int) -> list[Item]:
        dealt, deck[:] = deck[:amount], deck[amount:]
        return dealt

    wrong = {
        (item.item_id, k % 2): choose(rng, [other for other in world.items if other.look.family != item.look.family])
        for k, item in enumerate(deal(COUNTS["wrong_photo"]))
    }
    last = len(world.items)
    twins = tuple(
        replace(item, item_id=f"s{last + k + 1:03d}", duplicate_of=item.item_id)
        for k, item in enumerate(sorted(warm, key=lambda item: item.item_id))
    )
    return ItemFaults(
        wrong_photo=dict(sorted(wrong.items())),
        no_photo=_ids(deal(COUNTS["no_photo"])),
        dead_path={name: k % 2 for k, name in enumerate(_ids(deal(COUNTS["dead_path"])))},
        no_words=_ids(deal(COUNTS["no_words"])),
        duplicates=twins,
        mojibake=_ids(deal(TEXTS_OF_ITEMS)),
        html=_ids(deal(TEXTS_OF_ITEMS)),
        price={name: (100.0, 0.01)[k % 2] for k, name in enumerate(_ids(deal(COUNTS["price_outlier"])))},
    )


def break_sounds(world: World, broken: ItemFaults) -> SoundFaults:
    """Draws the items with a broken sound among those that are whole otherwise."""
    taken = {name for name, _ in broken.wrong_photo} | {twin.duplicate_of for twin in broken.duplicates}
    for names in (broken.no_photo, broken.dead_path, broken.no_words, broken.mojibake, broken.html, broken.price):
        taken |= set(names)
    deck = shuffle(stream(world.seed, "sound faults"), [item for item in world.items if item.item_id not in taken])
    first, second = COUNTS["no_sound"], COUNTS["silent_sound"]
    return SoundFaults(no_sound=_ids(deck[:first]), silent=_ids(deck[first : first + second]))


def _ids(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(sorted(item.item_id for item in items))


def break_reviews(world: World, rows: tuple[Row, ...], photos: dict[int, str]) -> ReviewFaults:
    """Draws the broken reviews. Contradictory ones have 1 or 5 stars."""
    rng = stream(world.seed, "review faults")
    deck = [number for number in shuffle(rng, list(range(len(rows)))) if number not in photos]
    extreme = [number for number in deck if rows[number].rating in (1, 5)]
    ends = [[number for number in extreme if rows[number].rating == stars] for stars in (1, 5)]
    half = COUNTS["contradictory_review"] // 2
    contradictory = frozenset(ends[0][:half] + ends[1][: COUNTS["contradictory_review"] - half])
    rest = [number for number in deck if number not in contradictory]
    first, second = COUNTS["mojibake"] - TEXTS_OF_ITEMS, COUNTS["html"] - TEXTS_OF_ITEMS
    return ReviewFaults(
        contradictory=contradictory, mojibake=frozenset(rest[:first]), html=frozenset(rest[first : first + second])
    )


def garble(text: str) -> str:
    """UTF-8 read as Windows-1252, the commonest mojibake: typographic marks turn into two or three strange letters."""
    curly = text.replace("'", "\u2019").replace(", and ", " \u2013 and ").rstrip(".") + "\u2026"
    return curly.encode().decode("cp1252", errors="replace")


def mark_up(text: str) -> str:
    """The text with the tags and entities of a web page left in."""
    first, _, rest = text.partition(". ")
    return f"<p><b>{first}.</b><br />{re.sub(' and ', ' &amp; ', rest)}&nbsp;</p>"


def relist(world: World, twin: Item, copy: Copy) -> Copy:
    """The words of a near-duplicate: the same facts, sentences moved, a few words added."""
    rng = stream(world.seed, f"relist {twin.item_id}")
    sentences = [part.strip() for part in re.findall(r"[^.]+\.", copy.description)]
    turn = 1 + int(rng.random() * (len(sentences) - 1))
    moved = " ".join(sentences[turn:] + sentences[:turn])
    added = choose(rng, ["Back in stock.", "Available again.", "New in our shop.", "Popular choice."])
    title = choose(
        rng, [f"{copy.title} (new)", f"NEW: {copy.title}", copy.title.upper(), f"{copy.title}, back in stock"]
    )
    return Copy(
        title=title, description=f"{moved} {added}", price=f"{float(copy.price) + choose(rng, [0, 0, 1, -1]):.2f}"
    )


def copy_photos(folder: Path, duplicates: dict[str, str], seed: int) -> list[Path]:
    """Photos of the near-duplicates from those of their originals: cropped 3-6 %, brighter or darker, encoded again.

    duplicates: new item_id -> original. Raises FileNotFoundError when an original is not rendered yet.
    """
    made = []
    for name, original in duplicates.items():
        for letter in "ab":
            rng = stream(seed, f"photo {name}_{letter}")
            source, target = (folder / "photos" / f"{key}_{letter}.webp" for key in (original, name))
            with Image.open(source) as opened:
                picture = opened.convert("RGB")
            width, height = picture.size
            cut = 0.03 + 0.03 * float(rng.random())
            left, top = (int(size * cut * float(rng.random())) for size in (width, height))
            right, bottom = left + round(width * (1 - cut)), top + round(height * (1 - cut))
            picture = picture.crop((left, top, right, bottom)).resize((width, height), Image.Resampling.LANCZOS)
            shift = (0.06 + 0.08 * float(rng.random())) * (1 if rng.random() < 0.5 else -1)
            content = io.BytesIO()
            ImageEnhance.Brightness(picture).enhance(1 + shift).save(content, "WEBP", quality=72)
            made.append(target)
            _replace(target, content.getvalue())
    return made


def _replace(path: Path, content: bytes) -> None:
    from sample_data.generator.tables import write_atomically

    write_atomically(path, content)
