"""The missing-modality simulator: who loses what, how filling in is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.domain import Catalogue, Item
from core.errors import InputError, SettingsError
from core.evaluate import missing
from core.evaluate.missing import Loss, Measure, best, kept, lost, poorer, without
from core.evaluate.missing_kept import flat, joined, keep, kept_answers, read
from core.figures_missing import missing_alt, missing_figure, moved_shares_figure

ITEMS = tuple(
    Item(item_id=f"i{at}", title=f"item {at}", category="mugs > blue" if at < 4 else "bowls",
         media={"image": (f"{at}.jpg",)}) for at in range(8)
)  # fmt: skip
SHOP = Catalogue(name="shop", version="1", root=Path("nowhere"), items=ITEMS)
WHOLE = [{"text": (at,), "image": (at,)} for at in range(8)]
COUNTS = np.arange(8.0)


def flags(how: str, ratio: float, things=WHOLE, seed: int = 0):
    return lost(things, range(8), SHOP, COUNTS, Loss(modality="image", ratio=ratio, how=how, seed=seed))


def test_half_of_the_photos_is_half_of_the_photos_and_another_seed_draws_others():
    assert flags("random", 0.5).sum() == 4
    assert not np.array_equal(flags("random", 0.5), flags("random", 0.5, seed=1))


def test_by_popularity_the_rarest_lose_first_and_by_category_whole_kinds():
    assert flags("popularity", 0.375).tolist() == [True] * 3 + [False] * 5
    half = flags("category", 0.5).tolist()
    assert half in ([True] * 4 + [False] * 4, [False] * 4 + [True] * 4)


def test_a_thing_that_has_nothing_else_keeps_its_photo():
    things = [{"image": (0,)}, *WHOLE[1:]]
    gone = flags("random", 1.0, things)
    assert gone.tolist() == [False] + [True] * 7
    assert without(things, gone, "image")[:2] == ({"image": (0,)}, {"text": (1,)})


def test_a_poorer_catalogue_is_another_version_whose_items_lack_the_modality():
    gone = flags("popularity", 0.25)
    less = poorer(SHOP, gone, Loss(modality="image", ratio=0.25))
    assert [bool(item.media) for item in less.items] == [not one for one in gone]
    assert less.version != SHOP.version


def measure(values):
    return Measure(metrics={"ndcg@10": np.array(values)}, shares=np.ones((1, len(values))), groups=tuple("abcd"))


def test_what_is_kept_is_the_mean_over_that_of_the_complete_data():
    found = kept(measure([0.5, 0.5, 0.0, 1.0]), measure([1.0, 1.0, 0.5, 1.5]))
    assert found.value == pytest.approx((2.0 / 4) / (4.0 / 4))
    assert found.low <= found.value <= found.high
    with pytest.raises(InputError, match="even with complete data"):
        kept(measure([0.5] * 4), measure([0.0] * 4))


def test_the_way_to_fill_in_is_chosen_on_validation_whatever_test_says():
    rows = [
        {"ratio": 0.5, "method": method, "subject": "users", "part": part, "moved": True,
         "metrics": {"ndcg@10": {"value": value}}}
        for method, part, value in (
            ("none", "validation", 0.3), ("knn", "validation", 0.2), ("none", "test", 0.1), ("knn", "test", 0.9),
        )
    ]  # fmt: skip
    assert best(rows, 0.5) == "none"


def test_a_loss_that_cannot_be_is_refused():
    for wrong in ({"ratio": 0.0}, {"ratio": 1.5}, {"how": "alphabet"}, {"when": "never"}):
        with pytest.raises(SettingsError, match="expected"):
            replace(Loss(modality="image", ratio=0.5), **wrong)


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def row(ratio: float, method: str, part: str, value: float, **more) -> dict:
    return {"ratio": ratio, "method": method, "subject": "users", "part": part, "moved": True, "lost": 4, "of": 8,
            "n": 9, "metrics": {"ndcg@10": estimate(value)}, "kept": estimate(value / 0.4), "chosen": False,
            "shares": {"text": estimate(0.75), "image": estimate(0.25)}, **more}  # fmt: skip


def answer(*rows: dict, **more) -> dict:
    whole = [row(0.0, "", part, 0.4) for part in ("validation", "test")]
    return {"run": "shop-run", "catalogue": "shop", "modality": "image", "how": "random", "when": "items", "seed": 0,
            "modalities": ["text", "image"], "complete": whole, "chosen": {}, "rows": list(rows), **more}  # fmt: skip


def test_what_is_simulated_later_joins_what_is_kept_and_the_choice_is_made_anew():
    before = answer(row(0.5, "none", "validation", 0.30), row(0.5, "knn", "validation", 0.20))
    now = answer(row(0.5, "knn", "validation", 0.35), row(0.3, "none", "validation", 0.38))
    found = joined(before, now)
    told = [(one["ratio"], one["method"], one["metrics"]["ndcg@10"]["value"], one["chosen"]) for one in found["rows"]]
    assert told == [(0.3, "none", 0.38, True), (0.5, "none", 0.30, False), (0.5, "knn", 0.35, True)]
    assert found["chosen"] == {"0.3": "none", "0.5": "knn"}


class Held:
    """A workspace as far as keeping needs one."""

    def __init__(self, home: Path, weights: str) -> None:
        self.home, self.weights = home, weights

    def run_folder(self, run: str) -> Path:
        folder = self.home / run
        folder.mkdir(exist_ok=True)
        (folder / "run.json").write_text(f'{{"digests": {{"model.safetensors": "{self.weights}"}}}}')
        return folder


def test_a_simulation_is_there_for_the_same_weights_and_catalogue_and_for_no_others(tmp_path):
    held = Held(tmp_path, "a" * 64)
    path = keep(held, answer(row(0.5, "none", "test", 0.3)), "v" * 64)
    assert [one["rows"][0]["method"] for one in kept_answers(held, "shop-run", "v" * 64)] == ["none"]
    assert not kept_answers(held, "shop-run", "w" * 64)
    assert not kept_answers(Held(tmp_path, "b" * 64), "shop-run", "v" * 64)
    path.write_text("{")
    assert read(path) is None and not kept_answers(held, "shop-run", "v" * 64)


def test_a_simulation_that_is_stopped_keeps_each_finished_way_and_goes_on_with_the_rest(tmp_path, monkeypatch):
    model = SimpleNamespace(modalities=("text", "image"), aligner=None)
    held, asked, stop = Held(tmp_path, "a" * 64), [], {"knn"}
    values = {"none": [0.5, 0.5, 0.5, 0.5], "knn": [1.0, 1.0, 0.5, 0.5]}
    one = {part: replace(measure([1.0] * 4), shares=np.full((2, 4), 0.5)) for part in ("validation", "test")}

    def under(loss, method, workspace):
        asked.append(method)
        if method in stop:
            raise KeyboardInterrupt
        now = {part: replace(each, metrics={"ndcg@10": np.array(values[method])}) for part, each in one.items()}
        return {"lost": 4, "of": 8, "moved": True}, {("users", part): each for part, each in now.items()}

    whole = {("users", part): each for part, each in one.items()}
    world = SimpleNamespace(measured=lambda *given: whole, under=under)
    monkeypatch.setattr(missing.World, "of", lambda *given: world)
    monkeypatch.setattr(missing, "open_pipeline", lambda *given: SimpleNamespace(model=model, catalogue=SHOP))
    monkeypatch.setattr(missing, "must", lambda *given: None)
    ask = {"run": "shop-run", "modality": "image", "ratios": [0.5], "methods": ("none", "knn")}
    with pytest.raises(KeyboardInterrupt):
        missing.simulate(held, **ask)
    [left] = kept_answers(held, "shop-run", SHOP.version)
    assert {row["method"] for row in left["rows"]} == {"none"} and left["chosen"] == {"0.5": "none"}
    stop.clear()
    done = missing.simulate(held, **ask)
    assert asked == ["none", "knn", "knn"]
    assert [row["method"] for row in done["rows"]] == ["none"] * 2 + ["knn"] * 2 and done["chosen"] == {"0.5": "knn"}
    assert done["rows"][2]["kept"]["value"] == pytest.approx(3.0 / 4.0)
    assert missing.simulate(held, **ask) == done and len(asked) == 3


def test_the_table_has_the_complete_data_first_and_three_numbers_an_estimate():
    rows = flat(answer(row(0.5, "none", "test", 0.3)))
    assert [one["method"] for one in rows] == ["complete", "complete", "none"]
    assert rows[-1]["ndcg_10"] == 0.3 and rows[-1]["kept"] == 0.3 / 0.4 and rows[-1]["share_text_low"] == 0.7
    assert all(list(one) == list(rows[0]) for one in rows)


def test_the_figure_shows_every_way_with_its_interval_and_the_chosen_one_larger():
    rows = [row(0.5, "none", "test", 0.3, chosen=True), row(0.5, "knn", "test", 0.2)]
    figure = missing_figure(rows, row(0.0, "", "test", 0.4), "ndcg@10", "image")
    assert [(one.name, one.y, one.marker.size) for one in figure.data] == [
        ("none", (0.3,), (13,)), ("knn", (0.2,), (8,)),
    ]  # fmt: skip
    assert figure.data[0].error_y.array == pytest.approx((0.05,))
    assert "50% missing, none 0.300 (0.250 to 0.350)" in missing_alt(rows, row(0, "", "test", 0.4), "ndcg@10", "image")
    bars = moved_shares_figure(rows, row(0.0, "", "test", 0.4), ["text", "image"])
    assert [bar.x for bar in bars.data] == [(0.75,) * 3, (0.25,) * 3]
    assert bars.data[0].y == ("knn", "none", "nothing missing")
