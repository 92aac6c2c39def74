"""Training in two processes ends where training in one does, within what another seed would change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import core.importing
import core.train.run
from core.domain import Query
from core.errors import SettingsError
from core.pipeline import open_pipeline
from core.train import parallel, train_run
from core.workspace import Workspace
from tests.test_workspace import write_run
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 6
TOGETHER = """
import sys, tempfile
from pathlib import Path
import core.train.run
from core.train.parallel import follows
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings
core.train.run.catalogue_features = tiny_features
out = Path(sys.argv[1]) if not follows() else Path(tempfile.mkdtemp(dir=sys.argv[2])) / "run"
core.train.run.train_run(tiny_catalogue(), tiny_settings(epochs=int(sys.argv[3])), out, vectors=out)
"""


@pytest.fixture(autouse=True)
def no_encoders(monkeypatch):
    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)


def losses(out: Path) -> list[float]:
    curves = json.loads((out / "run.json").read_text("utf-8"))["training"]["curves"]
    return [row["loss"] for row in curves if "loss" in row]


def selections(out: Path) -> list[float]:
    return [row["selection"] for row in json.loads((out / "run.json").read_text("utf-8"))["training"]["curves"]]


def by_torchrun(*words: str, **environment: str) -> list[str]:
    """The command line in two processes, on the CPU, one thread each; the lines that it wrote to standard output."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    env = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "FUSESCOPE_DEVICE": "cpu"}
    done = subprocess.run(
        command, cwd=ROOT, env=env | path() | environment, timeout=540, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def small_shop(folder: Path) -> Path:
    """Twelve products of words alone, three reviews each."""
    folder.mkdir()
    names = [f"{colour} {kind}" for colour in ("red", "blue", "green") for kind in ("mug", "lamp", "chair", "bowl")]
    items = [f"p{n},{name},A {name} for every day,{n + 1}" for n, name in enumerate(names)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,description,price", *items]) + "\n")
    met = [
        f"u{(n + turn) % 6},p{n},5,2024-03-{1 + turn:02d}T10:00:00Z,Lovely {name} number {turn}"
        for n, name in enumerate(names)
        for turn in range(3)
    ]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,rating,timestamp,review_text", *met]) + "\n")
    return folder


@pytest.mark.slow
def test_the_documented_command_trains_one_run_in_two_processes(tmp_path, monkeypatch) -> None:
    """As docs/scale.md writes it; one JSON object comes out, and the run is in the workspace and answers."""
    monkeypatch.setattr(core.importing, "_trained", lambda workspace, shop, out, tell: write_run(out, shop.name))
    workspace = Workspace.open(tmp_path / "home")
    workspace.import_folder(small_shop(tmp_path / "shop"), "shop")
    told = by_torchrun(
        "-m", "core", "train", "--catalogue", "shop", "--rank", "multimodal", "--name", "both", "--protocol",
        "leave-last", "--epochs", "1", "--width", "8", "--kept", "8", "--threads", "1", "--json",
        FUSESCOPE_HOME=str(tmp_path / "home"), HOME=str(tmp_path),
    )  # fmt: skip
    [line] = told
    assert json.loads(line)["run"] == "both"
    assert [info.run for info in workspace.runs() if info.run == "both"] == ["both"]
    assert len(losses(workspace.run_folder("both"))) == 1
    answer = open_pipeline(workspace, "both").recommend(Query.of("a red mug"), top=3)
    assert len(answer.items) == 3


@pytest.mark.slow
def test_two_processes_end_where_one_does_within_what_seeds_change(tmp_path) -> None:
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    by_torchrun(str(script), str(tmp_path / "two"), str(tmp_path), str(EPOCHS), HOME=str(tmp_path))
    for seed in range(4):
        train_run(tiny_catalogue(), tiny_settings(epochs=EPOCHS, seed=seed), tmp_path / f"seed{seed}",
                  vectors=tmp_path)  # fmt: skip
    two = losses(tmp_path / "two")
    assert len(two) == EPOCHS and two[-1] < two[0]
    best = [max(selections(tmp_path / f"seed{seed}")) for seed in range(4)]
    spread = max(best) - min(best)
    assert min(best) - spread - 0.05 <= max(selections(tmp_path / "two")) <= max(best) + spread + 0.05


def path() -> dict[str, str]:
    import os

    return {"PATH": os.environ["PATH"]}


def test_gradients_are_the_mean_of_the_processes_by_their_share(monkeypatch) -> None:
    """What the other process would send is added by hand."""
    layer, idle = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(2, 1, bias=False)
    parts = torch.nn.ModuleList([layer, idle])
    layer(torch.tensor([[1.0, 2.0]])).sum().backward()
    other = torch.tensor([3.0, 5.0, 0.0, 0.0, 1.0, 0.0])  # its weighted gradients, then who used what
    monkeypatch.setattr(parallel.distributed, "all_reduce", lambda whole: whole.add_(other))
    parallel.average(parts, 0.5)
    assert layer.weight.grad.tolist() == [[3.5, 6.0]] and idle.weight.grad is None


def test_what_cannot_be_shared_is_refused_in_words(monkeypatch, tmp_path) -> None:
    assert parallel.processes() == 1 and not parallel.follows()
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert parallel.processes() == 2 and parallel.follows()
    with pytest.raises(SettingsError, match="without torchrun"):
        train_run(tiny_catalogue(), tiny_settings(rank="factors", epochs=1), tmp_path / "run", vectors=tmp_path)
    with pytest.raises(SettingsError, match="resumed"):
        train_run(tiny_catalogue(), tiny_settings(), tmp_path / "run", vectors=tmp_path, resume=True)
