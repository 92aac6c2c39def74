"""Who shops at Studio: users with planted tastes, what they take, when, and how many stars they give.

utility(u, i) = [share_u * look(u, i) + (1 - share_u) * read(u, i)] / sqrt(share_u^2 + (1 - share_u)^2) + quality(i)
look and read have standard deviation 1 over the items for every user, so share_u is exactly
sd_i(look part) / (sd_i(look part) + sd_i(read part)): the planted share of looks.
Listeners, for whom sound is a third term, are in `listeners.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.heard import HEARD_FEATURES
from sample_data.generator.world import AXES, COLOURS, MATERIALS, PATTERNS, Item, World, impressions, stream

USERS = 420
ROWS_PER_USER = (25, 37)
BETA = 1.85
TASTE_NOISE = 0.1
QUALITY_SD = 0.1
EXPOSURE_SD = 0.25
RATING_NOISE = 0.45
STARS = (0.06, 0.085, 0.165, 0.36, 0.33)  # shares of 1 to 5 stars
SEGMENTS = {"lookers": (0.70, 0.94), "balanced": (0.36, 0.64), "readers": (0.06, 0.30)}  # range of the share of looks
START, SPAN = 1672531200, 731 * 86400  # 2023-01-01 UTC, two years
ROWS_OF_A_DUPLICATE = 4

LOOK_STYLES: dict[str, str] = {
    "nordic": "white+2 grey+1.5 plain+2 oak+1.5 ceramic+.5 red-1.5 purple-1 dotted-.8 checked-.8 ornate-1",
    "pop": "orange+2 yellow+2 red+1.5 dotted+1.5 plastic+1 striped+.6 grey-1.5 black-1 plain-1 speckled-.8",
    "midnight": "black+2 navy+2 purple+1 steel+1 speckled+1.5 tall+.8 yellow-1.5 pink-1.2 white-1 dotted-1",
    "garden": "green+2 teal+2 speckled+1 stone+1 walnut+1 striped+.8 pink-1.5 black-.8 checked-1 tall-1",
    "romantic": "pink+2 purple+2 ornate+1.3 glass+1 brass+.8 dotted+1 navy-1 orange-1 steel-.8 striped-1",
    "graphic": "blue+2 red+1.2 checked+2 striped+1.5 white+.6 tall+.8 green-1 speckled-1.5 plain-.8 ornate-.8",
}
READ_STYLES: dict[str, str] = {
    "no_fuss": "care:machine+2 delivery:next_day+1.5 care:fussy-2 delivery:slow-1.2 warranty:lifetime-.4",
    "heirloom": "weight:heavy+1.5 warranty:lifetime+2 toughness:tough+2 handling:high+1 weight:light-1 "
    "toughness:delicate-1.5 price:bargain-1",
    "thrift": "price:bargain+2.2 weight:light+1.2 handling:middle+.8 price:premium-2 "
    "packing:gift_box-1.2 source:recycled-.4",
    "green": "source:recycled+2.2 packing:paper+1.8 packing:plastic-2 source:conventional-1.5 "
    "delivery:slow+.6 care:by_hand+.5",
    "gift": "packing:gift_box+2.2 price:premium+1.5 toughness:delicate+1 packing:plastic-1 "
    "price:bargain-1.4 handling:low+.8",
    "gentle": "handling:low+2 weight:light+1.8 care:by_hand+1 weight:heavy-1.8 handling:high-1.5 warranty:none-.6",
}

LOOK_FEATURES = (*COLOURS, *PATTERNS, *MATERIALS, "tall", "ornate")
READ_FEATURES = tuple(f"{axis}:{level}" for axis, levels in AXES.items() for level in levels)


@dataclass(frozen=True, kw_only=True)
class User:
    """look_styles, read_styles, heard_styles: what the taste is mixed of, weights sum to 1; heard: listeners.
    share_look, share_heard: planted shares."""

    user_id: str
    segment: str
    share_look: float
    look_styles: dict[str, float]
    read_styles: dict[str, float]
    share_heard: float = 0.0
    heard_styles: dict[str, float] = field(default_factory=dict)

    @property
    def share_read(self) -> float:
        """What is left of the shares."""
        return round(1 - self.share_look - self.share_heard, 3)


@dataclass(frozen=True, kw_only=True)
class People:
    """look, read, heard, utility: (U, N) over the items in catalogue order. look_taste (U, F), read_taste (U, G),
    heard_taste (U, H): weights; heard is 0 for all but listeners."""

    users: tuple[User, ...]
    look: NDArray[np.float64]
    read: NDArray[np.float64]
    heard: NDArray[np.float64]
    utility: NDArray[np.float64]
    look_taste: NDArray[np.float64]
    read_taste: NDArray[np.float64]
    heard_taste: NDArray[np.float64]
    quality: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One interaction. user, item: positions. utility: the true one, before the noise of the stars."""

    user: int
    item: int
    rating: int
    timestamp: int
    utility: float


def describe_looks(items: tuple[Item, ...]) -> NDArray[np.float64]:
    """(N, F) in the order of LOOK_FEATURES: one-hot colour, pattern, material, then tall and ornate in about -1..1."""
    rows = []
    for item in items:
        named = {item.look.colour, item.look.pattern, item.look.material}
        rows.append([float(name in named) for name in LOOK_FEATURES[:-2]] + list(impressions(item.look)))
    return np.array(rows)


def describe_specs(items: tuple[Item, ...]) -> NDArray[np.float64]:
    """(N, G) one-hot levels in the order of READ_FEATURES."""
    return np.array(
        [[float(item.spec[axis] == level) for axis, levels in AXES.items() for level in levels] for item in items]
    )


def read_style(text: str, features: tuple[str, ...]) -> NDArray[np.float64]:
    """'white+2 red-1.5' as weights over the features."""
    weights = np.zeros(len(features))
    for part in text.split():
        cut = max(part.rfind("+"), part.rfind("-"))
        weights[features.index(part[:cut])] = float(part[cut:])
    return weights


def make_people(world: World, items: tuple[Item, ...]) -> People:
    """Users and what every item is worth to them. items: the world's and the near-duplicates behind them."""
    rng = stream(world.seed, "people")
    users = tuple(_draw_user(rng, k) for k in range(USERS))
    looks, specs = describe_looks(items), describe_specs(items)
    look_taste = mix_tastes(rng, [user.look_styles for user in users], LOOK_STYLES, LOOK_FEATURES)  # (U, F)
    read_taste = mix_tastes(rng, [user.read_styles for user in users], READ_STYLES, READ_FEATURES)  # (U, G)
    originals = np.array([item.duplicate_of is None for item in items])
    look, read = (standardise(taste @ seen.T, originals) for taste, seen in ((look_taste, looks), (read_taste, specs)))
    quality = _like_the_original(items, QUALITY_SD * rng.standard_normal(len(items)))
    share = np.array([user.share_look for user in users])[:, None]
    utility = (share * look + (1 - share) * read) / np.hypot(share, 1 - share) + quality
    return People(
        users=users,
        look=look,
        read=read,
        heard=np.zeros_like(look),
        utility=utility,
        look_taste=look_taste,
        read_taste=read_taste,
        heard_taste=np.zeros((USERS, len(HEARD_FEATURES))),
        quality=quality,
    )


def _draw_user(rng: np.random.Generator, number: int) -> User:
    segment = tuple(SEGMENTS)[number % len(SEGMENTS)]
    low, high = SEGMENTS[segment]
    mixes = [draw_mix(rng, styles) for styles in (LOOK_STYLES, READ_STYLES)]
    return User(
        user_id=f"u{number + 1:03d}",
        segment=segment,
        share_look=round(low + (high - low) * float(rng.random()), 3),
        look_styles=mixes[0],
        read_styles=mixes[1],
    )


def draw_mix(rng: np.random.Generator, styles: dict[str, str]) -> dict[str, float]:
    """One or two of the styles with weights that sum to 1."""
    names, draw = list(styles), rng.random(3)
    first = int(draw[0] * len(names))
    second = (first + 1 + int(draw[1] * (len(names) - 1))) % len(names)
    weight = round(min(1.0, 0.6 + 0.6 * float(draw[2])), 3)
    return {names[first]: weight} | ({names[second]: round(1 - weight, 3)} if weight < 1 else {})


def mix_tastes(
    rng: np.random.Generator, mixes: list[dict[str, float]], styles: dict[str, str], features: tuple[str, ...]
) -> NDArray[np.float64]:
    """(U, F) weights over the features: the mixed styles and a little noise."""
    parts = {name: read_style(text, features) for name, text in styles.items()}
    taste = np.array([sum(weight * parts[name] for name, weight in mix.items()) for mix in mixes])
    return np.round(taste + TASTE_NOISE * rng.standard_normal(taste.shape), 3)


def standardise(values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(U, N) with mean 0 and standard deviation 1 over the items `where`, for every user."""
    return (values - values[:, where].mean(1, keepdims=True)) / values[:, where].std(1, keepdims=True)


def _like_the_original(items: tuple[Item, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
    place = {item.item_id: k for k, item in enumerate(items)}
    return values[[place[item.duplicate_of or item.item_id] for item in items]]


def make_rows(world: World, items: tuple[Item, ...], people: People) -> tuple[Row, ...]:
    """What was taken, by time. Enough rows fall on every item that its customer photos have an author each."""
    rng = stream(world.seed, "rows")
    count, originals = len(items), np.array([item.duplicate_of is None for item in items])
    pull = (
        BETA * people.utility + EXPOSURE_SD * rng.standard_normal(count) - np.log(-np.log(rng.random((USERS, count))))
    )
    pull[:, ~originals] = -np.inf
    low, high = ROWS_PER_USER
    amounts = low + (rng.random(USERS) * (high - low + 1)).astype(int)
    taken = np.zeros((USERS, count), bool)
    for user, order in enumerate(np.argsort(-pull, axis=1, kind="stable")):
        taken[user, order[: amounts[user]]] = True
    _fill_short_items(world, items, pull, taken)
    _take_duplicates(rng, items, people, taken)
    return rate_rows(rng, people, taken)


def _fill_short_items(
    world: World, items: tuple[Item, ...], pull: NDArray[np.float64], taken: NDArray[np.bool_]
) -> None:
    needed = {group.group_id: max(4, group.customer_photos) for group in world.groups}
    for k, item in enumerate(items):
        short = 0 if item.duplicate_of else needed[item.group_id] - int(taken[:, k].sum())
        if short > 0:
            keenest = np.argsort(np.where(taken[:, k], np.inf, -pull[:, k]), kind="stable")
            taken[keenest[:short], k] = True


def _take_duplicates(
    rng: np.random.Generator, items: tuple[Item, ...], people: People, taken: NDArray[np.bool_]
) -> None:
    place = {item.item_id: k for k, item in enumerate(items)}
    for k, item in enumerate(items):
        if item.duplicate_of is not None:
            wish = people.utility[:, k] + rng.random(USERS) - 9.0 * taken[:, place[item.duplicate_of]]
            taken[np.argsort(-wish, kind="stable")[:ROWS_OF_A_DUPLICATE], k] = True


def rate_rows(rng: np.random.Generator, people: People, taken: NDArray[np.bool_]) -> tuple[Row, ...]:
    """The rows of what was `taken` (U, N), by time, with stars by quantiles of the noisy utility."""
    users, places = np.nonzero(taken)
    utility = people.utility[users, places]
    felt = utility + RATING_NOISE * rng.standard_normal(len(users))
    ratings = 1 + np.searchsorted(np.quantile(felt, np.cumsum(STARS)[:-1]), felt, side="right")
    times = START + (rng.random(len(users)) * SPAN).astype(int)
    rows = [
        Row(user=int(u), item=int(i), rating=int(r), timestamp=int(t), utility=round(float(v), 4))
        for u, i, r, t, v in zip(users, places, ratings, times, utility, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (row.timestamp, row.user, row.item)))
