"""Noise in training where it costs nothing: words and patches are hidden in the cached states.

Cropped, recoloured and blurred photos have to pass the encoder once each: see `core.prepare.views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from core.domain import Encoded, Modality


def drop_tokens(encoded: Mapping[Modality, Encoded], share: float) -> dict[Modality, Encoded]:
    """The same things with each token hidden by chance `share`; one that would lose all its tokens keeps them."""
    return {m: replace(one, mask=_thinned(one.mask, share)) for m, one in encoded.items()}


def _thinned(mask: torch.Tensor, share: float) -> torch.Tensor:
    kept = mask & (torch.rand(mask.shape, device=mask.device) >= share)  # (B, L)
    return torch.where(kept.any(1, keepdim=True), kept, mask)
