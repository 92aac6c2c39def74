"""Worker processes that read pictures, sounds and clips: what eats memory, hangs or crashes there is that one file's
error.

A worker is a plain child with two pipes, so that the program's own main module is never started again in it, and it
ends when its input closes, so that none outlives the program. Each kind has workers of its own, so that a picture never
waits for a film and its worker never loads a film decoder.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from core.catalog.names import shown_name
from core.domain import Notice
from core.errors import ClipError, InputError, PhotoError, SoundError
from core.limits import LIMITS

try:
    import resource
except ImportError:  # not a Unix: the clock alone has to do
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a worker reads.

    module: holds `reader`, by which `data, name` are read, `packed` and `unpacked`, by which its answer goes through a
    pipe, and maybe `prepare`, which loads what takes long before any clock runs. word, missing: how people call it, and
    one without a name; remedy: what they save a broken one with; most: bytes.
    """

    module: str
    reader: str
    word: str
    missing: str
    remedy: str
    error: type[InputError]
    most: int


KINDS: dict[str, Kind] = {
    "photo": Kind(
        module="core.catalog.photos", reader="read_image", word="picture", missing="photo", remedy="a picture program",
        error=PhotoError, most=LIMITS.photo_bytes,
    ),
    "sound": Kind(
        module="core.catalog.sounds", reader="read_sound", word="sound", missing="sound", remedy="a sound program",
        error=SoundError, most=LIMITS.audio_bytes,
    ),
    "clip": Kind(
        module="core.catalog.clips", reader="read_clip", word="film", missing="clip", remedy="a film program",
        error=ClipError, most=LIMITS.video_bytes,
    ),
}  # fmt: skip
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # each reserves memory


class Worker:
    """One child process that reads media of a kind until its input closes."""

    command: tuple[str, ...] = (sys.executable, "-m", "core.catalog.media_workers")

    def __init__(self, kind: str) -> None:
        root = str(Path(__file__).resolve().parents[2])
        known = os.environ.get("PYTHONPATH")
        settings = {**os.environ, **ONE_THREAD, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}
        self.process = subprocess.Popen(
            (*self.command, kind),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=settings,
            cwd=root,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        with Clock(30.0, self.process):
            self.output.read(1)  # it is ready; a worker that never gets there is noticed at the first file

    def read(self, data: bytes, name: str) -> tuple[dict, bytes]:
        """The answer's header and content. Raises EOFError or OSError when the worker is gone."""
        _send(self.input, {"name": name}, data)
        return _receive(self.output)

    def stop(self) -> None:
        self.process.kill()
        for pipe in (self.input, self.output):
            try:
                pipe.close()
            except OSError:
                continue
        self.process.wait()


class Clock:
    """Kills a process that is not done in time, and never after its block; `rang` tells whether it did."""

    def __init__(self, seconds: float, process: subprocess.Popen) -> None:
        self.rang = False
        self._over, self._lock = False, threading.Lock()
        self._process = process
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True

    def _ring(self) -> None:
        with self._lock:
            if not self._over:
                self.rang = True
                self._process.kill()

    def __enter__(self) -> Clock:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True


class Pool:
    """At most `size` workers of a kind, started when first needed; a dead one is replaced."""

    def __init__(self, kind: str, size: int = 2, seconds: float = LIMITS.decode_seconds) -> None:
        self.name, self.kind = kind, KINDS[kind]
        self._seconds = seconds
        self._places: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._places.put(None)

    def read(self, data: bytes, name: str) -> tuple[Any, tuple[Notice, ...]]:
        """What the reader of this kind gives. Raises its error, also with E-WORKER-TIME and E-WORKER-DIED."""
        worker = self._places.get()
        try:
            if worker is not None and worker.process.poll() is not None:
                worker.stop()
                worker = None
            worker = worker or Worker(self.name)
            head, body = self._answer(worker, data, name)
        except BaseException:  # an answer may still be in the pipe: never use this worker again
            if worker is not None:
                worker.stop()
            worker = None
            raise
        finally:
            self._places.put(worker)
        if "code" in head:
            raise self.kind.error(head["code"], head["message"])
        value = importlib.import_module(self.kind.module).unpacked(head["value"], body)
        return value, tuple(Notice(**notice) for notice in head["notices"])

    def _answer(self, worker: Worker, data: bytes, name: str) -> tuple[dict, bytes]:
        shown, kind = shown_name(name, self.kind.missing), self.kind
        with Clock(self._seconds, worker.process) as clock:
            try:
                answer, lost = worker.read(data, name), None
            except (OSError, EOFError, ValueError) as error:
                answer, lost = None, error
        if answer is not None:
            if clock.rang:  # in the moment after its answer: this worker reads no more
                worker.stop()
            return answer
        if clock.rang:
            raise kind.error(
                "E-WORKER-TIME",
                f"{shown}: not read after {self._seconds:g} s; a {kind.word} that "
                "opens at once was expected. Save a simpler copy and upload that.",
            ) from lost
        raise kind.error(
            "E-WORKER-DIED",
            f"{shown}: the program that reads {kind.word}s stopped on it; a whole {kind.word} "
            f"was expected. Save it anew with {kind.remedy} and upload that.",
        ) from lost

    def close(self) -> None:
        """Stop every idle worker; the pool can be used again."""
        idle = [self._places.get() for _ in range(self._places.qsize())]
        for worker in idle:
            if worker is not None:
                worker.stop()
            self._places.put(None)


def _send(pipe: IO[bytes], head: dict, body: bytes) -> None:
    told = json.dumps(head).encode()
    pipe.write(struct.pack(">II", len(told), len(body)) + told)
    pipe.write(body)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict, bytes]:
    sizes = struct.unpack(">II", _exactly(pipe, 8))
    head = json.loads(_exactly(pipe, sizes[0]))
    return head, _exactly(pipe, sizes[1])


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError("the other side closed the pipe")
    return data


def _answer_for(data: bytes, name: str, kind: Kind) -> tuple[dict, bytes]:
    module = importlib.import_module(kind.module)
    try:
        value, notices = getattr(module, kind.reader)(data, name)
    except InputError as error:
        return {"code": error.code, "message": error.message}, b""
    told = [{"code": notice.code, "message": notice.message, "where": notice.where} for notice in notices]
    head, body = module.packed(value)
    return {"value": head, "notices": told}, body


def serve(source: IO[bytes], target: IO[bytes], name: str = "photo") -> None:
    """The worker's loop: until the input closes, read one file and answer with what it holds or its code."""
    kind = KINDS[name]
    getattr(importlib.import_module(kind.module), "prepare", lambda: None)()
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (LIMITS.decode_bytes, LIMITS.decode_bytes))
    target.write(b"+")
    target.flush()
    while True:
        try:
            head, data = _receive(source)
        except EOFError:
            return
        _send(target, *_answer_for(data, head["name"], kind))


@cache
def pool_of(kind: str) -> Pool:
    """The pool of this program for a kind: two workers at most."""
    pool = Pool(kind)
    atexit.register(pool.close)
    return pool


def read_safely(kind: str, data: bytes, name: str) -> Any:
    """What the reader of this kind gives, read in a worker process with 1 GB and 5 s: what kills the worker is that
    file's error alone. One that is too large is refused here, before a byte is sent.

    Raises the error of the kind, with a code of its reader, E-WORKER-DIED or E-WORKER-TIME.
    """
    if len(data) > KINDS[kind].most:
        return getattr(importlib.import_module(KINDS[kind].module), KINDS[kind].reader)(data, name)
    return pool_of(kind).read(data, name)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1])
