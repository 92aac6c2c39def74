"""Texts and photos to measure with: made by seed, of realistic lengths and sizes, another set for every step."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

WORDS = tuple(
    """
    the a this it with and but for my our very quite too really small large heavy light solid smooth rough matte
    glossy ceramic wooden copper brass glass linen oak walnut blue green ochre grey white dark striped dotted plain
    mug bowl vase lamp stool chair clock planter speaker cushion kettle handle rim base lid shade cord seat sound
    warm cold bright dull arrived quickly late packed well broken chipped perfect lovely sturdy wobbly stable cheap
    expensive worth price gift kitchen desk bedroom garden dishwasher safe washes easily stains fits holds pours
    stands looks feels bought again recommend return expected smaller larger than photo colour shape pattern quality
    everyday after weeks months still
    """.split()  # noqa: SIM905 -- a list of words reads best as words
)


def texts(count: int, seed: int) -> list[str]:
    """Reviews of log-normal length with a median of about 36 words, which is about 40 word pieces."""
    rng = np.random.default_rng((1, seed))
    lengths = np.clip(np.exp(rng.normal(np.log(36), 0.6, count)), 3, 180).astype(int)
    return [" ".join(rng.choice(WORDS, length)) + "." for length in lengths]


def photo(seed: int, width: int, height: int) -> bytes:
    """A JPEG with soft shading, a few bodies and grain: about as hard to decode as a camera's."""
    rng = np.random.default_rng((2, seed))
    rows, columns = np.mgrid[0:1:height * 1j, 0:1:width * 1j]  # fmt: skip
    tint = rng.random((3, 3))
    picture = tint[0] * rows[..., None] + tint[1] * columns[..., None]
    for _ in range(6):
        centre, size, colour = rng.random(2), rng.uniform(0.05, 0.25), rng.random(3)
        inside = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) < size**2
        picture[inside] = colour * (0.6 + 0.4 * np.cos(8 * rows[inside, None]))
    grain = rng.normal(0, 0.02, picture.shape[:2])[..., None]
    pixels = (255 * np.clip(picture / max(picture.max(), 1e-6) + grain, 0, 1)).astype(np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=90)
    return held.getvalue()


def photos(count: int, seed: int, sizes: tuple[tuple[int, int], ...] = ((800, 600), (1600, 1200))) -> list[bytes]:
    """JPEGs of the sizes in turn."""
    return [photo(seed * 1009 + at, *sizes[at % len(sizes)]) for at in range(count)]
