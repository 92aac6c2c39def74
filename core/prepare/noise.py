"""Noise in training, the cheap honest form: words and patches are hidden in the cached states.

Cropping, colour and blur would have to pass the frozen encoder again for every epoch; hiding tokens costs nothing.
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
