"""Worker processes that read pictures: what eats memory, hangs or crashes there is that one picture's error.

A worker is a plain child with two pipes, so that the program's own main module is never started again in it, and it
ends when its input closes, so that none outlives the program.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from PIL import Image

from core.catalog.names import shown_name
from core.catalog.photos import read_image
from core.domain import Notice
from core.errors import PhotoError
from core.limits import LIMITS

try:
    import resource
except ImportError:  # not a Unix: the clock alone has to do
    resource = None  # type: ignore[assignment]


class Worker:
    """One child process that reads pictures until its input closes."""

    command = (sys.executable, "-m", "core.catalog.photo_workers")

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        known = os.environ.get("PYTHONPATH")
        settings = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=settings,
            cwd=root,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.input, self.output = self.process.stdin, self.process.stdout
        with Clock(30.0, self.process):
            self.output.read(1)  # it is ready; a worker that never gets there is noticed at the first picture

    def read(self, data: bytes, name: str) -> tuple[dict, bytes]:
        """The answer's header and pixels. Raises EOFError or OSError when the worker is gone."""
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
    """Kills a process that is not done in time; `rang` tells whether it did."""

    def __init__(self, seconds: float, process: subprocess.Popen) -> None:
        self.rang = False
        self._process = process
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True

    def _ring(self) -> None:
        self.rang = True
        self._process.kill()

    def __enter__(self) -> Clock:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


class Pool:
    """At most `size` workers, started when first needed; a dead one is replaced."""

    def __init__(self, size: int, seconds: float = LIMITS.decode_seconds) -> None:
        self._seconds = seconds
        self._places: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._places.put(None)

    def read(self, data: bytes, name: str) -> tuple[Image.Image, tuple[Notice, ...]]:
        worker = self._places.get()
        try:
            if worker is not None and worker.process.poll() is not None:
                worker.stop()
                worker = None
            worker = worker or Worker()
            head, pixels = self._answer(worker, data, name)
        except BaseException:  # an answer may still be in the pipe: never use this worker again
            if worker is not None:
                worker.stop()
            worker = None
            raise
        finally:
            self._places.put(worker)
        if "code" in head:
            raise PhotoError(head["code"], head["message"])
        image = Image.frombytes("RGB", tuple(head["size"]), pixels)
        return image, tuple(Notice(**notice) for notice in head["notices"])

    def _answer(self, worker: Worker, data: bytes, name: str) -> tuple[dict, bytes]:
        shown = shown_name(name, "photo")
        with Clock(self._seconds, worker.process) as clock:
            try:
                return worker.read(data, name)
            except (OSError, EOFError, ValueError) as error:
                lost = error
        if clock.rang:
            raise PhotoError(
                "E-WORKER-TIME",
                f"{shown}: not read after {self._seconds:g} s; a picture that "
                "opens at once was expected. Save a simpler copy and upload that.",
            ) from lost
        raise PhotoError(
            "E-WORKER-DIED",
            f"{shown}: the program that reads pictures stopped on it; a whole picture "
            "was expected. Save it anew with a picture program and upload that.",
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


def _answer_for(data: bytes, name: str) -> tuple[dict, bytes]:
    try:
        image, notices = read_image(data, name)
    except PhotoError as error:
        return {"code": error.code, "message": error.message}, b""
    told = [{"code": notice.code, "message": notice.message, "where": notice.where} for notice in notices]
    return {"size": image.size, "notices": told}, image.tobytes()


def serve(source: IO[bytes], target: IO[bytes]) -> None:
    """The worker's loop: until the input closes, read one picture and answer with its pixels or its code."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (LIMITS.decode_bytes, LIMITS.decode_bytes))
    target.write(b"+")
    target.flush()
    while True:
        try:
            head, data = _receive(source)
        except EOFError:
            return
        _send(target, *_answer_for(data, head["name"]))


POOL = Pool(size=2)
atexit.register(POOL.close)

if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
