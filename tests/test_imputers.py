"""Missing modalities filled in: what is put there, how it is marked, and what it was learned from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import core.train.run
from core.config import RunSettings
from core.domain import Encoded
from core.errors import SettingsError, UnknownNameError
from core.model import Model
from core.pipeline import load_run
from core.prepare.impute import AXES, IMPUTERS, build_imputer, patterns, pooled_vectors
from core.prepare.noise import drop_tokens
from core.train import train_run
from core.train.loop import fit_imputer
from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

FITTED = [name for name, make in IMPUTERS.items() if make is not None]
FOUR = {"text": 3, "image": 4, "audio": 2, "video": 5}


def encoded(vectors: torch.Tensor, present: torch.Tensor, tokens: int = 2) -> Encoded:
    """One medium of `tokens` equal tokens a thing, nothing where absent."""
    mask = present[:, None].expand(-1, tokens)
    return Encoded(
        tokens=vectors[:, None] * mask[..., None], mask=mask, part=torch.zeros_like(mask, dtype=torch.long),
        pooled=vectors[:, None] * present[:, None, None], pooled_mask=present[:, None],
    )  # fmt: skip


def linear_world(n: int = 60, widths: dict[str, int] | None = None, seed: int = 0):
    """Every modality is a linear map of one hidden vector of two numbers, plus its mean."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, 2, generator=draw)
    widths = widths or {"text": 3, "image": 4}
    maps = {m: torch.randn(2, width, generator=draw) for m, width in widths.items()}
    return {m: hidden @ maps[m] + torch.arange(float(width)) for m, width in widths.items()}


def filled(imputer, vectors, present):
    return imputer({m: encoded(vectors[m], present[m]) for m in vectors})


def everywhere(vectors):
    return {m: torch.ones(len(v), dtype=torch.bool) for m, v in vectors.items()}


def test_mean_and_median_are_those_of_the_items_that_have_the_modality():
    vectors = {"text": torch.ones(4, 1), "image": torch.tensor([[1.0], [2.0], [9.0], [500.0]])}
    present = {"text": torch.ones(4, dtype=torch.bool), "image": torch.tensor([True, True, True, False])}
    for name, expected in (("mean", (1 + 2 + 9) / 3), ("median", 2.0)):
        imputer = build_imputer(name, {"text": 1, "image": 1}, 4)
        imputer.fit(vectors, present)
        assert filled(imputer, vectors, present)["image"].pooled[3, 0, 0] == pytest.approx(expected)


def test_a_ridge_map_finds_the_missing_half_of_a_linear_world():
    vectors = linear_world()
    imputer = build_imputer("ridge", {"text": 3, "image": 4}, 60)
    imputer.fit(vectors, everywhere(vectors))
    told = imputer.predict("image", {"text": vectors["text"]})
    left = (told - vectors["image"]).square().sum() / (vectors["image"] - vectors["image"].mean(0)).square().sum()
    assert left < 0.35  # shrunk by the penalty; the mean leaves 1.0


def test_neighbours_are_those_of_scikit_learn():
    from sklearn.impute import KNNImputer

    vectors, draw = linear_world(), np.random.default_rng(1)
    present = {m: torch.from_numpy(draw.random(60) < 0.8) for m in vectors}
    present["text"] |= ~present["image"]
    imputer = build_imputer("knn", {"text": 3, "image": 4}, 60)
    imputer.fit(vectors, present)
    asked = linear_world(seed=0)["text"][:7] + 0.1
    table = np.concatenate([np.where(present[m][:, None], vectors[m].double().numpy(), np.nan) for m in vectors], 1)
    query = np.concatenate([asked.double().numpy(), np.full((7, 4), np.nan)], 1)
    expected = KNNImputer(n_neighbors=5).fit(table).transform(query)[:, 3:]
    assert imputer.predict("image", {"text": asked}).numpy() == pytest.approx(expected, abs=1e-4)


def test_the_iterative_map_answers_as_scikit_learn_does():
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    vectors = linear_world()
    present = everywhere(vectors)
    present["image"] = torch.arange(60) % 5 > 0
    imputer = build_imputer("iterative", {"text": 3, "image": 4}, 60)
    imputer.fit(vectors, present)
    table = np.concatenate([np.where(present[m][:, None], vectors[m].double().numpy(), np.nan) for m in vectors], 1)
    model = IterativeImputer(max_iter=10, random_state=0, keep_empty_features=True).fit(table)
    asked = table[:9].copy()
    asked[:, 3:] = np.nan
    told = imputer.predict("image", {"text": torch.from_numpy(asked[:, :3]).float()}).numpy()
    assert told == pytest.approx(model.transform(asked)[:, 3:], abs=1e-3)
    assert AXES >= 4  # all axes of this world take part


@pytest.mark.parametrize("name", FITTED)
def test_any_subset_of_four_modalities_is_filled_and_marked_and_what_is_there_is_left_alone(name):
    vectors = linear_world(40, FOUR)
    imputer = build_imputer(name, FOUR, 40)
    imputer.fit(vectors, everywhere(vectors))
    subsets = [(), *patterns(tuple(FOUR)), tuple(FOUR)]
    present = {m: torch.tensor([m in given for given in subsets]) for m in FOUR}
    some = {m: v[: len(subsets)] for m, v in vectors.items()}
    done = filled(imputer, some, present)
    for m, one in done.items():
        assert torch.equal(one.observed, present[m])  # presence stays honest
        assert one.imputed.tolist() == [bool(given) and m not in given for given in subsets]
        assert torch.equal(one.pooled[present[m]], encoded(some[m], present[m]).pooled[present[m]])
        assert not one.present[0] and not one.mask[0].any()  # nothing at all stays nothing
        assert torch.isfinite(one.pooled).all() and one.mask[one.imputed].sum(1).eq(1).all()


def test_the_median_fill_is_not_the_mean_and_the_ridge_fill_follows_what_is_given():
    vectors = linear_world()
    imputer = build_imputer("ridge", {"text": 3, "image": 4}, 60)
    imputer.fit(vectors, everywhere(vectors))
    one, other = imputer.predict("image", {"text": vectors["text"][:2]})
    assert not torch.allclose(one, other)


def test_only_training_items_are_learned_from():
    bank = SimpleNamespace(
        batch=lambda things: encoded(torch.tensor([[{0: 1.0, 1: 3.0, 2: 1e6}[t[0]]] if t else [0.0] for t in things]),
                                     torch.tensor([bool(t) for t in things]))
    )  # fmt: skip
    items = ({"text": (0,), "image": (0,)}, {"text": (1,), "image": (1,)}, {"text": (2,), "image": (2,)})
    data = SimpleNamespace(trainable=(0, 1), items=items, banks={"text": bank, "image": bank})
    model = SimpleNamespace(imputer=build_imputer("mean", {"text": 1, "image": 1}, 2))
    fit_imputer(model, data)
    assert model.imputer.image.item() == (1.0 + 3.0) / 2


@pytest.mark.parametrize("name", FITTED)
def test_what_was_fitted_is_among_the_tensors_of_the_run(name):
    settings = RunSettings(impute=name, width=8, kept=4)
    first, second = (Model(settings, {"text": 6, "image": 6}, 2, 20) for _ in range(2))
    vectors = linear_world(20, {"text": 4, "image": 4})
    first.imputer.fit(vectors, everywhere(vectors))
    second.load_state_dict(first.state_dict())
    given = {"text": vectors["text"][:3]}
    assert torch.equal(first.imputer.predict("image", given), second.imputer.predict("image", given))


def test_a_model_fuses_a_thing_with_its_filled_modality_as_training_does():
    torch.manual_seed(0)
    model = Model(RunSettings(impute="mean", width=8, kept=4), {"text": 6, "image": 6}, 2, 20).eval()
    vectors = linear_world(20, {"text": 4, "image": 4})
    model.imputer.fit(vectors, everywhere(vectors))
    raw = {
        "text": encoded(torch.randn(1, 6), torch.tensor([True])),
        "image": encoded(torch.zeros(1, 6), torch.tensor([False])),
    }
    with torch.inference_mode():
        fused = model.fuse(model.align(model.standardise(raw)))
    assert fused.gates[0, 1] > 0
    plain = Model(RunSettings(width=8, kept=4), {"text": 6, "image": 6}, 2, 20).eval()
    with torch.inference_mode():
        assert plain.fuse(plain.align(plain.standardise(raw))).gates[0, 1] == 0


def test_an_unknown_imputer_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="generator, interpolation, iterative, knn, mean, median, none, ridge"):
        build_imputer("zero", {}, 1)


def test_generators_need_an_aligner_that_has_them():
    with pytest.raises(SettingsError, match="Choose adversarial"):
        Model(RunSettings(impute="generator"), {"text": 6, "image": 6}, 2, 20)
    assert Model(RunSettings(impute="generator", align="adversarial"), {"text": 6, "image": 6}, 2, 20).generates


def test_hidden_tokens_never_empty_a_thing_and_none_is_hidden_at_zero():
    torch.manual_seed(0)
    whole = encoded(torch.randn(200, 3), torch.arange(200) % 2 == 0, tokens=4)
    thin = drop_tokens({"text": whole}, 0.7)["text"]
    assert torch.equal(thin.mask.any(1), whole.mask.any(1))
    share = thin.mask.sum().item() / whole.mask.sum().item()
    assert share == pytest.approx(0.3 + 0.7**4, abs=0.08)  # those that would have lost all four keep them
    assert torch.equal(drop_tokens({"text": whole}, 0.0)["text"].mask, whole.mask)


def test_the_mean_of_a_things_media_is_what_is_modelled():
    one = Encoded(
        tokens=torch.zeros(1, 1, 1), mask=torch.ones(1, 1, dtype=torch.bool), part=torch.zeros(1, 1, dtype=torch.long),
        pooled=torch.tensor([[[2.0], [4.0], [99.0]]]), pooled_mask=torch.tensor([[True, True, False]]),
    )  # fmt: skip
    pooled, present = pooled_vectors({"image": one})
    assert pooled["image"].item() == (2.0 + 4.0) / 2 and present["image"].item()


@pytest.mark.parametrize(("name", "align"), [("knn", "projection"), ("generator", "adversarial")])
def test_a_whole_run_is_trained_kept_and_opened_with_what_fills_in(monkeypatch, tmp_path, name, align):
    monkeypatch.setattr(core.train.run, "catalogue_features", without_some_photos)
    settings = tiny_settings(impute=name, align=align, epochs=1, drop_tokens=0.2)
    train_run(tiny_catalogue(), settings, tmp_path / "run", vectors=tmp_path)
    pipeline = load_run(tmp_path / "run", tiny_catalogue(), features=without_some_photos(tiny_catalogue()))
    gates = pipeline.items.gates[-1]
    assert (gates[:5] > 0).all()  # the first items have no photo: something stands in its place
    empty = pipeline.items.vectors[0]
    assert torch.equal(empty[0], empty[-1])  # nothing at all is the same null vector for everything


def without_some_photos(catalogue, *given, **named):
    whole = tiny_features(catalogue, *given, **named)
    return replace(
        whole, items=tuple({"text": media["text"]} if row < 5 else media for row, media in enumerate(whole.items))
    )
