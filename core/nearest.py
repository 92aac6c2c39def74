"""Exact neighbours: the index of a catalogue's vectors, and the graph of all its neighbours.

One place for the map, the item graph and search, so that they agree to the last row. Equality class A: what is found is
what a full sort would find, ties by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SCORES = 4_000_000  # of one block of a graph: 16 MiB
SLACK = 1e-5  # for rounding, times the lengths; see `Index.top`


def neighbours(
    vectors: NDArray[np.floating], k: int, block: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows (n, k) and cosines (n, k) of the k nearest of unit rows (n, D), the row itself first with +inf."""
    held = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    k, block = min(k, len(held)), block or max(1, SCORES // max(1, len(held)))
    rows = np.empty((len(held), k), dtype=np.int64)
    cosines = np.empty((len(held), k), dtype=np.float32)
    for start in range(0, len(held), block):
        scores = held[start : start + block] @ held.T
        own = torch.arange(len(scores))
        scores[own, own + start] = torch.inf
        values, columns = in_order(*scores.topk(k))
        rows[start : start + block], cosines[start : start + block] = columns.numpy(), values.numpy()
    return rows, cosines


def in_order(values: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """The same pairs (B, k), best first, equal values by column."""
    by_column = columns.argsort(dim=1)
    values, columns = values.gather(1, by_column), columns.gather(1, by_column)
    by_value = values.argsort(dim=1, descending=True, stable=True)
    return values.gather(1, by_value), columns.gather(1, by_value)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Rows (k,) of an index and their scores (k,), best first; rescored: rows that were looked at in fp32."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    rescored: int


class Index:
    """Vectors (N, D) that are searched exactly by dot product, through a scan of a quarter of their bytes.

    x = s_i x8 + e with |e| = r_i. For a query q = s q8 + e_q, |e_q| = r_q, the scan's error is at most
    |q| r_i + r_q (|x_i| + r_i); every row that its bound leaves in the running is scored again in fp32.
    """

    def __init__(self, vectors: NDArray[np.floating]) -> None:
        self.vectors = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
        self.small, self.scales = quantised(self.vectors)
        self.apart = torch.empty(len(self.vectors))
        for start in range(0, len(self.vectors), 8192):  # flat memory
            part = slice(start, start + 8192)
            self.apart[part] = (self.vectors[part] - self.small[part].float() * self.scales[part, None]).norm(dim=1)
        self.reach = self.vectors.norm(dim=1) + self.apart
        self.longest = float(self.reach.max()) if len(self.reach) else 0.0

    def __len__(self) -> int:
        return len(self.vectors)

    def top(self, query: NDArray[np.floating], k: int) -> Found:
        """The k best rows for one query (D,)."""
        asked = torch.from_numpy(np.ascontiguousarray(query, dtype=np.float32))
        scanned = self._scan(asked)
        if scanned is None or k >= len(self):
            scores = self.vectors @ asked
            values, rows = in_order(*scores[None].topk(min(k, len(self))))
            return Found(rows=rows[0].numpy(), scores=values[0].numpy(), rescored=len(self))
        scores, error = scanned
        floor = float((scores - error).topk(k).values[-1])
        slack = SLACK * float(asked.norm()) * self.longest
        rows = torch.nonzero(scores.add_(error) >= floor - slack)[:, 0]
        again = (self.vectors[rows] @ asked)[None]
        values, place = again.topk(min(k, len(rows)))
        border = rows[(again[0] >= values[0, -1])]
        if len(border) > k:  # equal scores at the last place: the earlier row wins
            place = torch.nonzero(again[0] >= values[0, -1]).T
            values = again.gather(1, place)
        values, found = in_order(values, rows[place])
        return Found(rows=found[0, :k].numpy(), scores=values[0, :k].numpy(), rescored=len(rows))

    def _scan(self, asked: Tensor) -> tuple[Tensor, Tensor] | None:
        """Approximate scores (N,) and how far each may be off (N,); None where this torch has no such product."""
        product: Any = getattr(torch, "_int_mm", None)
        if product is None:
            return None
        small, scale = quantised(asked[None])
        off = float((asked - small[0].float() * scale[0]).norm())
        try:
            whole = product(self.small, small.T.contiguous())[:, 0]  # (N,) int32
        except RuntimeError:
            return None
        scores = whole.float().mul_(self.scales).mul_(float(scale[0]))
        error = self.apart * float(asked.norm())
        return scores, error.add_(self.reach, alpha=off)


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """int8 (B, D) and the scale (B,) of each row: row = about scale * int8."""
    scales = rows.abs().amax(1).clamp(min=1e-30) / 127
    small = torch.empty(rows.shape, dtype=torch.int8)
    for start in range(0, len(rows), 8192):
        part = slice(start, start + 8192)
        small[part] = (rows[part] / scales[part, None]).round().to(torch.int8)
    return small, scales
