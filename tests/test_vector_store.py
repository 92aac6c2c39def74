"""The vector store is only a cache: what goes wrong there is told in words or mended, and stops nobody."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from core.encode import cache
from core.encode.cache import DAMAGED, VectorStore, encode_cached
from core.encode.states import States
from core.errors import StoreError

KEYS = [f"{number:064x}" for number in range(40)]


def states(seed: int) -> States:
    values = np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float16)
    return States(tokens=values, pooled=values[0])


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    made = VectorStore(tmp_path, "toy")
    made.put({key: states(number) for number, key in enumerate(KEYS)})
    return made


def encoded(store: VectorStore) -> int:
    """How many of the known contents had to be encoded."""
    found, fresh = encode_cached(store, {key: number for number, key in enumerate(KEYS)},
                                 lambda numbers: [states(number) for number in numbers])  # fmt: skip
    assert list(found) == KEYS or set(found) == set(KEYS)
    assert all((found[key].tokens == states(number).tokens).all() for number, key in enumerate(KEYS))
    return fresh


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_full_disk_is_told_and_leaves_no_byte_without_a_row(store, monkeypatch, call):
    before = store.data.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        if call == "open":
            patched.setattr(cache, "open", full, raising=False)
        else:
            patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError) as caught:
            store.put({"new": states(99)})
    assert caught.value.code == "E-DISK-FULL" and "Free some space" in str(caught.value)
    assert store.data.read_bytes() == before and store.missing(["new"]) == ["new"]
    store.put({"new": states(99)})
    assert (store.get(["new"])["new"].tokens == states(99).tokens).all()


def test_an_index_that_cannot_grow_is_a_full_disk(store, monkeypatch):
    real = sqlite3.connect

    def small(*given, **named):
        connection = real(*given, **named)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        return connection

    monkeypatch.setattr(cache.sqlite3, "connect", small)
    with pytest.raises(StoreError) as caught:
        store.put({f"new{number}{'x' * 200}": states(number) for number in range(200)})
    assert caught.value.code == "E-DISK-FULL"


def test_a_locked_index_is_waited_for_then_told(store, monkeypatch):
    monkeypatch.setattr(cache, "WAIT", 0.3)
    other = sqlite3.connect(store.folder / "index.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.put({"new": states(99)})
    assert caught.value.code == "E-DB-BUSY" and time.monotonic() - begun >= 0.25
    monkeypatch.setattr(cache, "WAIT", 30.0)
    release = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
    release.start()
    store.put({"new": states(99)})
    release.join()
    other.close()
    assert store.missing(["new"]) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "toy").write_text("a file stands where the folder belongs")
    with pytest.raises(StoreError) as caught:
        VectorStore(tmp_path, "toy")
    assert caught.value.code == "E-DB-READONLY"


@pytest.mark.parametrize("damage", ["text", "torn", "other table"])
def test_a_damaged_index_is_set_aside_with_a_word_and_made_anew(store, damage, caplog):
    index = store.folder / "index.sqlite"
    with sqlite3.connect(index) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if damage == "other table":
            raw.executescript("DROP TABLE states; CREATE TABLE states (what TEXT);")
    raw.close()
    if damage == "text":
        index.write_text("these are my notes, not a database\n" * 50)
    elif damage == "torn":
        data = index.read_bytes()
        index.write_bytes(data[:4096] + os.urandom(len(data) - 4096))
    before = index.read_bytes()
    again = VectorStore(store.folder.parent, "toy")
    assert encoded(again) == len(KEYS)
    assert (store.folder / DAMAGED).read_bytes() == before
    assert "set aside" in caplog.text and "toy" in caplog.text
    assert encoded(again) == 0
    again.drop(KEYS)
    assert not (store.folder / DAMAGED).exists()


@pytest.mark.parametrize("place", [0, 100, -1])
def test_damaged_bytes_are_encoded_again_once_and_then_known(store, place):
    data = bytearray(store.data.read_bytes())
    data[place] ^= 16
    store.data.write_bytes(data)
    [bad] = store.missing(KEYS)
    assert bad not in store.get(KEYS)
    assert encoded(store) == 1
    assert store.missing(KEYS) == [] and encoded(store) == 0
    assert store.data.stat().st_size == len(data)  # in its place: nothing is left that no row means


@pytest.mark.parametrize("column", ["start", "tokens", "width", "crc"])
@pytest.mark.parametrize("value", [-5, 2**40, "words"])
def test_a_row_that_means_no_place_is_encoded_again(store, column, value):
    with sqlite3.connect(store.folder / "index.sqlite") as raw:
        raw.execute(f"UPDATE states SET {column} = ? WHERE key = ?", (value, KEYS[3]))
    raw.close()
    size = store.data.stat().st_size
    assert encoded(store) == 1 and encoded(store) == 0
    assert store.drop(KEYS) == len(KEYS) and store.data.stat().st_size <= size + 32


def test_states_that_were_cut_or_are_gone_are_encoded_again(store):
    os.truncate(store.data, store.data.stat().st_size // 2)
    assert encoded(store) == len(KEYS) // 2 and encoded(store) == 0
    store.data.unlink()
    assert encoded(store) == len(KEYS) and encoded(store) == 0
