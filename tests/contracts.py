"""Things and trained parts for the contracts of aligners and fusers: any modalities, any of them missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from core.align import build_aligner
from core.domain import Aligned, Encoded, Modality
from core.encode.states import States, collate

WIDTHS = {"text": 12, "image": 16, "audio": 6, "video": 9}
TOKENS = {"text": 5, "image": 9, "audio": 4, "video": 3}
D = 8
SUBSETS = [("text",), ("text", "image"), ("text", "image", "audio"), ("text", "image", "audio", "video")]


def media(rows: Sequence[int], width: int, seed: int = 0, length: int = 5) -> Encoded:
    """rows: how many media each thing has."""
    rng = np.random.default_rng(seed)

    def one() -> States:
        return States(tokens=rng.normal(size=(length, width)), pooled=rng.normal(size=width))

    return collate([[one() for _ in range(count)] for count in rows], width)


def things(modalities: Sequence[Modality], rows: Sequence[Sequence[int]]) -> dict[Modality, Encoded]:
    """rows: per modality how many media each thing has."""
    pairs = enumerate(zip(modalities, rows, strict=True))
    return {m: media(counts, WIDTHS[m], seed=seed, length=TOKENS[m]) for seed, (m, counts) in pairs}


def all_kinds(modalities: Sequence[Modality]) -> dict[Modality, Encoded]:
    """2^M things, row r having exactly the modalities whose bit is set in r; the first modality has two media."""
    count = len(modalities)
    return things(modalities, [[(2 if j == 0 else 1) * (r >> j & 1) for r in range(1 << count)] for j in range(count)])


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Parts start at zero; a contract must hold for trained weights too."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module.eval()


def trained_aligner(name: str, modalities: Sequence[Modality]) -> torch.nn.Module:
    torch.manual_seed(1)
    return shaken(build_aligner(name, {m: WIDTHS[m] for m in modalities}, D))


@torch.no_grad()
def aligned_kinds(modalities: Sequence[Modality]) -> dict[Modality, Aligned]:
    return trained_aligner("projection", modalities)(all_kinds(modalities))
