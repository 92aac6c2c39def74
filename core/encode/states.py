"""What an encoder says about one medium, and how media of many things become one batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.domain import Encoded


@dataclass(frozen=True, kw_only=True)
class States:
    """One medium: tokens (L, E) and pooled (E,), float16 from the cache or float32 fresh from the encoder."""

    tokens: np.ndarray
    pooled: np.ndarray

    def rounded(self) -> States:
        """As the cache keeps it, so that a fresh vector and a cached one are the same numbers."""
        return States(tokens=self.tokens.astype(np.float16), pooled=self.pooled.astype(np.float16))


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What a person can point at in one medium: name, place (characters, cell, milliseconds), token rows."""

    name: str
    span: tuple[int, int]
    rows: tuple[int, ...]


def collate(things: Sequence[Sequence[States]], width: int) -> Encoded:
    """B things, each with any number of media (also none) of one modality, as one padded batch of float32."""
    length = max([1, *(sum(len(medium.tokens) for medium in media) for media in things)])
    count = max([1, *(len(media) for media in things)])
    tokens = np.zeros((len(things), length, width), dtype=np.float32)
    mask = np.zeros((len(things), length), dtype=bool)
    part = np.zeros((len(things), length), dtype=np.int64)
    pooled = np.zeros((len(things), count, width), dtype=np.float32)
    pooled_mask = np.zeros((len(things), count), dtype=bool)
    for row, media in enumerate(things):
        at = 0
        for number, medium in enumerate(media):
            end = at + len(medium.tokens)
            tokens[row, at:end], mask[row, at:end], part[row, at:end] = medium.tokens, True, number
            pooled[row, number], pooled_mask[row, number] = medium.pooled, True
            at = end
    return Encoded(
        tokens=torch.from_numpy(tokens),
        mask=torch.from_numpy(mask),
        part=torch.from_numpy(part),
        pooled=torch.from_numpy(pooled),
        pooled_mask=torch.from_numpy(pooled_mask),
    )


def quiet_transformers() -> None:
    """Offline and silent: nothing is fetched at run time, and progress bars belong to us."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
