"""Feature matrices: a .npy file -> (N, d) float32, one row an item. Nothing is unpickled; every value is looked at.

Order of checks: empty, ending and signature, header against file size, shape, values.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.names import shown_name
from core.catalog.tables import Problem, problem
from core.errors import InputError

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


def read_matrix(path: Path, items: int) -> tuple[Matrix, tuple[Problem, ...]]:
    """The matrix in `path`, and a notice where rows are all zero or repeat another one. Raises InputError E-ARR-*."""
    import numpy as np

    name = shown_name(path.name, "array")
    shape = _checked_header(path, name)
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise _refused("BROKEN", name, "its data cannot be read", "a whole array was", "Export it again.") from error
    if len(shape) != 2 or shape[1] == 0:
        raise _refused("SHAPE", name, f"{len(shape)} dimensions {shape}", "two were, one row an item,", "Reshape it.")
    if shape[0] != items:
        raise _refused("SHAPE", name, f"{shape[0]:,} rows", f"{items:,} were, one for every item,",
                       "Use the matrix that belongs to this catalogue.")  # fmt: skip
    values = np.empty(shape, dtype=np.float32)
    for at in range(0, items, _BLOCK):
        with np.errstate(over="ignore"):  # what does not fit into 32 bits becomes inf, and that is told
            values[at : at + _BLOCK] = stored[at : at + _BLOCK]
        wrong = np.argwhere(~np.isfinite(values[at : at + _BLOCK]))
        if len(wrong):
            row, column = (int(place) for place in wrong[0] + (at, 0))
            raise _refused("VALUES", name, f"row {row}, column {column} is {values[row, column]}",
                           "finite numbers were", "Fill it in, or leave the item out.")  # fmt: skip
    return Matrix(values=values), _remarkable(values, name)


def save_matrix(matrix: Matrix) -> bytes:
    """The matrix as the bytes of a .npy file, the same bytes for the same values."""
    import io

    import numpy as np

    page = io.BytesIO()
    np.save(page, np.ascontiguousarray(matrix.values, dtype="<f4"), allow_pickle=False)
    return page.getvalue()


def _checked_header(path: Path, name: str) -> tuple[int, ...]:
    """The shape as the file tells it; raises unless they are plain numbers that fit the size of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if not head:
            raise _refused("EMPTY", name, "0 bytes arrived", "an array was", "Export it again.")
        if not head.startswith(_MAGIC):
            raise _refused("TYPE", name, "this is no NumPy array", "a .npy file was", "Save it with numpy.save.")
        wide = head[6] > 1
        length = struct.unpack("<I" if wide else "<H", head[8 : 12 if wide else 10])[0] if len(head) == 12 else 0
        begin = (12 if wide else 10) + length
        file.seek(12 if wide else 10)
        told = _header(file.read(min(length, 65_536)))
    if told is None:
        raise _refused("BROKEN", name, "its header cannot be read", "a whole array was", "Export it again.")
    kind, shape = told
    if kind.lstrip("<>|=")[:1] == "O":
        raise _refused("PICKLE", name, "it holds a pickled Python object", "plain numbers were",
                       "Export a plain float array.")  # fmt: skip
    letters = kind.lstrip("<>|=")
    if letters[:1] not in ("f", "i", "u") or not letters[1:].isdigit():
        raise _refused("TYPE", name, f"it holds values of type {kind[:20]}", "numbers were", "Export floats.")
    count = 1
    for side in shape:
        count *= side
    if any(side < 0 for side in shape) or begin + count * int(letters[1:]) != size:
        came = f"its header tells of {'x'.join(map(str, shape))} values, and {size:,} bytes arrived"
        raise _refused("BROKEN", name, came, "as many as it tells were", "Copy or export it again.")
    return shape


def _header(data: bytes) -> tuple[str, tuple[int, ...]] | None:
    try:
        told: Any = ast.literal_eval(data.decode("latin-1").strip())
        kind, shape = told["descr"], told["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return None
    sides: Sequence[Any] = shape if isinstance(shape, tuple) else (None,)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    return (str(kind), tuple(sides)) if whole else None


def _remarkable(values: NDArray[np.float32], name: str) -> tuple[Problem, ...]:
    """Rows that look filled in: all zero, or equal to another row."""
    import numpy as np

    zero = int((~values.any(axis=1)).sum())
    rows = np.ascontiguousarray(values).view(np.dtype((np.void, values.shape[1] * 4)))[:, 0]
    _, counts = np.unique(rows, return_counts=True)
    repeated, groups = int(len(rows) - len(counts)), int((counts > 1).sum())
    if not zero and not repeated:
        return ()
    reason = f"{zero:,} rows are all zero, {repeated:,} repeat another row ({groups:,} groups)"
    return (problem("N-ARR-ROWS", name, reason, "they may have been filled in; they are kept as they are."),)


def _refused(code: str, name: str, came: str, expected: str, then: str) -> InputError:
    return InputError(f"E-ARR-{code}", f"{name}: {came}; {expected} expected. {then}")
