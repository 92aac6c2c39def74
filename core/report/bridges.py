"""Bridges to other tools: a run's items, lists and interactions in the form that each of them reads.

One function a tool; `BRIDGES` is the registry. Text cells hold no tab and no line break; nothing in a CSV runs as a
formula (undone on our own import). Only vectors of items leave, never those of people, whose ids are keyed hashes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.catalog.tables import safe_cell
from core.domain import Interaction
from core.errors import InputError, UnknownNameError
from core.files import write_atomic
from core.report.material import Material

NEIGHBOURS = 15
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")


@dataclass(frozen=True, kw_only=True)
class Written:
    """path: the file or folder; rows: of its main table; lines: what to do with it in the other tool."""

    path: Path
    rows: int
    lines: Sequence[str] = ()


def export(to: str, material: Material, out: Path) -> Written:
    """Write `material` for the tool `to`. Raises UnknownNameError, InputError where the run has not what it needs."""
    if to not in BRIDGES:
        raise UnknownNameError("export format", to, BRIDGES)
    return BRIDGES[to](material, out)


def embedding_atlas(material: Material, out: Path) -> Written:
    """One Parquet: row_id (0 ...), title, x, y, exact neighbours by cosine, a small picture inside the file."""
    import pyarrow as pa

    places = material.places if material.places is not None else principal_places(_vectors(material))
    ids, distances = neighbours(_vectors(material), min(NEIGHBOURS, len(material.vectors) - 1))
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    near = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])
    lists = [{"ids": a.tolist(), "distances": b.tolist()} for a, b in zip(ids, distances, strict=True)]
    table = pa.table(
        {
            "row_id": pa.array(range(len(ids)), pa.int64()),
            **_shown_columns(material),
            "x": pa.array(places[:, 0].astype(np.float64)),
            "y": pa.array(places[:, 1].astype(np.float64)),
            "neighbors": pa.array(lists, near),
            "image": pa.array([_picture(material, row) for row in range(len(ids))], picture),
        }
    )
    how = f"embedding-atlas {out.name} --text title --image image --x x --y y --neighbors neighbors"
    return _parquet(material, table, out, how)


def spotlight(material: Material, out: Path) -> Written:
    """One Parquet with the vector of every item, pictures in NAME_media beside it; no web address is left in it."""
    import pyarrow as pa

    vectors = _vectors(material)
    folder = out.with_name(f"{out.stem}_media")
    paths = []
    for row in range(len(vectors)):
        found = _picture(material, row)
        paths.append(found and f"{folder.name}/{row}.jpg")
        if found:
            write_atomic(folder / f"{row}.jpg", found["bytes"])
    columns = {name: [_ADDRESS.sub("", cell) if isinstance(cell, str) else cell for cell in cells]
               for name, cells in _shown_columns(material).items()}  # fmt: skip
    table = pa.table(
        {
            **columns,
            "embedding": pa.array(list(vectors), pa.list_(pa.float32())),
            "image": pa.array(paths, pa.string()),
        }
    )
    kinds = 'dtype={"title": "str", "category": "Category", "embedding": "Embedding", "image": "Image"}'
    return _parquet(material, table, out, f'spotlight.show("{out.name}", {kinds})')


def projector(material: Material, out: Path) -> Written:
    """tensors.tsv without header or ids, and metadata.tsv with a header, for TensorBoard's projector."""
    vectors = _vectors(material)
    if vectors.shape[1] < 2:
        raise _cannot(material, "its vectors have fewer than two dimensions")
    head = ("item_id", "title", "category")
    cells = ([item.item_id, item.title, item.category] for item in material.catalogue.items)
    rows = ["\t".join(_plain(cell) or "-" for cell in row) for row in cells]
    _write_lines(out / "tensors.tsv", ("\t".join(map(_digits, row)) for row in vectors.tolist()))
    _write_lines(out / "metadata.tsv", ("\t".join(head), *rows))
    material.sidecar(out / "projector", {"tensors.tsv": "fused vectors", "metadata.tsv": ", ".join(head)})
    return Written(
        path=out, rows=len(vectors), lines=("load both files at projector.tensorflow.org or in TensorBoard",)
    )


def rectools(material: Material, out: Path) -> Written:
    """interactions.csv (where every row has a time) and recommendations.csv of the known users."""
    timed = [one for one in material.catalogue.interactions if one.timestamp is not None]
    whole = bool(timed) and len(timed) == len(material.catalogue.interactions)
    if not whole:
        material.noted["interactions.csv"] = "left out: not every interaction has a time, and none is made up"
    if not whole and not material.lists:
        raise _cannot(material, "it has neither times of interactions nor lists for known users")
    if whole:
        rows = [(one.user_id, one.item_id, 1 if one.rating is None else one.rating, _iso(one)) for one in timed]
        _write_csv(out / "interactions.csv", ("user_id", "item_id", "weight", "datetime"), rows)
    if material.lists:
        lists = [(one.user_id, one.item_id, one.score, one.rank, material.run) for one in material.lists]
        _write_csv(out / "recommendations.csv", ("user_id", "item_id", "score", "rank", "model"), lists)
    material.sidecar(out / "rectools", {"interactions.csv": "Dataset.construct", "recommendations.csv": "calc_metrics"})
    return Written(path=out, rows=len(material.lists) or len(timed), lines=tuple(material.noted.values()))


def recbole(material: Material, out: Path) -> Written:
    """NAME.inter with the split as a column `label`, NAME.itememb with the item vectors where there are any."""
    rows, name = material.catalogue.interactions, out.name
    columns: dict[str, Callable[[int, Interaction], str]] = {
        "user_id:token": lambda at, one: one.user_id,
        "item_id:token": lambda at, one: one.item_id,
    }
    if rows and all(one.rating is not None for one in rows):
        columns["rating:float"] = lambda at, one: _digits(one.rating or 0.0)
    if rows and all(one.timestamp is not None for one in rows):
        columns["timestamp:float"] = lambda at, one: f"{(one.timestamp or 0) / 1000:.3f}".removesuffix(".000")
    if material.labels:
        columns["label:token"] = lambda at, one: material.labels[at]
    lines = ("\t".join(_plain(make(at, one)) for make in columns.values()) for at, one in enumerate(rows))
    _write_lines(out / f"{name}.inter", ("\t".join(columns), *lines))
    told = ["load_col: {inter: [user_id, item_id]}"]
    if material.vectors.shape[1]:
        made = zip(material.item_ids, material.vectors.tolist(), strict=True)
        vectors = (f"{_plain(key)}\t{' '.join(map(_digits, row))}" for key, row in made)
        _write_lines(out / f"{name}.itememb", ("iid:token\titem_emb:float_seq", *vectors))
        told = [
            "additional_feat_suffix: [itememb]",
            "load_col: {inter: [user_id, item_id], itememb: [iid, item_emb]}",
            "alias_of_item_id: [iid]",
            "preload_weight: {iid: item_emb}",
        ]
    material.sidecar(out / name, {f"{name}.inter": ", ".join(columns)})
    return Written(path=out, rows=len(rows), lines=told)


BRIDGES: Mapping[str, Callable[[Material, Path], Written]] = {
    "embedding-atlas": embedding_atlas,
    "spotlight": spotlight,
    "projector": projector,
    "rectools": rectools,
    "recbole": recbole,
}


# ---- numbers


def neighbours(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosine distances of the nearest items, nearest first, the item itself left out; (N, count) each."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    ids = np.empty((len(unit), count), dtype=np.int64)
    distances = np.empty((len(unit), count), dtype=np.float64)
    for at in range(0, len(unit), 1_024):
        scores = unit[at : at + 1_024] @ unit.T
        scores[np.arange(len(scores)), np.arange(at, at + len(scores))] = -np.inf
        near = np.argpartition(-scores, count - 1, axis=1)[:, :count] if count else np.empty((len(scores), 0), np.int64)
        order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(near, order, axis=1)
        ids[at : at + 1_024] = best
        distances[at : at + 1_024] = np.maximum(0.0, 1.0 - np.take_along_axis(scores, best, axis=1))
    return ids, distances


def principal_places(vectors: np.ndarray) -> np.ndarray:
    """(N, 2) on the two strongest axes, where no map has been drawn."""
    centred = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    places = centred @ axes[:2].T
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1])))


# ---- cells and files


def _vectors(material: Material) -> np.ndarray:
    if not material.vectors.size:
        raise _cannot(material, "it has no item vectors: its ranker knows ids only")
    return material.vectors


def _cannot(material: Material, why: str) -> InputError:
    return InputError(
        "E-INPUT-VALUE", f"run {material.run} cannot be exported so: {why}. Choose another run or format."
    )


def _shown_columns(material: Material) -> dict[str, list[Any]]:
    items = material.catalogue.items
    return {
        "item_id": [_plain(item.item_id) for item in items],
        "title": [_plain(item.title) or _plain(item.item_id) for item in items],
        "category": [_plain(item.category) for item in items],
        "price": [item.price for item in items],
        **{f"has_{m}": [bool(one) for one in has] for m, has in material.present.items()},
    }


def _picture(material: Material, row: int) -> dict[str, Any] | None:
    """The first photo of an item as {bytes, path}, None where it has none."""
    paths = material.catalogue.items[row].media.get("image", ())
    if not paths or material.photo is None:
        return None
    return {"bytes": material.photo(paths[0]), "path": f"{row}.jpg"}


def _parquet(material: Material, table: Any, out: Path, how: str) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    page = pa.BufferOutputStream()
    pq.write_table(table, page, compression="zstd")
    write_atomic(out, page.getvalue().to_pybytes())
    material.sidecar(out, {field.name: str(field.type) for field in table.schema})
    return Written(path=out, rows=table.num_rows, lines=(how,))


def _plain(text: str) -> str:
    """Text that fits into one cell of a line."""
    return re.sub(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", " ", text).encode("utf-8", "replace").decode().strip()


def _digits(value: float) -> str:
    """Nine significant digits: a float32 comes back as the same number."""
    return f"{value:.9g}"


def _iso(one: Interaction) -> str:
    return datetime.fromtimestamp((one.timestamp or 0) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    page = io.StringIO(newline="")
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([safe_cell(_plain(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows)
    write_atomic(path, page.getvalue().encode())
