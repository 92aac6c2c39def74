"""Altered versions of training photos: the same every time, drawn in training alone, forgotten with their photo."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import core.train.run
import core.train.views
from core.encode.cache import VectorStore
from core.encode.states import States
from core.errors import SettingsError
from core.evaluate.splits import TRAIN, leave_last
from core.files import digest_bytes
from core.prepare import views
from core.train import train_run
from core.train.build import training_data
from core.train.loop import Trainer
from core.train.run import fresh_model
from core.train.views import Views
from tests.tiny_world import WIDTHS, tiny_catalogue, tiny_features, tiny_settings
from tests.toys import paint


class Seen:
    """An encoder of mean colours that counts what it was shown."""

    fingerprint, width = "image-seen", WIDTHS["image"]

    def __init__(self) -> None:
        self.shown = 0

    def encode(self, images: list[Image.Image]) -> list[States]:
        self.shown += len(images)
        colours = [np.resize(np.asarray(one, dtype=float).mean((0, 1)) / 255, (1, self.width)) for one in images]
        return [States(tokens=colour, pooled=colour[0]) for colour in colours]


def shop(root: Path, *given: object, **named: object):
    """The tiny shop with photos on disk; its features know which photo each state is of."""
    catalogue = tiny_catalogue(root)
    features = tiny_features(catalogue, *given, **named)
    keys: dict[int, str] = {}
    for thing, media in zip((*catalogue.items, *catalogue.interactions), (*features.items, *features.interactions),
                            strict=False):  # fmt: skip
        path = root / thing.media["image"][0]
        if not path.is_file():
            number = int(digest_bytes(path.name.encode())[:8], 16)
            colour = tuple(number >> shift & 255 for shift in (0, 8, 16))
            Image.new("RGB", (40, 30), colour).save(path, "JPEG", quality=90, comment=path.name.encode())
        keys[media["image"][0]] = digest_bytes(path.read_bytes())
    return catalogue, replace(features, keys={"image": tuple(keys[row] for row in sorted(keys))})


@pytest.fixture
def encoder(monkeypatch) -> Seen:
    seen = Seen()
    monkeypatch.setattr(core.train.views, "load_encoder", lambda *named: seen)
    return seen


def train(root: Path, name: str, **given: object) -> dict:
    catalogue, features = shop(root)
    train_run(catalogue, tiny_settings(**given), root / name, vectors=root / "vectors", ready=features)
    return json.loads((root / name / "run.json").read_text("utf-8"))


def test_a_version_depends_on_seed_photo_and_number_alone():
    photo = Image.open(io.BytesIO(paint("mug", "red")))
    first = views.altered(photo, "a" * 64, 0, 0)
    assert first.size == (views.SIDE, views.SIDE) and first.tobytes() == views.altered(photo, "a" * 64, 0, 0).tobytes()
    others = [views.altered(photo, *named) for named in (("a" * 64, 0, 1), ("a" * 64, 1, 0), ("b" * 64, 0, 0))]
    assert len({one.tobytes() for one in (first, *others)}) == 4


def test_versions_are_encoded_once_under_keys_that_name_what_was_done(tmp_path, monkeypatch):
    seen, path = Seen(), tmp_path / "a.jpg"
    path.write_bytes(paint("mug", "red"))
    digest = digest_bytes(path.read_bytes())
    for _ in range(2):
        made = views.encoded_views({digest: path}, 3, 0, seen, tmp_path)
        assert len(made[digest]) == seen.shown == 3
    views.encoded_views({digest: path}, 3, 1, seen, tmp_path)
    assert seen.shown == 6  # another seed, other versions
    before = views.fingerprint(seen.fingerprint)
    monkeypatch.setattr(views, "SMALLEST", 0.8)
    assert views.fingerprint(seen.fingerprint) not in (before, seen.fingerprint)


def test_who_forgets_a_photo_forgets_its_versions(tmp_path):
    store = VectorStore(tmp_path, "some")
    state = States(tokens=np.ones((1, 2)), pooled=np.ones(2))
    mine = [f"a{end}" for end in ("", "-s0-0", "-s0-1")]
    store.put(dict.fromkeys([*mine, "ab", "b-s0-0"], state))
    assert store.drop(["a"]) == 3
    assert store.missing([*mine, "ab", "b-s0-0"]) == mine


def test_only_training_photos_have_versions_and_only_training_steps_draw_them(tmp_path, encoder):
    catalogue, features = shop(tmp_path)
    split, settings = leave_last(catalogue), tiny_settings(views=2)
    found = Views.of(catalogue, settings, features, split, tmp_path / "vectors", lambda label, done: None)
    plain = training_data(catalogue, features, split)
    data = found.prepare(plain)
    held = {media["image"][0] for media, label in zip(features.interactions, split.labels, strict=True)
            if label != TRAIN}  # fmt: skip
    assert held and not held & set(data.views) and set(data.views) == set(plain.trained_media("image"))
    assert data.trained_media("image") == plain.trained_media("image")  # nothing is fitted on versions
    trainer = Trainer(fresh_model(settings, features, data), data, settings)
    drawn: set[int] = set()
    bank = data.banks["image"]
    batch = bank.batch
    bank.batch = lambda things: drawn.update(row for thing in things for row in thing) or batch(things)  # type: ignore[method-assign]
    trainer.aligned([data.items[row] for row in range(5)])
    trainer.refresh_memory()
    assert drawn and max(drawn) < len(found.photos)  # what is measured and answered sees photos as they are
    for _ in range(5):
        trainer.loss(data.asks[:32])
    assert max(drawn) >= len(found.photos) and drawn & set(data.views)


def test_the_same_seed_gives_the_same_weights_and_none_gives_those_of_before(tmp_path, encoder):
    runs = {name: train(tmp_path, name, epochs=2, protocol="everything", **given) for name, given in (
        ("plain", {}), ("none", {"views": 0}), ("two", {"views": 2}), ("again", {"views": 2}),
    )}  # fmt: skip
    weights = {name: told["digests"]["model.safetensors"] for name, told in runs.items()}
    assert weights["two"] == weights["again"] and weights["plain"] == weights["none"] != weights["two"]


def test_where_no_photos_can_be_altered_it_is_said(tmp_path, encoder):
    with pytest.raises(SettingsError, match="views is 2, but vbpr aligns no photos"):
        train(tmp_path, "frozen", rank="vbpr", views=2)
    with pytest.raises(SettingsError, match="no photos came to alter"):
        train_run(tiny_catalogue(), tiny_settings(views=2), tmp_path / "bare", vectors=tmp_path,
                  ready=tiny_features(tiny_catalogue()))  # fmt: skip
