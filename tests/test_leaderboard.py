"""The leaderboard: means of kept values, intervals over people, tests on the same people, choices by validation."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from core.config import RunSettings
from core.errors import SettingsError, UnknownNameError
from core.evaluate.headline import choose
from core.evaluate.leaderboard import Entry, board, subjects, unusual
from core.evaluate.measure import expected
from core.evaluate.metrics import rank_metrics
from core.evaluate.splits import Fingerprint
from core.evaluate.vectors import Measured, pack, unpack

SPLIT = Fingerprint(
    users=40, items=9, rows=200, train=120, validation=40, test=40, cold=0, tested_users=40,
    tested_users_with_training=40, items_without_training=0, sha="aa",
)  # fmt: skip
PEOPLE = tuple(f"u{row:02d}" for row in range(40))


def values_of(values: np.ndarray, ids: tuple[str, ...] = PEOPLE, **floors: np.ndarray) -> Measured:
    table = {name: {"ndcg@10": floor} for name, floor in floors.items()}
    return Measured(ids=ids, groups=ids, values={"ndcg@10": values}, floors=table, about={})


def entry(run: str, values: np.ndarray, validation: float = 0.5, grid: str = "", seed: int = 0, **more) -> Entry:
    measured = values_of(values, **more)
    metrics = {
        "validation": {"users ndcg@10": validation},
        "test": {"users ndcg@10": float(values.mean()), "lists coverage": 0.25},
    }
    settings = {"align": "projection", "fuse": "weighted", "rank": "multimodal", "seed": seed, "protocol": "cold"}
    return Entry(
        run=run, catalogue="shop", protocol="cold", fingerprint=SPLIT, settings=settings, grid=grid, metrics=metrics,
        measured={"test users": measured},
    )  # fmt: skip


def low_and_high() -> tuple[np.ndarray, np.ndarray]:
    low = np.linspace(0.1, 0.3, 40)
    return low, low + 0.2


def test_the_better_run_leads_and_the_other_is_behind_by_what_was_put_in():
    low, high = low_and_high()
    made = board([entry("low", low), entry("high", high)], "shop", "aa", "users", "ndcg@10")
    assert [place.name for place in made.places] == ["high", "low"]
    assert (made.reference, made.units) == ("high", 40)
    assert made.places[0].value == pytest.approx(0.4) and made.places[0].against is None
    behind = made.places[1]
    assert (behind.against.value, behind.against.low) == (pytest.approx(-0.2), pytest.approx(-0.2))
    assert behind.p == pytest.approx(2 / 10_001) and behind.differ == 40
    assert behind.low < 0.2 < behind.high and behind.lists == {"coverage": 0.25}


def test_runs_are_compared_on_the_people_that_both_were_asked_for():
    low, high = low_and_high()
    backwards = entry("high", high[::-1], ids=PEOPLE[::-1])
    made = board([entry("low", low), backwards], "shop", "aa", "users", "ndcg@10")
    assert made.places[1].against.high == pytest.approx(-0.2)
    few = entry("high", high[:10], ids=PEOPLE[:10])
    made = board([entry("low", low), few], "shop", "aa", "users", "ndcg@10", reference="low")
    assert next(p for p in made.places if p.name == "high").against.value == pytest.approx(0.2)


def test_p_values_of_several_comparisons_are_adjusted_together():
    low, high = low_and_high()
    noise = np.random.default_rng(0).normal(0, 0.3, 40)
    runs = [entry("a", high), entry("b", high + noise - noise.mean() - 0.06), entry("c", low)]
    alone = board(runs[:2], "shop", "aa", "users", "ndcg@10", reference="a").places
    both = {place.name: place for place in board(runs, "shop", "aa", "users", "ndcg@10", reference="a").places}
    single = next(place for place in alone if place.name == "b")
    assert both["c"].p == pytest.approx(2 * 2 / 10_001)  # the smallest of two, doubled
    assert both["b"].p == pytest.approx(single.p)  # the largest stays as it is


def test_floors_stand_beside_and_a_run_without_kept_values_has_a_mean_alone():
    low, high = low_and_high()
    first = entry("low", low, popularity=low / 2, oracle=low * 2)
    bare = entry("bare", high)
    bare = Entry(**{**bare.__dict__, "measured": {}})
    made = board([first, bare], "shop", "aa", "users", "ndcg@10")
    assert {name: one.value for name, one in made.floors.items()} == {
        "popularity": pytest.approx(0.1), "oracle": pytest.approx(0.4)
    }  # fmt: skip
    assert [(place.name, place.low is None) for place in made.places] == [("bare", True), ("low", False)]
    assert made.reference == "low"


def test_seeds_are_averaged_for_every_person_before_anything_is_drawn():
    low, high = low_and_high()
    runs = [entry("one", low, seed=1), entry("two", high, seed=2), entry("again", high, seed=2)]
    [place] = board(runs, "shop", "aa", "users", "ndcg@10", over_seeds=True).places
    assert place.value == pytest.approx((0.2 + 0.4) / 2)
    assert place.spread == pytest.approx(0.2 / np.sqrt(2))  # standard deviation of 0.2 and 0.4
    assert place.seeds == (1, 2) and place.name.endswith("2 seeds")


def test_a_search_is_told_by_what_validation_chose_and_by_what_test_would_have():
    low, high = low_and_high()
    runs = [entry("g-a", low, validation=0.9, grid="g"), entry("g-b", high, validation=0.1, grid="g")]
    choice = board(runs, "shop", "aa", "users", "ndcg@10").choices["g"]
    assert (choice.by_validation, choice.by_test, choice.of) == ("g-a", "g-b", 2)
    assert choice.gap == pytest.approx(0.2)


def test_queries_speak_where_no_user_does():
    metrics = {"validation": {"all review mrr": 0.4}, "test": {"warm review mrr": 0.3, "cold review mrr": 0.2}}
    choice = choose([("only", metrics)])
    assert (choice.headline.validation, choice.headline.test) == ("all review mrr", "cold review mrr")
    assert choose([("only", {"validation": {}, "test": {}})]) is None


def test_what_can_be_compared_names_users_first():
    assert subjects([entry("low", low_and_high()[0])]) == {"users": ("ndcg@10",)}


def test_a_board_or_a_reference_that_is_not_there_is_refused():
    runs = [entry("low", low_and_high()[0])]
    with pytest.raises(UnknownNameError, match="known: shop aa"):
        board(runs, "shop", "bb", "users", "ndcg@10")
    with pytest.raises(SettingsError, match="choose one of low"):
        board(runs, "shop", "aa", "users", "ndcg@10", reference="nobody")


@pytest.mark.parametrize("rank", ["factors", "graph", "multimodal"])
def test_a_board_shows_the_settings_that_are_not_usual_for_the_ranker(rank):
    usual = RunSettings(rank=rank)
    assert unusual(asdict(usual)) == ""
    assert unusual(asdict(replace(usual, user_rate=0.5, width=64))) == "width 64, user_rate 0.5"
    assert unusual({"rank": "vbpr", "epochs": 4}) == "epochs 4"


def test_kept_values_come_back_as_they_were():
    low, high = low_and_high()
    kept = {"test users": values_of(low, popularity=high), "test cold photo": values_of(high)}
    back = unpack(pack(kept))
    assert list(back) == list(kept) and back["test users"].ids == PEOPLE
    assert np.array_equal(back["test users"].floors["popularity"]["ndcg@10"], high)


def test_chance_is_what_random_orders_reach_on_average():
    draw = np.random.default_rng(1)
    positives = np.zeros((1, 30), dtype=bool)
    positives[0, :3] = True
    found = [rank_metrics(draw.normal(size=(1, 30)), positives, None, (10, 20)) for _ in range(4000)]
    told = expected(np.array([3]), np.array([30]))
    for name, value in told.items():
        assert np.mean([one[name] for one in found]) == pytest.approx(value[0], abs=0.01), name
