"""Makes the files of Studio: items.csv, interactions.csv, shots.json, clips.json, truth.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from sample_data.generator.faults import ItemFaults, garble, mark_up
from sample_data.generator.shop import Studio
from sample_data.generator.truth import tell_truth
from sample_data.generator.world import FAMILY, SURFACES, Item, World, choose, stream

ITEM_COLUMNS = ("item_id", "title", "description", "category", "price", "image", "images")
ROW_COLUMNS = ("user_id", "item_id", "rating", "timestamp", "review_text", "review_title", "images")
SINCE_VERSION_2 = ("audio", "video")


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
    """RFC 4180, UTF-8 without mark, CRLF; other columns of the rows are left out."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(columns), extrasaction="ignore", lineterminator="\r\n")
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
    items, rows = _item_rows(studio), _interaction_rows(studio)
    files = {
        "items.csv": as_csv(items, ITEM_COLUMNS + SINCE_VERSION_2),
        "interactions.csv": as_csv(rows, ROW_COLUMNS + SINCE_VERSION_2),
        "shots.json": as_json(list_shots(studio.world, studio.item_faults)),
        "clips.json": as_json(list(studio.clips)),
    }
    digests = {name: sha256(content) for name, content in files.items()}
    digests["text"] = sha256(files["items.csv"] + files["interactions.csv"])
    digests["version_1"] = sha256(as_csv(items, ITEM_COLUMNS) + as_csv(rows[: studio.first_listener_row], ROW_COLUMNS))
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
    filmed = {clip["item_id"]: clip["file"] for clip in studio.clips if clip["kind"] == "turntable"}
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
                "audio": "" if name in studio.sound_faults.no_sound else f"sounds/{name}.ogg",
                "video": filmed.get(name, ""),
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
                "audio": studio.recorded.sounds.get(number, ""),
                "video": studio.recorded.clips.get(number, ""),
            }
        )
    return rows
