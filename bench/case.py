"""What is measured: two arms that do the same work, and the check that they really do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Outcome = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Sameness:
    """Whether two outcomes are equal in the sense of the case, and the number that says so."""

    ok: bool
    detail: str


class Arm(Protocol):
    """One side of a case, living in a process of its own."""

    @property
    def label(self) -> str: ...

    def prepare(self, step: int) -> Any:
        """The input of one run, made outside the clock; another one for every step."""

    def run(self, given: Any) -> Any:
        """The work under the clock."""

    def outcome(self, result: Any) -> Outcome:
        """What is compared between the arms, made outside the clock."""


class Case(Protocol):
    """id: its name on the command line. kind: speedup (peer / ours), cost (ours / peer) or extra (ours - peer, s).

    items: things one run handles. floor: the claim is withdrawn beyond it; target: what we aim for. threads_used: True
    where all threads work, so that a block in which they could not is void. limit_ms: what a run may take, or None.
    """

    id: str
    title: str
    kind: str
    floor: float
    target: float
    threads_used: bool
    limit_ms: float | None

    @property
    def items(self) -> int: ...

    def missing(self) -> str:
        """Why this case cannot run here; empty where it can."""

    def arm(self, name: str) -> Arm:
        """name: ours or peer. Loads whatever the arm needs."""

    def same(self, ours: Outcome, peer: Outcome) -> Sameness: ...


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much work a case does: smoke is tiny, for the test suite."""

    smoke: bool = False
    threads: int = 2


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) cosine of each row of a (n, E) with the same row of b, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
