"""What is kept of a map: numbers and names in JSON, places and vectors in safetensors, under the run's own digest.

Reading it needs no torch, so that a page can show a map before any model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Modality
from core.errors import ModelError, ShapeError
from core.files import digest_bytes, read_verified, weights_of, write_atomic

if TYPE_CHECKING:
    from core.workspace import Workspace

FORMAT = 1
FUSED = "fused"
Frame = str  # "before-2", "after-2", "before-3", "after-3"


@dataclass(frozen=True, kw_only=True)
class StoredMap:
    """The map of one run over one version of a catalogue, as far as it has been drawn.

    slots: modalities, then "fused". n items are on the map (`of` are in the catalogue; fewer are a sample with `seed`).
    present (n, S); frames: name -> (n, S, 2 or 3), NaN where a point is absent (fused is absent before alignment);
    vectors (n, S, D) aligned; clusters (n,), -1 while not known; kept (n, S) share of neighbours that survive another
    seed, NaN while not known. method: "PCA" or "UMAP". whole: nothing is left to draw. numbers: of the maps
    ("trustworthiness" ...); report: of the space, see `core/mapping/report.py`.
    """

    run: str
    catalogue: str
    version: str
    model: str
    item_ids: tuple[str, ...]
    slots: tuple[Modality, ...]
    of: int
    seed: int
    method: str
    whole: bool
    present: NDArray[np.bool_]
    frames: Mapping[Frame, NDArray[np.float32]]
    vectors: NDArray[np.float32]
    clusters: NDArray[np.int16]
    kept: NDArray[np.float32]
    numbers: Mapping[str, Any]
    report: Mapping[str, Any]

    def __post_init__(self) -> None:
        shape = (len(self.item_ids), len(self.slots))
        wrong = [name for name, places in self.frames.items() if places.shape[:2] != shape]
        if wrong or self.present.shape != shape or self.vectors.shape[:2] != shape or len(self.clusters) != shape[0]:
            raise ShapeError(
                f"a map of {shape[0]} items and {shape[1]} slots was expected; {wrong or 'present'} differ"
            )

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return self.slots[:-1]


def save_map(workspace: Workspace, drawn: StoredMap, folder: Path | None = None) -> Path:
    """Keeps a map, whole or in part, in place of an earlier one; returns its JSON file. folder: by default the
    workspace's. Raises StoreError."""
    from safetensors.numpy import save

    folder = folder or map_folder(workspace, drawn.model)
    tensors = {
        "present": drawn.present, "vectors": drawn.vectors.astype(np.float16), "clusters": drawn.clusters,
        "kept": drawn.kept.astype(np.float32),
        **{f"frame:{name}": np.ascontiguousarray(places, np.float32) for name, places in drawn.frames.items()},
    }  # fmt: skip
    data = save(tensors)
    digest = digest_bytes(data)
    write_atomic(folder / f"{stem(drawn.version)}-{digest[:12]}.safetensors", data)
    told = {
        "format": FORMAT, "run": drawn.run, "catalogue": drawn.catalogue, "version": drawn.version,
        "model": drawn.model, "tensors": digest, "item_ids": drawn.item_ids, "slots": drawn.slots, "of": drawn.of,
        "seed": drawn.seed, "method": drawn.method, "whole": drawn.whole, "numbers": drawn.numbers,
        "report": drawn.report,
    }  # fmt: skip
    told["digest"] = digest_of(told)
    path = write_atomic(folder / f"{stem(drawn.version)}.json", json.dumps(told, separators=(",", ":")).encode())
    for old in folder.glob(f"{stem(drawn.version)}-*.safetensors"):
        if digest[:12] not in old.name:
            old.unlink(missing_ok=True)
    return path


def load_map(workspace: Workspace, run: str, catalogue: str | None = None) -> StoredMap | None:
    """The map as far as it is drawn: beside the run where it ships with it, else from the workspace. None: never drawn.

    Raises UnknownNameError, and ModelError when the files were damaged.
    """
    for _ in range(3):  # the worker may replace both files between two of our reads
        path = map_file(workspace, run, catalogue)
        if path is None:
            return None
        told = _told(path)
        if told["format"] != FORMAT:
            return None
        try:
            return _read(path.parent, told)
        except ModelError as error:
            if error.code != "E-MODEL-EMPTY":
                raise
    return None


def map_file(workspace: Workspace, run: str, catalogue: str | None = None) -> Path | None:
    """The JSON file of the map, None where none was drawn; it is replaced whenever more of the map is there."""
    folder = workspace.run_folder(run)
    model = weights_of(folder)
    name = f"{stem(workspace.catalogue(catalogue or workspace.run(run).catalogue).version)}.json"
    places = (map_folder(workspace, model) / name, folder / name)
    return next((path for path in places if path.is_file()), None)


def digest_of(told: Mapping[str, Any]) -> str:
    """Of everything but the digest itself, as JSON reads it back."""
    rest = {name: value for name, value in told.items() if name != "digest"}
    return digest_bytes(json.dumps(json.loads(json.dumps(rest)), sort_keys=True).encode())


def _told(path: Path) -> dict[str, Any]:
    """The JSON of a map. Raises ModelError where it was changed; one from before there were digests is believed."""
    try:
        told = json.loads(path.read_bytes())
        if isinstance(told, dict) and told.get("digest", digest := digest_of(told)) == digest:
            return told
    except (ValueError, RecursionError):
        pass
    raise ModelError("E-MODEL-SUM", f"{path.name}: the map was changed or damaged and is not shown. Draw it again.")


def _read(folder: Path, told: Mapping[str, Any]) -> StoredMap:
    from safetensors.numpy import load

    file = folder / f"{stem(told['version'])}-{told['tensors'][:12]}.safetensors"
    tensors = load(read_verified(file, told["tensors"]))
    return StoredMap(
        run=told["run"], catalogue=told["catalogue"], version=told["version"], model=told["model"],
        item_ids=tuple(told["item_ids"]), slots=tuple(told["slots"]), of=told["of"], seed=told["seed"],
        method=told["method"], whole=told["whole"], present=tensors["present"],
        frames={name[6:]: places for name, places in tensors.items() if name.startswith("frame:")},
        vectors=tensors["vectors"].astype(np.float32), clusters=tensors["clusters"], kept=tensors["kept"],
        numbers=told["numbers"], report=told["report"],
    )  # fmt: skip


def map_folder(workspace: Workspace, model: str) -> Path:
    return workspace.home / "maps" / model[:16]


def stem(version: str) -> str:
    return f"map-{version[:16]}"
