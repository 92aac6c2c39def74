"""Fusers: aligned modalities -> one vector. One file a method; `FUSERS` is the registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from core.domain import Modality
from core.errors import UnknownNameError
from core.fuse.attention import SelfAttention
from core.fuse.sequence import SequenceFuser
from core.fuse.stacking import Stacking
from core.fuse.transformer import JointTransformer
from core.fuse.weighted import Weighted

FUSERS: dict[str, Callable[..., nn.Module]] = {
    "weighted": Weighted,
    "stacking": Stacking,
    "attention": SelfAttention,
    "transformer": JointTransformer,
    "sequence": SequenceFuser,
}


def build_fuser(name: str, modalities: Sequence[Modality], width: int) -> nn.Module:
    """An untrained fuser over the shared width. Unknown names list the known."""
    if name not in FUSERS:
        raise UnknownNameError("fuser", name, FUSERS)
    return FUSERS[name](modalities, width)
