"""The fourth segment: listeners, who care for what a product sounds like, besides looks and specs.

They are appended to the users of `people.py`, with random streams of their own, so that nothing of those users moves.
utility(u, i) = [share_look * look + share_read * read + share_heard * heard] / sqrt(sum of squared shares) + quality(i)
"""
# ruff: noqa: E501  # one clause a line, as in words.py

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.clips import list_clips
from sample_data.generator.heard import HEARD_FEATURES, Sound, describe_sounds
from sample_data.generator.people import (
    BETA,
    EXPOSURE_SD,
    LOOK_FEATURES,
    LOOK_STYLES,
    READ_FEATURES,
    READ_STYLES,
    ROWS_PER_USER,
    USERS,
    People,
    Row,
    User,
    describe_looks,
    describe_specs,
    draw_mix,
    mix_tastes,
    rate_rows,
    standardise,
)
from sample_data.generator.words import (
    Fact,
    Review,
    compose,
    expand,
    feel,
    order_by_worth,
    pick_read,
    pick_seen,
    read_worths,
)
from sample_data.generator.world import Item, World, choose, shuffle, stream

LISTENERS = 84
HEARD_SHARE, REST_TO_LOOK = (0.55, 0.85), (0.25, 0.75)  # range of the share of sound; what of the rest goes to looks
SOUNDS_OF_COLD, WARM_WITH_SOUND = 2, 72  # customer sounds of a cold item; warm items with one
HEARD_STYLES: dict[str, str] = {
    "chimes": "ring:long+2.2 voice:jingling+1.6 pitch+1.2 tone:metal+.6 ring:dry-1.8 voice:humming-.8 body:solid-.5",
    "hush": "ring:dry+2.2 voice:clear+1.8 body:solid+.8 voice:jingling-2 ring:long-1.6 tone:metal-.5",
    "drone": "voice:humming+2.2 pitch-1.4 ring:long+1 body:hollow+.9 voice:jingling-1.4 ring:dry-1",
    "crisp": "ring:short+2 voice:clear+1.4 pitch+1 tone:glass+.7 voice:humming-2 body:hollow-.8 tone:soft-.6",
    "toybox": "voice:jingling+2.2 ring:dry+1.2 body:hollow+1 tone:wood+.6 voice:clear-1.6 ring:long-1",
    "hearth": "pitch-1.6 ring:short+1.5 voice:humming+1.3 tone:wood+.8 body:solid+.6 voice:jingling-1.2 ring:long-.8",
}
CLAUSES: dict[str, tuple[str, ...]] = {
    "ring:dry": ("{a tap on it|a knock} is over {at once|before one has heard it}", "the sound {stops|dies} {dead|right away}", "it sounds {dry|bone-dry} {with nothing after it|and short}", "nothing {rings|lingers} {after a knock|when one taps it}"),
    "ring:short": ("it rings {briefly|for a moment} when {tapped|knocked}", "the tone {fades|is gone} {after half a second|soon}", "it answers a tap with a {short|brief} note", "the sound lasts {just a moment|a heartbeat}"),
    "ring:long": ("it {rings|sings} {on and on|for ages} after {a tap|a knock}", "the tone {hangs|stays} in the air {for long|and takes its time}", "one tap and it {keeps ringing|goes on sounding}", "the sound {lingers|carries on} {long after|for seconds}"),
    "voice:clear": ("the sound is {clean|clear} with nothing {beside it|rattling}", "it {gives|has} a {pure|clear} tone", "there is no {buzz|rattle} and no {hum|jingle} in it", "it sounds {clear|pure} to {my|our} ears"),
    "voice:humming": ("a {low|soft|deep} hum {stays behind|follows the tap}", "it hums {along|for a while} when {touched|tapped}", "one can hear {a humming|it hum} {afterwards|under the tone}", "it {purrs|hums} like {a cat|a fridge} after a knock"),
    "voice:jingling": ("something {in it|inside} {jingles|tinkles}", "it {jingles|tinkles} like {keys|small bells} {when tapped|at a touch}", "every {touch|knock} sets off a {jingle|tinkling}", "{loose|tiny} bits {tinkle|jingle} {along|afterwards}"),
    "pitch:low": ("the {tone|note} is {low|deep}", "it has a {deep|low} voice", "it sounds {deeper|lower} than {I thought|it looks}", "it answers in {a bass voice|the bass}"),
    "pitch:high": ("the {tone|note} is {high|bright and high}", "it has a {high|bright little} voice", "it sounds {higher|brighter} than {I thought|it looks}", "it answers {in a high note|like a soprano}"),
    "body:hollow": ("it sounds {hollow|empty inside}", "a knock {booms|thunders} {inside|like in a drum}", "one hears the {air|empty space} inside", "it {booms|sounds} like {a drum|an empty box}"),
    "body:solid": ("it sounds {solid|massive} {through and through|to the core}", "a knock {tells|says} there is {no air|nothing hollow} in it", "it {sounds|answers} {full and solid|like one piece}", "nothing sounds {hollow|thin} about it"),
    "tone:clay": ("it {clinks|sounds} like {crockery|a plate}", "{one|you} can hear the {clay|pottery}"),
    "tone:stone": ("it {clacks|sounds} like {pebbles|a paving stone}", "{one|you} can hear the stone"),
    "tone:glass": ("it {clinks|sounds} like {a wine glass|glasses at a party}", "{one|you} can hear the glass"),
    "tone:wood": ("it {knocks|sounds} like {a wooden door|a woodblock}", "{one|you} can hear the wood"),
    "tone:metal": ("it {clangs|sounds} like {a pan|a fork on a pot}", "{one|you} can hear the metal"),
    "tone:soft": ("it {thuds|sounds} like {a pillow|a blanket}", "{one|you} {hear|get} a {soft|muffled} {thud|pat}"),
    "tone:plastic": ("it {clacks|sounds} like {a yoghurt pot|a bucket}", "{one|you} can hear the plastic"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reports:
    """What customers recorded, by row number. sounds, clips: file."""

    sounds: dict[int, str]
    clips: dict[int, str]


def make_listeners(world: World, items: tuple[Item, ...], sounds: dict[str, Sound], people: People) -> People:
    """The listeners alone, over the same items and the same quality as `people`."""
    rng = stream(world.seed, "listeners")
    users = tuple(_draw_listener(rng, USERS + k) for k in range(LISTENERS))
    tastes, parts = {}, {}
    originals = np.array([item.duplicate_of is None for item in items])
    for sense, features, styles, table in (
        ("look", LOOK_FEATURES, LOOK_STYLES, describe_looks(items)),
        ("read", READ_FEATURES, READ_STYLES, describe_specs(items)),
        ("heard", HEARD_FEATURES, HEARD_STYLES, describe_sounds(items, sounds)),
    ):
        mixes = [getattr(user, f"{sense}_styles") for user in users]
        tastes[sense] = mix_tastes(rng, mixes, styles, features)
        parts[sense] = standardise(tastes[sense] @ table.T, originals)
    shares = np.array([[user.share_look, user.share_read, user.share_heard] for user in users])
    mixed = sum(shares[:, [k]] * part for k, part in enumerate(parts.values()))
    utility = mixed / np.linalg.norm(shares, axis=1, keepdims=True) + people.quality
    return People(
        users=users, utility=utility, quality=people.quality, **parts, look_taste=tastes["look"],
        read_taste=tastes["read"], heard_taste=tastes["heard"],
    )  # fmt: skip


def _draw_listener(rng: np.random.Generator, number: int) -> User:
    heard = round(HEARD_SHARE[0] + (HEARD_SHARE[1] - HEARD_SHARE[0]) * float(rng.random()), 3)
    to_look = REST_TO_LOOK[0] + (REST_TO_LOOK[1] - REST_TO_LOOK[0]) * float(rng.random())
    look, read, heard_styles = (draw_mix(rng, styles) for styles in (LOOK_STYLES, READ_STYLES, HEARD_STYLES))
    return User(
        user_id=f"u{number + 1:03d}",
        segment="listeners",
        share_look=round((1 - heard) * to_look, 3),
        share_heard=heard,
        look_styles=look,
        read_styles=read,
        heard_styles=heard_styles,
    )


def join_people(one: People, other: People) -> People:
    """All users, `other` behind `one`."""
    names = ("look", "read", "heard", "utility", "look_taste", "read_taste", "heard_taste")
    joined = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    return People(users=one.users + other.users, quality=one.quality, **joined)


def count_recordings(world: World) -> tuple[dict[str, int], dict[str, str]]:
    """item_id -> customer sounds of it, and item_id -> its customer clip."""
    cold = {name for group in world.groups if group.cold for name in group.items}
    warm = shuffle(stream(world.seed, "customer sounds"), [x.item_id for x in world.items if x.item_id not in cold])
    amounts = dict.fromkeys(sorted(cold), SOUNDS_OF_COLD) | dict.fromkeys(sorted(warm[:WARM_WITH_SOUND]), 1)
    clips = {str(clip["item_id"]): str(clip["file"]) for clip in list_clips(world) if clip["kind"] == "customer"}
    return amounts, clips


def make_listener_rows(world: World, items: tuple[Item, ...], people: People) -> tuple[Row, ...]:
    """What listeners took, by time; enough rows that every customer recording has an author. people: listeners alone.

    The users of the rows are numbered behind those of `people.py`. Near-duplicates are not taken.
    """
    rng = stream(world.seed, "listener rows")
    shape, count = people.utility.shape, len(items)
    pull = BETA * people.utility + EXPOSURE_SD * rng.standard_normal(count) - np.log(-np.log(rng.random(shape)))
    pull[:, [item.duplicate_of is not None for item in items]] = -np.inf
    low, high = ROWS_PER_USER
    amounts = low + (rng.random(LISTENERS) * (high - low + 1)).astype(int)
    taken = np.zeros(shape, bool)
    for user, order in enumerate(np.argsort(-pull, axis=1, kind="stable")):
        taken[user, order[: amounts[user]]] = True
    sounds, clips = count_recordings(world)
    for k, item in enumerate(items):
        short = sounds.get(item.item_id, 0) + (item.item_id in clips) - int(taken[:, k].sum())
        if short > 0:
            keenest = np.argsort(np.where(taken[:, k], np.inf, -pull[:, k]), kind="stable")
            taken[keenest[:short], k] = True
    return tuple(replace(row, user=row.user + USERS) for row in rate_rows(rng, people, taken))


def hand_out_recordings(world: World, items: tuple[Item, ...], rows: tuple[Row, ...], first: int) -> Reports:
    """Which of the rows from number `first` on carry a customer sound or clip, drawn by chance, no row both."""
    amounts, filmed = count_recordings(world)
    by_item: dict[str, list[int]] = {}
    for number, row in enumerate(rows[first:], first):
        by_item.setdefault(items[row.item].item_id, []).append(number)
    sounds, clips = {}, {}
    for name in sorted(amounts.keys() | filmed.keys()):
        authors = shuffle(stream(world.seed, f"recorders {name}"), by_item[name])
        for k in range(amounts.get(name, 0)):
            sounds[authors.pop()] = f"customer_sounds/{name}_{k + 1}.ogg"
        if name in filmed:
            clips[authors.pop()] = filmed[name]
    return Reports(sounds=dict(sorted(sounds.items())), clips=dict(sorted(clips.items())))


def write_listener_reviews(
    world: World, items: tuple[Item, ...], sounds: dict[str, Sound], people: People, rows: tuple[Row, ...], first: int,
    recorded: Reports,
) -> tuple[Review, ...]:  # fmt: skip
    """Reviews of the rows from number `first` on: one or two things heard, one or two read, at times one seen.

    Whoever sent a recording tells two things heard and two read. people: all users.
    """
    worths, reviews = read_worths(people.read_taste), []
    for number, row in enumerate(rows[first:], first):
        item, user, tone = items[row.item], people.users[row.user], row.rating
        rng = stream(world.seed, f"review {user.user_id} {item.item_id}")
        sent = number in recorded.sounds or number in recorded.clips
        read = pick_read(rng, item, worths[row.user], 1 - user.share_read, tone, ())[
            : 2 if sent else 1 + int(rng.random() < 0.3)
        ]
        seen = pick_seen(rng, item, people.look_taste[row.user], user.share_look, tone)[: 0 if sent else 1]
        heard = _pick_heard(
            rng, sounds[item.item_id], people.heard_taste[row.user], tone, 2 if sent else 1 + int(rng.random() < 0.6)
        )
        reviews.append(compose(rng, item, read, seen, tone, heard))
    return tuple(reviews)


def _pick_heard(
    rng: np.random.Generator, sound: Sound, taste: NDArray[np.float64], tone: int, amount: int
) -> list[Fact]:
    facts = sound.facts()
    options, values = [], []
    for kind in ("ring", "voice", "pitch", "body", "tone"):
        name = f"{kind}:{facts[kind]}"
        if name in CLAUSES:
            options.append(name)
            weight = float(taste[HEARD_FEATURES.index("pitch" if kind == "pitch" else name)])
            values.append(weight * (sound.height if kind == "pitch" else 1.0))
    told = []
    for k in order_by_worth(rng, np.array(values), tone)[:amount]:
        clause = expand(rng, choose(rng, CLAUSES[options[k]]))
        told.append(Fact(name=options[k], clause=clause, tone=feel(values[k], 0, tone)))
    return told
