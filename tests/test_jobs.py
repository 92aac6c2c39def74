"""Long work: one at a time, alive or told to be dead, never silent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import InputError, JobError
from core.jobs import queue
from core.jobs.work import LEASE, Cancelled, Remaining, working
from core.limits import LIMITS
from core.store.jobs import change_job
from core.store.values import JobInfo
from core.workspace import Workspace

PROJECT = Path(__file__).resolve().parents[1]
SLOW_WORK = """
import sys, time
from pathlib import Path
from core.jobs.work import working
from core.workspace import Workspace
home, target, job = sys.argv[1:]
with working(Workspace.open(Path(home)), "train", target, job=int(job) or None) as work:
    for step in range(600):
        work.step(f"step {step}", step / 600)
        time.sleep(0.05)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


@pytest.fixture
def start_work(workspace: Workspace):
    """Starts slow work in a process of its own, and ends what is left of it after the test."""
    children: list[subprocess.Popen[bytes]] = []

    def begin(target: str = "a-run", job: int = 0) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SLOW_WORK, str(workspace.home), target, str(job)]
        children.append(subprocess.Popen(command, cwd=PROJECT))
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.wait()


def wait_for(look: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def only_job(workspace: Workspace) -> JobInfo:
    [one] = queue.jobs(workspace)
    return one


def test_work_that_ends_well_leaves_its_result(workspace: Workspace) -> None:
    with working(workspace, "train", "a-run") as work:
        work.step("half way", 0.5)
        assert only_job(workspace).state == "running"
        work.finish({"run": "a-run"})
    told = only_job(workspace)
    assert (told.state, told.fraction, told.remaining, told.result) == ("done", 1.0, 0.0, {"run": "a-run"})


def test_work_that_is_refused_says_why(workspace: Workspace) -> None:
    with pytest.raises(InputError), working(workspace, "import", "shop"):
        raise InputError("E-TAB-EMPTY", "items.csv is empty")
    told = only_job(workspace)
    assert (told.state, told.code, told.message) == ("failed", "E-TAB-EMPTY", "items.csv is empty")


def test_work_that_breaks_tells_no_inner_words(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), working(workspace, "import", "shop"):
        raise ZeroDivisionError("secret")
    told = only_job(workspace)
    assert (told.state, told.code) == ("failed", "E-WORKER-DIED")
    assert "secret" not in told.message


def test_a_second_start_of_the_same_work_is_refused(workspace: Workspace) -> None:
    with working(workspace, "train", "a-run") as work:
        work.step("training", 0.25)
        time.sleep(0.6)
        work.step("training", 0.4)
        with pytest.raises(JobError, match=r'train of "a-run" is already running \(40% done\)') as error:
            queue.claim(workspace, "train", "a-run")
        assert error.value.code == "E-JOB-RUNNING"
        assert queue.claim(workspace, "train", "another-run").state == "queued"
        assert queue.claim(workspace, "import", "a-run").state == "queued"
    assert queue.claim(workspace, "train", "a-run").state == "queued"


def test_a_training_beyond_those_that_may_wait_is_refused_and_leaves_nothing(workspace: Workspace, monkeypatch) -> None:
    monkeypatch.setattr("core.jobs.queue.LIMITS", replace(LIMITS, queue_waiting=2))
    for name in "abc":
        queue.claim(workspace, "train", name)
    with pytest.raises(JobError, match="2 others wait for their turn already") as error:
        queue.claim(workspace, "train", "d")
    assert error.value.code == "E-QUEUE-FULL"
    assert queue.claim(workspace, "import", "d").state == "queued"
    assert sorted(job.target for job in queue.jobs(workspace) if job.kind == "train") == ["a", "b", "c"]


def test_a_double_click_in_twenty_threads_starts_one_job(workspace: Workspace) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def click(_: int) -> bool:
        try:
            return bool(queue.claim(workspace, "train", "a-run"))
        except JobError:
            return False

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(click, range(20))) == 1


def test_a_killed_job_is_interrupted_and_can_be_started_again(workspace: Workspace, start_work) -> None:
    child = start_work()
    wait_for(lambda: any(job.fraction > 0 for job in queue.jobs(workspace)))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    told = only_job(workspace)
    assert (told.state, told.code) == ("interrupted", "E-WORKER-DIED")
    assert 0 < told.fraction < 1
    assert queue.claim(workspace, "train", "a-run").state == "queued"


def test_a_job_without_a_heartbeat_is_interrupted_after_its_lease(workspace: Workspace) -> None:
    info = queue.claim(workspace, "train", "a-run")
    now = datetime.now(UTC)
    change_job(
        workspace.store, info.id, state="running", heartbeat=now - timedelta(seconds=LEASE - 10), host="elsewhere"
    )
    assert only_job(workspace).state == "running"
    change_job(workspace.store, info.id, heartbeat=now - timedelta(seconds=LEASE + 1))
    assert only_job(workspace).state == "interrupted"


def test_a_clock_that_jumps_back_an_hour_interrupts_nobody(workspace: Workspace) -> None:
    info = queue.claim(workspace, "train", "a-run")
    change_job(
        workspace.store, info.id, state="running", pid=os.getpid(), heartbeat=datetime.now(UTC) + timedelta(hours=1)
    )
    assert only_job(workspace).state == "running"


def test_cancel_ends_the_process_and_frees_the_place(workspace: Workspace, start_work) -> None:
    child = start_work()
    wait_for(lambda: any(job.fraction > 0 for job in queue.jobs(workspace)))
    queue.cancel(workspace, only_job(workspace).id)
    child.wait(10)
    assert only_job(workspace).state == "cancelled"
    assert queue.claim(workspace, "train", "a-run").state == "queued"


def test_a_wish_to_cancel_reaches_work_that_gets_no_signal(workspace: Workspace) -> None:
    with pytest.raises(Cancelled), working(workspace, "train", "a-run") as work:
        change_job(workspace.store, work.id, cancel=True)
        for step in range(100):
            time.sleep(0.05)
            work.step("training", step / 100)
    assert only_job(workspace).state == "cancelled"


def test_start_runs_the_command_line_and_keeps_its_words(workspace: Workspace, tmp_path: Path) -> None:
    info = queue.start(workspace, "import", "shop", [str(tmp_path / "nowhere"), "--name", "shop"])
    wait_for(lambda: not queue.job(workspace, info.id).active, 60)
    told = queue.job(workspace, info.id)
    assert (told.state, told.code) == ("failed", "E-INPUT-VALUE")
    assert "there is no such folder" in told.message
    assert "there is no such folder" in queue.log_file(workspace, info.id).read_text()


def test_resume_starts_the_same_work_once_more(workspace: Workspace, tmp_path: Path) -> None:
    info = queue.start(workspace, "import", "shop", [str(tmp_path / "nowhere"), "--name", "shop"])
    wait_for(lambda: not queue.job(workspace, info.id).active, 60)
    again = queue.resume(workspace, info.id)
    assert (again.id, again.kind, again.target, again.arguments) == (info.id + 1, "import", "shop", info.arguments)
    with pytest.raises(JobError, match="already running"):
        queue.resume(workspace, again.id)
    wait_for(lambda: not queue.job(workspace, again.id).active, 60)


def test_only_long_work_is_a_job(workspace: Workspace) -> None:
    with pytest.raises(JobError, match="import or train"):
        queue.start(workspace, "doctor", "x", [])


def test_remaining_time_is_speed_times_distance_and_never_negative() -> None:
    now = [100.0]
    remaining = Remaining(lambda: now[0])
    assert remaining.at(0.0) is None
    now[0] += 10
    assert remaining.at(0.25) == pytest.approx(10 / 0.25 * 0.75)
    now[0] -= 3600
    assert remaining.at(0.5) is None
    now[0] += 3610
    assert remaining.at(1.0) == 0.0


def test_one_training_works_at_a_time_and_the_next_waits_its_turn(workspace: Workspace, start_work) -> None:
    first = start_work("first")
    wait_for(lambda: any(job.fraction > 0 for job in queue.jobs(workspace)))
    start_work("second")
    wait_for(lambda: any(job.pid and job.state == "queued" for job in queue.jobs(workspace)))
    second, running = queue.jobs(workspace)
    assert (second.target, second.label, running.state) == ("second", "waiting for 1 before it", "running")
    assert queue.ahead(workspace, "train", second.id) == 1
    first.kill()
    first.wait()
    wait_for(lambda: queue.job(workspace, second.id).fraction > 0)
    assert queue.job(workspace, running.id).state == "interrupted"


def test_who_waits_can_be_cancelled(workspace: Workspace, start_work) -> None:
    start_work("first")
    wait_for(lambda: any(job.fraction > 0 for job in queue.jobs(workspace)))
    second = start_work("second")
    wait_for(lambda: any(job.pid and job.state == "queued" for job in queue.jobs(workspace)))
    queue.cancel(workspace, queue.jobs(workspace)[0].id)
    second.wait(10)
    assert [job.state for job in queue.jobs(workspace)] == ["cancelled", "running"]


def test_training_that_died_is_taken_up_but_not_for_ever(workspace: Workspace, monkeypatch) -> None:
    started: list[tuple[str, ...]] = []

    def start(workspace: Workspace, kind: str, target: str, arguments) -> JobInfo:
        started.append(tuple(arguments))
        info = queue.claim(workspace, kind, target, arguments)
        change_job(workspace.store, info.id, state="interrupted")
        return info

    monkeypatch.setattr(queue, "start", start)
    start(workspace, "train", "a-run", ["--name", "a-run"])
    start(workspace, "import", "shop", [])
    cancelled = queue.claim(workspace, "train", "another")
    change_job(workspace.store, cancelled.id, state="cancelled")
    del started[:]
    for _ in range(5):
        queue.take_up(workspace)
    assert started == [("--name", "a-run", "--resume")] * queue.MOST_TAKE_UPS


@pytest.mark.parametrize("given", [
    {"rank": "factors", "epochs": 4, "user_rate": 3e-3}, {"rank": "factors", "loss": "softmax"}, {"rank": "vbpr"}, {},
])  # fmt: skip
def test_the_options_of_a_training_give_its_settings_again(given):
    from core.__main__ import parser
    from core.config import RunSettings
    from core.jobs.training import arguments_of

    settings = RunSettings(**given)
    told = vars(parser().parse_args(["train", *arguments_of(settings, {})]))
    kept = {name: told[name] for name in vars(settings) if told[name] is not None}
    assert RunSettings(**kept) == settings
