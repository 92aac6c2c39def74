"""Training as a service: what is killed goes on, what is watched can be read, what was trained is the same anywhere."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import core.train.run
from core.encode.states import States
from core.errors import SettingsError
from core.evaluate.splits import leave_last
from core.evaluate.vectors import MEASURED, unpack
from core.features import Features
from core.figures_training import best_epoch_of
from core.train import train_run
from core.train.build import training_data
from core.train.loop import Trainer
from core.train.run import fresh_model
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

ROOT = Path(__file__).resolve().parents[1]
KILLED_AFTER_TWO = """
import os, signal, sys
from pathlib import Path
import core.train.run
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings
core.train.run.catalogue_features = tiny_features
def die(label, fraction, figures):
    if label == "epoch 3 of 4":
        os.kill(os.getpid(), signal.SIGKILL)
out = Path(sys.argv[1])
core.train.run.train_run(tiny_catalogue(), tiny_settings(epochs=4), out, vectors=out, on_step=die)
"""


@pytest.fixture(autouse=True)
def no_encoders(monkeypatch):
    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)


def train(out: Path, resume: bool = False, on_step=None, **given):
    return train_run(tiny_catalogue(), tiny_settings(**given), out, vectors=out, on_step=on_step, resume=resume)


def told(out: Path) -> dict:
    return json.loads((out / "run.json").read_text("utf-8"))


def weights(out: Path) -> str:
    return told(out)["digests"]["model.safetensors"]


def test_what_was_killed_after_two_epochs_goes_on_and_ends_with_the_same_weights(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED_AFTER_TWO, str(tmp_path / "killed")], cwd=ROOT, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert list((tmp_path / "killed" / "checkpoint").glob("training-*.safetensors"))
    assert not (tmp_path / "killed" / "run.json").exists()
    seen: list[str] = []
    train(tmp_path / "killed", resume=True, on_step=lambda label, fraction, figures: seen.append(label), epochs=4)
    train(tmp_path / "whole", epochs=4)
    assert "epoch 2 of 4" not in seen and "epoch 3 of 4" in seen
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert told(tmp_path / "killed")["training"] == told(tmp_path / "whole")["training"]


@pytest.mark.parametrize("rank", ["sequential", "rating", "multimodal"])
@pytest.mark.parametrize("protocol", ["everything", "random"])
def test_a_ranker_that_was_stopped_in_its_own_epochs_goes_on_to_the_same_weights(tmp_path, monkeypatch, rank, protocol):
    """Also where nothing is held out to choose an epoch by."""
    monkeypatch.setattr("core.train.second.EPOCHS", 9)
    monkeypatch.setattr("core.train.second.UNJUDGED", 9)
    if rank == "multimodal":
        monkeypatch.setattr("core.train.run.learns_second", lambda model, data: True)  # as without queries

    def stop(label, fraction, figures):
        if label == "ranker, epoch 3":
            raise KeyboardInterrupt

    given = {"rank": rank, "protocol": protocol, "epochs": 1, "patience": 3}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", on_step=stop, **given)
    train(tmp_path / "cut", resume=True, **given)
    train(tmp_path / "whole", **given)
    assert told(tmp_path / "cut")["training"] == told(tmp_path / "whole")["training"]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    [last] = told(tmp_path / "cut")["training"]["curves"][-1:]
    assert last["kept"] == told(tmp_path / "cut")["training"]["best_epoch"]
    figures = {"rating": {"accuracy"}}.get(rank, {"ndcg@10", "recall@20"} if protocol == "random" else set())
    assert figures <= set(last)


def test_a_training_that_was_stopped_in_the_rankers_epochs_can_be_begun_anew(tmp_path):
    def stop(label, fraction, figures):
        if label == "ranker, epoch 1":
            raise KeyboardInterrupt

    given = {"rank": "sequential", "epochs": 1, "patience": 1}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", on_step=stop, **given)
    assert list((tmp_path / "run" / "checkpoint").glob("ranker-*"))
    train(tmp_path / "run", **given)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_the_best_epoch_of_a_curve_is_that_of_its_own_phase():
    rows = [{"epoch": 0.0, "selection": 0.9}, {"epoch": 1.0, "selection": 1.4}]
    assert best_epoch_of(rows) == 1
    own = [{"epoch": 2.0, "selection": 0.1, "kept": 2.0}, {"epoch": 3.0, "selection": 0.2, "kept": 3.0}]
    assert best_epoch_of(rows + own) == 3


def test_a_run_that_is_whole_leaves_no_checkpoint(tmp_path):
    train(tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_what_was_cancelled_keeps_its_last_whole_epoch_and_no_run(tmp_path):
    def stop(label, fraction, figures):
        if label.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", on_step=stop)
    assert list((tmp_path / "run" / "checkpoint").glob("training-*.safetensors"))
    assert not (tmp_path / "run" / "run.json").exists()
    with pytest.raises(SettingsError, match="belongs to other settings"):
        train(tmp_path / "run", resume=True, seed=5)


def test_without_resume_a_training_begins_anew(tmp_path):
    def stop(label, fraction, figures):
        if label.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", on_step=stop, seed=5)
    train(tmp_path / "run")
    train(tmp_path / "other")
    assert weights(tmp_path / "run") == weights(tmp_path / "other")


def test_the_search_for_the_best_length_goes_on_too(tmp_path):
    def stop(label, fraction, figures):
        if label.startswith("epoch 1"):
            raise KeyboardInterrupt

    given = {"tune_folds": 3, "epochs": 2}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", on_step=stop, **given)
    assert list((tmp_path / "run" / "checkpoint").glob("tuning-*.safetensors"))
    train(tmp_path / "run", resume=True, **given)
    train(tmp_path / "whole", **given)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_every_epoch_leaves_its_figures_where_a_page_and_tensorboard_read_them(tmp_path):
    train(tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "curves.jsonl").read_text("utf-8").splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert {"loss", "mrr", "ndcg@10", "align@1 text-image"} <= set(rows[-1])
    assert rows == told(tmp_path / "run")["training"]["curves"]
    [events] = (tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(events))
    log.Reload()
    assert [point.step for point in log.Scalars("loss")] == [1, 2, 3]
    assert log.Scalars("mrr")[-1].value == pytest.approx(rows[-1]["mrr"], abs=1e-6)


def test_training_stops_when_nothing_gets_better(tmp_path):
    record = train(tmp_path / "run", epochs=30, patience=1, learning_rate=0.0, user_rate=0.0)
    assert (record.best_epoch, record.epochs) == (0, 1)


def test_every_users_and_every_querys_value_is_kept_with_the_run(tmp_path):
    record = train(tmp_path / "run")
    measured = unpack((tmp_path / "run" / MEASURED).read_bytes())
    users = measured["test users"]
    assert users.ids == tuple(f"u{user:02d}" for user in range(16))  # each has one held-out like
    assert np.nanmean(users.values["ndcg@10"]) == pytest.approx(record.metrics["test"]["users ndcg@10"])
    assert set(users.floors) == {"popularity", "chance"} and 0 <= users.about["coverage"] <= 1
    queries = measured["test warm review+photo"]
    assert queries.values["mrr"].mean() == pytest.approx(record.metrics["test"]["warm review+photo mrr"])
    assert queries.about["recall@10"] == 10 / 30
    assert told(tmp_path / "run")["digests"][MEASURED]


def test_gradients_add_up_in_one_order_on_several_threads():
    """What a gather hands back is a sum of float32: in another order it is another number, and another run."""
    torch = pytest.importorskip("torch")
    settings = tiny_settings(threads=2)
    with core.train.run.deterministic(settings):
        drawn = torch.Generator().manual_seed(0)
        rows = torch.randint(50, (200_000,), generator=drawn)
        weight = torch.randn(200_000, 16, generator=drawn)
        table = torch.zeros(50, 16, requires_grad=True)
        sums = [torch.autograd.grad((table[rows] * weight).sum(), table)[0] for _ in range(6)]
    assert all(torch.equal(sums[0], other) for other in sums[1:])


def photos_that_tell_what_words_tell(features: Features) -> Features:
    """Every photo becomes a part of the states of the words beside it, in another order."""
    order = [7, 2, 9, 0, 5, 1, 8, 3, 6, 4]
    told = [States(tokens=one.tokens[:, order], pooled=one.pooled[order]) for one in features.states["text"]]
    items, rows = (
        tuple({"text": own["text"], "image": own["text"]} for own in things)
        for things in (features.items, features.interactions)
    )
    return replace(features, states={"text": features.states["text"], "image": told}, items=items, interactions=rows)


def test_heads_that_start_at_a_ridge_regression_bring_photos_near_the_words_of_their_products():
    catalogue = tiny_catalogue()
    features = photos_that_tell_what_words_tell(tiny_features(catalogue))

    def begun(ridge: float, seed: int = 0) -> Trainer:
        settings = tiny_settings(ridge=ridge, seed=seed)
        data = training_data(catalogue, features, leave_last(catalogue))
        return Trainer(fresh_model(settings, features, data), data, settings)

    def nearness(trainer: Trainer) -> float:
        space = trainer.aligned([trainer.data.items[row] for row in trainer.data.trainable])
        return float((space["text"] * space["image"]).sum(-1).mean())

    one, other = begun(0.1, seed=0), begun(0.1, seed=1)
    assert nearness(one) > nearness(begun(0.0)) + 0.2
    starts = [trainer.model.aligner.heads["image"].shift.weight for trainer in (one, other)]
    assert torch.equal(*starts)  # no dropout in what is regressed onto
