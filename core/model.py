"""One run's trained parts as one module: standardise -> align -> fuse, and the ranker beside them."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import torch
from safetensors.torch import save
from torch import Tensor, nn

from core.align import build_aligner
from core.align.frozen import Frozen
from core.align.space import build_space
from core.config import RunSettings
from core.domain import Aligned, Encoded, Fused, Modality
from core.errors import SettingsError
from core.fuse import build_fuser
from core.fuse.beside import Beside
from core.prepare.impute import build_imputer
from core.rank import build_ranker, reads

log = logging.getLogger("fusescope.model")


class Model(nn.Module):
    """widths: modality -> own width E of its encoder, in the order of MODALITIES; users, items: training rows.

    A ranker that reads frozen features gets them side by side in place of a fused vector; one that reads ids, nothing.
    """

    def __init__(self, settings: RunSettings, widths: Mapping[Modality, int], users: int, items: int) -> None:
        super().__init__()
        self.modalities = tuple(widths)
        spaces = {m: build_space(settings.standardise, width, settings.kept) for m, width in widths.items()}
        self.space, kept = nn.ModuleDict(spaces), {m: space.kept for m, space in spaces.items()}
        learns_vectors = reads(settings) == "vectors"
        self.aligner = build_aligner(settings.align, kept, settings.width) if learns_vectors else Frozen()
        self.fuser = build_fuser(settings.fuse, self.modalities, settings.width) if learns_vectors else Beside(widths)
        self.imputer = build_imputer(settings.impute, kept, items) if learns_vectors else None
        self.generates = settings.impute == "generator"
        if self.generates and not hasattr(self.aligner, "filled"):
            raise SettingsError(
                f"impute generator needs an aligner with generators; {settings.align} has none. Choose adversarial"
            )
        width = settings.width if learns_vectors else sum(kept.values())
        self.ranker = build_ranker(settings.rank, width, users, items)

    def standardise(self, encoded: Mapping[Modality, Encoded]) -> dict[Modality, Encoded]:
        return self.complete({m: space.encoded(encoded[m]) for m, space in self.space.items()})  # type: ignore[operator]

    def complete(self, standardised: dict[Modality, Encoded]) -> dict[Modality, Encoded]:
        """What is missing filled in and marked, where the run has an imputer."""
        return standardised if self.imputer is None else self.imputer(standardised)

    def align(self, standardised: Mapping[Modality, Encoded]) -> dict[Modality, Aligned]:
        return self.aligner(standardised, tokens=self.fuser.reads_tokens)

    def align_apart(
        self, standardised: Mapping[Modality, Encoded], aligned: Mapping[Modality, Aligned]
    ) -> Mapping[Modality, Aligned]:
        """Every modality aligned without sight of the others: what an alignment may be judged by. `aligned` itself,
        unless the aligner mixes modalities."""
        if not self.aligner.mixes:
            return aligned
        others = {m: [n for n in self.modalities if n != m] for m in self.modalities}
        return {m: self.aligner(switch_off(standardised, off), tokens=False)[m] for m, off in others.items()}

    def own_loss(self, standardised: Mapping[Modality, Encoded], aligned: Mapping[Modality, Aligned]) -> Tensor:
        """What the aligner wants beyond its vectors agreeing; zero for most."""
        own = getattr(self.aligner, "own_loss", None)
        return own(standardised, aligned) if own else torch.zeros(())

    def fuse(self, aligned: Mapping[Modality, Aligned], attention: bool = False) -> Fused:
        return self.fuser(self.aligner.filled(aligned) if self.generates else aligned, attention)  # type: ignore[operator]

    def forward(self, standardised: Mapping[Modality, Encoded]) -> Tensor:
        """Standardised media of B things -> (B, D)."""
        return self.fuse(self.align(standardised)).vector


@dataclass(frozen=True, kw_only=True)
class Coalitions:
    """Things under every subset of M modalities, in binary order: vectors (2^M, N, D) or (2^M, D), gates (..., M)."""

    vectors: Tensor
    gates: Tensor

    def to_bytes(self) -> bytes:
        """As safetensors, float16."""
        return save({"vectors": self.vectors.half().cpu().contiguous(), "gates": self.gates.half().cpu().contiguous()})


def switch_off(encoded: Mapping[Modality, Encoded], off: Collection[Modality]) -> dict[Modality, Encoded]:
    """The same things without some modalities: their masks become all False."""
    return {
        m: one
        if m not in off
        else replace(one, mask=torch.zeros_like(one.mask), pooled_mask=torch.zeros_like(one.pooled_mask))
        for m, one in encoded.items()
    }


def best_device(wanted: str) -> str:
    """ "auto" -> cuda, then mps, then cpu; a GPU that is wanted and not there is said in the log, and cpu is used."""
    gone = (wanted.startswith("cuda") and not torch.cuda.is_available()) or (
        wanted == "mps" and not torch.backends.mps.is_available()
    )
    if gone:
        log.warning("%s is wanted, but no such device or no fitting driver is here; the CPU is used", wanted[:20])
        return "cpu"
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


class Clock:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self.begun = self.last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.last = (now - self.last) * 1000, now

    def finish(self) -> dict[str, float]:
        return {**self.laps, "total": (time.perf_counter() - self.begun) * 1000}
