"""From a split catalogue and its features to what training sees."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from core.domain import Catalogue
from core.evaluate.splits import TRAIN, VALIDATION, Split, stars
from core.features import Features, Media
from core.train.data import Ask, Cases, TrainingData

VALIDATION_QUERIES = 400
FEWEST_WATCHED, MOST_WATCHED = 20, 1000  # products by which the alignment is watched


def training_data(catalogue: Catalogue, features: Features, split: Split, tuning: Iterable[str] = ()) -> TrainingData:
    """Cold products lose everything; `tuning` products as well, and are the ones by which the best epoch is chosen.

    Without tuning products the queries of validation rows are taken. Customer photos and reviews enter from training
    rows alone.
    """
    position = catalogue.position()
    apart = set(tuning)
    rows = [
        (position[row.item_id], row, media, VALIDATION if row.item_id in apart else label)
        for row, media, label in zip(catalogue.interactions, features.interactions, split.labels, strict=True)
    ]
    hidden = held_out(catalogue, split) | apart
    trainable = tuple(position[item.item_id] for item in catalogue.items if item.item_id not in hidden)
    asks = [Ask(media=media, item=item) for item, _, media, label in rows if label == TRAIN and any(media.values())]
    asks += [Ask(media={"image": (photo,)}, item=item) for item in trainable for photo in spare(features.items[item])]
    if split.name == "everything":  # a photo may be all there is to ask with: the item is then found by its words
        alone = [(item, features.items[item]) for item in trainable if not spare(features.items[item])]
        asks += [Ask(media={"image": own["image"]}, item=i) for i, own in alone if own.get("image") and own.get("text")]
    photos: dict[int, tuple[int, ...]] = defaultdict(tuple)
    for item, _, media, label in rows:
        if label == TRAIN:
            photos[item] += media.get("image", ())
    users = training_users(catalogue, split, apart)
    return TrainingData(
        banks={m: features.bank(m) for m in features.states},
        items=features.items,
        trainable=trainable,
        asks=tuple(asks),
        photos={item: taken for item, taken in photos.items() if taken},
        histories=tuple(users.values()),
        said=tuple(
            tuple(features.interactions[row] for row in rows)
            for rows in training_rows(catalogue, split, apart).values()
        ),
        validation=Cases(
            asks=chosen_queries(rows, bool(apart)),
            users=held_users(catalogue, split, list(users), VALIDATION, set(trainable)),
            items=watched(rows, trainable),
        ),
        pool=tuple(range(len(catalogue.items))),
    )


def watched(rows: Sequence[tuple], trainable: Sequence[int]) -> tuple[int, ...]:
    """Products of validation rows that training does not see; where there are too few of them, the trained ones."""
    unseen = {item for item, _, _, label in rows if label == VALIDATION} - set(trainable)
    return tuple(sorted(unseen)) if len(unseen) >= FEWEST_WATCHED else tuple(trainable[:MOST_WATCHED])


def held_out(catalogue: Catalogue, split: Split) -> set[str]:
    """Items with rows, none of which trains: their media are not looked at either."""
    labels: dict[str, set[str]] = defaultdict(set)
    for row, label in zip(catalogue.interactions, split.labels, strict=True):
        labels[row.item_id].add(label)
    return {item for item, found in labels.items() if TRAIN not in found and any(found)}


def spare(media: Media) -> tuple[int, ...]:
    """Further photos of an item: each may be asked with, and the item must be found by the ones that are left."""
    return media.get("image", ())[1:]


def training_users(
    catalogue: Catalogue, split: Split, apart: Iterable[str] = ()
) -> dict[str, tuple[tuple[int, float | None], ...]]:
    """user_id -> (item row, rating) of their training rows: users by first appearance, rows by time if known."""
    position, ratings = catalogue.position(), stars(catalogue)
    return {
        user: tuple((position[catalogue.interactions[row].item_id], ratings[row]) for row in rows)
        for user, rows in training_rows(catalogue, split, apart).items()
    }


def training_rows(catalogue: Catalogue, split: Split, apart: Iterable[str] = ()) -> dict[str, list[int]]:
    """user_id -> positions of their training interactions, in the order of `training_users`."""
    apart, users = set(apart), defaultdict(list)
    for at, (row, label) in enumerate(zip(catalogue.interactions, split.labels, strict=True)):
        if label == TRAIN and row.item_id not in apart:
            users[row.user_id].append(at)
    return {
        user: sorted(rows, key=lambda at: catalogue.interactions[at].timestamp or 0) for user, rows in users.items()
    }


def held_users(
    catalogue: Catalogue, split: Split, users: Sequence[str], label: str, among: set[int]
) -> tuple[tuple[int, frozenset[int]], ...]:
    """Per training user with held-out rows of this label: their row, and the held-out liked items among `among`."""
    position, row_of = catalogue.position(), {user: row for row, user in enumerate(users)}
    held: dict[int, set[int]] = defaultdict(set)
    for row, found, rating in zip(catalogue.interactions, split.labels, stars(catalogue), strict=True):
        liked = rating is None or rating >= 3.5
        if found == label and liked and row.user_id in row_of and position[row.item_id] in among:
            held[row_of[row.user_id]].add(position[row.item_id])
    return tuple((user, frozenset(items)) for user, items in sorted(held.items()))


def chosen_queries(rows: Sequence[tuple], apart: bool) -> tuple[Ask, ...]:
    """Validation queries: with a photo where there are such, else words alone; drawn by id."""
    asks = [(row, Ask(media=media, item=item)) for item, row, media, label in rows
            if label == VALIDATION and media.get("text")]  # fmt: skip
    whole = [pair for pair in asks if pair[1].media.get("image")]
    drawn = sorted(whole if whole and apart else asks, key=lambda pair: draw(f"{pair[0].user_id}\t{pair[0].item_id}"))
    return tuple(ask for _, ask in drawn[:VALIDATION_QUERIES])


def draw(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
