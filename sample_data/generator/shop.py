"""Puts Studio together in memory: products, people, what they took, said and sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_data.generator.clips import list_clips
from sample_data.generator.faults import (
    ItemFaults,
    ReviewFaults,
    SoundFaults,
    break_items,
    break_reviews,
    break_sounds,
    relist,
)
from sample_data.generator.heard import Sound, give_sounds
from sample_data.generator.listeners import (
    Reports,
    hand_out_recordings,
    join_people,
    make_listener_rows,
    make_listeners,
    write_listener_reviews,
)
from sample_data.generator.people import People, Row, make_people, make_rows
from sample_data.generator.words import Copy, Review, write_copy, write_reviews
from sample_data.generator.world import Item, World, make_world, stream


@dataclass(frozen=True, kw_only=True)
class Studio:
    """The whole shop in memory.

    items: with near-duplicates. rows, reviews: of equal length, the first `first_listener_row` of them as in version 1.
    photos: row number -> customer photo. sounds: item_id -> what is heard. recorded: the customers' sounds and clips.
    """

    world: World
    items: tuple[Item, ...]
    people: People
    rows: tuple[Row, ...]
    reviews: tuple[Review, ...]
    copies: dict[str, Copy]
    photos: dict[int, str]
    item_faults: ItemFaults
    review_faults: ReviewFaults
    sounds: dict[str, Sound]
    recorded: Reports
    sound_faults: SoundFaults
    clips: tuple[dict[str, object], ...]
    first_listener_row: int

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.reviews):
            raise ValueError(f"{len(self.reviews)} reviews for {len(self.rows)} rows; one review a row was expected.")


def build_studio(seed: int) -> Studio:
    """Everything but the pictures; equal for equal seeds. Takes a few seconds."""
    world = make_world(seed)
    item_faults = break_items(world)
    items = world.items + item_faults.duplicates
    people = make_people(world, items)
    rows = make_rows(world, items, people)
    photos = hand_out_photos(world, rows)
    review_faults = break_reviews(world, rows, photos)
    reviews = write_reviews(world, items, people, rows, photos, review_faults.contradictory)
    copies = write_copy(world, world.items)
    copies |= {twin.item_id: relist(world, twin, copies[twin.duplicate_of or ""]) for twin in item_faults.duplicates}
    sounds = give_sounds(world, items)
    listeners = make_listeners(world, items, sounds, people)
    everybody, first = join_people(people, listeners), len(rows)
    rows += make_listener_rows(world, items, listeners)
    recorded = hand_out_recordings(world, items, rows, first)
    reviews += write_listener_reviews(world, items, sounds, everybody, rows, first, recorded)
    return Studio(
        world=world,
        items=items,
        people=everybody,
        rows=rows,
        reviews=reviews,
        copies=copies,
        photos=photos,
        item_faults=item_faults,
        review_faults=review_faults,
        sounds=sounds,
        recorded=recorded,
        sound_faults=break_sounds(world, item_faults),
        clips=tuple(list_clips(world)),
        first_listener_row=first,
    )


def hand_out_photos(world: World, rows: tuple[Row, ...]) -> dict[int, str]:
    """Row number -> customer photo. The photos of an item go to rows of different users, drawn by chance."""
    amounts = {name: group.customer_photos for group in world.groups for name in group.items}
    by_item: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        by_item.setdefault(row.item, []).append(number)
    photos = {}
    for place, item in enumerate(world.items):
        authors = np.argsort(stream(world.seed, f"authors {item.item_id}").random(len(by_item[place])), kind="stable")
        for k in range(amounts[item.item_id]):
            photos[by_item[place][int(authors[k])]] = f"customer/{item.item_id}_{k + 1}.webp"
    return dict(sorted(photos.items()))
