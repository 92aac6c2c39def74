"""Rankers: scores of all items for a query or a user. One file a method; `RANKERS` is the registry."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from core.config import RunSettings
from core.errors import UnknownNameError
from core.rank.baselines import Content, Popularity
from core.rank.factors import Factors
from core.rank.graph import Graph
from core.rank.multimodal import Multimodal
from core.rank.neighbours import Neighbours
from core.rank.rating import Rating
from core.rank.sequential import Sequential
from core.rank.vbpr import Vbpr

RANKERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "popularity": Popularity,
    "neighbours": Neighbours,
    "content": Content,
    "factors": Factors,
    "vbpr": Vbpr,
    "graph": Graph,
    "sequential": Sequential,
    "rating": Rating,
    "multimodal": Multimodal,
}


def build_ranker(name: str, width: int, users: int, items: int) -> nn.Module:
    """An untrained ranker. Unknown names list the known."""
    if name not in RANKERS:
        raise UnknownNameError("ranker", name, RANKERS)
    return RANKERS[name](width, users, items)


def reads(settings: RunSettings) -> str:
    """What the ranker of these settings looks at of an item: its fused "vectors", its frozen "features", or "ids"."""
    own = getattr(RANKERS.get(settings.rank), "reads", "vectors")
    return "features" if own == "ids" and settings.rank == "graph" and settings.item_share else own
