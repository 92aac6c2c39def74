"""Content-addressed vector store: the same bytes under the same encoder are encoded once, ever.

One folder an encoder fingerprint: `states.bin` (float16) and `index.sqlite` (key -> place, shape, crc32). A row enters
the index after its bytes are on disk, so a killed process costs nothing but the unfinished batch. All of it can be made
again: what is damaged is encoded anew, and stops nobody.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from core.encode.states import States
from core.errors import ModelError, StoreError
from core.files import disk_error

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Row = tuple[int, int, int, int]  # start, tokens, width, crc
CAP_BYTES = 4 << 30  # beyond this nothing more is kept; states are recomputed
CHUNK = 64  # contents encoded between two writes
WAIT = 30.0  # seconds for another writer
DAMAGED = "index.sqlite.damaged"  # the last one that was set aside
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS states (key TEXT PRIMARY KEY, start INTEGER NOT NULL, tokens INTEGER NOT NULL, "
    "width INTEGER NOT NULL, crc INTEGER NOT NULL)"
)
OF_ONE = "key = :key OR (key > :first AND key < :end)"  # a content, and what was made of it (KEY-...)


class Encoder(Protocol):
    """What the store needs of an encoder: a fingerprint, a width, and a way to encode many contents."""

    fingerprint: str
    width: int


class VectorStore:
    """States by content, for one encoder. Safe for many readers and one writer at a time, across processes.

    Whatever touches the disk raises StoreError E-DISK-FULL, E-DB-BUSY or E-DB-READONLY.
    """

    def __init__(self, folder: Path, fingerprint: str, cap_bytes: int = CAP_BYTES) -> None:
        self.folder = folder / fingerprint.replace("/", "_")
        self.data, self.cap_bytes = self.folder / "states.bin", cap_bytes
        self._told(lambda index: None)

    @contextmanager
    def index(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.folder / "index.sqlite", timeout=WAIT, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(SCHEMA)
            yield connection
        finally:
            connection.close()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those keys, once each and in order, that are not stored whole."""
        wanted = list(dict.fromkeys(keys))

        def ask(index: sqlite3.Connection) -> list[str]:
            with open(self.data, "rb") as file:
                return [key for key in wanted if _whole(file, _row(index, key)) is None]

        return self._told(ask)

    def get(self, keys: Sequence[str]) -> dict[str, States]:
        """Stored states by key; a key that is missing, or whose bytes fail their checksum, is not in the answer."""

        def ask(index: sqlite3.Connection) -> dict[str, States]:
            found: dict[str, States] = {}
            with open(self.data, "rb") as file:
                for key in dict.fromkeys(keys):
                    row = _row(index, key)
                    data = _whole(file, row)
                    if row is not None and data is not None:
                        values = np.frombuffer(data, dtype=np.float16).reshape(row[1] + 1, row[2])
                        found[key] = States(tokens=values[:-1], pooled=values[-1])
            return found

        return self._told(ask)

    def put(self, states: dict[str, States]) -> None:
        """Keeps new states, and those whose stored bytes were damaged; nothing happens for others or beyond the cap."""

        def ask(index: sqlite3.Connection) -> None:
            index.execute("BEGIN IMMEDIATE")
            end = self.data.stat().st_size
            try:
                with open(self.data, "r+b") as file:
                    rows = self._write(index, file, states)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                os.truncate(self.data, end)  # bytes without a row could never be forgotten
                raise
            index.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)", rows)
            index.execute("COMMIT")

        self._told(ask)

    def _write(self, index: sqlite3.Connection, file: BinaryIO, states: dict[str, States]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for key in states:
            row = _row(index, key)
            if _whole(file, row) is not None:
                continue
            value = states[key].rounded()
            data = np.vstack([value.tokens, value.pooled]).tobytes()
            end = file.seek(0, os.SEEK_END)
            start = row[0] if row is not None and _fits(file, row) and _size(row) == len(data) else end
            if start + len(data) > self.cap_bytes:
                break
            file.seek(start)
            file.write(data)
            rows.append((key, start, len(value.tokens), len(value.pooled), zlib.crc32(data)))
        return rows

    def drop(self, keys: Iterable[str]) -> int:
        """Forgets states, and those of what was made of the same content: their bytes are overwritten with zeros, their
        keys leave the index, and an index that was set aside is removed; how many states there were."""
        gone = list(keys)

        def ask(index: sqlite3.Connection) -> int:
            dropped = 0
            index.execute("PRAGMA secure_delete=ON")
            index.execute("BEGIN IMMEDIATE")
            with open(self.data, "r+b") as file:
                for key in gone:
                    its = {"key": key, "first": f"{key}-", "end": f"{key}."}
                    chosen = f"SELECT start, tokens, width, crc FROM states WHERE {OF_ONE}"
                    rows = index.execute(chosen, its).fetchall()
                    for row in rows:
                        if _fits(file, row):
                            file.seek(row[0])
                            file.write(bytes(_size(row)))
                    index.execute(f"DELETE FROM states WHERE {OF_ONE}", its)
                    dropped += len(rows)
                file.flush()
                os.fsync(file.fileno())
            index.execute("COMMIT")
            if dropped:
                index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return dropped

        dropped = self._told(ask)
        (self.folder / DAMAGED).unlink(missing_ok=True)
        return dropped

    def _told(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """`work` with the index; a damaged one is set aside first, other faults come in words."""
        try:
            self._prepare()
            try:
                with self.index() as index:
                    return work(index)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise
            self._set_aside()
            with self.index() as index:
                return work(index)
        except OSError as error:
            raise disk_error(error, "vectors") from error
        except sqlite3.Error as error:
            raise _in_words(error) from error

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.touch()

    def _set_aside(self) -> None:
        """The index under another name; the states go, since nothing says any more which bytes belong to what."""
        log.warning("the index of the vectors in %s was damaged and is set aside as %s; they are made again",
                    self.folder.name, DAMAGED)  # fmt: skip
        with suppress(FileNotFoundError):  # another process was quicker
            os.replace(self.folder / "index.sqlite", self.folder / DAMAGED)
        for name in ("index.sqlite-wal", "index.sqlite-shm", self.data.name):
            (self.folder / name).unlink(missing_ok=True)
        self._prepare()


def _row(index: sqlite3.Connection, key: str) -> Row | None:
    row: Row | None = index.execute("SELECT start, tokens, width, crc FROM states WHERE key = ?", (key,)).fetchone()
    return row


def _size(row: Row) -> int:
    """Bytes of the states of a row: half precision, the tokens and the pooled vector."""
    return (row[1] + 1) * row[2] * 2


def _fits(file: BinaryIO, row: Row) -> bool:
    """Whether a row means a place inside the file: a changed bit in the index may say anything."""
    file.seek(0, os.SEEK_END)
    return all(isinstance(one, int) and one >= 0 for one in row) and row[0] + _size(row) <= file.tell()


def _whole(file: BinaryIO, row: Row | None) -> bytes | None:
    """The bytes of a row where they are there and fit their checksum."""
    if row is None or not _fits(file, row):
        return None
    file.seek(row[0])
    data = file.read(_size(row))
    return data if zlib.crc32(data) == row[3] else None


def _is_damage(error: sqlite3.Error) -> bool:
    """No database, a torn one, or one whose table is another."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)


def _in_words(error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return disk_error(OSError(errno.ENOSPC, "full"), "vectors")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError("E-DB-BUSY", "the vectors are in use by another process and stayed so; nothing was changed. "
                          "Try again in a moment.")  # fmt: skip
    return disk_error(OSError(errno.EIO, "refused"), "vectors")


def encode_cached(
    store: VectorStore,
    contents: dict[str, Any],
    encode: Callable[[list[Any]], list[States]],
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, States], int]:
    """States of all contents by key, and how many had to be encoded. on_step(done, of) after each chunk."""
    known = store.get(list(contents))
    todo = [key for key in contents if key not in known]
    for start in range(0, len(todo), CHUNK):
        keys = todo[start : start + CHUNK]
        made = encode_within(encode, [contents[key] for key in keys])
        fresh = dict(zip(keys, (s.rounded() for s in made), strict=True))
        store.put(fresh)
        known |= fresh
        if on_step:
            on_step(min(start + CHUNK, len(todo)), len(todo))
    return known, len(todo)


def encode_within(encode: Callable[[list[Any]], list[States]], contents: list[Any]) -> list[States]:
    """As `encode`; what does not fit into the device's memory at once goes by halves.

    Raises ModelError E-GPU-MEMORY where not even one content fits.
    """
    import torch

    try:
        return encode(contents)
    except torch.OutOfMemoryError:
        pass  # the exception holds tensors: they are free only out here
    torch.cuda.empty_cache()
    if len(contents) == 1:
        raise ModelError(
            "E-GPU-MEMORY",
            "the GPU has too little free memory for a single text or photo. End what else uses it, or set "
            "FUSESCOPE_DEVICE=cpu.",
        )
    half = len(contents) // 2
    return encode_within(encode, contents[:half]) + encode_within(encode, contents[half:])
