"""Encoding on Ray: the same bytes as here, what was cut goes on, and without Ray the way out is named."""

import importlib.util
import sys
from contextlib import nullcontext

import pytest

from core import cluster
from core.config import RunSettings
from core.domain import Catalogue, Interaction, Item
from core.encode.cache import VectorStore
from core.errors import SettingsError
from core.features import catalogue_features, contents_of, encode_catalogue
from tests.toys import paint

NEEDS_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="requirements-ray.txt is not installed")
ITEMS = 70  # more than one chunk of the store


@pytest.fixture
def shop(tmp_path) -> Catalogue:
    """Products with a sentence each, three of them with a photo."""
    for row in range(3):
        (tmp_path / f"{row}.jpg").write_bytes(paint("mug", "red", 60 + row))
    items = tuple(
        Item(
            item_id=f"p{row}", title=f"A {row} cm mug of blue glass",
            media={"image": (f"{row}.jpg",)} if row < 3 else {},
        )
        for row in range(ITEMS)
    )
    rows = (Interaction(user_id="u", item_id="p0", review_text="It stands well and looks light."),)
    return Catalogue(name="shop", version="1", root=tmp_path, items=items, interactions=rows)


def test_without_ray_the_way_out_is_named(monkeypatch) -> None:
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"requirements-ray\.txt"):
        cluster.check_engine("ray")
    with pytest.raises(SettingsError, match="inline, ray"):
        cluster.check_engine("dask")
    cluster.check_engine("inline")


def test_states_come_back_from_an_actor_as_they_went() -> None:
    import numpy as np

    from core.encode.states import States

    draw = np.random.default_rng(0)
    states = [States(tokens=draw.normal(size=(n, 6)).astype(np.float16), pooled=draw.normal(size=6).astype(np.float16))
              for n in (3, 0, 5)]  # fmt: skip
    for one, back in zip(states, cluster.unpacked(*cluster.packed(states)), strict=True):
        assert (one.tokens == back.tokens).all() and (one.pooled == back.pooled).all()


def test_chunks_that_are_there_are_not_encoded_again(shop, tmp_path, monkeypatch) -> None:
    """An engine that dies after its first chunk, and one that goes on."""
    from core.encode.states import States

    asked: list[str] = []

    def dying(modality, name, chunks, at_most=1):
        import numpy as np

        for at, chunk in enumerate(chunks):
            if at == at_most:
                raise KeyboardInterrupt
            asked.extend(chunk)
            yield at, [States(tokens=np.ones((1, 4), np.float16), pooled=np.ones(4, np.float16)) for _ in chunk]

    monkeypatch.setattr(cluster, "check_engine", lambda name: None)
    monkeypatch.setattr(cluster, "connected", nullcontext)
    monkeypatch.setattr(cluster, "encoded_chunks", dying)
    with pytest.raises(KeyboardInterrupt):
        cluster.encode_by_ray(shop, tmp_path / "v")
    before = len(asked)
    assert before == 64
    monkeypatch.setattr(cluster, "encoded_chunks", lambda *given: dying(*given, at_most=99))
    cluster.encode_by_ray(shop, tmp_path / "v")
    assert len(asked) == len(set(asked)) == ITEMS + 1 + 3


@NEEDS_RAY
def test_vectors_made_by_actors_are_equal_to_the_byte_to_those_made_here(shop, tmp_path) -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps: list[float] = []
        made = cluster.encode_by_ray(shop, tmp_path / "ray", lambda label, share: steps.append(share))
        assert encode_catalogue(shop, tmp_path / "here") == made == ITEMS + 1 + 3
    finally:
        torch.set_num_threads(threads)
    assert steps == sorted(steps) and steps[-1] == 1.0
    assert catalogue_features(shop, RunSettings(), tmp_path / "ray").encoded == 0
    for folder in (tmp_path / "here").iterdir():
        modality = "text" if "minilm" in folder.name.lower() else "image"
        keys = list(contents_of(shop, shop.interactions, modality)[0])
        here, there = (VectorStore(tmp_path / name, folder.name).get(keys) for name in ("here", "ray"))
        assert here.keys() == there.keys() == set(keys)
        for key in keys:
            assert here[key].tokens.tobytes() == there[key].tokens.tobytes()
            assert here[key].pooled.tobytes() == there[key].pooled.tobytes()
    assert "ray" in sys.modules
