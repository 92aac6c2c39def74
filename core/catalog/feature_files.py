"""Ready-made vectors from other tools, joined to the items: .npy, RecBole's .itememb, Parquet, a folder of Ducho.

A .npy has one row an item in their order, or the order of an item_ids.txt beside it (Cornac). All others name the item.
An item without a vector lacks the modality; a vector without an item is refused. A sidecar NAME.meta.json may tell the
fingerprint of the encoder (`"encoder"`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.catalog.arrays import Matrix, read_array, read_matrix, refused, remarkable
from core.catalog.names import shown_name, shown_value
from core.catalog.tables import Problem, Separated, problem, read_table
from core.errors import TableError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBEDDING = ("embedding", "item_emb")
IDS = ("item_id", "iid", "row_id")


def read_features(path: Path, item_ids: Sequence[str]) -> tuple[Matrix, tuple[Problem, ...]]:
    """The vectors in `path`, one row an item, and what needs a word. Raises InputError E-ARR-*, TableError."""
    name = shown_name(path.name, "features")
    if path.is_dir():
        keys, vectors = _ducho(path, item_ids)
    elif path.suffix == ".itememb":
        keys, vectors = _itememb(path)
    elif path.suffix == ".parquet":
        keys, vectors = _parquet(path)
    elif (path.parent / "item_ids.txt").is_file():
        keys = (path.parent / "item_ids.txt").read_text("utf-8").splitlines()
        vectors = read_matrix(path, len(keys))
    else:
        keys, vectors = list(item_ids), read_matrix(path, len(item_ids))
    values = _joined(name, keys, vectors, item_ids)
    told = remarkable(values, name)
    missing = len(item_ids) - len(keys)
    if missing:
        reason = f"{missing:,} of {len(item_ids):,} items have no vector"
        told += (problem("N-ARR-ROWS", name, reason, "they are kept without this modality."),)
    return Matrix(values=values, encoder=_encoder(path)), told


def _joined(
    name: str, keys: Sequence[str], vectors: NDArray[np.float32], item_ids: Sequence[str]
) -> NDArray[np.float32]:
    import numpy as np

    place = {key: at for at, key in enumerate(item_ids)}
    strangers = [key for key in keys if key not in place]
    if strangers:
        came = f'{len(strangers):,} vectors without an item, "{shown_value(strangers[0])}" first'
        raise refused("SHAPE", name, came, "only items of the catalogue were", "Leave them out, or add the items.")
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise refused("SHAPE", name, f'two vectors of "{shown_value(twice[0])}"', "one an item was", "Keep one.")
    values = np.full((len(item_ids), vectors.shape[1]), np.nan, dtype=np.float32)
    values[[place[key] for key in keys]] = vectors
    return values


def _ducho(folder: Path, item_ids: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
    """One file ITEM.npy an item, (1, d) or (d,). Ducho cuts names of pictures and sounds at the first dot."""
    import numpy as np

    files = sorted(folder.glob("*.npy"))
    if not files:
        raise refused("EMPTY", shown_name(folder.name), "no .npy file in it", "one an item was", "Choose the layer.")
    known = set(item_ids)
    cut: dict[str, list[str]] = {}
    for key in item_ids:
        cut.setdefault(key.split(".", 1)[0], []).append(key)
    keys, vectors = [], []
    for path in files:
        values, owners = read_array(path), cut.get(path.stem, [path.stem])
        if values.ndim not in (1, 2) or (values.ndim == 2 and len(values) != 1):
            raise refused("SHAPE", path.name, "x".join(map(str, values.shape)), "one vector was",
                          "Choose a pooled layer.")  # fmt: skip
        if path.stem not in known and len(owners) > 1:
            came = f"it may belong to {owners[0]} or {owners[1]}"
            raise refused("SHAPE", path.name, came, "names that differ before the first dot were", "Rename the items.")
        keys.append(path.stem if path.stem in known else owners[0])
        vectors.append(values.reshape(-1))
        if len(vectors[-1]) != len(vectors[0]):
            came, expected = f"{len(vectors[-1])} numbers", f"{len(vectors[0])} were, as in the others,"
            raise refused("SHAPE", path.name, came, expected, "Extract all with one model.")
    return keys, np.stack(vectors)


def _itememb(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    table = read_table(path.read_bytes(), path.name, shape=Separated(separator="\t", quotes=False))
    names = [column.partition(":")[0] for column in table.columns]
    key = next((at for at, name in enumerate(names) if name in IDS), None)
    value = next((at for at, name in enumerate(names) if name in EMBEDDING), None)
    if key is None or value is None or table.problems:
        raise TableError(
            "E-TAB-COLUMN",
            f"{path.name}: columns iid:token and item_emb:float_seq were expected in every row. Export it.",
        )
    rows = [record.cells[value].split(" ") for record in table.records]
    return [record.cells[key] for record in table.records], _numbers(path.name, rows)


def _parquet(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refused("BROKEN", shown_name(path.name), "it cannot be read", "a whole Parquet file was", "Copy it again."
                      ) from error  # fmt: skip
    key = next((column for column in IDS if column in table.column_names), None)
    value = next((column for column in EMBEDDING if column in table.column_names), None)
    if key is None or value is None:
        raise TableError("E-TAB-COLUMN", f"{path.name}: columns item_id and embedding were expected. Rename them.")
    rows = table.column(value).to_pylist()
    return [str(one) for one in table.column(key).to_pylist()], _numbers(path.name, rows)


def _numbers(name: str, rows: Sequence[Sequence[object]]) -> NDArray[np.float32]:
    import numpy as np

    try:
        values = np.array(rows, dtype=np.float32)
    except (ValueError, TypeError):
        came = "rows of different lengths, or what is no number,"
        raise refused("VALUES", name, came, "equal rows were", "Export it.") from None
    if values.ndim != 2 or not np.isfinite(values).all():
        raise refused("VALUES", name, "a value that is no finite number", "finite numbers were", "Export it again.")
    return values


def _encoder(path: Path) -> str:
    sidecar = path.with_name(f"{path.stem}.meta.json")
    try:
        told = json.loads(sidecar.read_text("utf-8")) if sidecar.is_file() else {}
    except (ValueError, RecursionError):
        return ""
    return str(told.get("encoder", ""))[:200] if isinstance(told, dict) else ""
