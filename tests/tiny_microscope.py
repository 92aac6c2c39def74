"""The real pipeline over the toy shop with encoders that can be read: words by their letters, photos as nine cells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.domain import Catalogue
from core.encode.states import States
from core.encode.text import Word
from core.features import catalogue_features
from core.model import Model
from core.pipeline import Pipeline, item_coalitions
from tests.tiny_world import tiny_settings
from tests.toys import RUN, paint, toy_catalogue

WIDTHS = {"text": 12, "image": 6}


class TinyWords:
    """A state a word, drawn by its letters; two marks around them."""

    modality, fingerprint, width = "text", "tiny-words", WIDTHS["text"]

    def encode(self, texts: Sequence[str], on_step: object = None) -> list[States]:
        return [self.state([f"<{text[:0]}>", *text.split(), "<end>"]) for text in texts]

    def state(self, words: Sequence[str]) -> States:
        tokens = np.stack([drawn(word.strip(".,").lower()) for word in words])
        return States(tokens=tokens, pooled=tokens.mean(0))

    def words(self, text: str) -> list[Word]:
        found, at = [], 0
        for number, word in enumerate(text.split(), 1):
            start = text.index(word, at)
            at = start + len(word)
            found.append(Word(text=word, start=start, end=at, pieces=(number,)))
        return found


class TinyCells:
    """The mean colour and spread of each of nine cells."""

    modality, fingerprint, width, grid = "image", "tiny-cells", WIDTHS["image"], (3, 3)

    def encode(self, images: Sequence, on_step: object = None) -> list[States]:
        found = []
        for image in images:
            pixels = np.asarray(image.convert("RGB").resize((24, 24)), dtype=np.float64) / 255 - 0.5
            cells = pixels.reshape(3, 8, 3, 8, 3).transpose(0, 2, 1, 3, 4).reshape(9, 64, 3)
            tokens = np.concatenate([cells.mean(1), cells.std(1)], 1)
            found.append(States(tokens=tokens, pooled=tokens.mean(0)))
        return found


def drawn(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=WIDTHS["text"])


def shop_on_disk(root: Path) -> Catalogue:
    shop = toy_catalogue()
    (root / "photos").mkdir(parents=True, exist_ok=True)
    for path in {path for item in shop.items for path in item.media.get("image", ())}:
        kind, colour = Path(path).stem.split("_")
        (root / path).write_bytes(paint(kind, colour, 96))
    return replace(shop, root=root)


def tiny_pipeline(root: Path, *, rank: str = "content", fuse: str = "weighted", align: str = "projection") -> Pipeline:
    """Untrained, but every part of the path is the real one; weights are drawn, so that nothing is zero."""
    shop = shop_on_disk(root)
    settings = tiny_settings(rank=rank, fuse=fuse, align=align, catalogue="toy")
    encoders = {"text": TinyWords(), "image": TinyCells()}
    features = catalogue_features(
        shop, settings, root / "vectors", interactions=False, modalities=tuple(WIDTHS), encoders=encoders
    )
    users = ("u001", "u002")
    torch.manual_seed(0)
    model = Model(settings, WIDTHS, len(users), len(shop.items))
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.add_(torch.randn(value.shape) * 0.3)
    model.eval().requires_grad_(False)
    told = {
        "run": RUN, "settings": settings.__dict__, "widths": WIDTHS, "items": [item.item_id for item in shop.items],
        "users": list(users), "data": {"catalogue": "toy"}, "distances": {},
    }  # fmt: skip
    pipeline = Pipeline(told, model, shop, item_coalitions(model, features, "cpu"), "cpu")
    pipeline.histories = [[(0, 5.0), (2, 4.0), (9, 1.0)], [(1, 4.0), (3, 2.0)]]
    pipeline._encoders.update(encoders)
    return pipeline
