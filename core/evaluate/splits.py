"""Who learns from what: every split is a label per interaction, stored and fingerprinted, never a seed alone.

Ranking splits are made on positives, rating splits on rated rows; `rows` says which interactions take part. Draws come
from sha256 of the ids, so that platform, library and row order cannot change them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.domain import Catalogue, Interaction, Notice
from core.errors import SettingsError, ShapeError

TRAIN, VALIDATION, TEST, COLD, ASKED, UNUSED = "train", "validation", "test", "cold", "asked", ""
CODES = {TRAIN: 0, VALIDATION: 1, TEST: 2, COLD: 3, ASKED: 4}
SPELLINGS = {"0": TRAIN, "train": TRAIN, "1": VALIDATION, "val": VALIDATION, "valid": VALIDATION,
             "validation": VALIDATION, "2": TEST, "test": TEST, "3": COLD, "cold": COLD, "": UNUSED}  # fmt: skip
Rows = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What was compared with what; `sha` is equal exactly when every (user, item, label) is."""

    users: int
    items: int
    rows: int
    train: int
    validation: int
    test: int
    cold: int
    tested_users: int
    tested_users_with_training: int
    items_without_training: int
    sha: str

    @property
    def caution(self) -> str:
        """Why a number made on this split is weak; empty where it is not."""
        known, tested = self.tested_users_with_training, self.tested_users
        who = f"{known} test users" if known == tested else f"{known} of {tested} test users have training rows"
        if known < 30:
            return f"{who}: too few for a headline number, at least 30 are needed"
        return f"only {who}: differences are mostly noise" if known < 100 else ""


@dataclass(frozen=True, kw_only=True)
class Split:
    """labels: one of train, validation, test, cold per interaction, "" where the row takes no part.

    borders: the times (UTC ms) where validation and test begin, in time splits. notes: what a reader of the numbers
    should know.
    """

    name: str
    seed: int | None
    labels: tuple[str, ...]
    fingerprint: Fingerprint
    borders: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def rows(self, *labels: str) -> NDArray[np.int64]:
        """Positions of the interactions with one of these labels, in file order."""
        return np.asarray([row for row, label in enumerate(self.labels) if label in labels], dtype=np.int64)


def positive_rows(catalogue: Catalogue, threshold: float | None = None) -> Rows:
    """(R,) True where the interaction counts as liked: all if unrated, 1 on a 0/1 scale, else >= threshold (3.5).

    Raises SettingsError where ratings go beyond five stars and no threshold was given.
    """
    ratings = [row.rating for row in catalogue.interactions]
    known = {rating for rating in ratings if rating is not None}
    if not known:
        return np.ones(len(ratings), dtype=bool)
    if threshold is None:
        if max(known) > 5:
            raise SettingsError(f"ratings go up to {max(known):g}; say from which rating on an item counts as liked")
        threshold = 1.0 if known <= {0.0, 1.0} else 3.5
    return np.asarray([rating is not None and rating >= threshold for rating in ratings], dtype=bool)


def stars(catalogue: Catalogue) -> tuple[float | None, ...]:
    """(R,) ratings as histories tell them: on a scale of 0 and 1 a 1 says no more than "liked", as an unrated row does,
    and is None."""
    ratings = tuple(row.rating for row in catalogue.interactions)
    binary = {rating for rating in ratings if rating is not None} <= {0.0, 1.0}
    return tuple(None if binary and rating == 1 else rating for rating in ratings)


def rated_rows(catalogue: Catalogue) -> Rows:
    """(R,) True where the interaction has a rating."""
    return np.asarray([row.rating is not None for row in catalogue.interactions], dtype=bool)


def per_user_random(catalogue: Catalogue, seed: int = 0, rows: Rows | None = None) -> Split:
    """A tenth (at least 1) of every user's rows for test, as many for validation; users with fewer than 3 all train."""

    def label(user: list[int]) -> None:
        ordered = sorted(user, key=lambda row: _draw(seed, catalogue.interactions[row]))
        held = max(1, len(user) // 10) if len(user) >= 3 else 0
        _assign(labels, ordered[:held], TEST)
        _assign(labels, ordered[held : 2 * held], VALIDATION)

    labels, used = _start(catalogue, rows)
    _each_user(catalogue, used, label)
    return _finish(catalogue, "per-user-random", seed, labels)


def leave_last(catalogue: Catalogue, rows: Rows | None = None) -> Split:
    """Every user's last row for test, the one before for validation; users with fewer than 3 all train."""

    def label(user: list[int]) -> None:
        if len(user) >= 3:
            ordered = sorted(user, key=lambda row: (times[row], row))
            labels[ordered[-1]], labels[ordered[-2]] = TEST, VALIDATION
            same.append(times[ordered[-1]] == times[ordered[-2]])

    labels, used = _start(catalogue, rows)
    times = _times(catalogue, used)
    same: list[bool] = []
    _each_user(catalogue, used, label)
    note = f"{sum(same)} of {len(same)} users have their last two rows at the same time: file order decides there"
    return _finish(catalogue, "leave-last", None, labels, notes=(note,) if any(same) else ())


def global_time(catalogue: Catalogue, borders: tuple[float, float] | None = None, rows: Rows | None = None) -> Split:
    """Before the first border train, before the second validation, from it on test; default: .8 and .9 quantiles."""
    labels, used = _start(catalogue, rows)
    times = _times(catalogue, used)
    if borders is None:
        first, second = np.quantile([times[row] for row in used], (0.8, 0.9))
        borders = (float(first), float(second))
    for row in used:
        labels[row] = TRAIN if times[row] < borders[0] else VALIDATION if times[row] < borders[1] else TEST
    return _finish(catalogue, "global-time", None, labels, borders=borders)


def label_column(catalogue: Catalogue, rows: Rows | None = None) -> Split:
    """The labels that came with the data (0/1/2 or their names), taken as they are.

    Raises SettingsError on a label that is not known, or where there is none at all.
    """
    labels, used = _start(catalogue, rows)
    for row in used:
        given = catalogue.interactions[row].split.strip().lower()
        if given not in SPELLINGS:
            known = ", ".join(name for name in SPELLINGS if name)
            raise SettingsError(f'interaction {row + 1}: split "{given}" is not known; expected one of {known}')
        labels[row] = SPELLINGS[given]
    if not any(labels):
        raise SettingsError("no interaction carries a split label; choose another split for this catalogue")
    return _finish(catalogue, "label-column", None, labels)


def item_cold(catalogue: Catalogue, seed: int = 0, rows: Rows | None = None) -> Split:
    """A fifth of the items loses all training rows: half of them (rounded down) is test, the rest validation."""
    labels, used = _start(catalogue, rows)
    drawn = _draw_items((item.item_id for item in catalogue.items), seed)
    cold = drawn[: len(drawn) // 5]
    part = dict.fromkeys(cold, VALIDATION) | dict.fromkeys(cold[: len(cold) // 2], TEST)
    for row in used:
        labels[row] = part.get(catalogue.interactions[row].item_id, TRAIN)
    return _finish(catalogue, "item-cold", seed, labels)


def studio_split(catalogue: Catalogue, cold_items: Collection[str], seed: int = 0) -> Split:
    """The Studio's protocol: rows of cold items apart, and each user's most recent likes held out among the warm.

    A like is a rating of 4 or 5. Of a user's n warm likes by time the last tenth (at least 2) is test and the one
    before validation; with fewer than 5 likes, and for every other row, train. Equal times: a seeded draw. Of the
    warm rows with a photo, every second one by a seeded draw is "asked": a held-out query, in no training.
    """

    def label(user: list[int]) -> None:
        likes = [row for row in user if labels[row] == TRAIN and (catalogue.interactions[row].rating or 0) >= 4]
        if len(likes) >= 5:
            ordered = sorted(likes, key=lambda row: (times[row], _draw(seed, catalogue.interactions[row])))
            held = max(2, len(likes) // 10)
            _assign(labels, ordered[-held:], TEST)
            labels[ordered[-held - 1]] = VALIDATION

    unknown = set(cold_items) - {item.item_id for item in catalogue.items}
    if unknown:
        raise SettingsError(f"{len(unknown)} cold items are not in {catalogue.name}, for example {min(unknown)}")
    labels, used = _start(catalogue, np.ones(len(catalogue.interactions), dtype=bool))
    times = _times(catalogue, used)
    _assign(labels, (row for row in used if catalogue.interactions[row].item_id in cold_items), COLD)
    pictured = [row for row in used if catalogue.interactions[row].media and labels[row] == TRAIN]
    _assign(labels, sorted(pictured, key=lambda row: _draw(seed, catalogue.interactions[row]))[::2], ASKED)
    _each_user(catalogue, used, label)
    return _finish(catalogue, "studio", seed, labels)


def item_folds(item_ids: Iterable[str], folds: int = 5, seed: int = 0) -> dict[str, int]:
    """item_id -> fold 0..folds-1, sizes differing by at most one: product-disjoint cross-validation."""
    return {item_id: place % folds for place, item_id in enumerate(_draw_items(item_ids, seed))}


def check_leaks(
    catalogue: Catalogue, split: Split, *, text_rows: Iterable[int] = (), fitted_items: Iterable[str] = ()
) -> tuple[Notice, ...]:
    """Refuse a split that lets the answer into training; returns what is only worth a warning.

    text_rows: interactions whose review text went into features of an item or user; fitted_items: items that a scaler,
    PCA, imputer, neighbour graph or vocabulary was fitted on.
    Raises SettingsError: a (user, item) pair in two parts; a training row after the first border of a time split; a
    held-out review among text_rows; an item that is never trained on among fitted_items.
    """
    parts: dict[tuple[str, str], str] = {}
    for row, label in enumerate(split.labels):
        interaction = catalogue.interactions[row]
        pair = interaction.user_id, interaction.item_id
        if label and parts.setdefault(pair, label) != label:
            both = f"{parts[pair]} and {label}"
            raise SettingsError(f"user {pair[0]} and item {pair[1]} are in {both}; keep the pair in one part")
        late = split.borders is not None and label == TRAIN and (interaction.timestamp or 0) >= split.borders[0]
        if late:
            raise SettingsError(f"interaction {row + 1} is in train but later than the border of the time split")
    held = [row for row in text_rows if split.labels[row] != TRAIN]
    if held:
        raise SettingsError(f"{len(held)} held-out reviews are in features (first: interaction {held[0] + 1})")
    trained = {catalogue.interactions[row].item_id for row in split.rows(TRAIN)}
    held_out = {catalogue.interactions[row].item_id for row in split.rows(TEST, VALIDATION, COLD)} - trained
    leaked = sorted(held_out & set(fitted_items))
    if leaked:
        raise SettingsError(f"{len(leaked)} cold items were fitted on (first: {leaked[0]}); fit on trained items only")
    return _shared_media(catalogue, trained, held_out)


def fingerprint(catalogue: Catalogue, labels: Sequence[str]) -> Fingerprint:
    """Counts and sha of the rows that take part; sha over the sorted lines user, item, label code."""
    if len(labels) != len(catalogue.interactions):
        raise ShapeError(f"{len(labels)} labels for {len(catalogue.interactions)} interactions; expected one each")
    kept = [(row, label) for row, label in zip(catalogue.interactions, labels, strict=True) if label]
    lines = sorted(f"{row.user_id}\t{row.item_id}\t{CODES[label]}\n".encode() for row, label in kept)
    users = {name: {row.user_id for row, label in kept if label == name} for name in CODES}
    trained = {row.item_id for row, label in kept if label == TRAIN}
    return Fingerprint(
        users=len(set().union(*users.values())),
        items=len(catalogue.items),
        rows=len(kept),
        train=sum(label == TRAIN for _, label in kept),
        validation=sum(label == VALIDATION for _, label in kept),
        test=sum(label == TEST for _, label in kept),
        cold=sum(label == COLD for _, label in kept),
        tested_users=len(users[TEST]),
        tested_users_with_training=len(users[TEST] & users[TRAIN]),
        items_without_training=len({item.item_id for item in catalogue.items} - trained),
        sha=hashlib.sha256(b"".join(lines)).hexdigest()[:16],
    )


def new_rows(catalogue: Catalogue, split: Split) -> NDArray[np.int64]:
    """Positions of the tested interactions whose item has no training row."""
    warm = {catalogue.interactions[row].item_id for row in split.rows(TRAIN)}
    tested = split.rows(TEST, COLD)
    return tested[[catalogue.interactions[row].item_id not in warm for row in tested]]


def _start(catalogue: Catalogue, rows: Rows | None) -> tuple[list[str], list[int]]:
    """Labels with train where a row takes part, and the positions of those rows."""
    chosen = positive_rows(catalogue) if rows is None else np.asarray(rows, dtype=bool)
    if len(chosen) != len(catalogue.interactions):
        raise ShapeError(f"rows name {len(chosen)} interactions; {catalogue.name} has {len(catalogue.interactions)}")
    return [TRAIN if take else UNUSED for take in chosen], [int(row) for row in np.flatnonzero(chosen)]


def _finish(
    catalogue: Catalogue, name: str, seed: int | None, labels: list[str], *,
    borders: tuple[float, float] | None = None, notes: tuple[str, ...] = ()
) -> Split:  # fmt: skip
    made = fingerprint(catalogue, labels)
    return Split(name=name, seed=seed, labels=tuple(labels), fingerprint=made, borders=borders, notes=notes)


def _each_user(catalogue: Catalogue, used: Iterable[int], label: Callable[[list[int]], None]) -> None:
    mine: dict[str, list[int]] = defaultdict(list)
    for row in used:
        mine[catalogue.interactions[row].user_id].append(row)
    for rows in mine.values():
        label(rows)


def _assign(labels: list[str], rows: Iterable[int], label: str) -> None:
    for row in rows:
        labels[row] = label


def _times(catalogue: Catalogue, used: Sequence[int]) -> dict[int, int]:
    times: dict[int, int] = {}
    for row in used:
        time = catalogue.interactions[row].timestamp
        if time is None:
            raise SettingsError(f"interaction {row + 1} has no timestamp; a split by time needs one on every row")
        times[row] = time
    return times


def _draw(seed: int, row: Interaction) -> str:
    return hashlib.sha256(f"{seed}\t{row.user_id}\t{row.item_id}".encode()).hexdigest()


def _draw_items(item_ids: Iterable[str], seed: int) -> list[str]:
    return sorted(item_ids, key=lambda item_id: hashlib.sha256(f"{seed}\t{item_id}".encode()).hexdigest())


def _shared_media(catalogue: Catalogue, trained: set[str], held_out: set[str]) -> tuple[Notice, ...]:
    """Media whose bytes a trained item and one that is never trained on have in common."""
    owners: dict[str, set[str]] = defaultdict(set)
    for item in catalogue.items:
        for paths in item.media.values():
            for path in paths:
                file = catalogue.root / path
                if file.is_file():
                    owners[hashlib.sha256(file.read_bytes()).hexdigest()].add(item.item_id)
    return tuple(
        Notice(
            code="N-SPLIT-MEDIA",
            message=f"{min(items & held_out)} is held out but has a file of {min(items & trained)}; split by group",
            where=digest[:16],
        )
        for digest, items in owners.items()
        if items & trained and items & held_out
    )
