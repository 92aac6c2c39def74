"""Aligner `adversarial`: a judge guesses which modality a vector came from; generators rebuild each from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from core.align.projection import Projection
from core.domain import Aligned, Encoded, Modality


class Adversarial(Projection):
    """The heads of `projection` under three further losses.

    A judge learns to name the modality of a shared vector, and the heads learn to leave it guessing: they are pulled to
    where its guess is uniform, a loss with a floor, which trains more calmly than a reversed gradient. A generator a
    modality turns a shared vector into that modality's own, so that head and generator together translate between any
    two; translations are held to the truth (reconstruction) and to coming back (cycle).

    Sources: Ganin et al. 2016 (a judge of domains), Tzeng et al. 2015 (uniform guess), Zhu et al. 2017 (cycle).
    """

    def __init__(self, widths: Mapping[Modality, int], width: int, hidden: int = 256, weight: float = 0.1) -> None:
        super().__init__(widths, width)
        self.weight = weight
        self.judge = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, len(widths)))
        self.generate = nn.ModuleDict(
            {
                m: nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, kept))
                for m, kept in widths.items()
            }
        )

    def own_loss(self, standardised: Mapping[Modality, Encoded], aligned: Mapping[Modality, Aligned]) -> Tensor:
        """Judge, confusion, reconstruction and cycle, of one batch of things."""
        shared = {m: one.pooled[one.present] for m, one in aligned.items()}  # (n, D) each
        truth = {m: middle(one) for m, one in standardised.items()}  # (B, kept) each
        frozen = {name: value.detach() for name, value in self.judge.named_parameters()}
        judged = [
            functional.cross_entropy(self.judge(v.detach()), self.label(m, v)) for m, v in shared.items() if len(v)
        ]
        puzzled = [-functional_call(self.judge, frozen, v).log_softmax(-1).mean() for v in shared.values() if len(v)]
        rebuilt = [self.rebuilt(aligned, truth, source, target) for source in aligned for target in aligned]
        cycled = [self.cycled(aligned, truth, source, target) for source in aligned for target in aligned
                  if source != target]  # fmt: skip
        return sum(judged + puzzled + rebuilt + cycled, torch.zeros(())) * self.weight

    def label(self, modality: Modality, vectors: Tensor) -> Tensor:
        return torch.full((len(vectors),), list(self.heads).index(modality), device=vectors.device)

    def rebuilt(self, aligned: Mapping, truth: Mapping[Modality, Tensor], source: Modality, target: Modality) -> Tensor:
        """Squared distance of what `source` says `target` looks like to what it does look like."""
        both = aligned[source].present & aligned[target].present
        return distance(self.generate[target](aligned[source].pooled[both]), truth[target][both])

    def cycled(self, aligned: Mapping, truth: Mapping[Modality, Tensor], source: Modality, target: Modality) -> Tensor:
        """Squared distance to the truth after a translation to `target` and back."""
        own = aligned[source].present
        there = self.shared(target, self.generate[target](aligned[source].pooled[own]))
        return distance(self.generate[source](there), truth[source][own])

    def shared(self, modality: Modality, standardised: Tensor) -> Tensor:
        """Standardised vectors (n, kept) of a modality -> shared space (n, D), unit length."""
        return functional.normalize(self.heads[modality].vector(standardised), dim=-1)

    @torch.no_grad()
    def figures(self, vectors: Mapping[Modality, Tensor]) -> dict[str, float]:
        """judge: how often the judge names the modality of vectors (n, D) right, each modality counting alike; chance
        is 1 / M. Zero rows are absent and left out."""
        shared = {m: v[v.any(1)] for m, v in vectors.items()}
        right = [(self.judge(v).argmax(-1) == self.label(m, v)).float().mean() for m, v in shared.items() if len(v)]
        return {"judge": float(torch.stack(right).mean())} if right else {}

    def complete(self, aligned: Mapping[Modality, Aligned], modality: Modality) -> Tensor:
        """(B, kept): the standardised vector of `modality` as the other present modalities would have it, the mean of
        their translations; zero, which is the mean of the training data, where nothing else is present."""
        others = [one for m, one in aligned.items() if m != modality]
        said = torch.stack([self.generate[modality](one.pooled) for one in others], 1)  # (B, M - 1, kept)
        present = torch.stack([one.present for one in others], 1)[..., None]
        return (said * present).sum(1) / present.sum(1).clamp(min=1)

    def filled(self, aligned: Mapping[Modality, Aligned]) -> dict[Modality, Aligned]:
        """Absent modalities filled in by `complete` where anything is present: a vector and one token each."""
        some = torch.stack([one.present for one in aligned.values()]).any(0)  # (B,)
        return {m: self.stand_in(aligned, m, some & ~one.present) for m, one in aligned.items()}

    def stand_in(self, aligned: Mapping[Modality, Aligned], modality: Modality, missing: Tensor) -> Aligned:
        own = aligned[modality]
        if len(aligned) == 1 or not missing.any():
            return own
        pooled = torch.where(missing[:, None], self.shared(modality, self.complete(aligned, modality)), own.pooled)
        first = functional.one_hot(torch.zeros_like(missing, dtype=torch.long), own.mask.shape[1]).bool()  # (B, L)
        made = missing[:, None] & first
        tokens = torch.where(made[..., None], pooled[:, None], own.tokens) if own.tokens.shape[-1] else own.tokens
        return replace(own, tokens=tokens, mask=own.mask | made, pooled=pooled, present=own.present | missing)


def middle(encoded: Encoded) -> Tensor:
    """(B, kept): the mean vector of a thing's media."""
    count = encoded.pooled_mask.sum(1, keepdim=True).clamp(min=1)
    return (encoded.pooled * encoded.pooled_mask[..., None]).sum(1) / count


def distance(made: Tensor, true: Tensor) -> Tensor:
    return (made - true).square().sum(-1).mean() if len(made) else made.new_zeros(())
