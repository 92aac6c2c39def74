"""What each word and patch did to the score of one item, by several methods. Every method answers the same question, so
that faithfulness can judge between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.domain import Modality
from core.errors import UnknownNameError
from core.explain.attention import Weights, attention_maps
from core.explain.scorer import Scorer, everything, masked_scores

STEPS = 24  # points of the path of integrated gradients
ORDERS = 8  # pairs of orders of sampled Shapley values


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to attribute. tells: one sentence for a person; signed: whether a weight may be negative; slow: whether it
    is measured only when it is asked for."""

    title: str
    tells: str
    run: Callable[[Scorer], Weights | None]
    signed: bool = True
    slow: bool = False


def occlusion(scorer: Scorer) -> Weights:
    """Score with everything minus score without this one unit. Source: Zeiler and Fergus 2014, at the token states."""
    places = [(m, n) for m, units in scorer.units.items() for n in range(len(units))]
    kept = everything(scorer, 1 + len(places))
    for row, (m, n) in enumerate(places, 1):
        kept[m][row, n] = False
    scores = masked_scores(scorer, kept)[:, scorer.target]
    return split(scorer, scores[0] - scores[1:])


def sampled_shapley(scorer: Scorer, orders: int = ORDERS, seed: int = 0) -> Weights:
    """Mean gain of a unit over random orders of arrival and their reverses. Source: Castro et al. 2009; antithetic
    pairs: Mitchell et al. 2022. Each order adds up to the score exactly, so the sum says nothing of the sampling."""
    generator, sizes = np.random.default_rng(seed), {m: len(units) for m, units in scorer.units.items()}
    total = sum(sizes.values())
    drawn = [generator.permutation(total) for _ in range(orders)]
    paths = [path for order in drawn for path in (order, order[::-1])]
    inside = np.zeros((len(paths), total + 1, total), dtype=bool)
    for number, path in enumerate(paths):
        for step, unit in enumerate(path, 1):
            inside[number, step:, unit] = True
    flat, kept, at = inside.reshape(-1, total), {}, 0
    for m, size in sizes.items():
        kept[m], at = torch.from_numpy(flat[:, at : at + size]), at + size
    scores = masked_scores(scorer, kept)[:, scorer.target].reshape(len(paths), total + 1)
    gains = np.zeros(total)
    for path, row in zip(paths, np.diff(scores, axis=1), strict=True):
        gains[path] += row / len(paths)
    return split(scorer, gains)


def integrated_gradients(scorer: Scorer, steps: int = STEPS) -> Weights:
    """Gradients gathered on the straight way from the mean of the data to the states, times the way. Through captum.
    Source: Sundararajan et al. 2017."""
    from captum.attr import IntegratedGradients

    players = scorer.players
    inputs = tuple(scorer.states[m][None] for m in players)
    found = IntegratedGradients(own_score(scorer)).attribute(inputs, n_steps=steps)
    return {m: scorer.units[m].per_unit(one[0].sum(-1)) for m, one in zip(players, found, strict=True)}


def gradient_input(scorer: Scorer) -> Weights:
    """Gradient of the score by the states, times the states. Source: Shrikumar et al. 2017."""
    states = {m: state[None].clone().requires_grad_() for m, state in scorer.states.items()}
    score = own_score(scorer)(*(states[m] for m in scorer.players)).sum()
    found = torch.autograd.grad(score, list(states.values()), allow_unused=True)
    return {
        m: scorer.units[m].per_unit(torch.zeros(len(states[m][0])) if one is None else (one * states[m])[0].sum(-1))
        for m, one in zip(states, found, strict=True)
    }


def gradient_attention(scorer: Scorer) -> Weights | None:
    """Each attention weight times the gradient of the score by it, summed over heads, blocks and readers; None where
    the model has no attention. Source: Chefer et al. 2021, without their cut at zero, so that signs stay."""
    states = {m: state[None].clone().requires_grad_() for m, state in scorer.states.items()}
    scores, seen = scorer.attention(states)
    looked = [*seen.pooling.values(), *seen.layers]
    if not looked:
        return None
    found = torch.autograd.grad(scores[0, scorer.target], looked, allow_unused=True)
    moved = [torch.zeros_like(a) if g is None else a * g for a, g in zip(looked, found, strict=True)]
    per_token = {m: one[0].detach() for m, one in zip(seen.pooling, moved, strict=False)}
    for layer in moved[len(seen.pooling) :]:
        read = layer[0].sum((0, 1)).detach()  # (T,) over heads and readers
        for m, place in seen.places.items():
            per_token[m] = per_token.get(m, 0) + read[place]
    return {m: scorer.units[m].per_unit(one) for m, one in per_token.items()}


def attention(scorer: Scorer) -> Weights | None:
    """The weights the model pooled by, or what its summary read, rolled out over its blocks."""
    maps = attention_maps(scorer)
    return maps.get("rollout") or maps.get("pooling")


METHODS: dict[str, Method] = {
    "integrated": Method(
        title="Integrated gradients",
        tells="Gradients of the score gathered on the way from the average item to this one.",
        run=integrated_gradients,
    ),
    "occlusion": Method(
        title="Leaving out", tells="The score with everything, minus the score without this one part.", run=occlusion
    ),
    "shapley": Method(
        title="Shapley, sampled", tells="The mean gain of a part over random orders of arrival.", run=sampled_shapley,
        slow=True,
    ),
    "gradient": Method(
        title="Gradient x input", tells="How steeply the score rises along this part's state.", run=gradient_input
    ),
    "gradient_attention": Method(
        title="Gradient x attention", tells="The attention a part got, times what that did to the score.",
        run=gradient_attention,
    ),
    "attention": Method(
        title="Attention", tells="Where the model looked. It says nothing of what that did to the score.",
        run=attention, signed=False,
    ),
}  # fmt: skip
DEFAULT = "integrated"


def attribute(scorer: Scorer, method: str = DEFAULT) -> Weights | None:
    """Weights of every word and patch by a method; None where the method does not apply to this model, or nothing was
    given that it could read. Unknown names list the known."""
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    return METHODS[method].run(scorer) if scorer.players else None


def own_score(scorer: Scorer) -> Callable[..., Tensor]:
    """The target's score as a function of the states (B, L, K) of each player in order: what gradients are taken of."""

    def score(*states: Tensor) -> Tensor:
        given = dict(zip(scorer.players, states, strict=True))
        keep = {m: torch.ones(one.shape[:2], dtype=torch.bool) for m, one in given.items()}
        return scorer.scores(given, keep)[:, scorer.target]

    return score


def pair_interactions(scorer: Scorer, rows: Modality, columns: Modality) -> NDArray[np.float64]:
    """(n, n'): score(all) - score(without a) - score(without b) + score(without both), for every unit a of one modality
    and b of the other: above 0 where the two only work together."""
    left, right = len(scorer.units[rows]), len(scorer.units[columns])
    kept = everything(scorer, (1 + left) * (1 + right))
    grid = {rows: kept[rows].view(1 + left, 1 + right, left), columns: kept[columns].view(1 + left, 1 + right, right)}
    for n in range(left):
        grid[rows][1 + n, :, n] = False
    for n in range(right):
        grid[columns][:, 1 + n, n] = False
    scores = masked_scores(scorer, kept)[:, scorer.target].reshape(1 + left, 1 + right)
    return scores[:1, :1] - scores[1:, :1] - scores[:1, 1:] + scores[1:, 1:]


def split(scorer: Scorer, flat: NDArray[np.float64]) -> Weights:
    """Values of all units in a row -> per modality."""
    found, at = {}, 0
    for m, units in scorer.units.items():
        found[m], at = flat[at : at + len(units)], at + len(units)
    return found


def difference(left: Mapping[Modality, NDArray[np.float64]], right: Mapping[Modality, NDArray[np.float64]]) -> Weights:
    """Why this and not that: what each part did for one item beyond what it did for the other."""
    return {m: left[m] - right[m] for m in left}
