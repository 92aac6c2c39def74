"""Altered versions of training photos: cropped, recoloured and blurred once, encoded, and drawn from in every step.

The encoder is frozen, so each version passes it once and is kept like any photo, under a key that names the
transformation and its parameters. What is drawn depends on the seed, the photo's digest and the version's number alone.
Source: Shorten and Khoshgoftaar 2019, "A survey on Image Data Augmentation for Deep Learning".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.photos import read_image
from core.encode.cache import VectorStore, encode_cached
from core.encode.states import States
from core.files import digest_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST = 0.5  # share of the photo's area that a crop keeps at least
COLOUR = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.05}
SIDE = 224  # pixels of a version, both ways
BLUR, SIGMA = 9, (0.1, 2.0)  # pixels of the kernel, and its spread
VERSION = 1


def fingerprint(encoder: str) -> str:
    """Of the store that keeps what `encoder` says of versions: whatever changes them changes it."""
    colour = "-".join(f"{name[:2]}{share}" for name, share in COLOUR.items())
    return f"{encoder}-views-v{VERSION}-{SIDE}-crop{SMALLEST}-{colour}-blur{BLUR}-{SIGMA[0]}-{SIGMA[1]}"


def altered(photo: Image, digest: str, seed: int, number: int) -> Image:
    """Version `number` (from 0) of a photo, SIDE pixels square; the state of torch's random generator stays."""
    import torch
    from torchvision.transforms import v2

    change = v2.Compose([
        v2.RandomResizedCrop(SIDE, scale=(SMALLEST, 1.0)), v2.ColorJitter(**COLOUR), v2.GaussianBlur(BLUR, SIGMA),
    ])  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest_bytes(f"{seed}:{digest}:{number}".encode())[:15], 16))
        return change(photo.convert("RGB"))


def encoded_views(
    photos: Mapping[str, Path], count: int, seed: int, encoder: Any, vectors: Path,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, list[States]]:  # fmt: skip
    """digest -> the states of its `count` versions; photos: digest -> file, every one readable."""
    wanted = {
        f"{digest}-s{seed}-{number}": (path, digest, number)
        for digest, path in photos.items()
        for number in range(count)
    }

    def encode(contents: list[tuple[Path, str, int]]) -> list[States]:
        read = ((read_image(path.read_bytes(), path.name)[0], digest, number) for path, digest, number in contents)
        return encoder.encode([altered(photo, digest, seed, number) for photo, digest, number in read])

    found, _ = encode_cached(VectorStore(vectors, fingerprint(encoder.fingerprint)), wanted, encode, on_step)
    versions: dict[str, list[States]] = {}
    for key, (_, digest, _) in wanted.items():
        versions.setdefault(digest, []).append(found[key])
    return versions
