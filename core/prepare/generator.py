"""Imputer `adversarial`: what is missing is generated from what is there, against a critic that sees both.

Sources: Mirza and Osindero 2014 (conditional generator and critic), Isola et al. 2017 (reconstruction beside it).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Modality
from core.prepare.impute import Imputer, Vectors

STEPS, BATCH, HIDDEN = 300, 64, 128
REAL = 0.05  # weight of looking real beside being near the truth


class Generative(Imputer):
    """One generator a modality, from all others side by side (zeros where one is absent) and which of them are there.

    A critic learns to tell generated vectors from true ones beside the same givens; it is not kept. In training givens
    are dropped at random, so that every set of them was seen.
    """

    def __init__(self, widths: Mapping[Modality, int], items: int) -> None:
        super().__init__(widths, items)
        total = sum(widths.values())
        self.generate = nn.ModuleDict(
            {m: network(total - width + len(widths) - 1, width) for m, width in widths.items()}
        ).requires_grad_(False)

    def fit(self, vectors: Vectors, present: Vectors) -> None:
        """Seeded apart from everything else that is drawn, so that the choice of an imputer changes nothing else."""
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            for target in self.widths:
                others = [m for m in self.widths if m != target]
                rows = present[target] & torch.stack([present[m] for m in others]).any(0)
                if int(rows.sum()) >= 3:
                    given = {m: vectors[m][rows] for m in others}
                    self.learn(target, given, {m: present[m][rows] for m in others}, vectors[target][rows])

    def learn(self, target: Modality, given: Vectors, there: Vectors, truth: Tensor) -> None:
        """Generator and critic in turn, STEPS times."""
        maker = self.generate[target].requires_grad_(True)
        width = self.inputs(target, given, there).shape[1]
        critic = network(width + truth.shape[1], 1)
        making, judging = (torch.optim.Adam(one.parameters(), lr=1e-3, betas=(0.5, 0.99)) for one in (maker, critic))
        for _ in range(STEPS):
            rows = torch.randint(len(truth), (min(BATCH, len(truth)),))
            seen = {m: there[m][rows] & (torch.rand(len(rows)) > 0.3 * (len(given) > 1)) for m in given}
            asked, true = self.inputs(target, {m: v[rows] for m, v in given.items()}, seen), truth[rows]
            made = maker(asked)
            real, fake = critic(torch.cat([asked, true], 1)), critic(torch.cat([asked, made.detach()], 1))
            step(judging, functional.softplus(-real).mean() + functional.softplus(fake).mean())
            looks = functional.softplus(-critic(torch.cat([asked, made], 1))).mean()
            step(making, (made - true).square().sum(-1).mean() + REAL * looks)
        maker.requires_grad_(False)

    def inputs(self, target: Modality, given: Vectors, there: Vectors) -> Tensor:
        """(B, other widths + other modalities)."""
        others = [m for m in self.widths if m != target]
        values = [given[m] * there[m][:, None] for m in others]
        return torch.cat([*values, torch.stack([there[m].float() for m in others], 1)], 1)

    def predict(self, target: Modality, given: Vectors) -> Tensor:
        one = next(iter(given.values()))
        others = [m for m in self.widths if m != target]
        whole = {m: given[m] if m in given else one.new_zeros(len(one), self.widths[m]) for m in others}
        there = {m: torch.full((len(one),), m in given, device=one.device) for m in others}
        return self.generate[target](self.inputs(target, whole, there))


def network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, outputs))


def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
