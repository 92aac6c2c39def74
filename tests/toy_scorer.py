"""A thing whose score can be worked out by hand: sums of its tokens, put together by a rule that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.domain import Modality
from core.explain.scorer import Attention, Units

Rule = Callable[[Mapping[Modality, Tensor]], Tensor]


def additive(sums: Mapping[Modality, Tensor]) -> Tensor:
    return sum(sums.values())


def product(sums: Mapping[Modality, Tensor]) -> Tensor:
    return torch.stack(list(sums.values())).prod(0)


@dataclass(frozen=True, kw_only=True)
class ToyScorer:
    """score of item n = rule over modalities of (sum over kept tokens of state . weight of (modality, n)).

    weights (M, K, N); ignored: modalities that the rule never gets. looks: attention per modality, free of the score.
    """

    values: Mapping[Modality, Tensor]
    weights: Mapping[Modality, Tensor]
    rule: Rule = additive
    scope: str = "query"
    target: int = 0
    ignored: tuple[Modality, ...] = ()
    looks: Mapping[Modality, Tensor] = field(default_factory=dict)

    @property
    def players(self) -> tuple[Modality, ...]:
        return tuple(self.values)

    @property
    def states(self) -> Mapping[Modality, Tensor]:
        return self.values

    @property
    def parts(self) -> Mapping[Modality, Tensor]:
        return {m: torch.zeros(len(one), dtype=torch.long) for m, one in self.values.items()}

    @property
    def units(self) -> Mapping[Modality, Units]:
        return {m: one_each(len(states)) for m, states in self.values.items()}

    def scores(self, states: Mapping[Modality, Tensor], keep: Mapping[Modality, Tensor]) -> Tensor:
        rows = max([1, *(len(one) for one in (*states.values(), *keep.values()))])
        count = next(iter(self.weights.values())).shape[1]
        zero = torch.zeros(rows, count, dtype=next(iter(self.values.values())).dtype)
        sums = {
            m: zero if m not in keep else (states[m] * keep[m][..., None]).sum(1).to(zero) @ self.weights[m] + zero
            for m in self.players
            if m not in self.ignored
        }
        return self.rule(sums)

    def coalitions(self, baseline: Any = None) -> np.ndarray:
        rows = []
        for row in range(1 << len(self.players)):
            inside = [m for bit, m in enumerate(self.players) if row >> bit & 1]
            keep = {m: torch.ones(1, len(self.values[m]), dtype=torch.bool) for m in inside}
            rows.append(self.scores({m: self.values[m][None] for m in inside}, keep))
        return torch.cat(rows).detach().double().numpy()

    def attention(self, states: Mapping[Modality, Tensor]) -> tuple[Tensor, Attention]:
        keep = {m: torch.ones(1, len(one[0]), dtype=torch.bool) for m, one in states.items()}
        ones = {m: torch.ones(1, dtype=torch.double) for m in self.players}
        looks = {m: look[None] for m, look in self.looks.items()}
        return self.scores(states, keep), Attention(pooling=looks, gates=ones, layers=(), places={})

    def randomised(self, seed: int) -> ToyScorer:
        generator = torch.Generator().manual_seed(seed)
        drawn = {m: torch.randn(w.shape, generator=generator, dtype=w.dtype) for m, w in self.weights.items()}
        return replace(self, weights=drawn)


def one_each(count: int) -> Units:
    """Every token is a unit of its own."""
    return Units(
        names=tuple(f"w{row}" for row in range(count)), parts=(0,) * count, members=torch.eye(count, dtype=torch.bool),
        spans=tuple((row, row + 1) for row in range(count)),
    )  # fmt: skip


def toy(*modalities: Modality, tokens: int = 12, items: int = 9, seed: int = 0, **more: Any) -> ToyScorer:
    """Random float64 states and weights of width 4; a modality a name."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    values = {m: draw(tokens, 4) for m in modalities}
    return ToyScorer(values=values, weights={m: draw(4, items) for m in modalities}, **more)
