"""Rankers: scores of all items for a query or a user. One file a method; `RANKERS` is the registry."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from core.errors import UnknownNameError
from core.rank.baselines import Content, Popularity
from core.rank.multimodal import Multimodal

RANKERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "popularity": Popularity,
    "content": Content,
    "multimodal": Multimodal,
}


def build_ranker(name: str, width: int, users: int, items: int) -> nn.Module:
    """An untrained ranker. Unknown names list the known."""
    if name not in RANKERS:
        raise UnknownNameError("ranker", name, RANKERS)
    return RANKERS[name](width, users, items)
