"""python -m sample_data.generator.support [OUT]: the catalogue of support replies, made from support.txt beside this.

Text: `#topic|icon|colour`, then screens `@kind|heading|line|buttons`, and below each the replies that fit it, a line
each: `minutes|title|reply|message|...` with five messages. Two replies may share a screen: then only the words tell
them apart. The first two messages are for training, the third for validation, the last two are held out.
Deterministic; pictures are drawn with Pillow alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core.files import write_atomic

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "support"
SPLITS = ("train", "train", "validation", "test", "test")
SHOWS = (True, False, True, True, True)  # which of the five messages come with a screenshot
CUSTOMERS = 100  # of three messages each
WIDE, HIGH = 320, 240
WORDS = {"item": "reply", "items": "replies", "query": "message", "queries": "messages", "price": "time", "unit": "min",
         "shop": "help desk"}  # fmt: skip
LIGHT = {"page": "#EEF1F4", "window": "#FFFFFF", "ink": "#1E2730", "faint": "#C6CED6"}
DARK = {"page": "#14181D", "window": "#262C34", "ink": "#E6EAEE", "faint": "#4A535E"}


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What a customer sees: kind is dialog, form, settings, banner or error."""

    topic: str
    icon: str
    colour: str
    kind: str
    heading: str
    line: str
    buttons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reply:
    ident: str
    minutes: float
    title: str
    text: str
    messages: tuple[str, ...]
    screen: Screen


def replies(source: Path = HERE / "support.txt") -> list[Reply]:
    """Raises ValueError where a line has not what it should."""
    found: list[Reply] = []
    topic: list[str] = []
    screen: Screen | None = None
    for number, line in enumerate(source.read_text("utf-8").splitlines(), 1):
        cells = line[1:].split("|") if line[:1] in "#@" else line.split("|")
        if line.startswith("#"):
            topic = cells
        elif line.startswith("@"):
            name, icon, colour = topic
            kind, heading, told, *buttons = cells
            screen = Screen(topic=name, icon=icon, colour=colour, kind=kind, heading=heading, line=told,
                            buttons=tuple(";".join(buttons).split(";")))  # fmt: skip
        elif line.strip():
            if screen is None or len(cells) != 3 + len(SPLITS):
                raise ValueError(f"line {number}: minutes, title, reply and {len(SPLITS)} messages below a screen")
            found.append(Reply(ident=f"r{len(found) + 1:02}", minutes=float(cells[0]), title=cells[1], text=cells[2],
                               messages=tuple(cells[3:]), screen=screen))  # fmt: skip
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", nargs="?", type=Path, default=OUT)
    out = options.parse_args().out
    known = replies()
    for folder in ("shots", "customer"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    items, met = [], []
    rng = random.Random(0)
    customers = [f"c{number % CUSTOMERS + 1:03}" for number in range(len(known) * len(SPLITS))]
    rng.shuffle(customers)
    for place, one in enumerate(known):
        shot = f"shots/{one.ident}.webp"
        write_atomic(out / shot, drawn(one.screen, random.Random(f"{one.ident} ours"), customer=False))
        items.append([one.ident, one.title, one.text, one.screen.topic.capitalize(), f"{one.minutes:g}", shot])
        for number, (message, split) in enumerate(zip(one.messages, SPLITS, strict=True)):
            path = ""
            if SHOWS[number]:
                path = f"customer/{one.ident}_{number + 1}.webp"
                write_atomic(out / path, drawn(one.screen, random.Random(f"{one.ident} {number}"), customer=True))
            met.append([customers[place * len(SPLITS) + number], one.ident, message, path, split])
    write(out / "items.csv", ["item_id", "title", "description", "category", "price", "image"], items)
    write(out / "interactions.csv", ["user_id", "item_id", "review_text", "image", "split"], met)
    write_atomic(out / "catalogue.json", (json.dumps({"words": WORDS}, indent=2) + "\n").encode())


def write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([head, *rows])
    write_atomic(path, text.getvalue().encode())


# ---- pictures


def drawn(screen: Screen, rng: random.Random, *, customer: bool) -> bytes:
    """One screenshot as WebP. A customer's is another device: theme, place, size and sharpness differ."""
    tone = DARK if customer and rng.random() < 0.5 else LIGHT
    picture = Image.new("RGB", (WIDE, HIGH), tone["page"])
    pen = ImageDraw.Draw(picture)
    furniture(pen, tone, rng)
    left = rng.randint(20, 56) if customer else 38
    top = rng.randint(26, 52) if customer else 40
    window(pen, screen, tone, left, top)
    if customer:
        picture = photographed(picture, rng)
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=62, method=6)
    return data.getvalue()


def furniture(pen: ImageDraw.ImageDraw, tone: dict[str, str], rng: random.Random) -> None:
    """What else is open: a bar and some grey text that nobody reads."""
    pen.rectangle((0, 0, WIDE, 14), fill=tone["faint"])
    for row in range(24, HIGH, 13):
        pen.rectangle((8, row, 8 + rng.randint(60, 250), row + 4), fill=tone["faint"])


def window(pen: ImageDraw.ImageDraw, screen: Screen, tone: dict[str, str], left: int, top: int) -> None:
    """The dialog, error, settings page, form or banner itself."""
    high = 74 if screen.kind == "banner" else 150
    wide = 250
    pen.rounded_rectangle((left, top, left + wide, top + high), 8, fill=tone["window"], outline=screen.colour, width=2)
    head = "#C0392B" if screen.kind == "error" else screen.colour
    if screen.kind != "banner":
        pen.rectangle((left + 2, top + 8, left + wide - 2, top + 32), fill=head)
    ink = "#FFFFFF" if screen.kind != "banner" else tone["ink"]
    icon(pen, screen.icon, left + 12, top + 10, ink if screen.kind != "banner" else head)
    pen.text((left + 40, top + 12), screen.heading, fill=ink, font=font(13))
    body = top + (38 if screen.kind != "banner" else 30)
    pen.text((left + 14, body), screen.line, fill=tone["ink"], font=font(11))
    if screen.kind == "settings":
        for row in range(3):
            pen.rectangle((left + 14, body + 22 + row * 20, left + 150, body + 27 + row * 20), fill=tone["faint"])
            pen.rounded_rectangle((left + 200, body + 18 + row * 20, left + 228, body + 30 + row * 20), 6,
                                  fill=screen.colour if row != 1 else tone["faint"])  # fmt: skip
    if screen.kind == "form":
        for row in range(2):
            pen.rectangle((left + 14, body + 20 + row * 26, left + 234, body + 38 + row * 26), outline=tone["faint"])
    if screen.kind == "error":
        pen.polygon([(left + 125, body + 22), (left + 150, body + 62), (left + 100, body + 62)], fill=head)
        pen.text((left + 122, body + 36), "!", fill="#FFFFFF", font=font(18))
    at = left + 14
    for number, label in enumerate(screen.buttons[:4]):
        wide_one = 14 + round(pen.textlength(label, font=font(10)))
        low = top + high - 22
        pen.rounded_rectangle((at, low, at + wide_one, low + 16), 5, outline=screen.colour,
                              fill=screen.colour if number == 0 else tone["window"])  # fmt: skip
        pen.text((at + 7, low + 2), label, fill="#FFFFFF" if number == 0 else screen.colour, font=font(10))
        at += wide_one + 8


def icon(pen: ImageDraw.ImageDraw, name: str, x: int, y: int, ink: str) -> None:
    """A sign of 20 x 20 units; what has no drawing of its own is a ring."""
    shapes = {
        "key": [("ellipse", (0, 4, 9, 13)), ("line", (9, 8, 19, 8)), ("line", (16, 8, 16, 13))],
        "card": [("rectangle", (0, 4, 19, 16)), ("line", (0, 8, 19, 8))],
        "cloud": [("ellipse", (0, 7, 10, 16)), ("ellipse", (6, 3, 17, 16))],
        "arrow": [("line", (10, 1, 10, 14)), ("line", (4, 9, 10, 15)), ("line", (16, 9, 10, 15))],
        "people": [("ellipse", (1, 2, 8, 9)), ("ellipse", (11, 2, 18, 9)), ("arc", (0, 10, 9, 22)),
                   ("arc", (10, 10, 19, 22))],
        "bell": [("ellipse", (4, 2, 15, 15)), ("line", (1, 15, 18, 15)), ("line", (9, 18, 11, 18))],
        "grid": [("rectangle", (1, 3, 18, 18)), ("line", (1, 8, 18, 8)), ("line", (7, 8, 7, 18)),
                 ("line", (12, 8, 12, 18))],
        "phone": [("rectangle", (5, 0, 14, 19)), ("line", (8, 16, 11, 16))],
        "pen": [("line", (2, 17, 15, 3)), ("line", (5, 18, 18, 5)), ("line", (2, 17, 5, 18))],
        "printer": [("rectangle", (1, 7, 18, 15)), ("rectangle", (5, 1, 14, 7)), ("rectangle", (5, 13, 14, 19))],
        "box": [("rectangle", (2, 6, 17, 18)), ("line", (2, 6, 9, 1)), ("line", (17, 6, 10, 1))],
        "shield": [("line", (10, 1, 18, 4)), ("line", (10, 1, 2, 4)), ("line", (2, 4, 10, 19)),
                   ("line", (18, 4, 10, 19))],
    }  # fmt: skip
    for shape, box in shapes.get(name, [("ellipse", (2, 2, 17, 17))]):
        place = (box[0] + x, box[1] + y, box[2] + x, box[3] + y)
        if shape == "line":
            pen.line(place, fill=ink, width=2)
        elif shape == "arc":
            pen.arc(place, 180, 360, fill=ink, width=2)
        else:
            getattr(pen, shape)(place, outline=ink, width=2)


def photographed(picture: Image.Image, rng: random.Random) -> Image.Image:
    """Cut, and made smaller and larger again, as what people send."""
    cut = [rng.randint(0, 14), rng.randint(0, 12), WIDE - rng.randint(0, 14), HIGH - rng.randint(0, 20)]
    small = rng.uniform(0.75, 1.0)
    cropped = picture.crop(tuple(cut))  # type: ignore[arg-type]
    return cropped.resize((round(WIDE * small), round(HIGH * small)), Image.Resampling.BILINEAR)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, so that every machine draws the same."""
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
