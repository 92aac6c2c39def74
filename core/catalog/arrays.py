"""Feature matrices: a .npy file, or a .npz with one array -> (N, d) float32. Nothing is unpickled, every value checked.

Order of checks: empty, signature, header against file size, shape, values.
"""

from __future__ import annotations

import ast
import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from core.catalog.names import shown_bytes, shown_name
from core.catalog.tables import Problem, problem
from core.errors import InputError
from core.limits import LIMITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_BLOCK = 4_096  # rows that are looked at together


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """values (N, d) float32, a row of NaN where an item has none; encoder as in `core.domain.FeatureMatrix`."""

    values: NDArray[np.float32]
    encoder: str = ""


def read_array(path: Path) -> NDArray[np.float32]:
    """The finite numbers in `path`, of any shape, as float32. Raises InputError E-ARR-*."""
    import numpy as np

    name = shown_name(path.name, "array")
    with _opened(path, name) as (file, size):
        shape = _checked_header(file, size, name)
        file.seek(0)
        try:
            stored = np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise refused("BROKEN", name, "its data cannot be read", "a whole array was", "Export it again.") from error
    with np.errstate(over="ignore"):  # what does not fit into 32 bits becomes inf, and that is told
        values = np.ascontiguousarray(stored, dtype=np.float32).reshape(shape)
    for at in range(0, len(values) if values.ndim else 0, _BLOCK):
        wrong = np.argwhere(~np.isfinite(values[at : at + _BLOCK]))
        if len(wrong):
            place = (int(wrong[0][0]) + at, *map(int, wrong[0][1:]))
            where = ", ".join(f"{what} {number}" for what, number in zip(("row", "column"), place, strict=False))
            raise refused("VALUES", name, f"{where} is {values[place]}", "finite numbers were",
                          "Fill it in, or leave the item out.")  # fmt: skip
    return values


def read_matrix(path: Path, items: int) -> NDArray[np.float32]:
    """The array in `path` if it has one row an item. Raises InputError E-ARR-*."""
    name, values = shown_name(path.name, "array"), read_array(path)
    if values.ndim != 2 or values.shape[1] == 0:
        came = f"its shape is {'x'.join(map(str, values.shape)) or 'that of one number'}"
        raise refused("SHAPE", name, came, "two dimensions, one row an item, were", "Reshape it.")
    if len(values) != items:
        raise refused("SHAPE", name, f"{len(values):,} rows", f"{items:,} were, one for every item,",
                      "Use the matrix that belongs to this catalogue.")  # fmt: skip
    return values


def matrix_bytes(values: NDArray[np.float32]) -> bytes:
    """The matrix as the bytes of a .npy file, the same bytes for the same values."""
    import numpy as np

    page = io.BytesIO()
    np.save(page, np.ascontiguousarray(values, dtype="<f4"), allow_pickle=False)
    return page.getvalue()


def remarkable(values: NDArray[np.float32], name: str) -> tuple[Problem, ...]:
    """A notice where rows look filled in: all zero, or equal to another row."""
    import numpy as np

    there = np.ascontiguousarray(values[~np.isnan(values[:, 0])])
    if not len(there):
        return ()
    zero = int((~there.any(axis=1)).sum())
    rows = there.view(np.dtype((np.void, there.shape[1] * 4)))[:, 0]
    _, counts = np.unique(rows, return_counts=True)
    repeated, groups = int(len(rows) - len(counts)), int((counts > 1).sum())
    if not zero and not repeated:
        return ()
    reason = f"{zero:,} rows are all zero, {repeated:,} repeat another row ({groups:,} groups)"
    return (problem("N-ARR-ROWS", name, reason, "they may have been filled in; they are kept as they are."),)


def refused(code: str, name: str, came: str, expected: str, then: str) -> InputError:
    """E-ARR-`code` in the words of all refusals."""
    return InputError(f"E-ARR-{code}", f"{name}: {came}; {expected} expected. {then}")


@contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes of one array and how many there are."""
    with path.open("rb") as file:
        head = file.read(6)
        if not head:
            raise refused("EMPTY", name, "0 bytes arrived", "an array was", "Export it again.")
        if head == _MAGIC:
            yield file, path.stat().st_size
            return
        if not head.startswith(b"PK\3\4"):
            raise refused("TYPE", name, "this is no NumPy array", "a .npy file was", "Save it with numpy.save.")
        try:
            with zipfile.ZipFile(file) as archive:
                [entry] = archive.infolist()
                if entry.file_size > max(LIMITS.zip_ratio_from_bytes, LIMITS.zip_ratio * entry.compress_size):
                    sizes = f"{shown_bytes(entry.compress_size)} to {shown_bytes(entry.file_size)}"
                    raise InputError(
                        "E-ZIP-BOMB",
                        f"{name}: it unpacks from {sizes}; at most {LIMITS.zip_ratio} to 1 was expected. "
                        "Save it with numpy.save.",
                    )
                with archive.open(entry) as inside:
                    yield io.BytesIO(inside.read(entry.file_size)), entry.file_size
        except ValueError as error:
            raise refused(
                "SHAPE", name, "it holds several arrays", "one was", "Save the one with numpy.save."
            ) from error
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise refused("BROKEN", name, "its data cannot be read", "a whole array was", "Export it again.") from error


def _checked_header(file: IO[bytes], size: int, name: str) -> tuple[int, ...]:
    """The shape as the file tells it; raises unless it holds plain numbers and as many bytes as it tells."""
    file.seek(0)
    head = file.read(12)
    if not head.startswith(_MAGIC):
        raise refused("TYPE", name, "this is no NumPy array", "a .npy file was", "Save it with numpy.save.")
    begin = 12 if len(head) == 12 and head[6] > 1 else 10
    length = struct.unpack("<I" if begin == 12 else "<H", head[8:begin])[0] if len(head) >= begin else 0
    file.seek(begin)
    told = _header(file.read(min(length, 65_536)))
    if told is None:
        raise refused("BROKEN", name, "its header cannot be read", "a whole array was", "Export it again.")
    kind, shape = told
    if kind[:1] == "O":
        raise refused("PICKLE", name, "it holds a pickled Python object", "plain numbers were",
                      "Export a plain float array.")  # fmt: skip
    if kind[:1] not in ("f", "i", "u") or not kind[1:].isdigit():
        raise refused("TYPE", name, f"it holds values of type {kind[:20]}", "numbers were", "Export floats.")
    count = 1
    for side in shape:
        count *= side
    if any(side < 0 for side in shape) or begin + length + count * int(kind[1:]) != size:
        came = f"its header tells of {'x'.join(map(str, shape))} values, and {size:,} bytes arrived"
        raise refused("BROKEN", name, came, "as many as it tells were", "Copy or export it again.")
    return shape


def _header(data: bytes) -> tuple[str, tuple[int, ...]] | None:
    """Type without its byte order, and shape; None where the text is no header."""
    try:
        told: Any = ast.literal_eval(data.decode("latin-1").strip())
        kind, shape = told["descr"], told["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return None
    whole = isinstance(shape, tuple) and all(isinstance(side, int) and not isinstance(side, bool) for side in shape)
    return (str(kind).lstrip("<>|="), shape) if whole else None
