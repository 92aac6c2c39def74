"""A search over pairs: in slices, with media read once, and told by intervals and paired tests."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import core.train.grid
import core.train.run
from core.__main__ import main
from core.store.catalogues import save_catalogue
from core.workspace import Workspace
from tests.tiny_world import tiny_catalogue, tiny_features

GIVEN = ("--grid", "--catalogue", "tiny", "--protocol", "leave-last", "--epochs", "1", "--width", "8", "--kept", "8",
         "--align", "projection", "--fuse", "weighted,stacking", "--name", "g")  # fmt: skip


def search(home: Path, *more: str) -> int:
    return main(["train", "--home", str(home), *GIVEN, *more])


def test_a_search_goes_on_where_its_minutes_ended_and_reads_media_once(tmp_path, monkeypatch, capsys):
    read = []
    monkeypatch.setattr(core.train.run, "catalogue_features", lambda *a, **k: read.append(a) or tiny_features(*a, **k))
    workspace = Workspace(home=tmp_path / "home", sample=tmp_path / "nothing")
    with workspace.store.writing() as session:
        save_catalogue(session, tiny_catalogue(workspace.media_folder), {})
    clock = iter([0.0, 0.0, 61.0])  # the start, before the first pair, before the second
    monkeypatch.setattr(core.train.grid, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert search(workspace.home, "--minutes", "1") == 0
    assert "1 of 2 pairs are left: the same command goes on" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(core.train.run, "catalogue_features", lambda *a, **k: read.append(a) or tiny_features(*a, **k))
    whole = Workspace(home=tmp_path / "whole", sample=tmp_path / "nothing")
    with whole.store.writing() as session:
        save_catalogue(session, tiny_catalogue(whole.media_folder), {})
    assert len(read) == 1
    assert search(workspace.home, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert {row["fuse"] for row in answer["grid"]} == {"weighted", "stacking"} and len(read) == 2
    other = answer["choice"]["by_validation"]
    for name, place in answer["board"]["places"].items():
        assert place["low"] <= place["value"] <= place["high"]
        assert (place["against"] is None) == (name == other) and (name == other or 0 < place["p"] <= 1)
    assert search(whole.home) == 0  # both pairs in one go: media are read once, and the weights are the same
    assert len(read) == 3 and "| p (Holm) |" in capsys.readouterr().out
    digests = [
        {
            path.parent.name: json.loads(path.read_text("utf-8"))["digests"]["model.safetensors"]
            for path in home.glob("runs/*/run.json")
        }
        for home in (workspace.home, whole.home)
    ]
    assert len(digests[0]) == 2 and digests[0] == digests[1]


def test_a_single_training_still_asks_for_its_ranker(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--home", str(tmp_path), "--catalogue", "tiny"])
    assert "--rank is missing" in capsys.readouterr().err
