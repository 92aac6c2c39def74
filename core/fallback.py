"""An answer although the GPU has no memory left or has failed: once more, then on the CPU, and the person is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from core.domain import Modality, Notice, Query, Recommendation

if TYPE_CHECKING:
    from core.pipeline import Pipeline

log = logging.getLogger("fusescope.fallback")
_FAILED = tuple(
    one for name in ("OutOfMemoryError", "AcceleratorError") if (one := getattr(torch, name, None)) is not None
)
SAID = (
    "the GPU had too little free memory or failed, so this was answered on the CPU; it is slower and the same. "
    "End what else uses the GPU, or set FUSESCOPE_DEVICE=cpu."
)


def recommend_anyway(
    pipeline: Pipeline, on_cpu: Callable[[], Pipeline], query: Query, *, top: int, without: tuple[Modality, ...] = ()
) -> Recommendation:
    """`pipeline.recommend`; where the device gives out, `on_cpu` opens the same run there and the answer says so.

    After a failed assertion nothing on the device can be used again, so nothing is copied from it.
    """
    for _ in range(2):
        try:
            return pipeline.recommend(query, top=top, without=without)
        except _FAILED as error:
            kind = type(error).__name__
        log.warning("E-GPU-MEMORY: %s on %s", kind, pipeline.device)  # out here: the exception holds tensors
        if kind != "OutOfMemoryError":
            break
        torch.cuda.empty_cache()
    answer = on_cpu().recommend(query, top=top, without=without)
    return replace(answer, notices=(*answer.notices, Notice(code="E-GPU-MEMORY", message=SAID)))
