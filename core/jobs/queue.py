"""From the outside: start long work in a process of its own, see how it stands, cancel it, take it up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import JobError
from core.files import disk_error
from core.jobs.work import LEASE, already_running, this_host
from core.limits import LIMITS
from core.store.values import JobInfo

if TYPE_CHECKING:
    from core.workspace import Workspace

KINDS = ("import", "train", "map", "cases", "clean", "evaluate", "simulate-missing")
PROJECT = Path(__file__).resolve().parents[2]
ONE_AT_A_TIME = ("train",)  # of these kinds one job works, the others wait their turn, first come first served
MOST_TAKE_UPS = 2  # in a row without a person asking, so that work which always dies is not begun for ever
_children: dict[tuple[Path, int], subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


def start(workspace: Workspace, kind: str, target: str, arguments: Sequence[str]) -> JobInfo:
    """Run `python -m core KIND ARGUMENTS` on its own; it outlives this process and reports through the store.

    target: what it works on, such as the name of the catalogue or run; one job at a time for each (kind, target).
    Raises JobError E-JOB-RUNNING, E-QUEUE-FULL.
    """
    if kind not in KINDS:
        raise JobError("E-INPUT-VALUE", f'"{kind}" is no long work; {" or ".join(KINDS)} was expected.')
    info = claim(workspace, kind, target, arguments)
    command = [
        sys.executable, "-m", "core", kind, "--home", str(workspace.home), "--job", str(info.id), "--json", *arguments
    ]  # fmt: skip
    log = log_file(workspace, info.id)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            child = subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "FUSESCOPE_DATABASE": workspace.database or ""},
            )  # fmt: skip
    except OSError as error:
        fault = disk_error(error, "jobs")
        _finish(workspace, info.id, "failed", fault.code, fault.message)
        raise fault from error
    with _lock:
        _children[workspace.home, info.id] = child
    return job(workspace, info.id)


def claim(workspace: Workspace, kind: str, target: str, arguments: Sequence[str] = ()) -> JobInfo:
    """A queued row of its own. Raises JobError E-JOB-RUNNING, and E-QUEUE-FULL where too many wait for their turn."""
    from core.store.jobs import add_job

    _settle(workspace)
    most = LIMITS.queue_waiting + 1 if kind in ONE_AT_A_TIME else None
    info = add_job(workspace.store, kind, target[:128], arguments, this_host(), most)
    if info is None:
        running = next((one for one in jobs(workspace, active=True) if (one.kind, one.target) == (kind, target)), None)
        raise already_running(kind, target, running.fraction if running else 0.0)
    return info


def jobs(workspace: Workspace, *, active: bool = False, limit: int = 100) -> list[JobInfo]:
    """The newest first. What died without a word is told as interrupted."""
    from core.store.jobs import list_jobs

    _settle(workspace)
    return [info for info, _ in list_jobs(workspace.store, active=active, limit=limit)]


def job(workspace: Workspace, ident: int) -> JobInfo:
    """One job as it stands. Raises JobError when there is none of this number."""
    from core.store.jobs import load_job

    _settle(workspace)
    found = load_job(workspace.store, ident)
    if found is None:
        raise JobError("E-INPUT-VALUE", f"there is no job {ident}; choose one of the list.")
    return found[0]


def cancel(workspace: Workspace, ident: int) -> JobInfo:
    """Ask a job to stop; it keeps what is finished, so that it can be taken up again."""
    from core.store.jobs import change_job, load_job

    _settle(workspace)
    if change_job(workspace.store, ident, cancel=True):
        found = load_job(workspace.store, ident)
        if found and found[0].pid and found[1] == this_host() and found[0].active:
            with suppress(OSError):
                os.kill(found[0].pid, signal.SIGTERM)
    return job(workspace, ident)


def resume(workspace: Workspace, ident: int) -> JobInfo:
    """Start a job that was interrupted, cancelled or failed once more, with what it was given.

    An import skips what it finished; training goes on from its last whole epoch.
    """
    old = job(workspace, ident)
    if old.active:
        raise already_running(old.kind, old.target, old.fraction)
    again = ["--resume"] if old.kind == "train" and "--resume" not in old.arguments else []
    return start(workspace, old.kind, old.target, [*old.arguments, *again])


def take_up(workspace: Workspace) -> list[JobInfo]:
    """Resume every training that died without a word and that nobody has started again since."""
    latest: dict[str, list[JobInfo]] = {}
    for info in jobs(workspace):
        if info.kind == "train":
            latest.setdefault(info.target, []).append(info)
    started = []
    for tries in latest.values():
        died = next((at for at, one in enumerate(tries) if one.state != "interrupted"), len(tries))
        if 0 < died <= MOST_TAKE_UPS:
            with suppress(JobError):  # another page was quicker
                started.append(resume(workspace, tries[0].id))
    return started


def ahead(workspace: Workspace, kind: str, ident: int) -> int:
    """How many active jobs of this kind came before job `ident`."""
    return sum(one.kind == kind and one.id < ident for one in jobs(workspace, active=True))


def log_file(workspace: Workspace, ident: int) -> Path:
    """Where the output of a job is kept."""
    return workspace.home / "jobs" / f"{ident}.log"


def _settle(workspace: Workspace) -> None:
    """Tell of every active job whether it still lives; one that does not becomes interrupted."""
    from core.store.jobs import list_jobs

    for info, host in list_jobs(workspace.store, active=True):
        if _is_gone(workspace, info, host):
            _finish(
                workspace, info.id, "interrupted", "E-WORKER-DIED",
                "the process ended without a word, perhaps it was killed or the machine restarted; resume it",
            )  # fmt: skip


def _is_gone(workspace: Workspace, info: JobInfo, host: str) -> bool:
    with _lock:
        child = _children.get((workspace.home, info.id))
        if child is not None and child.poll() is not None:
            del _children[workspace.home, info.id]
            return True
    if host == this_host() and info.pid is not None and not _is_alive(info.pid):
        return True
    return (datetime.now(UTC) - info.heartbeat).total_seconds() > LEASE


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would end the process: the lease alone decides
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _finish(workspace: Workspace, ident: int, state: str, code: str, message: str) -> None:
    from core.store.jobs import change_job

    if not workspace.store.readonly:
        change_job(
            workspace.store, ident, state=state, code=code, message=message, finished=datetime.now(UTC), remaining=None
        )
