"""Aligners: every modality into one shared space. One file a method; `ALIGNERS` is the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from core.align.adversarial import Adversarial
from core.align.attention import CrossAttention
from core.align.concat import Concat
from core.align.projection import Projection
from core.align.sequence import Sequence
from core.domain import Modality
from core.errors import UnknownNameError

ALIGNERS: dict[str, Callable[..., nn.Module]] = {
    "projection": Projection,
    "concat": Concat,
    "attention": CrossAttention,
    "adversarial": Adversarial,
    "sequence": Sequence,
}


def build_aligner(name: str, widths: Mapping[Modality, int], width: int) -> nn.Module:
    """An untrained aligner from standardised states of `widths` to the shared width. Unknown names list the known."""
    if name not in ALIGNERS:
        raise UnknownNameError("aligner", name, ALIGNERS)
    return ALIGNERS[name](widths, width)
