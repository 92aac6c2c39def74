"""A modality left out before training: what the shop then lacks, and how the loss is counted."""

from __future__ import annotations

import numpy as np
import pytest

from core.domain import Catalogue, Interaction, Item
from core.evaluate import knockout
from core.evaluate.knockout import knocked_out, lost, retrained
from core.evaluate.vectors import MEASURED, Measured, pack
from core.features import modalities_of
from tests.tiny_world import tiny_settings


def shop(tmp_path) -> Catalogue:
    item = Item(item_id="a", title="mug", description="blue", price=3.0, media={"image": ("a.jpg",)})
    row = Interaction(
        user_id="u", item_id="a", rating=4.0, review_title="fine", review_text="a mug", media={"image": ("u.jpg",)}
    )
    return Catalogue(name="tiny", version="v", root=tmp_path, items=(item,), interactions=(row,))


def measured(values: dict[str, float], metric: str) -> Measured:
    groups = tuple(key.split()[0] for key in values)
    return Measured(ids=tuple(values), groups=groups, values={metric: np.array(list(values.values()))}, floors={},
                    about={})  # fmt: skip


def test_without_words_nothing_is_read_and_without_photos_nothing_is_seen(tmp_path):
    whole = shop(tmp_path)
    assert modalities_of(whole) == ("text", "image")
    blind, mute = knocked_out(whole, "image"), knocked_out(whole, "text")
    assert modalities_of(blind) == ("text",) and modalities_of(mute) == ("image",)
    assert blind.items[0].text == whole.items[0].text and mute.items[0].media == whole.items[0].media
    assert mute.interactions[0].text == "" and mute.interactions[0].rating == 4.0
    assert len({whole.version, blind.version, mute.version}) == 3  # nothing kept of one is taken for another


def test_the_loss_is_counted_on_what_both_runs_answered_and_averaged_over_seeds():
    whole = {"test cold review+photo": measured({"p 1": 1.0, "p 2": 0.5, "q 1": 0.25}, "mrr")}
    one = {"test cold photo": measured({"p 1": 0.5, "p 2": 0.5, "r 9": 1.0}, "mrr")}
    other = {"test cold photo": measured({"p 1": 0.0, "p 2": 0.5}, "mrr")}
    found = lost([(whole, one), (whole, other)])
    assert found["queries"]["value"] == pytest.approx((0.5 + 1.0) / 2 / 2)  # p 1 loses .75 on average, p 2 nothing
    assert "users" not in found
    users = {"test users": measured({"u": 0.4, "v": 0.2}, "ndcg@10")}
    assert lost([(users, users)])["users"]["value"] == 0.0


def test_every_seed_trains_with_everything_and_without_each(tmp_path, monkeypatch):
    trained = []

    def train(catalogue, settings, out, *, vectors):
        trained.append((settings.seed, modalities_of(catalogue)))
        value = 0.4 if len(trained[-1][1]) == 2 else 0.1
        out.mkdir(parents=True)
        (out / MEASURED).write_bytes(pack({"test users": measured({"u": value}, "ndcg@10")}))

    class Home:
        vectors = tmp_path

        def run(self, run):
            return type("Info", (), {"catalogue": "tiny"})

        def catalogue(self, name):
            return shop(tmp_path)

    monkeypatch.setattr(knockout, "train_run", train)
    monkeypatch.setattr(knockout, "run_settings", lambda workspace, run: tiny_settings())
    found = retrained(Home(), "r", ("text", "image"), (0, 1), lambda label, part: None)
    assert trained == [(seed, kept) for seed in (0, 1) for kept in (("text", "image"), ("image",), ("text",))]
    assert found["text"]["users"]["value"] == pytest.approx(0.3) and found["image"]["seeds"] == [0, 1]
