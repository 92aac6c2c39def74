"""No alignment: the standardised vectors themselves, for rankers that read frozen features."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from core.domain import Aligned, Encoded, Modality


class Frozen(nn.Module):
    """pooled = mean of a thing's media, each modality in its own width, zero where absent. Nothing is learned."""

    mixes = False

    def forward(self, encoded: Mapping[Modality, Encoded], tokens: bool = True) -> dict[Modality, Aligned]:
        return {m: self.mean(one) for m, one in encoded.items()}

    def mean(self, encoded: Encoded) -> Aligned:
        there = encoded.pooled_mask.to(encoded.pooled.dtype)
        media = there / there.sum(1, keepdim=True).clamp(min=1)  # (B, R)
        return Aligned(
            tokens=encoded.tokens,
            mask=encoded.mask,
            pooled=(encoded.pooled * media[..., None]).sum(1),
            present=encoded.present,
            media=media,
        )
