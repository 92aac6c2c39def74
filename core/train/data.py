"""What training sees: media banks, items, queries and histories as row numbers. Nothing of val, test or cold rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.domain import Modality
from core.encode.bank import MediaBank

Media = Mapping[Modality, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A training or evaluation query: media rows by modality, and the item row that answers it."""

    media: Media
    item: int


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Held-out material to select by: queries, and per user (training row) the history and the held-out positives.

    items: item rows whose modalities are matched with each other, to watch the alignment; nothing is selected by them.
    """

    asks: tuple[Ask, ...] = ()
    users: tuple[tuple[int, frozenset[int]], ...] = ()
    items: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """banks: modality -> MediaBank of raw states. items: media rows of every item; trainable: item rows whose media may
    be seen in training, in order. asks: training queries. photos: customer media of an item that any query may borrow.
    histories: per training user its (item row, rating) rows; said: their own media of each. views: row of a photo ->
    rows of its altered versions, one of which may stand in its place in a training step and nowhere else.
    validation: what the best epoch is chosen by; `pool` are the candidates of its queries."""

    banks: Mapping[Modality, MediaBank]
    items: tuple[Media, ...]
    trainable: tuple[int, ...]
    asks: tuple[Ask, ...]
    photos: Mapping[int, tuple[int, ...]]
    histories: tuple[tuple[tuple[int, float | None], ...], ...]
    validation: Cases
    pool: tuple[int, ...]
    said: tuple[tuple[Media, ...], ...] = ()
    views: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return tuple(self.banks)

    def trained_media(self, modality: Modality) -> list[int]:
        """Rows of the media that training may look at, once each: the standardiser is fitted on them."""
        rows = {row for item in self.trainable for row in self.items[item].get(modality, ())}
        rows |= {row for ask in self.asks for row in ask.media.get(modality, ())}
        if modality == "image":
            rows |= {row for photos in self.photos.values() for row in photos}
        return sorted(rows)


def positives(history: Sequence[tuple[int, float | None]], threshold: float = 3.5) -> frozenset[int]:
    """Item rows that count as liked: rated from `threshold` up, or unrated (implicit)."""
    return frozenset(item for item, rating in history if rating is None or rating >= threshold)
