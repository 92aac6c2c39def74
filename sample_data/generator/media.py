"""Writes the sounds and the clips of a Studio folder; what is there already is left alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from sample_data.generator import clips, sound
from sample_data.generator.shop import Studio
from sample_data.generator.tables import write_atomically


def list_media(files: dict[str, bytes]) -> list[str]:
    """Every sound and clip that the tables name. files: as `make_files` makes them."""
    named = []
    for table in ("items.csv", "interactions.csv"):
        for row in csv.DictReader(io.StringIO(files[table].decode(), newline="")):
            named += [row[column] for column in ("audio", "video") if row[column]]
    return named


def write_sounds(studio: Studio, folder: Path) -> Iterator[Path]:
    """The taps of all items and the customers' own, one after the other as they are written."""
    seed, faults = studio.world.seed, studio.sound_faults
    for item in studio.items:
        name = item.item_id
        path = folder / "sounds" / f"{name}.ogg"
        if name in faults.no_sound or path.is_file():
            continue
        if name in faults.silent:
            wave = sound.silence(seed, name)
        elif item.duplicate_of:
            wave = sound.record_again(studio.sounds[name], seed, name)
        else:
            wave = sound.make_sound(studio.sounds[name], seed, name)
        write_atomically(path, sound.encode(wave))
        yield path
    for number, file in studio.recorded.sounds.items():
        path = folder / file
        if not path.is_file():
            item_id = studio.items[studio.rows[number].item].item_id
            write_atomically(path, sound.encode(sound.record_again(studio.sounds[item_id], seed, file)))
            yield path


def write_clips(folder: Path, strips: Path) -> tuple[int, int]:
    """Films of the rendered strips: how many were made, and of how many the strip is not rendered yet."""
    made = missing = 0
    for clip in json.loads((folder / "clips.json").read_text(encoding="utf-8")):
        strip, path = clips.strip_path(strips, clip), folder / clip["file"]
        if path.is_file():
            continue
        if not strip.is_file():
            missing += 1
            continue
        write_atomically(path, clips.encode(strip, clip))
        made += 1
    return made, missing
