"""Faults F1 to F4: what is killed goes on with the same weights, and nothing damaged is ever loaded.

FUSESCOPE_KILLS is how often F1 kills: 2 in the suite, 25 in `make harden`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import core.train.run
from core.encode.cache import VectorStore
from core.encode.states import States
from core.errors import AddressError, ModelError, StoreError
from core.evaluate.leaderboard import measured_of
from core.files import sealed, unsealed
from core.jobs import queue
from core.pipeline import load_run
from core.tensors import read_tensors
from core.train import train_run
from core.workspace import Workspace
from tests.test_workspace import paint, write_shop
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("FUSESCOPE_KILLS", "2"))
EPOCHS = 6

KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import core.train.run
from core.jobs.work import working
from core.train import train_run
from core.workspace import Workspace
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings
core.train.run.catalogue_features = tiny_features
place, kills, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
draw = random.Random(11)

def train(out, home, resume):
    # in a child of its own, since a process that trained may not fork
    child = os.fork()
    if child == 0:
        with working(Workspace.open(home), "train", out.name) as work:
            train_run(tiny_catalogue(), tiny_settings(epochs=epochs, patience=epochs), out, vectors=out, resume=resume,
                      on_step=lambda label, fraction, figures: work.step(label, fraction))
        os._exit(0)
    return child

def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

begun = time.monotonic()
assert wait(train(place / "whole", place / "home-whole", False)) == 0
lasts = time.monotonic() - begun
for number in range(kills):
    out, home = place / f"killed-{number}", place / f"home-{number}"
    child = train(out, home, False)
    time.sleep(lasts * draw.uniform(0.2, 0.98))
    try: os.kill(child, signal.SIGKILL)
    except ProcessLookupError: pass
    status = wait(child)
    if not (out / "run.json").exists() and out.exists():
        (out / "was-killed").touch()
    print(number, status, flush=True)
    from core.jobs import queue
    if status < 0 and (home / "fusescope.sqlite").exists():
        assert all(job.state in ("interrupted", "done") for job in queue.jobs(Workspace.open(home)))
    for path in out.rglob("*.safetensors"):
        from core.tensors import read_tensors
        read_tensors(path)
    assert wait(train(out, home, (out / "was-killed").exists())) == 0
"""


@pytest.fixture(autouse=True)
def no_encoders(monkeypatch):
    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)


def train(out: Path, resume: bool = False, on_step=None, **given):
    given = {"epochs": EPOCHS, "patience": EPOCHS} | given
    return train_run(tiny_catalogue(), tiny_settings(**given), out, vectors=out, on_step=on_step, resume=resume)


def weights(out: Path) -> str:
    return json.loads((out / "run.json").read_text("utf-8"))["digests"]["model.safetensors"]


def flip(path: Path, at: float = 0.5, bit: int = 4) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1 << bit
    path.write_bytes(data)


def test_f01_killed_training_leaves_no_unreadable_file_and_resumes_to_the_same_weights(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(KILLS), str(EPOCHS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60 + 60 * KILLS)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == KILLS
    for number in range(KILLS):
        assert weights(tmp_path / f"killed-{number}") == weights(tmp_path / "whole")
        assert not (tmp_path / f"killed-{number}" / "checkpoint").exists()


SERVER = """
import os, stat, sys, types
from pathlib import Path
from core.jobs import queue
from core.workspace import Workspace
home, worker = Path(sys.argv[1]), Path(sys.argv[2])
queue.sys = types.SimpleNamespace(executable=str(worker))
queue.start(Workspace.open(home), "train", "a-run", [])
print("started", flush=True)
import time; time.sleep(600)
"""
WORKER = """#!{python}
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from core.jobs.work import working
from core.workspace import Workspace
words = sys.argv
with working(Workspace.open(Path(words[words.index("--home") + 1])), "train", "a-run",
             job=int(words[words.index("--job") + 1])) as work:
    for step in range(20):
        work.step("epoch", step / 20)
        time.sleep(0.1)
"""


def test_f02_training_outlives_a_server_that_was_killed(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(python=sys.executable, root=str(ROOT)))
    worker.chmod(0o700)
    home = tmp_path / "home"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(home), str(worker)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout.readline() == "started\n"
    finally:
        server.kill()
        server.wait()
    end = time.monotonic() + 60
    while (state := queue.jobs(Workspace.open(home))[0].state) in ("queued", "running") and time.monotonic() < end:
        time.sleep(0.2)
    assert state == "done"


IMPORT = """
import os, signal, sys
from pathlib import Path
import core.importing
from core.__main__ import main
from tests.test_workspace import write_run
def last(workspace, catalogue, folder, tell):
    write_run(folder, catalogue.name)
    if sys.argv[3] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
core.importing._encoded = lambda workspace, catalogue, tell: len(catalogue.items)
core.importing._trained = last
sys.exit(main(["import", sys.argv[1], "--name", "toys", "--home", sys.argv[2], "--json"]))
"""


def test_f03_a_killed_import_leaves_no_catalogue_and_can_be_repeated(tmp_path):
    shop, home = write_shop(tmp_path / "shop"), tmp_path / "home"
    command = [sys.executable, "-c", IMPORT, str(shop), str(home)]
    assert subprocess.run([*command, "kill"], cwd=ROOT, capture_output=True).returncode == -signal.SIGKILL
    assert [info.name for info in Workspace.open(home).catalogues()] == ["studio", "support"]
    done = subprocess.run([*command, "go"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    workspace = Workspace.open(home)
    assert [info.items for info in workspace.catalogues() if info.name == "toys"] == [6]
    again = subprocess.run([*command, "go"], cwd=ROOT, capture_output=True, text=True)
    assert json.loads(again.stdout)["changed"] is False


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit": flip,
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training that was stopped in its fourth epoch, and the weights of one that was not."""
    place = tmp_path_factory.mktemp("stopped")

    def stop(label, fraction, figures):
        if label.startswith("epoch 4"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.train.run, "catalogue_features", tiny_features)
        with pytest.raises(KeyboardInterrupt):
            train(place / "run", on_step=stop)
        train(place / "whole")
    return place


@pytest.mark.parametrize("damage", DAMAGE)
def test_f04_the_checkpoint_before_a_damaged_one_is_used_and_the_damage_named(stopped, tmp_path, damage, caplog):
    run = shutil.copytree(stopped / "run", tmp_path / "run")
    newest, before = sorted((run / "checkpoint").glob("training-*"), reverse=True)
    assert "-000003-" in newest.name and "-000002-" in before.name
    DAMAGE[damage](newest)
    train(run, resume=True)
    assert weights(run) == weights(stopped / "whole")
    assert damage == "missing" or newest.name in caplog.text


def test_f04_where_every_checkpoint_is_damaged_nothing_is_loaded(stopped, tmp_path):
    run = shutil.copytree(stopped / "run", tmp_path / "run")
    for path in (run / "checkpoint").glob("training-*"):
        flip(path)
    with pytest.raises(ModelError) as caught:
        train(run, resume=True)
    assert caught.value.code == "E-MODEL-SUM" and "without --resume" in str(caught.value)


def test_f04_a_flipped_bit_in_any_file_of_a_run_is_refused(stopped, tmp_path):
    told = json.loads((stopped / "whole" / "run.json").read_text("utf-8"))
    assert len(told["digests"]) >= 4
    for name in told["digests"]:
        run = shutil.copytree(stopped / "whole", tmp_path / name / "whole")
        flip(run / name)
        with pytest.raises(ModelError) as caught:
            load_run(run, tiny_catalogue())
            measured_of(None, run, told)
        assert caught.value.code == "E-MODEL-SUM", name


def test_f04_a_flipped_bit_in_the_workspace_is_refused_or_computed_again(tmp_path):
    workspace = Workspace.open(tmp_path / "home")
    stored = workspace.keep_medium(paint((200, 10, 10)), "a.png")
    flip(workspace.media_folder / stored)
    with pytest.raises(AddressError, match="damaged"):
        workspace._media_file = lambda catalogue, path: workspace.media_folder / path
        workspace.media("toys", stored)
    assert workspace.user_key("anna") == workspace.user_key("anna")
    flip(workspace.home / "key")
    with pytest.raises(StoreError, match="E-DB-BROKEN"):
        _ = Workspace.open(tmp_path / "home")._key
    vectors = VectorStore(tmp_path, "toy")
    vectors.put({"a": States(tokens=paint_tokens(), pooled=paint_tokens()[0])})
    assert "a" in vectors.get(["a"])
    flip(vectors.data)
    assert vectors.get(["a"]) == {}
    assert unsealed(sealed(b"abc")) == b"abc" and unsealed(b"x" + sealed(b"abc")[1:]) is None and unsealed(b"") is None


def paint_tokens():
    import numpy as np

    return np.arange(12, dtype=np.float32).reshape(3, 4)


def test_f04_a_flipped_bit_in_a_map_is_refused(tmp_path):
    from core.mapping.stored import _told, digest_of

    told = {"format": 1, "item_ids": ("a", "b"), "numbers": {"trust": 0.25}}
    path = tmp_path / "map.json"
    path.write_text(json.dumps({**told, "digest": digest_of(told)}))
    assert _told(path)["numbers"] == {"trust": 0.25}
    draw, whole = random.Random(3), path.read_bytes()
    for _ in range(60):
        path.write_bytes(whole)
        flip(path, 0.4 * draw.random(), draw.randrange(7))  # anywhere before the digest
        with pytest.raises(ModelError, match="E-MODEL-SUM"):
            _told(path)


def test_f07_training_on_a_full_disk_stops_in_words_and_goes_on_from_its_checkpoint(stopped, tmp_path, monkeypatch):
    import errno

    import core.train.checkpoint as checkpoint

    whole, calls = checkpoint.write_atomic, []

    def full(path, data):
        calls.append(path)
        if len(calls) > 2:
            from core.files import disk_error

            raise disk_error(OSError(errno.ENOSPC, "full"), path.name)
        return whole(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "write_atomic", full)
        with pytest.raises(StoreError, match="E-DISK-FULL"):
            train(tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoint").iterdir():
        read_tensors(path)
    train(tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(stopped / "whole")
