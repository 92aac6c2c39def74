"""Weights as they lie on a disk: a .safetensors file -> tensors, every claim of the file checked before one is made.

Order of checks: empty, ending and signature, digest, header against file size, shapes, values. Nothing is unpickled.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ModelError
from core.files import digest_bytes

if TYPE_CHECKING:
    from torch import Tensor

_SIZES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
_LONGEST_HEADER = 16 << 20  # bytes; the header of a large model has some hundred kilobytes


def read_tensors(
    path: Path, digest: str = "", *, like: Mapping[str, Tensor] | None = None, finite: bool = True
) -> dict[str, Tensor]:
    """The tensors in `path`. digest: the sha256 it must have, "" where none is known; like: tensors whose names and
    shapes it must have; finite: whether a number that is none is a fault.

    Raises ModelError E-MODEL-EMPTY, TYPE, SUM, BROKEN, SHAPE, VALUES; the first check that fails gives the code.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise refused("EMPTY", path.name, "the file is missing", "weights were") from None
    return checked_tensors(data, path.name, digest, like=like, finite=finite)


def checked_tensors(
    data: bytes, name: str, digest: str = "", *, like: Mapping[str, Tensor] | None = None, finite: bool = True
) -> dict[str, Tensor]:
    """As `read_tensors`, of bytes that are there already."""
    if not data:
        raise refused("EMPTY", name, "0 bytes arrived", "weights were")
    if not name.endswith(".safetensors") or not re.match(rb"\{\s*[\"}]", data[8:40]):
        raise refused("TYPE", name, "this is no safetensors file", "a .safetensors file was")
    if digest and (came := digest_bytes(data)) != digest:
        raise refused("SUM", name, f"sha256 {came[:12]}... was found", f"{digest[:12]}... was")
    _check_header(data, name)
    from safetensors.torch import load

    try:
        tensors = load(data)
    except Exception as error:
        raise refused("BROKEN", name, "its tensors cannot be read", "whole weights were") from error
    if like is not None:
        check_shapes(tensors, like, name)
    if finite:
        _check_values(tensors, name)
    return tensors


def refused(code: str, name: str, came: str, expected: str) -> ModelError:
    """E-MODEL-`code` in the words of all refusals."""
    then = "The file is not used. Train the run again, or fetch it again with git."
    return ModelError(f"E-MODEL-{code}", f"{name[:80]}: {came}; {expected} expected. {then}")


def check_shapes(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor], name: str) -> None:
    """Raises ModelError E-MODEL-SHAPE with the first name or shape that differs."""
    for key in sorted({*tensors, *like}):
        found, wanted = ("x".join(map(str, one[key].shape)) or "1" if key in one else "none" for one in (tensors, like))
        if (key in tensors) != (key in like) or tensors[key].shape != like[key].shape:
            raise refused("SHAPE", name, f'of "{key[:80]}" there is {found}', f"{wanted} was")


def _check_header(data: bytes, name: str) -> None:
    """Every tensor has as many bytes as its shape says, one after the other, to the end of the file."""
    length = struct.unpack("<Q", data[:8])[0]
    if length > min(_LONGEST_HEADER, len(data) - 8):
        raise refused("BROKEN", name, f"a header of {length:,} bytes is told, {len(data):,} arrived", "a whole one was")
    try:
        told: Any = json.loads(data[8 : 8 + length])
        parts = sorted((*one["data_offsets"], _bytes_of(one)) for key, one in told.items() if key != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refused("BROKEN", name, "its header cannot be read", "a whole one was") from error
    at = 0
    for begin, end, size in parts:
        if begin != at or end - begin != size:
            raise refused("BROKEN", name, "tensors share bytes or leave some out", "one after the other was")
        at = end
    if at != len(data) - 8 - length:
        raise refused("BROKEN", name, f"{len(data):,} bytes arrived", f"{at + 8 + length:,} were")


def _bytes_of(told: Mapping[str, Any]) -> int:
    count = _SIZES[told["dtype"]]
    for side in told["shape"]:
        if not isinstance(side, int) or side < 0:
            raise ValueError("a side that is no count")
        count *= side
    return count


def _check_values(tensors: Mapping[str, Tensor], name: str) -> None:
    import torch

    for key, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise refused("VALUES", name, f'"{key[:80]}" holds numbers that are none', "finite numbers were")
