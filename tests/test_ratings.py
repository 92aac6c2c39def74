"""Rating prediction: the models that read no media, by hand and on published figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.commands.answers import _rating_lines
from core.domain import Catalogue, Interaction, Item
from core.evaluate.protocols import split_by
from core.evaluate.ratings import only_likes, reference_ratings, reference_table
from core.evaluate.splits import Fingerprint, Split, fingerprint, per_user_random, rated_rows
from pages.shared import models_services, services

FILMS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "movielens_dev"


def shop() -> tuple[Catalogue, Split]:
    """Two items, two users: item a gets 5 and 4, item b gets 2; asked for are a known pair, and strangers."""
    rated = [("u", "a", 5.0), ("v", "a", 4.0), ("u", "b", 2.0), ("v", "b", 3.0), ("w", "c", 1.0)]
    rows = tuple(Interaction(user_id=user, item_id=item, rating=rating) for user, item, rating in rated)
    items = tuple(Item(item_id=item) for item in "abc")
    catalogue = Catalogue(name="two", version="1", root=Path("nowhere"), items=items, interactions=rows)
    labels = ("train", "train", "train", "test", "test")
    return catalogue, Split(name="two", seed=None, labels=labels, fingerprint=fingerprint(catalogue, labels))


def test_references_are_damped_means_of_what_was_seen():
    found = reference_ratings(*shop(), [3, 4])
    mean = (5 + 4 + 2) / 3
    item_b = (2 - mean) / (10 + 1)
    item_a = (5 + 4 - 2 * mean) / (10 + 2)
    user_v = (4 - mean - item_a) / (10 + 1)
    assert found["mean"].tolist() == pytest.approx([mean, mean])
    assert found["item mean"].tolist() == pytest.approx([2, mean])
    assert found["bias"].tolist() == pytest.approx([mean + item_b + user_v, mean])


def test_the_references_of_the_films_come_out_as_published():
    if not FILMS.is_dir():
        pytest.skip("the films are not on this machine")
    from core.catalog.folder import read_folder

    films = read_folder(FILMS, "films", on_step=None)[0]
    split = per_user_random(films, rows=rated_rows(films))
    table = reference_table(films, split, [int(row) for row in split.rows("test")])
    names = ("rmse", "mae", "accuracy", "macro_f1")
    assert [table["mean"][name] for name in names] == pytest.approx([1.0510, 0.8627, 0.3513, 0.1040], abs=5e-5)
    assert [table["item mean"][name] for name in names] == pytest.approx([0.9646, 0.7530, 0.3790, 0.2035], abs=5e-5)
    assert [table["bias"][name] for name in names] == pytest.approx([0.8819, 0.6860, 0.4160, 0.2575], abs=5e-5)


def test_a_split_that_holds_out_likes_alone_is_said_to_and_no_other():
    catalogue, split = shop()
    assert only_likes(catalogue, split) == ""  # 3 and 1 are held out
    labels = ("test", "test", "train", "train", "train")
    liked = Split(name="random", seed=0, labels=labels, fingerprint=fingerprint(catalogue, labels))
    assert "all 2 ratings of the test part are likes" in only_likes(catalogue, liked)
    assert only_likes(catalogue, liked, "validation") == ""
    high = replace(catalogue, interactions=tuple(replace(one, rating=5.0) for one in catalogue.interactions))
    assert only_likes(high, liked) == ""  # nobody gives less, so nothing is left out


def test_the_command_prints_what_was_foretold_and_what_it_leaves_out():
    table = {"accuracy": 0.5, "mae": 0.25, "rmse": 0.75}
    answer = {"ratings": {"before": {"rating": table, "bias": {"mae": 0.5}, "rows": 1200}}, "caution": "all are likes"}
    assert _rating_lines(answer) == [
        "ratings before   accuracy 0.5000, mae 0.2500, rmse 0.7500; bias mae 0.5000; 1,200 rows", "note: all are likes",
    ]  # fmt: skip
    assert _rating_lines({}) == []


def test_the_leaderboard_says_that_only_likes_were_tested(monkeypatch):
    catalogue, _ = shop()
    labels = ("test", "test", "train", "train", "train")
    liked = Split(name="random", seed=0, labels=labels, fingerprint=fingerprint(catalogue, labels))
    monkeypatch.setattr("core.evaluate.protocols.split_by", lambda protocol, shop: liked)
    monkeypatch.setattr(services, "workspace", lambda: SimpleNamespace(catalogue=lambda name: catalogue))
    models_services._rating_caution.clear()
    made = SimpleNamespace(subject="ratings before", catalogue="two", protocol="random", part="test")
    assert "likes" in models_services.rating_caution(made)
    made.subject = "users"
    assert models_services.rating_caution(made) == ""
    models_services._rating_caution.clear()


def test_a_rating_run_stands_on_the_board_with_intervals_beside_the_model_that_reads_nothing(tmp_path, monkeypatch):
    import core.train.run
    from core.evaluate.leaderboard import Entry, board, subjects
    from core.evaluate.vectors import MEASURED, unpack
    from core.train import train_run
    from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)
    settings = tiny_settings(rank="rating", epochs=6)
    train_run(tiny_catalogue(), settings, tmp_path / "stars", vectors=tmp_path)
    told = json.loads((tmp_path / "stars" / "run.json").read_text("utf-8"))
    kept = unpack((tmp_path / "stars" / MEASURED).read_bytes())
    split = Fingerprint(**{name: told["data"]["split"][name] for name in Fingerprint.__dataclass_fields__})
    one = Entry(
        run="stars", catalogue="tiny", protocol="leave-last", fingerprint=split, settings=told["settings"], grid="",
        metrics=told["metrics"], measured=kept,
    )  # fmt: skip
    assert "gained" in subjects([one])["ratings written"]
    found = board([one], "tiny", split.sha, "ratings before", "accuracy")
    [place] = found.places
    assert place.value == pytest.approx(told["metrics"]["test"]["ratings before accuracy"])
    assert place.low <= place.value <= place.high and 0 <= found.floors["bias"].value <= 1
    # gained is the mean error of `bias` less that of the run: by hand from the report of the same rows
    errors = told["metrics"]["test"]["ratings before mae"] + told["metrics"]["test"]["ratings before gained"]
    catalogue = tiny_catalogue()
    held = split_by("leave-last", catalogue, 0)
    bias = reference_table(catalogue, held, [int(row) for row in held.rows("test")])["bias"]
    assert errors == pytest.approx(bias["mae"])
