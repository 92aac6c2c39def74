"""An aligner carried from one catalogue to another: worlds whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench import across
from bench.across import World, asked, compared, fresh, same_encoders, table, taught
from core.errors import SettingsError


@pytest.fixture(autouse=True)
def one_thread():
    """Small steps: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def world(name: str, look: int, seed: int, items: int = 60) -> World:
    """Words and photos are two linear views of eight hidden traits; `look` draws the views."""
    views = torch.Generator().manual_seed(look)
    maps = {m: torch.randn(8, width, generator=views) for m, width in (("text", 24), ("image", 32))}
    traits = torch.randn(items, 8, generator=torch.Generator().manual_seed(seed))
    return World(name=name, ids=tuple(f"{name}{at}" for at in range(items)), encoders={"text": "t", "image": "i"},
                 vectors={m: traits @ one for m, one in maps.items()})  # fmt: skip


def test_what_was_learned_where_things_look_alike_serves_elsewhere_and_where_they_do_not_it_is_chance(monkeypatch):
    monkeypatch.setattr(across, "EPOCHS", 40)
    here, alike, other = world("here", 1, 1), world("alike", 1, 2), world("other", 9, 3)
    rows = list(range(60))
    learned = taught(fresh(alike, rows, 0), alike, rows, 0)
    assert asked(learned, here, rows)["mrr"].mean() > 0.8
    wrong = taught(fresh(other, rows, 0), other, rows, 0)
    assert asked(wrong, here, rows)["mrr"].mean() < 0.3
    assert asked(taught(wrong, here, rows, 0), here, rows)["mrr"].mean() > 0.5


def test_every_product_is_asked_once_under_every_arm_and_the_table_names_them(monkeypatch):
    monkeypatch.setattr(across, "EPOCHS", 2)
    worlds = [world("here", 1, 1, 20), world("there", 1, 2, 22)]
    values = compared(worlds, folds=2, fewest=5)
    assert {len(one["mrr"]) for (target, _), one in values.items() if target == "there"} == {22}
    arms = [arm for target, arm in values if target == "here"]
    assert arms == ["home", "home few", "there frozen", "there fine-tuned", "there few", "chance"]
    assert len(table(values)) == 2 + 12
    assert values["here", "chance"]["recall@1"].mean() == pytest.approx(0.1)


def test_vectors_of_two_encoders_are_not_compared():
    here = world("here", 1, 1, 4)
    other = replace(here, name="other", encoders={"text": "t", "image": "another"})
    with pytest.raises(SettingsError, match="same encoder was expected"):
        same_encoders(here, other)
