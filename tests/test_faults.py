"""Faults F5 to F19 as they are injected, each with what must happen; those of training are in test_faults_training.py.

`python -m bench.harden` counts one a number: a test belongs to the F-number in its name.
"""

import errno
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from core.catalog import media_workers
from core.domain import Notice, Query
from core.encode.cache import encode_within
from core.errors import ModelError, PhotoError, StoreError
from core.fallback import recommend_anyway
from core.files import write_atomic
from core.jobs import queue
from core.jobs.work import Remaining
from core.model import best_device
from core.people import annotations_of, put_note
from core.store.engines import Store
from core.store.jobs import change_job
from core.store.runs import load_query
from core.store.values import CaseRef
from core.workspace import Workspace
from pages.shared import visit
from tests.offline import RUN, walk
from tests.test_pages import ask, recommend_page, said, titles, visit_app, world  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
CASE = CaseRef(key="0" * 16, user="u", item="i")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.open(tmp_path / "home")
    put_note(workspace, "toys", CASE, "Dora", "before", 0)
    return workspace


def file_of(workspace: Workspace) -> Path:
    return workspace.home / "fusescope.sqlite"


def notes(workspace: Workspace) -> list[str]:
    return [one.note for one in annotations_of(workspace, "toys")]


# ---- F5 to F9: the database


def test_f05_a_locked_database_is_busy_and_what_was_typed_is_still_there(world, tmp_path, monkeypatch):  # noqa: F811
    real = Workspace.open(tmp_path / "locked")
    real.__dict__["store"] = Store.open(file_of(real), wait=0.2)
    other = sqlite3.connect(file_of(real), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(world.workspace, "save_query", real.save_query)
    monkeypatch.setattr(world.workspace, "query", real.query)
    at = ask(recommend_page(), "a red mug that keeps tea warm")
    assert "E-DB-BUSY" in said(at) and "Try again" in said(at)
    assert at.text_area(key=visit.TEXT).value == "a red mug that keeps tea warm"
    other.execute("ROLLBACK")
    assert titles(ask(at, "a red mug that keeps tea warm"))
    other.close()


def test_f06_a_read_only_database_can_be_browsed_and_says_so_when_written(workspace):
    url = f"sqlite:///file:{file_of(workspace)}?mode=ro&uri=true"
    readonly = Workspace.open(workspace.home, database=url)
    assert notes(readonly) == ["before"]
    for write in (
        lambda: put_note(readonly, "toys", CASE, "Dora", "after", 1),
        lambda: readonly.save_query(Query.of("a mug"), "studio-default"),
        lambda: queue.claim(readonly, "train", "x"),
    ):
        with pytest.raises(StoreError) as caught:
            write()
        assert caught.value.code == "E-DB-READONLY" and "--home" in str(caught.value)
    assert notes(workspace) == ["before"]


def test_f07_a_full_disk_keeps_what_was_there(workspace, monkeypatch):
    kept = write_atomic(workspace.home / "runs" / "a" / "x.bin", b"whole")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for call in ("write", "fsync", "replace"):
        with monkeypatch.context() as patched:
            if call == "write":
                patched.setattr(os, "fdopen", full)
            else:
                patched.setattr(os, call, full)
            with pytest.raises(StoreError) as caught:
                write_atomic(kept, b"half")
        assert caught.value.code == "E-DISK-FULL"
        assert kept.read_bytes() == b"whole" and [path.name for path in kept.parent.iterdir()] == ["x.bin"]


def test_f07_a_database_that_cannot_grow_keeps_its_rows(workspace):
    with workspace.store.write.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    workspace.store.close()
    store = Store.open(file_of(workspace))
    from sqlalchemy import event

    event.listen(store.write, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count={pages}"))
    workspace.__dict__["store"] = store
    with pytest.raises(StoreError) as caught:
        for number in range(50):
            put_note(workspace, "toys", CaseRef(key=f"{number:016x}", user="u", item="i"), "Ben", "x" * 3000, 0)
    assert caught.value.code == "E-DISK-FULL"
    assert "before" in notes(workspace)


@pytest.mark.parametrize("state", ["text", "newer", "older"])
def test_f08_text_newer_and_older_schemas_each_have_their_word(workspace, state):
    workspace.store.close()
    place, wanted = file_of(workspace), {"text": "E-DB-BROKEN", "newer": "E-DB-NEWER", "older": "E-DB-OLDER"}[state]
    if state == "text":
        place.write_text("these are my notes, not a database\n" * 50)
    else:
        with sqlite3.connect(place) as raw:
            raw.execute("UPDATE alembic_version SET version_num = ?", ("9999" if state == "newer" else "0001",))
    before = place.read_bytes()
    url = f"sqlite:///file:{place}?mode=ro&uri=true"
    with pytest.raises(StoreError) as caught:
        Store.open(url if state == "older" else place)
    assert caught.value.code == wanted and str(place.parent) not in str(caught.value)
    assert place.read_bytes() == before  # left alone
    assert {"text": "backup", "newer": "Update", "older": "upgraded"}[state] in str(caught.value)


def test_f08_flipped_bits_in_the_database_are_told_in_words_or_change_nothing(workspace):
    for number in range(40):
        put_note(workspace, "toys", CaseRef(key=f"{number:016x}", user="u", item="i"), "Ben", "words " * 20, 0)
    workspace.store.close()
    whole, draw = file_of(workspace).read_bytes(), random.Random(7)
    for suffix in ("-wal", "-shm"):
        file_of(workspace).with_name(file_of(workspace).name + suffix).unlink(missing_ok=True)
    for _ in range(25):
        damaged = bytearray(whole)
        for at in draw.sample(range(len(damaged)), 200):
            damaged[at] ^= 1 << draw.randrange(8)
        place = workspace.home / "damaged" / f"{draw.random()}"
        place.mkdir(parents=True)
        (place / "fusescope.sqlite").write_bytes(damaged)
        again = Workspace.open(place)
        try:
            notes(again)
        except StoreError as error:
            assert error.code in ("E-DB-BROKEN", "E-DB-NEWER", "E-DB-OLDER"), error
        again.__dict__.pop("store", SimpleNamespace(close=lambda: None)).close()


def test_f09_a_server_database_that_restarts_is_reached_again():
    postgres = pytest.importorskip("tests.postgres")
    if getattr(postgres, "ABSENT", ""):
        pytest.skip(postgres.ABSENT)
    from sqlalchemy import text

    store = Store.open(postgres.fresh())
    with store.reading() as session:
        mine = session.execute(text("SELECT pg_backend_pid()")).scalar()
    with store.writing() as session:
        other = session.execute(text("SELECT pg_backend_pid()")).scalar()
        if mine != other:
            session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
    with store.reading() as session:  # the pool finds its connection dead and makes another
        assert session.execute(text("SELECT 1")).scalar() == 1
    store.close()


# ---- F10 to F12: the device


class Device:
    """A pipeline whose device fails the first `fails` times."""

    device = "cuda:0"

    def __init__(self, fails, error):
        self.fails, self.error, self.asked = fails, error, 0

    def recommend(self, query, *, top, without=()):
        self.asked += 1
        if self.asked <= self.fails:
            raise self.error
        return answer_of(self.device)


def answer_of(device):
    import numpy as np

    from core.domain import Recommendation

    return Recommendation(
        run="r", catalogue="c", device=device, scope="query", players=("text",), items=(),
        coalitions=np.zeros((2, 1), np.float32), item_ids=("i",), distance=None, timing_ms={},
    )  # fmt: skip


CPU = SimpleNamespace(recommend=lambda query, *, top, without=(): answer_of("cpu"))


def test_f10_memory_that_runs_out_once_costs_a_second_try_and_always_the_device():
    out = torch.OutOfMemoryError("CUDA out of memory")
    once = Device(1, out)
    assert recommend_anyway(once, lambda: CPU, Query.of("a"), top=3).device == "cuda:0"
    always = Device(99, out)
    answer = recommend_anyway(always, lambda: CPU, Query.of("a"), top=3)
    assert (answer.device, always.asked) == ("cpu", 2)
    assert [notice.code for notice in answer.notices] == ["E-GPU-MEMORY"]
    always.fails = 0
    assert recommend_anyway(always, lambda: CPU, Query.of("a"), top=3).device == "cuda:0"  # the next visitor's works


def test_f10_a_batch_that_does_not_fit_goes_by_halves():
    sizes = []

    def encode(contents):
        sizes.append(len(contents))
        if len(contents) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [one * 10 for one in contents]

    assert encode_within(encode, list(range(8))) == [number * 10 for number in range(8)]
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    with pytest.raises(ModelError) as caught:
        encode_within(lambda contents: encode([0] * 9), [1])
    assert caught.value.code == "E-GPU-MEMORY" and "FUSESCOPE_DEVICE=cpu" in str(caught.value)


def test_f11_after_a_failed_assertion_on_the_device_nothing_is_asked_of_it_again():
    broken = Device(99, torch.AcceleratorError("device-side assert triggered"))
    answer = recommend_anyway(broken, lambda: CPU, Query.of("a"), top=3)
    assert (answer.device, broken.asked) == ("cpu", 1)
    assert isinstance(answer.notices[0], Notice)


def test_f12_a_gpu_that_is_wanted_and_not_there_is_the_cpu_with_a_word(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device("cuda:0") == "cpu" and "no fitting driver" in caplog.text
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert best_device("auto") == best_device("mps") == "cpu"


# ---- F13, F14: workers


@pytest.mark.parametrize(
    ("death", "code"),
    [
        ("w._answer_for = lambda *_: ({}, bytearray(3_000_000_000))", "E-WORKER-DIED"),
        ("w._answer_for = lambda *_: ctypes.string_at(0)", "E-WORKER-DIED"),
        ("w._answer_for = lambda *_: time.sleep(60)", "E-WORKER-TIME"),
    ],
    ids=["memory", "segfault", "time"],
)
def test_f13_a_decode_worker_that_dies_costs_its_own_file(monkeypatch, death, code):
    from tests.toys import paint

    pool = media_workers.Pool("photo", size=1, seconds=2.0)
    run = f"import sys, os, time, ctypes; from core.catalog import media_workers as w\n{death}\n"
    run += "w.serve(sys.stdin.buffer, sys.stdout.buffer, 'photo')"
    with monkeypatch.context() as patched:
        patched.setattr(media_workers.Worker, "command", (sys.executable, "-c", run))
        with pytest.raises(PhotoError) as caught:
            pool.read(paint("mug", "red"), "a.jpg")
    assert caught.value.code == code
    whole = media_workers.Pool("photo", size=1)
    pool._seconds = whole._seconds
    for _ in range(3):
        assert pool.read(paint("mug", "red"), "b.jpg")[0].size
    pool.close()


ABORTS = """
import os, sys
from pathlib import Path
from core.jobs.work import working
from core.workspace import Workspace
with working(Workspace.open(Path(sys.argv[1])), "map", "a-run") as work:
    (Path(sys.argv[1]) / "by-axes").write_text("kept before UMAP begins")
    work.step("drawing the map", 0.45)
    os.abort()
"""


def test_f14_a_map_worker_that_aborts_leaves_the_server_and_the_first_map(workspace):
    child = subprocess.run([sys.executable, "-c", ABORTS, str(workspace.home)], cwd=ROOT, capture_output=True)
    assert child.returncode == -signal.SIGABRT
    [told] = queue.jobs(workspace)
    assert (told.state, told.code) == ("interrupted", "E-WORKER-DIED") and "resume" in told.message
    assert (workspace.home / "by-axes").is_file() and notes(workspace) == ["before"]


# ---- F15 to F17: people, saves, clocks


def test_f15_a_reload_brings_the_question_back_by_its_link(world):  # noqa: F811
    at = ask(recommend_page(), "a red mug")
    [ident] = [at.query_params[visit.QUERY_PARAMETER]]
    ident = ident[0] if isinstance(ident, list) else ident
    again = visit_app(**{visit.QUERY_PARAMETER: ident})  # a new session, as after a restart
    assert again.text_area(key=visit.TEXT).value == "a red mug" and titles(again) == titles(at)


def test_f16_a_save_that_is_cut_is_all_or_nothing(workspace, monkeypatch):
    with pytest.raises(KeyboardInterrupt), workspace.store.writing() as session:
        from core.store.runs import save_query
        from core.store.values import SavedQuery

        save_query(session, SavedQuery(id="half", run="r", user=None, parts=()))
        raise KeyboardInterrupt
    assert load_query(workspace.store, "half") is None
    target = write_atomic(workspace.home / "a.bin", b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old" and not list(workspace.home.glob(".a.bin*"))


def test_f17_a_clock_that_jumps_back_changes_no_order_and_no_remaining_time(workspace):
    first = queue.claim(workspace, "train", "one")
    second = queue.claim(workspace, "train", "two")
    change_job(workspace.store, second.id, created=datetime.now(UTC) - timedelta(hours=1))
    assert [job.id for job in queue.jobs(workspace)] == [second.id, first.id]  # by number, not by time
    assert queue.ahead(workspace, "train", second.id) == 1
    times = iter([100.0, 101.0, 100.5])
    left = Remaining(clock=lambda: next(times))
    assert all((seconds := left.at(share)) is None or seconds >= 0 for share in (0.1, 0.2, 0.3))


# ---- F18, F19: the end, and the network


STOPPED = """
import sys
from core.__main__ import main
from pathlib import Path
import core.train.run
from core.workspace import Workspace
from core.jobs import queue
from tests.tiny_world import tiny_catalogue, tiny_features
core.train.run.catalogue_features = tiny_features
Workspace.catalogue = lambda self, name: tiny_catalogue()
home = sys.argv[1]
job = queue.claim(Workspace.open(Path(home)), "train", "stopped")
print("ready", flush=True)
sys.exit(main(["train", "--home", home, "--job", str(job.id), "--json", "--catalogue", "tiny", "--rank", "multimodal",
               "--protocol", "leave-last", "--epochs", "900", "--patience", "900", "--width", "8", "--kept", "8",
               "--threads", "1", "--name", "stopped"]))
"""


def test_f18_sigterm_ends_training_within_ten_seconds_with_its_checkpoint(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", STOPPED, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        kept = tmp_path / "runs" / "stopped" / "checkpoint"
        end = time.monotonic() + 120
        while not list(kept.glob("training-*.safetensors")) and time.monotonic() < end:
            assert child.poll() is None
            time.sleep(0.1)
        begun = time.monotonic()
        child.terminate()
        assert child.wait(10) == 0
        assert time.monotonic() - begun < 10 and list(kept.glob("training-*.safetensors"))
        [told] = queue.jobs(Workspace.open(tmp_path))
        assert told.state == "cancelled"
    finally:
        child.kill()
        child.wait()


def test_f19_everything_works_without_a_network():
    if not RUN.is_file():
        pytest.skip("the bundled run is not there")
    done = walk()
    assert done.status == 0, done.errors[-2000:]
    assert '"studio-default"' in done.output and done.files
