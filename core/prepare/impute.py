"""A missing modality filled in from the ones that are there; fitted on training items, stored with the run as tensors.

All work on standardised pooled vectors, one a modality, the mean over a thing's media. What is filled in is marked
(`Encoded.imputed`); a thing without any modality stays empty. One file, one registry: `IMPUTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from core.domain import Encoded, Modality
from core.errors import UnknownNameError

NEIGHBOURS = 5
AXES = 32  # principal axes of each modality that the iterative imputer models; beyond them it fills in the mean
RIDGE = 1.0  # weight of the ridge penalty, in units of the mean eigenvalue of the given modality
Vectors = Mapping[Modality, Tensor]


class Imputer(nn.Module):
    """The frame of all imputers: which things lack what, and the vectors put in their place.

    widths: modality -> width of its standardised vectors; items: training rows.
    """

    def __init__(self, widths: Mapping[Modality, int], items: int) -> None:
        super().__init__()
        self.widths = dict(widths)

    def fit(self, vectors: Vectors, present: Vectors) -> None:
        """vectors: modality -> (n, E) of the training items; present: modality -> (n,) bool."""
        raise NotImplementedError

    def predict(self, target: Modality, given: Vectors) -> Tensor:
        """Vectors (B, E) of `target` for B things that have exactly the modalities `given`, (B, E') each."""
        raise NotImplementedError

    @torch.no_grad()
    def forward(self, encoded: Mapping[Modality, Encoded]) -> dict[Modality, Encoded]:
        """Standardised media with every gap filled by one token and one medium, marked as imputed."""
        pooled, present = pooled_vectors(encoded)
        names = tuple(encoded)
        filled = {m: pooled[m].clone() for m in names}
        for given in patterns(names):
            rows = torch.stack([present[m] == (m in given) for m in names]).all(0)
            if rows.any():
                for target in names:
                    if target not in given:
                        filled[target][rows] = self.predict(target, {m: pooled[m][rows] for m in given})
        anything = torch.stack(list(present.values())).any(0)
        return {m: with_filled(one, filled[m], anything & ~present[m]) for m, one in encoded.items()}


class Constant(Imputer):
    """The same vector for everything: the mean or the median of the training items that have the modality."""

    def __init__(self, widths: Mapping[Modality, int], items: int, centre: str) -> None:
        super().__init__(widths, items)
        self.centre = centre
        for m, width in widths.items():
            self.register_buffer(m, torch.zeros(width))

    def fit(self, vectors: Vectors, present: Vectors) -> None:
        for m, values in vectors.items():
            known = values[present[m]]
            if len(known):
                middle = known.mean(0) if self.centre == "mean" else known.quantile(0.5, dim=0)
                getattr(self, m).copy_(middle)

    def predict(self, target: Modality, given: Vectors) -> Tensor:
        return getattr(self, target).expand(len(next(iter(given.values()))), -1)


class Affine(Imputer):
    """For every set of given modalities one affine map to each missing one."""

    def __init__(self, widths: Mapping[Modality, int], items: int, solve: Callable[..., Any]) -> None:
        super().__init__(widths, items)
        self.solve = solve
        for given in patterns(tuple(widths)):
            for target in (m for m in widths if m not in given):
                width = sum(widths[m] for m in given)
                self.register_buffer(f"{target}_from_{'_'.join(given)}", torch.zeros(width + 1, widths[target]))

    def fit(self, vectors: Vectors, present: Vectors) -> None:
        maps = self.solve(vectors, present)
        for given in patterns(tuple(vectors)):
            for target in (m for m in vectors if m not in given):
                getattr(self, f"{target}_from_{'_'.join(given)}").copy_(maps(target, given))

    def predict(self, target: Modality, given: Vectors) -> Tensor:
        table = getattr(self, f"{target}_from_{'_'.join(given)}")
        return torch.cat(list(given.values()), -1) @ table[:-1] + table[-1]


class Neighbours(Imputer):
    """Mean of the NEIGHBOURS training items that are nearest in the given modalities and have the missing one.

    Equal to scikit-learn's KNNImputer over the concatenated vectors.  Source: Troyanskaya et al. 2001.
    """

    def __init__(self, widths: Mapping[Modality, int], items: int) -> None:
        super().__init__(widths, items)
        for m, width in widths.items():
            self.register_buffer(m, torch.zeros(items, width))
            self.register_buffer(f"has_{m}", torch.zeros(items, dtype=torch.bool))

    def fit(self, vectors: Vectors, present: Vectors) -> None:
        for m, values in vectors.items():
            getattr(self, m).copy_(values * present[m][:, None])
            getattr(self, f"has_{m}").copy_(present[m])

    def predict(self, target: Modality, given: Vectors) -> Tensor:
        has = {m: getattr(self, f"has_{m}").float() for m in given}
        apart = sum(torch.cdist(values, getattr(self, m)) ** 2 * has[m] for m, values in given.items())  # (B, n)
        shared = sum(has[m] * self.widths[m] for m in given)  # (n,) coordinates that could be compared
        donors = getattr(self, f"has_{target}") & (shared > 0)
        if not donors.any():
            return torch.zeros(len(apart), self.widths[target], device=apart.device)
        apart = (apart / shared.clamp(min=1)).masked_fill(~donors, torch.inf)
        nearest = apart.topk(min(NEIGHBOURS, int(donors.sum())), largest=False).indices  # (B, k)
        return getattr(self, target)[nearest].mean(1)


def ridge_maps(vectors: Vectors, present: Vectors) -> Callable[[Modality, tuple[Modality, ...]], Tensor]:
    """Ridge regression from the given modalities to the missing one, over the items that have all of them."""

    def solve(target: Modality, given: tuple[Modality, ...]) -> Tensor:
        rows = torch.stack([present[m] for m in (target, *given)]).all(0)
        seen = torch.cat([vectors[m][rows] for m in given], -1).double()
        wanted = vectors[target][rows].double()
        if len(seen) < 3:
            return torch.zeros(seen.shape[1] + 1, wanted.shape[1])
        middle, goal = seen.mean(0), wanted.mean(0)
        square = (seen - middle).T @ (seen - middle)
        penalty = RIDGE * square.diagonal().mean()
        weight = torch.linalg.solve(
            square + penalty * torch.eye(len(square), dtype=torch.double), (seen - middle).T @ (wanted - goal)
        )
        return torch.cat([weight, (goal - middle @ weight)[None]]).float()

    return solve


def iterative_maps(vectors: Vectors, present: Vectors) -> Callable[[Modality, tuple[Modality, ...]], Tensor]:
    """scikit-learn's IterativeImputer (each coordinate from all others in turn, Bayesian ridge) over the first AXES
    axes. With linear regressions its answer is affine in what is given: the map is read off at unit vectors.

    Source: van Buuren & Groothuis-Oudshoorn 2011 (MICE), one imputation.
    """
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (registers the class below)
    from sklearn.impute import IterativeImputer

    kept = {m: min(AXES, values.shape[1]) for m, values in vectors.items()}
    ends = dict(zip(kept, np.cumsum(list(kept.values())).tolist(), strict=True))
    places = {m: slice(ends[m] - kept[m], ends[m]) for m in kept}
    rows = torch.stack(list(present.values())).any(0)
    table = np.full((int(rows.sum()), sum(kept.values())), np.nan)
    for m, place in places.items():
        has = present[m][rows].numpy()
        table[has, place] = vectors[m][rows][present[m][rows]][:, : kept[m]].double().numpy()
    model = IterativeImputer(max_iter=10, random_state=0, keep_empty_features=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(table)

    def solve(target: Modality, given: tuple[Modality, ...]) -> Tensor:
        asked = np.full((1 + sum(kept[m] for m in given), table.shape[1]), np.nan)
        at = 1
        for m in given:
            asked[:, places[m]] = 0.0
            asked[at : at + kept[m], places[m]] = np.eye(kept[m])
            at += kept[m]
        answer = torch.from_numpy(model.transform(asked)[:, places[target]]).float()
        full = torch.zeros(sum(vectors[m].shape[1] for m in given) + 1, vectors[target].shape[1])
        row, at = 0, 1
        for m in given:
            full[row : row + kept[m], : kept[target]] = answer[at : at + kept[m]] - answer[0]
            row, at = row + vectors[m].shape[1], at + kept[m]
        full[-1, : kept[target]] = answer[0]
        return full

    return solve


IMPUTERS: dict[str, Callable[[Mapping[Modality, int], int], Imputer] | None] = {
    "none": None,
    "generator": None,  # the adversarial aligner's own, in the shared space: see core.align.adversarial
    "interpolation": None,  # of stars along a person's time: see core.prepare.interpolate
    "mean": lambda widths, items: Constant(widths, items, "mean"),
    "median": lambda widths, items: Constant(widths, items, "median"),
    "knn": Neighbours,
    "iterative": lambda widths, items: Affine(widths, items, iterative_maps),
    "ridge": lambda widths, items: Affine(widths, items, ridge_maps),
    "adversarial": lambda widths, items: generative(widths, items),
}


def generative(widths: Mapping[Modality, int], items: int) -> Imputer:
    from core.prepare.generator import Generative

    return Generative(widths, items)


def build_imputer(name: str, widths: Mapping[Modality, int], items: int) -> Imputer | None:
    """An unfitted imputer, None where the standardised vectors stay as they are. Unknown names list the known."""
    if name not in IMPUTERS:
        raise UnknownNameError("imputer", name, IMPUTERS)
    make = IMPUTERS[name]
    return make(widths, items) if make is not None else None


def patterns(names: Sequence[Modality]) -> list[tuple[Modality, ...]]:
    """Every way to have some of the modalities but not all, in the order of `names`."""
    return [given for size in range(1, len(names)) for given in combinations(names, size)]


def pooled_vectors(encoded: Mapping[Modality, Encoded]) -> tuple[dict[Modality, Tensor], dict[Modality, Tensor]]:
    """Modality -> mean over a thing's media (B, E), zero where it has none; and modality -> present (B,)."""
    count = {m: one.pooled_mask.sum(1, keepdim=True).clamp(min=1) for m, one in encoded.items()}
    pooled = {m: (one.pooled * one.pooled_mask[..., None]).sum(1) / count[m] for m, one in encoded.items()}
    return pooled, {m: one.present for m, one in encoded.items()}


def with_filled(one: Encoded, vectors: Tensor, rows: Tensor) -> Encoded:
    """The same things, those in `rows` (B,) with one token and one medium of `vectors` (B, E), marked as imputed."""
    first = torch.zeros_like(one.mask)
    first[:, 0] = rows
    medium = torch.zeros_like(one.pooled_mask)
    medium[:, 0] = rows
    return replace(
        one,
        tokens=torch.where(first[..., None], vectors[:, None], one.tokens),
        mask=one.mask | first,
        pooled=torch.where(medium[..., None], vectors[:, None], one.pooled),
        pooled_mask=one.pooled_mask | medium,
        imputed=rows,
    )
