"""What a bridge to another tool carries: a run's item vectors, its split, its lists, and the catalogue of all that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Catalogue, Modality
from core.evaluate.protocols import split_of
from core.files import write_atomic

if TYPE_CHECKING:
    from core.pipeline import Pipeline
    from core.workspace import Workspace

BLOCK = 512  # users whose scores are held at once
OnStep = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Recommended:
    """One line of a list: ranks count from 1."""

    user_id: str
    item_id: str
    score: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class Material:
    """vectors (N, D) fused, in item order, D = 0 where the ranker reads ids; places (N, 2) on a map made by `method`,
    or None; present: modality -> (N,) whether an item has it; labels: the split, one an interaction, () away from the
    run's own catalogue; lists: the best items of every known user; photo: a path of the catalogue -> JPEG bytes."""

    run: str
    catalogue: Catalogue
    vectors: NDArray[np.float32]
    present: Mapping[Modality, Sequence[bool]]
    split: Mapping[str, Any]
    labels: Sequence[str] = ()
    lists: Sequence[Recommended] = ()
    places: NDArray[np.float32] | None = None
    method: str = ""
    photo: Callable[[str], bytes] | None = None
    noted: dict[str, str] = field(default_factory=dict)

    @property
    def item_ids(self) -> list[str]:
        return [item.item_id for item in self.catalogue.items]

    def sidecar(self, path: Path, columns: Mapping[str, str]) -> Path:
        """NAME.meta.json beside `path`: item order, run, split and which modality every item has."""
        told = {
            "run": self.run, "catalogue": self.catalogue.name, "version": self.catalogue.version,
            "split": dict(self.split), "columns": dict(columns), "notes": self.noted, "map": self.method,
            "modalities": {m: [int(one) for one in has] for m, has in self.present.items()}, "items": self.item_ids,
        }  # fmt: skip
        data = (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "replace")
        return write_atomic(path.with_name(f"{path.stem}.meta.json"), data)


def material_of(
    workspace: Workspace, run: str, catalogue: str | None = None, *, top: int = 20, on_step: OnStep | None = None
) -> Material:
    """The material of a run over its own catalogue or another one. Raises UnknownNameError, ModelError."""
    from core.pipeline import open_pipeline

    pipeline = open_pipeline(workspace, run, catalogue)
    shop = pipeline.catalogue
    return Material(
        run=run,
        catalogue=shop,
        vectors=pipeline.items.vectors[-1].float().cpu().numpy(),
        present=_present(shop, pipeline.model.modalities),
        split=pipeline.told["data"].get("split", {}),
        labels=split_of(pipeline).labels if pipeline.at_home else (),
        lists=_lists(pipeline, top, on_step or (lambda label, share: None)),
        photo=lambda path: _jpeg(workspace.thumbnail(shop.name, path)),
    )


def _present(catalogue: Catalogue, modalities: Sequence[Modality]) -> dict[Modality, list[bool]]:
    from core.features import matrix_values, parts_of

    found: dict[Modality, list[bool]] = {}
    for modality in modalities:
        matrix = catalogue.features.get(modality)
        if matrix is not None:
            found[modality] = (~np.isnan(matrix_values(catalogue, matrix)[:, 0])).tolist()
        else:
            found[modality] = [bool(parts_of(item, modality)) for item in catalogue.items]
    return found


def _lists(pipeline: Pipeline, top: int, step: OnStep) -> list[Recommended]:
    """The best `top` items of every known user without those of their training rows."""
    from core.evaluate.measure import user_scores

    users = list(pipeline.user_rows)
    if not users or "known user" not in pipeline.model.ranker.cases:  # type: ignore[operator]
        return []
    found = []
    for at in range(0, len(users), BLOCK):
        some = users[at : at + BLOCK]
        scores = user_scores(pipeline, some)
        for user, row in zip(some, scores, strict=True):
            row[[item for item, _ in pipeline.history(user)]] = -np.inf
            best = [int(column) for column in np.argsort(-row, kind="stable")[:top] if np.isfinite(row[column])]
            found += [
                Recommended(user_id=user, item_id=pipeline.item_ids[column], score=float(row[column]), rank=rank)
                for rank, column in enumerate(best, 1)
            ]
        step("lists", min(1.0, (at + BLOCK) / len(users)))
    return found


def _jpeg(data: bytes) -> bytes:
    """The same picture as JPEG, which every tool reads."""
    import io

    from core.catalog.photos import read_image

    page = io.BytesIO()
    read_image(data, "photo")[0].convert("RGB").save(page, "JPEG", quality=88)
    return page.getvalue()
