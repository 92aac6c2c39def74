"""What is known of Studio: the content of truth.json. sample_data/README.md describes its keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample_data.generator import heard, listeners
from sample_data.generator import people as shoppers
from sample_data.generator.clips import ADDS
from sample_data.generator.shop import Studio
from sample_data.generator.sound import decay, lowest
from sample_data.generator.world import (
    AXES,
    COLOURS,
    FAMILIES,
    HANDLING,
    MATERIALS,
    PATTERNS,
    VERSION,
    Item,
    impressions,
)


def tell_truth(studio: Studio, digests: dict[str, str], reference: dict[str, float]) -> dict[str, object]:
    """The content of truth.json; sample_data/README.md describes its keys."""
    world = studio.world
    cold = [name for group in world.groups if group.cold for name in group.items]
    return {
        "generator": {"name": "studio", "version": VERSION, "seed": world.seed},
        "digests": digests,
        "reference": reference,
        "vocabulary": {
            "colours": COLOURS,
            "patterns": list(PATTERNS),
            "materials": list(MATERIALS),
            "axes": {axis: list(levels) for axis, levels in AXES.items()},
            "handling": HANDLING,
            "look_features": list(shoppers.LOOK_FEATURES),
            "read_features": list(shoppers.READ_FEATURES),
            "heard_features": list(heard.HEARD_FEATURES),
            "heard": {
                "tone": heard.TONES,
                "pitch": list(heard.PITCHES),
                "body": heard.BODIES,
                "ring": list(heard.RINGS),
                "voice": list(heard.VOICES),
            },
            "heard_also_told_by": heard.TOLD_BY,
        },
        "families": {
            family.name: {
                "shape": list(family.shape),
                "category": family.category,
                "care_class": family.care_class,
                "handling_class": family.handling_class,
            }
            for family in FAMILIES
        },
        "items": {
            item.item_id: _tell_item(studio, k, item, item.item_id in cold) for k, item in enumerate(studio.items)
        },
        "groups": {
            group.group_id: {
                "family": group.family,
                "items": list(group.items),
                "cold": group.cold,
                "colour_in_words": group.colour_in_words,
                "customer_photos": group.customer_photos,
                "heard": heard.tell_siblings(group, studio.sounds),
            }
            for group in world.groups
        },
        "cold": {"groups": [group.group_id for group in world.groups if group.cold], "items": cold},
        "utility": _tell_utility(),
        "styles": {
            "look": shoppers.LOOK_STYLES,
            "read": shoppers.READ_STYLES,
            "heard": listeners.HEARD_STYLES,
        },
        "users": _tell_users(studio),
        "customer_photos": _tell_photos(studio),
        "customer_sounds": _tell_recordings(studio, studio.recorded.sounds),
        "customer_clips": _tell_recordings(studio, studio.recorded.clips),
        "clips": [
            {"file": clip["file"], "item_id": clip["item_id"], "adds": ADDS, "frames_shared_with": clip["rendered"]}
            for clip in studio.clips
            if clip["kind"] == "turntable"
        ],
        "reviews": {
            f"{studio.people.users[row.user].user_id} {studio.items[row.item].item_id}": {
                "utility": row.utility,
                "read": list(review.read),
                "seen": list(review.seen),
            }
            | ({"heard": list(review.heard)} if review.heard else {})
            for row, review in zip(studio.rows, studio.reviews, strict=True)
        },
        "faults": _tell_faults(studio),
    }


def _tell_item(studio: Studio, place: int, item: Item, cold: bool) -> dict[str, object]:
    look, (tall, ornate) = item.look.as_json(), impressions(item.look)
    seen = {"pattern": look["pattern"], "shape": look["shape"], "accent": look["accent"]}
    both = {"family": look["family"], "material": look["material"]}
    (both if item.colour_in_words else seen)["colour"] = look["colour"]
    return {
        "group": item.group_id,
        "look": item.look_name,
        "spec": item.spec_name,
        "cold": cold,
        "duplicate_of": item.duplicate_of,
        "seen": seen,
        "read": item.spec,
        "both": both,
        "heard": _tell_sound(studio.sounds[item.item_id]),
        "impressions": {"tall": round(tall, 4), "ornate": round(ornate, 4)},
        "quality": round(float(studio.people.quality[place]), 4),
    }


def _tell_sound(sound: heard.Sound) -> dict[str, object]:
    numbers = {"height": sound.height, "lowest_hz": round(lowest(sound), 1), "decay_s": round(decay(sound), 3)}
    return sound.facts() | numbers


def _tell_utility() -> dict[str, object]:
    return {
        "formula": "utility = (share_look * look + share_read * read + share_heard * heard) "
        "/ sqrt(share_look^2 + share_read^2 + share_heard^2) + quality; share_heard is 0 but for listeners",
        "look": "look = (look_taste . look_features(item) - look_mean) / look_sd; "
        "colour, pattern and material are 0 or 1, "
        "tall and ornate are the item's impressions; mean and sd over the 320 originals",
        "read": "read = (read_taste . read_features(item) - read_mean) / read_sd",
        "heard": "heard = (heard_taste . heard_features(item) - heard_mean) / heard_sd; tone, body, ring and voice are "
        "0 or 1, pitch is the item's height",
        "share": "share_look = sd(look part) / sum of the sds of all parts over the 320 originals; the others likewise",
        "share_heard_told": "share of the variance of the heard part that words or photos tell too: tone, body, pitch",
        "share_both": "share of the variance of the look part that words tell too: material, and colour where named",
        "choice": "rows without replacement by exp(beta * utility) * exposure; stars by quantiles of utility + noise",
        "beta": shoppers.BETA,
        "taste_noise": shoppers.TASTE_NOISE,
        "quality_sd": shoppers.QUALITY_SD,
        "exposure_sd": shoppers.EXPOSURE_SD,
        "rating_noise": shoppers.RATING_NOISE,
        "stars": list(shoppers.STARS),
        "segments": {name: list(bounds) for name, bounds in shoppers.SEGMENTS.items()},
        "listeners": {"share_heard": list(listeners.HEARD_SHARE), "look_of_the_rest": list(listeners.REST_TO_LOOK)},
    }


def _tell_users(studio: Studio) -> dict[str, object]:
    originals = tuple(item for item in studio.items if item.duplicate_of is None)
    looks, specs = shoppers.describe_looks(originals), shoppers.describe_specs(originals)
    readable = np.array(
        [
            [name in MATERIALS or (name in COLOURS and item.colour_in_words) for name in shoppers.LOOK_FEATURES]
            for item in originals
        ]
    )
    sounds = heard.describe_sounds(originals, studio.sounds)
    return {
        user.user_id: _tell_user(studio, place, looks, specs, looks * readable)
        | (_tell_listener(studio, place, sounds) if user.share_heard else {})
        for place, user in enumerate(studio.people.users)
    }


def _tell_listener(studio: Studio, place: int, sounds: NDArray[np.float64]) -> dict[str, object]:
    taste, user = studio.people.heard_taste[place], studio.people.users[place]
    told = np.array([name.split(":")[0] in ("tone", "body", "pitch") for name in heard.HEARD_FEATURES])
    raw = sounds @ taste
    return {
        "share_heard_told": round(float(np.cov((sounds * told) @ taste, raw)[0, 1] / np.var(raw, ddof=1)), 3),
        "heard_styles": user.heard_styles,
        "heard_taste": taste.tolist(),
        "heard_mean": round(float(raw.mean()), 6),
        "heard_sd": round(float(raw.std()), 6),
    }


def _tell_user(
    studio: Studio, place: int, looks: NDArray[np.float64], specs: NDArray[np.float64], readable: NDArray[np.float64]
) -> dict[str, object]:
    people, user = studio.people, studio.people.users[place]
    raw_look, raw_read = looks @ people.look_taste[place], specs @ people.read_taste[place]
    both = readable @ people.look_taste[place]
    return {
        "segment": user.segment,
        "share_look": user.share_look,
        "share_read": user.share_read,
        "share_heard": user.share_heard,
        "share_both": round(float(np.cov(both, raw_look)[0, 1] / np.var(raw_look, ddof=1)), 3),
        "look_styles": user.look_styles,
        "read_styles": user.read_styles,
        "look_taste": people.look_taste[place].tolist(),
        "read_taste": people.read_taste[place].tolist(),
        "look_mean": round(float(raw_look.mean()), 6),
        "look_sd": round(float(raw_look.std()), 6),
        "read_mean": round(float(raw_read.mean()), 6),
        "read_sd": round(float(raw_read.std()), 6),
    }


def _tell_photos(studio: Studio) -> list[dict[str, object]]:
    photos = []
    for number, file in sorted(studio.photos.items(), key=lambda entry: entry[1]):
        row = studio.rows[number]
        photos.append(
            {
                "file": file,
                "mask": file.replace("customer/", "masks/").replace(".webp", ".png"),
                "item_id": studio.items[row.item].item_id,
                "user_id": studio.people.users[row.user].user_id,
            }
        )
    return photos


def _tell_recordings(studio: Studio, files: dict[int, str]) -> list[dict[str, object]]:
    return [
        {
            "file": file,
            "item_id": studio.items[studio.rows[number].item].item_id,
            "user_id": studio.people.users[studio.rows[number].user].user_id,
        }
        for number, file in sorted(files.items(), key=lambda entry: entry[1])
    ]


def _tell_faults(studio: Studio) -> list[dict[str, object]]:
    broken, reviews = studio.item_faults, studio.review_faults

    def review(number: int) -> dict[str, object]:
        row = studio.rows[number]
        return {
            "user_id": studio.people.users[row.user].user_id,
            "item_id": studio.items[row.item].item_id,
            "column": "review_text",
        }

    found: list[dict[str, object]] = []
    found += [
        {"kind": "wrong_photo", "item_id": name, "file": f"photos/{name}_{'ab'[view]}.webp", "shows": shown.item_id}
        for (name, view), shown in broken.wrong_photo.items()
    ]
    found += [{"kind": "no_photo", "item_id": name} for name in broken.no_photo]
    found += [
        {"kind": "dead_path", "item_id": name, "file": f"photos/{name}_{'ab'[view]}.webp"}
        for name, view in broken.dead_path.items()
    ]
    found += [{"kind": "no_words", "item_id": name} for name in broken.no_words]
    found += [
        {"kind": "near_duplicate", "item_id": twin.item_id, "of": twin.duplicate_of} for twin in broken.duplicates
    ]
    for kind, names, numbers in (("mojibake", broken.mojibake, reviews.mojibake), ("html", broken.html, reviews.html)):
        found += [{"kind": kind, "item_id": name, "column": "description"} for name in names]
        found += [{"kind": kind} | review(number) for number in sorted(numbers)]
    found += [
        {"kind": "price_outlier", "item_id": name, "factor": factor, "price": float(studio.copies[name].price)}
        for name, factor in broken.price.items()
    ]
    found += [
        {"kind": "contradictory_review"} | review(number) | {"rating": studio.rows[number].rating}
        for number in sorted(reviews.contradictory)
    ]
    found += [{"kind": "no_sound", "item_id": name} for name in studio.sound_faults.no_sound]
    found += [
        {"kind": "silent_sound", "item_id": name, "file": f"sounds/{name}.ogg"} for name in studio.sound_faults.silent
    ]
    return found
