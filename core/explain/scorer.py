"""What every explainer is given: one explained thing as a function of its token states, never a model.

The thing is a query, or an item before a known user. Its units (words, patches, moments) can be kept or taken away, its
states can be changed, and gradients flow back to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.domain import Modality

BLOCK = 256  # variants scored in one forward
Baseline = Mapping[Modality, Any] | str | None
Kept = Mapping[Modality, Tensor]  # modality -> (B, n) True where a unit stays


@dataclass(frozen=True, kw_only=True)
class Units:
    """What can be taken away of one modality.

    names: a word each, or "row, column" of a patch; parts: which medium each belongs to; members (n, L): whose token
    states a unit covers. Tokens of no unit (begin and end marks) stay while any unit of their medium stays.
    spans: characters of each word in its text, or (row, column) of each patch in its grid.
    """

    names: tuple[str, ...]
    parts: tuple[int, ...]
    members: Tensor
    spans: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.names)

    def per_unit(self, per_token: Tensor) -> NDArray[np.float64]:
        """Sums over the tokens of each unit: (..., L) -> (..., n)."""
        members = self.members.to(per_token)
        return (per_token @ members.T).detach().cpu().double().numpy()

    def tokens(self, kept: Tensor, part: Tensor) -> Tensor:
        """(B, n) units kept -> (B, L) tokens kept; `part` (L,) is the medium of each token."""
        own = kept.to(self.members.device).float() @ self.members.float() > 0  # (B, L)
        free = ~self.members.any(0)  # marks
        media = torch.nn.functional.one_hot(part).float()  # (L, R)
        stays = (own.float() @ media > 0).float() @ media.T > 0  # (B, L): something of the same medium stays
        return own | (free & stays)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """What a model looked at. pooling: per modality (B, L) weights by which its tokens were pooled; gates: (B,) what
    the fuser then gave the modality; layers: (B, H, T, T) of each block over [summary, all tokens]; places: which of
    those T belong to a modality."""

    pooling: Mapping[Modality, Tensor]
    gates: Mapping[Modality, Tensor]
    layers: tuple[Tensor, ...]
    places: Mapping[Modality, slice]


class Scorer(Protocol):
    """One thing before all N items (scope "query"), or one item before a known user (scope "item").

    players: its modalities. states: per modality (L, K) token states, standardised: zero is the mean of the data.
    parts: (L,) medium of each token. target: the column that is explained.
    """

    @property
    def scope(self) -> str: ...
    @property
    def players(self) -> tuple[Modality, ...]: ...
    @property
    def states(self) -> Mapping[Modality, Tensor]: ...
    @property
    def parts(self) -> Mapping[Modality, Tensor]: ...
    @property
    def units(self) -> Mapping[Modality, Units]: ...
    @property
    def target(self) -> int: ...

    def scores(self, states: Mapping[Modality, Tensor], keep: Mapping[Modality, Tensor]) -> Tensor:
        """states (B or 1, L, K), keep (B, L) True where a token is there; a modality that is left out of `keep` is
        absent -> scores (B, N) of all items. Differentiable in `states`; in scope "item" only the target's changes."""

    def coalitions(self, baseline: Baseline = None) -> NDArray[np.float64]:
        """(2^M, N) scores under every subset of the players, in binary order. baseline: what stands where a player is
        out: nothing (None: it is absent), "mean" (the mean of the data), or other media a modality."""

    def attention(self, states: Mapping[Modality, Tensor]) -> tuple[Tensor, Attention]:
        """Scores (B, N) with everything kept, and the attention they came from, in one graph."""

    def randomised(self, seed: int) -> Scorer:
        """The same thing before a model whose learned values were put in random order."""


def everything(scorer: Scorer, rows: int = 1) -> dict[Modality, Tensor]:
    """All units kept, (rows, n) a modality."""
    return {m: torch.ones(rows, len(units), dtype=torch.bool) for m, units in scorer.units.items()}


@torch.no_grad()
def masked_scores(scorer: Scorer, kept: Kept) -> NDArray[np.float64]:
    """(B, N) scores with these units kept (B, n); a modality without units is kept whole."""
    rows = max(len(one) for one in kept.values())
    pieces = []
    for start in range(0, rows, BLOCK):
        keep = {}
        for m in scorer.players:
            part = kept[m][start : start + BLOCK]
            keep[m] = scorer.units[m].tokens(part, scorer.parts[m])
        pieces.append(scorer.scores({m: scorer.states[m][None] for m in scorer.players}, keep))
    return torch.cat(pieces).double().cpu().numpy()


def in_scoring_path(scorer: Scorer, seed: int = 0) -> dict[Modality, bool]:
    """Whether any score changes, bitwise, when a modality's states are replaced by noise."""
    if not scorer.players:
        return {}
    generator = torch.Generator().manual_seed(seed)
    keep = {m: torch.ones(1, len(scorer.states[m]), dtype=torch.bool) for m in scorer.players}
    with torch.no_grad():
        whole = scorer.scores({m: s[None] for m, s in scorer.states.items()}, keep)
        found = {}
        for m in scorer.players:
            own = scorer.states[m]
            noise = torch.randn(own.shape, generator=generator).to(own)
            changed = scorer.scores({**{k: s[None] for k, s in scorer.states.items()}, m: noise[None]}, keep)
            found[m] = not torch.equal(whole, changed)
    return found
