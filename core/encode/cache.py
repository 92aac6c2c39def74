"""Content-addressed vector store: the same bytes under the same encoder are encoded once, ever.

One folder an encoder fingerprint: `states.bin` (float16, append only) and `index.sqlite` (key -> place, shape, crc32).
A row enters the index after its bytes are on disk, so a killed process costs nothing but the unfinished batch.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.encode.states import States
from core.errors import ModelError

CAP_BYTES = 4 << 30  # beyond this nothing more is kept; states are recomputed
CHUNK = 64  # contents encoded between two writes
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
    """States by content, for one encoder. Safe for many readers and one writer at a time, across processes."""

    def __init__(self, folder: Path, fingerprint: str, cap_bytes: int = CAP_BYTES) -> None:
        self.folder = folder / fingerprint.replace("/", "_")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data, self.cap_bytes = self.folder / "states.bin", cap_bytes
        self.data.touch()
        with self.index() as index:
            index.execute(SCHEMA)

    @contextmanager
    def index(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.folder / "index.sqlite", timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            yield connection
        finally:
            connection.close()

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those keys, once each and in order, that are not stored."""
        with self.index() as index:
            known = {row[0] for row in index.execute("SELECT key FROM states")}
        return [key for key in dict.fromkeys(keys) if key not in known]

    def get(self, keys: Sequence[str]) -> dict[str, States]:
        """Stored states by key; a key that is missing, or whose bytes fail their checksum, is not in the answer."""
        found: dict[str, States] = {}
        with self.index() as index, open(self.data, "rb") as file:
            for key in dict.fromkeys(keys):
                row = index.execute("SELECT start, tokens, width, crc FROM states WHERE key = ?", (key,)).fetchone()
                if row is None:
                    continue
                start, tokens, width, crc = row
                file.seek(start)
                data = file.read((tokens + 1) * width * 2)
                if zlib.crc32(data) == crc:
                    values = np.frombuffer(data, dtype=np.float16).reshape(tokens + 1, width)
                    found[key] = States(tokens=values[:-1], pooled=values[-1])
        return found

    def put(self, states: dict[str, States]) -> None:
        """Keeps new states; nothing happens for known keys or beyond the cap."""
        with self.index() as index:
            index.execute("BEGIN IMMEDIATE")
            with open(self.data, "ab") as file:
                rows = []
                for key in states:
                    if index.execute("SELECT 1 FROM states WHERE key = ?", (key,)).fetchone():
                        continue
                    value = states[key].rounded()
                    data = np.vstack([value.tokens, value.pooled]).tobytes()
                    if file.tell() + len(data) > self.cap_bytes:
                        break
                    rows.append((key, file.tell(), len(value.tokens), len(value.pooled), zlib.crc32(data)))
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            index.executemany("INSERT INTO states VALUES (?, ?, ?, ?, ?)", rows)
            index.execute("COMMIT")

    def drop(self, keys: Iterable[str]) -> int:
        """Forgets states, and those of what was made of the same content: their bytes are overwritten with zeros,
        their keys leave the index; how many there were."""
        dropped = 0
        with self.index() as index:
            index.execute("PRAGMA secure_delete=ON")
            index.execute("BEGIN IMMEDIATE")
            with open(self.data, "r+b") as file:
                for key in keys:
                    its = {"key": key, "first": f"{key}-", "end": f"{key}."}
                    rows = index.execute(f"SELECT start, tokens, width FROM states WHERE {OF_ONE}", its).fetchall()
                    for start, tokens, width in rows:
                        file.seek(start)
                        file.write(bytes((tokens + 1) * width * 2))
                    index.execute(f"DELETE FROM states WHERE {OF_ONE}", its)
                    dropped += len(rows)
            index.execute("COMMIT")
            if dropped:
                index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return dropped


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
