"""Aligner `sequence`: tokens are read in their order, a grid by a CNN and a line by a GRU, before they are pooled."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from core.align.projection import Projection
from core.domain import Aligned, Encoded, Modality


class Line(nn.Module):
    """Reads tokens that follow one another (words, frames) in both directions with a GRU."""

    def __init__(self, kept: int, width: int) -> None:
        super().__init__()
        self.inward = nn.Linear(kept, width)
        self.read = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.width = 2 * width

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """states (n, T, kept) of n media, lengths (n,) -> (n, T, 2 width)."""
        packed = pack_padded_sequence(self.inward(states), lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.read(packed)[0], batch_first=True, total_length=states.shape[1])[0]


class Grid(nn.Module):
    """Reads patches row by row as the picture they make, with two 3 x 3 convolutions."""

    def __init__(self, kept: int, width: int) -> None:
        super().__init__()
        self.inward = nn.Linear(kept, width)
        self.read = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, width, 3, padding=1), nn.GELU()
        )
        self.width = width

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """states (n, T, kept) of n media, lengths (n,) -> (n, T, width). Media of a size are read together."""
        states = self.inward(states)
        found = torch.zeros_like(states)
        for length in lengths.unique().tolist():
            rows = squarest(length)
            own = states[lengths == length, :length].transpose(1, 2).unflatten(2, (rows, length // rows))
            found[lengths == length, :length] = self.read(own).flatten(2).transpose(1, 2)
        return found


# How the tokens of a modality lie; one that is not named here is a line.
LAYOUT: Mapping[Modality, type[Line] | type[Grid]] = {"text": Line, "image": Grid, "audio": Grid, "video": Line}


class Sequence(Projection):
    """The heads of `projection`, each told by a reader of its own what stands around every token.

    Media of a thing are read one by one. The reader's word starts at zero: training begins at the projection.
    """

    def __init__(self, widths: Mapping[Modality, int], width: int, inner: int = 48) -> None:
        super().__init__(widths, width)
        self.width = width
        self.readers = nn.ModuleDict({m: LAYOUT.get(m, Line)(kept, inner) for m, kept in widths.items()})
        self.tell = nn.ModuleDict({m: nn.Linear(self.readers[m].width, width, bias=False) for m in widths})
        for layer in self.tell.values():
            nn.init.zeros_(layer.weight)

    def forward(self, encoded: Mapping[Modality, Encoded], tokens: bool = True) -> dict[Modality, Aligned]:
        return {m: head(encoded[m], tokens, self.context(m, encoded[m])) for m, head in self.heads.items()}

    def context(self, modality: Modality, encoded: Encoded) -> Tensor:
        """(B, L, D): what the reader says of every token; zero where there is none."""
        thing, place, lengths = media_of(encoded)
        context = encoded.tokens.new_zeros(*encoded.mask.shape, self.width)
        if not len(thing):
            return context
        valid = torch.arange(place.shape[1], device=place.device) < lengths[:, None]  # (n, T)
        states = encoded.tokens[thing[:, None], place] * valid[..., None]  # (n, T, kept)
        told = self.tell[modality](self.readers[modality](states, lengths))  # (n, T, D)
        return context.index_put((thing[:, None].expand_as(place)[valid], place[valid]), told[valid].to(context.dtype))


def media_of(encoded: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    """Every medium that has tokens: its thing (n,), the places of its tokens (n, T) and how many they are (n,)."""
    count = encoded.pooled_mask.shape[1]
    lengths = encoded.part.new_zeros(len(encoded), count).scatter_add(1, encoded.part, encoded.mask.long())  # (B, R)
    starts = lengths.cumsum(1) - lengths
    thing, medium = lengths.nonzero(as_tuple=True)
    own = lengths[thing, medium]
    steps = torch.arange(int(own.max()) if len(own) else 0, device=own.device)
    return thing, (starts[thing, medium][:, None] + steps).clamp(max=encoded.mask.shape[1] - 1), own


def squarest(length: int) -> int:
    """Rows of the most nearly square grid of so many patches: 49 -> 7, 12 -> 3."""
    return next(rows for rows in range(isqrt(length), 0, -1) if length % rows == 0)
