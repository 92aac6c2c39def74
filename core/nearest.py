"""Exact neighbours: the index of a catalogue's vectors, and the graph of all its neighbours.

One place for the map, the item graph and search, so that they agree to the last row. Equality class A: what is found is
what a full sort would find, ties by row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SCORES = 4_000_000  # of one block of a graph: 16 MiB
SLACK = 1e-5  # for rounding, times the lengths; see `Index.top`
BLOCK, LANES = 8192, 64  # rows that are looked at together; int8 columns are padded to a multiple of this
WORTH, SAMPLE = 2000, 50_000  # vectors from which a scan is looked for, and on how many
PAYS = 0.8  # of the plain product's time that a scan may take at most
Scan = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, float, float]]


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
class TopRows:
    """Rows (k,) of an index and their scores (k,), best first; rescored: rows that were looked at in full."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    rescored: int


class Index:
    """Vectors (N, D) that are searched exactly by dot product, through a scan of a quarter of their bytes.

    x = s_i x8 + e with |e| = r_i. For a query q = q' + e_q, |e_q| = r_q, the error of <q', s_i x8> is at most
    |q| r_i + r_q (|x_i| + r_i), and what the product itself rounds; every row that its bound leaves in the running is
    scored again. Which product scans is measured when the index is made: both are private to torch, so a bound that
    does not hold on a sample, or a time that does not pay, leaves the plain fp32 product. scan: a name of `SCANS`, or
    "" for that.
    """

    def __init__(self, vectors: NDArray[np.floating], scan: str | None = None) -> None:
        self.vectors = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
        wide = -(-self.vectors.shape[1] // LANES) * LANES
        self.small = torch.zeros(len(self.vectors), wide, dtype=torch.int8)
        self.scales, self.apart = torch.empty(len(self.vectors)), torch.empty(len(self.vectors))
        for start in range(0, len(self.vectors), BLOCK):  # flat memory
            part = slice(start, start + BLOCK)
            small, self.scales[part] = quantised(self.vectors[part])
            self.apart[part] = (self.vectors[part] - small.float() * self.scales[part, None]).norm(dim=1)
            self.small[part, : small.shape[1]] = small
        self.reach = self.vectors.norm(dim=1) + self.apart
        self.longest = float(self.reach.max()) if len(self.reach) else 0.0
        self.scan = self._chosen() if scan is None else scan

    def __len__(self) -> int:
        return len(self.vectors)

    def top(self, query: NDArray[np.floating], k: int) -> TopRows:
        """The k best rows for one query (D,): by falling score, equal ones by rising row."""
        asked, k = torch.from_numpy(np.ascontiguousarray(query, dtype=np.float32)), min(k, len(self))
        if k == 0:
            return TopRows(rows=np.zeros(0, np.int64), scores=np.zeros(0, np.float32), rescored=0)
        scores, error = self.bounds(asked) if self.scan and k < len(self) else self._plain(asked)
        slack = SLACK * float(asked.norm()) * self.longest
        floor = float((scores - error).topk(k).values[-1])
        rows = torch.nonzero(scores.add_(error) >= floor - 2 * slack)[:, 0]
        again = torch.cat([(self.vectors[part].double() * asked.double()).sum(1) for part in rows.split(BLOCK)])
        best = again.argsort(descending=True, stable=True)[:k]
        return TopRows(rows=rows[best].numpy(), scores=again[best].float().numpy(), rescored=len(rows))

    def bounds(self, asked: Tensor, rows: int | None = None, scan: Scan | None = None) -> tuple[Tensor, Tensor]:
        """Approximate scores (N,) of a query (D,) and how far each may be off (N,); of the first `rows` alone, and by
        another scan than the chosen one, where that is given."""
        part = slice(0, rows)
        wide = torch.zeros(self.small.shape[1])
        wide[: len(asked)] = asked
        scores, off, rounding = (scan or SCANS[self.scan])(self.small[part], self.scales[part], wide)
        error = self.apart[part] * float(asked.norm())
        error.add_(self.reach[part], alpha=off)
        return scores, error.add_(scores.abs(), alpha=rounding) if rounding else error

    def _plain(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.vectors @ asked
        return scores, torch.zeros(())

    def _chosen(self) -> str:
        """The fastest scan that pays and keeps its bound on a sample; too few vectors are not worth one."""
        rows = min(len(self), SAMPLE)
        if rows < WORTH:
            return ""
        asked = self.vectors[rows // 2] + self.vectors[rows // 3]
        exact = self.vectors[:rows].double() @ asked.double()
        slack = SLACK * float(asked.norm()) * self.longest
        works: dict[str, Callable[[], Any]] = {"": lambda: self.vectors[:rows] @ asked}
        for name, scan in SCANS.items():
            try:
                scores, error = self.bounds(asked, rows, scan)
            except (AttributeError, RuntimeError, NotImplementedError):  # another torch, another processor
                continue
            if ((scores - exact).abs() <= error + slack).all():
                works[name] = partial(self.bounds, asked, rows, scan)
        spent = {name: np.inf for name in works}
        for _ in range(5):  # in turn: a neighbour on the machine slows all of them
            for name, work in works.items():
                begun = time.perf_counter()
                work()
                spent[name] = min(spent[name], time.perf_counter() - begun)
        best = min(spent, key=lambda name: spent[name])
        return best if spent[best] <= PAYS * spent[""] else ""


def by_int8(small: Tensor, scales: Tensor, asked: Tensor) -> tuple[Tensor, float, float]:
    """int8 (N, D) with scales (N,) times a query (D,) in int8: scores (N,), |e_q|, relative rounding of a score."""
    product: Any = torch._int_mm
    own, scale = quantised(asked[None])
    whole = product(small, own.T.contiguous())[:, 0]  # (N,) int32
    off = float((asked - own[0].float() * scale[0]).norm())
    return whole.float().mul_(scales).mul_(float(scale[0])), off, 0.0


def by_bfloat16(small: Tensor, scales: Tensor, asked: Tensor) -> tuple[Tensor, float, float]:
    """The same with the query and the scores in bfloat16. `quantised` gives scales that bfloat16 holds."""
    product: Any = torch._weight_int8pack_mm
    own = asked.bfloat16()
    scores = product(own[None], small, scales.bfloat16())[0].float()
    return scores, float((asked - own.float()).norm()), 2.0**-8 / (1 - 2.0**-8)


SCANS: dict[str, Scan] = {"int8": by_int8, "bfloat16": by_bfloat16}


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """int8 (B, D) and the scale (B,) of each row: row = about scale * int8. Scales are rounded up to what bfloat16
    holds exactly."""
    scales = rows.abs().amax(1).clamp(min=1e-30) / 127
    up = (scales * (1 + 2.0**-7)).bfloat16().float()  # at least as large, whichever way it was rounded
    return (rows / up[:, None]).round().to(torch.int8), up
