"""Puts Studio together and makes its files: items.csv, interactions.csv, shots.json, truth.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample_data.generator import people as shoppers
from sample_data.generator.faults import ItemFaults, ReviewFaults, break_items, break_reviews, garble, mark_up, relist
from sample_data.generator.people import People, Row, make_people, make_rows
from sample_data.generator.words import Copy, Review, write_copy, write_reviews
from sample_data.generator.world import (
    AXES,
    COLOURS,
    FAMILIES,
    FAMILY,
    HANDLING,
    MATERIALS,
    PATTERNS,
    SURFACES,
    VERSION,
    Item,
    World,
    choose,
    impressions,
    make_world,
    stream,
)

ITEM_COLUMNS = ("item_id", "title", "description", "category", "price", "image", "images")
ROW_COLUMNS = ("user_id", "item_id", "rating", "timestamp", "review_text", "review_title", "images")


@dataclass(frozen=True, kw_only=True)
class Studio:
    """The whole shop in memory.

    items: with near-duplicates. rows, reviews: of equal length. photos: row number -> customer photo.
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
    return Studio(
        world=world,
        items=items,
        people=people,
        rows=rows,
        reviews=reviews,
        copies=copies,
        photos=photos,
        item_faults=item_faults,
        review_faults=review_faults,
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


def write_atomically(path: Path, content: bytes) -> None:
    """Temporary name beside the target, flush, fsync, replace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def as_csv(rows: list[dict[str, object]], columns: tuple[str, ...]) -> bytes:
    """RFC 4180, UTF-8 without mark, CRLF."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(value: object) -> bytes:
    """JSON with one line for every entry of the second level, so that a difference between two versions can be read."""
    if isinstance(value, list):
        return ("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]\n").encode()
    parts = []
    for key, entry in value.items():
        if isinstance(entry, dict):
            lines = [f"  {json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in entry.items()]
            parts.append(f" {json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n }")
        elif isinstance(entry, list):
            lines = [f"  {json.dumps(one, ensure_ascii=False)}" for one in entry]
            parts.append(f" {json.dumps(key)}: [\n" + ",\n".join(lines) + "\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(entry, ensure_ascii=False)}")
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def sha256(content: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(content).hexdigest()


def make_files(studio: Studio, reference: dict[str, float]) -> dict[str, bytes]:
    """File name -> content. reference: measured numbers that truth.json quotes."""
    files = {
        "items.csv": as_csv(_item_rows(studio), ITEM_COLUMNS),
        "interactions.csv": as_csv(_interaction_rows(studio), ROW_COLUMNS),
        "shots.json": as_json(list_shots(studio.world, studio.item_faults)),
    }
    digests = {name: sha256(content) for name, content in files.items()}
    digests["text"] = sha256(files["items.csv"] + files["interactions.csv"])
    files["truth.json"] = as_json(tell_truth(studio, digests, reference))
    return files


def list_shots(world: World, faults: ItemFaults) -> list[dict[str, object]]:
    """Every photo to be rendered, by item: two studio views, then the customers' photos of it."""
    amounts = {group.group_id: group.customer_photos for group in world.groups}
    shots: list[dict[str, object]] = []
    for item in world.items:
        for view, letter in enumerate("ab"):
            if item.item_id not in faults.no_photo and faults.dead_path.get(item.item_id) != view:
                shown = faults.wrong_photo.get((item.item_id, view), item)
                shots.append(_shot(world.seed, f"photos/{item.item_id}_{letter}.webp", item, "studio", view, shown))
        rng = stream(world.seed, f"customer {item.item_id}")
        surfaces = [SURFACES[k] for k in np.argsort(rng.random(len(SURFACES)), kind="stable")]
        others = [other for other in world.items if other.look.family != item.look.family]
        for k in range(1, amounts[item.group_id] + 1):
            shot = _shot(world.seed, f"customer/{item.item_id}_{k}.webp", item, "customer", k, item)
            shot |= {
                "mask": f"masks/{item.item_id}_{k}.png",
                "distractor": choose(rng, others).look.as_json(),
                "surface": surfaces[k],
                "fill": round(0.12 + 0.21 * float(rng.random()), 3),
            }
            shots.append(shot)
    return shots


def _shot(seed: int, file: str, item: Item, kind: str, view: int, shown: Item) -> dict[str, object]:
    number = int(sha256(f"{seed}\t{file}".encode())[:8], 16) & 0x7FFFFFFF
    return {
        "file": file,
        "mask": None,
        "item_id": item.item_id,
        "kind": kind,
        "view": view,
        "seed": number,
        "look": shown.look.as_json(),
        "distractor": None,
        "surface": None,
        "fill": None,
    }


def _item_rows(studio: Studio) -> list[dict[str, object]]:
    faults, rows = studio.item_faults, []
    for item in studio.items:
        name, copy = item.item_id, studio.copies[item.item_id]
        photos = [] if name in faults.no_photo else [f"photos/{name}_a.webp", f"photos/{name}_b.webp"]
        title, description = (copy.title, copy.description) if name not in faults.no_words else ("", "")
        description = garble(description) if name in faults.mojibake else description
        description = mark_up(description) if name in faults.html else description
        price = f"{float(copy.price) * faults.price[name]:.2f}" if name in faults.price else copy.price
        rows.append(
            {
                "item_id": name,
                "title": title,
                "description": description,
                "category": FAMILY[item.look.family].category,
                "price": price,
                "image": photos[0] if photos else "",
                "images": "|".join(photos),
            }
        )
    return rows


def _interaction_rows(studio: Studio) -> list[dict[str, object]]:
    faults, rows = studio.review_faults, []
    for number, (row, review) in enumerate(zip(studio.rows, studio.reviews, strict=True)):
        text = garble(review.text) if number in faults.mojibake else review.text
        text = mark_up(text) if number in faults.html else text
        rows.append(
            {
                "user_id": studio.people.users[row.user].user_id,
                "item_id": studio.items[row.item].item_id,
                "rating": row.rating,
                "timestamp": row.timestamp,
                "review_text": text,
                "review_title": review.title,
                "images": studio.photos.get(number, ""),
            }
        )
    return rows


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
            }
            for group in world.groups
        },
        "cold": {"groups": [group.group_id for group in world.groups if group.cold], "items": cold},
        "utility": _tell_utility(),
        "styles": {"look": shoppers.LOOK_STYLES, "read": shoppers.READ_STYLES},
        "users": _tell_users(studio),
        "customer_photos": _tell_photos(studio),
        "reviews": {
            f"{studio.people.users[row.user].user_id} {studio.items[row.item].item_id}": {
                "utility": row.utility,
                "read": list(review.read),
                "seen": list(review.seen),
            }
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
        "impressions": {"tall": round(tall, 4), "ornate": round(ornate, 4)},
        "quality": round(float(studio.people.quality[place]), 4),
    }


def _tell_utility() -> dict[str, object]:
    return {
        "formula": "utility = (share_look * look + share_read * read) / sqrt(share_look^2 + share_read^2) + quality",
        "look": "look = (look_taste . look_features(item) - look_mean) / look_sd; "
        "colour, pattern and material are 0 or 1, "
        "tall and ornate are the item's impressions; mean and sd over the 320 originals",
        "read": "read = (read_taste . read_features(item) - read_mean) / read_sd",
        "share": "share_look = sd(look part) / (sd(look part) + sd(read part)) over the 320 originals",
        "share_both": "share of the variance of the look part that words tell too: material, and colour where named",
        "choice": "rows without replacement by exp(beta * utility) * exposure; stars by quantiles of utility + noise",
        "beta": shoppers.BETA,
        "taste_noise": shoppers.TASTE_NOISE,
        "quality_sd": shoppers.QUALITY_SD,
        "exposure_sd": shoppers.EXPOSURE_SD,
        "rating_noise": shoppers.RATING_NOISE,
        "stars": list(shoppers.STARS),
        "segments": {name: list(bounds) for name, bounds in shoppers.SEGMENTS.items()},
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
    return {
        user.user_id: _tell_user(studio, place, looks, specs, looks * readable)
        for place, user in enumerate(studio.people.users)
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
        "share_read": round(1 - user.share_look, 3),
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
    return found
