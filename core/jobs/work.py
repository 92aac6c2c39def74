"""Inside the process that does the work: its lease, its progress, and how it ends."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.errors import FusescopeError, JobError, StoreError

if TYPE_CHECKING:
    from core.workspace import Workspace

LEASE = 60.0  # seconds without a heartbeat after which a job counts as interrupted
HEARTBEAT = 5.0
SHOWN_EVERY = 0.5  # seconds between two writes of progress
TURN = 1.0  # seconds between two looks at the queue
WINDOW = 30.0  # seconds over which speed is averaged
STILL_MINE = ("queued", "running", "interrupted")


class Cancelled(KeyboardInterrupt):
    """Somebody asked for the end of this work; not an Exception, so that nothing swallows it on the way out."""


class Remaining:
    """Time left, from the average speed of the last 30 seconds; a jump of the wall clock changes nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def at(self, fraction: float) -> float | None:
        """Seconds left at `fraction` done, never negative; None while there is no speed to judge by."""
        now = self._clock()
        if self._seen and fraction < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, fraction))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        began, first = self._seen[0]
        if fraction <= first or now <= began:
            return 0.0 if fraction >= 1 else None
        return max(0.0, (1 - fraction) * (now - began) / (fraction - first))


class Work:
    """What the working code reports to; `step` raises Cancelled when a person asked for it."""

    def __init__(self, workspace: Workspace, ident: int, show: Callable[[str, float, float | None], None]) -> None:
        self.id = ident
        self.result: dict[str, Any] | None = None
        self._workspace, self._show = workspace, show
        self._remaining, self._written = Remaining(), 0.0
        self._label, self._fraction, self._state = "starting", 0.0, "running"
        self._left: float | None = None
        self._stop, self._ended = threading.Event(), threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def step(self, label: str, fraction: float) -> None:
        """`label` is what is being done, `fraction` in [0, 1] how much of the whole job is done."""
        if self._stop.is_set():
            raise Cancelled
        self._label, self._fraction = label, min(1.0, max(0.0, fraction))
        self._left = self._remaining.at(self._fraction)
        self._show(self._label, self._fraction, self._left)
        if time.monotonic() - self._written >= SHOWN_EVERY:
            self._write()

    def wait_for_turn(self, ahead: Callable[[], int]) -> None:
        """Stay queued, alive and able to be cancelled, until nobody is `ahead` any more."""
        while before := ahead():
            self._state, self._label = "queued", f"waiting for {before} before it"
            self._show(self._label, 0.0, None)
            self._write()
            if self._stop.wait(TURN):
                raise Cancelled
        self._state, self._label = "running", "starting"
        self._write()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Keep the answer of the work with the job."""
        self.result = dict(result)

    def _write(self) -> None:
        self._written = time.monotonic()
        with suppress(
            StoreError
        ):  # a busy database or a full disk must not end hours of work; the next beat tries again
            kept = self._change(
                state=self._state, pid=os.getpid(), heartbeat=datetime.now(UTC), label=self._label,
                fraction=self._fraction, remaining=self._left,
            )  # fmt: skip
            from core.store.jobs import wants_cancel

            if not kept or wants_cancel(self._workspace.store, self.id):
                self._stop.set()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            self._write()

    def _change(self, **values: Any) -> bool:
        from core.store.jobs import change_job

        return change_job(self._workspace.store, self.id, STILL_MINE, **values)

    def _end(self, state: str, code: str = "", message: str = "") -> None:
        self._ended.set()
        if self._pulse.is_alive():
            self._pulse.join(HEARTBEAT)
        done = {"fraction": 1.0, "remaining": 0.0} if state == "done" else {"remaining": None}
        with suppress(StoreError):
            self._change(
                state=state, code=code, message=message, finished=datetime.now(UTC), result=self.result, **done
            )


@contextmanager
def working(
    workspace: Workspace,
    kind: str,
    target: str,
    *,
    arguments: Sequence[str] = (),
    job: int | None = None,
    show: Callable[[str, float, float | None], None] = lambda label, fraction, remaining: None,
) -> Iterator[Work]:
    """Do the work inside as a job: as `job` where the queue started us, else as a new one.

    Of some kinds one works at a time: the others wait here. Raises JobError E-JOB-RUNNING when the same work is under
    way. SIGTERM and `cancel` raise Cancelled inside.
    """
    from core.jobs.queue import ONE_AT_A_TIME, ahead

    ident = job if job is not None else _claim(workspace, kind, target, arguments)
    work = Work(workspace, ident, show)
    before = _on_terminate()
    try:
        work._pulse.start()
        if kind in ONE_AT_A_TIME:
            work.wait_for_turn(lambda: ahead(workspace, kind, ident))
        work._write()
        yield work
    except FusescopeError as error:
        work._end("failed", error.code, error.message)
        raise
    except KeyboardInterrupt:
        work._end("cancelled", message="stopped on request; start it again to go on")
        raise
    except BaseException:
        work._end("failed", "E-WORKER-DIED", "an unexpected fault ended the work; its log in the workspace tells which")
        raise
    else:
        work._end("done")
    finally:
        work._ended.set()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _claim(workspace: Workspace, kind: str, target: str, arguments: Sequence[str]) -> int:
    from core.jobs.queue import claim

    return claim(workspace, kind, target, arguments).id


def _on_terminate() -> Any:
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(_number: int, _frame: object) -> None:
        raise Cancelled

    return signal.signal(signal.SIGTERM, stop)


def this_host() -> str:
    """Name of this machine, so that a process id is only believed where it means something."""
    return platform.node()[:255] or "unnamed"


def already_running(kind: str, target: str, fraction: float) -> JobError:
    return JobError(
        "E-JOB-RUNNING",
        f'{kind} of "{target}" is already running ({fraction:.0%} done); one at a time was expected. '
        "Wait for it, or cancel it first.",
    )
