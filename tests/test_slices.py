"""Cases and slices: what is planted is found, what is not there is not, and every number is worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.catalog.clean import Detection, Mark
from core.domain import Catalogue, Interaction, Item
from core.errors import ShapeError, UnknownNameError
from core.evaluate.attributes import Attribute, attributes, bands, categories, language_of, one_of, script_of
from core.evaluate.casebook import CaseBook, CaseSet
from core.evaluate.cases import SHOWN, Cases, case_key, compare
from core.evaluate.planted import sightings
from core.evaluate.slices import (
    Condition,
    Search,
    bundled,
    measure_slice,
    members,
    search_slices,
    slice_id,
)


def toy_cases(count: int = 240, products: int = 60, seed: int = 0, **changed: object) -> Cases:
    """`count` cases of `products` products in two modalities; ranks and losses by a seeded draw."""
    rng = np.random.default_rng(seed)
    rank = rng.integers(1, 60, count).astype(np.int32)
    values: dict = {
        "about": {
            "run": "toy",
            "digest": "d",
            "catalogue": "toy",
            "version": "v",
            "kind": "review+photo",
            "items": 60,
            "part": "test",
            "protocol": "cold",
            "split": "s",
        },
        "modalities": ("text", "image"),
        "key": np.array([case_key("query", f"u{n}", f"i{n % products}", n) for n in range(count)]),
        "row": np.arange(count),
        "user": np.array([f"u{n}" for n in range(count)]),
        "item": np.array([f"i{n % products}" for n in range(count)]),
        "warm": np.arange(count) // products % 2 == 0,
        "cluster": np.zeros(count, dtype=np.int16),
        "twin": np.zeros(count, dtype=np.float32),
        "rank": rank,
        "alone": np.stack([rng.integers(1, 60, count), rng.integers(1, 60, count)], 1).astype(np.int32),
        "present": np.ones((count, 2), dtype=bool),
        "loss": np.log(rank).astype(np.float32),
        "margin": (1.0 - rank).astype(np.float32),
        "blame": rng.normal(size=(count, 2)).astype(np.float32),
        "for_truth": rng.normal(size=(count, 2)).astype(np.float32),
        "for_shown": rng.normal(size=(count, 2)).astype(np.float32),
        "shown": np.full((count, SHOWN), "i0"),
    }
    return Cases(**(values | changed))


def toy_shop(count: int = 240, products: int = 60) -> Catalogue:
    """Products in five categories and at prices from 1 up, every one visited in turn; stars go up by the visit."""
    items = tuple(
        Item(item_id=f"i{n}", title=f"Thing {n}", category=f"Room > Kind {n % 5}", price=1.0 + n,
             attributes={"colour": ("red", "blue", "green")[n % 3]})
        for n in range(products)
    )  # fmt: skip
    met = tuple(
        Interaction(user_id=f"u{n}", item_id=f"i{n % products}", rating=float(1 + n // products % 5), timestamp=n,
                    review_text=" ".join(["word"] * (n % 30 + 1)))
        for n in range(count)
    )  # fmt: skip
    return Catalogue(name="toy", version="v", root=Path("toy"), items=items, interactions=met)


def known(cases: Cases, shop: Catalogue) -> tuple[Attribute, ...]:
    return attributes(cases, shop, {}, {})


# ---- cases


def test_cases_come_back_from_their_file_as_they_were() -> None:
    cases = toy_cases(40)
    again = Cases.from_bytes(cases.to_bytes())
    assert (again.about, again.modalities) == (cases.about, cases.modalities)
    for name in ("key", "rank", "alone", "present", "blame", "for_shown", "shown", "warm", "loss"):
        assert np.array_equal(getattr(again, name), getattr(cases, name)), name


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ShapeError, match="3 of rank"):
        toy_cases(4, rank=np.ones(3, dtype=np.int32))


def test_the_key_of_a_case_is_the_same_in_every_run_and_differs_by_who_asks() -> None:
    assert case_key("query", "u1", "i1", 5) == case_key("query", "u1", "i1", 5)
    assert len({case_key(s, u, "i1", 5) for s in ("query", "user") for u in ("u1", "u2")}) == 4


def test_worst_is_the_largest_loss_and_near_misses_lost_by_the_least() -> None:
    rank = np.array([1, 3, 2, 40, 10], dtype=np.int32)
    loss = np.array([0.1, 2.0, 1.0, 5.0, 3.0], dtype=np.float32)
    margin = np.array([0.9, -0.5, -0.1, -9.0, -2.0], dtype=np.float32)
    cases = toy_cases(5, rank=rank, loss=loss, margin=margin)
    assert cases.order("worst").tolist() == [3, 4, 1, 2, 0]
    assert cases.order("near").tolist()[:3] == [2, 1, 4]  # ranks 2, 3 and 10; 1 was found, 40 is far
    with pytest.raises(UnknownNameError, match="surprising"):
        cases.order("oddest")


def test_most_surprising_is_good_alone_and_bad_together_and_absent_modalities_do_not_count() -> None:
    rank = np.array([50, 50, 2], dtype=np.int32)
    alone = np.array([[1, 60], [0, 40], [1, 1]], dtype=np.int32)
    cases = toy_cases(3, rank=rank, alone=alone)
    assert cases.order("surprising").tolist() == [0, 2, 1]
    assert cases.surprise.tolist() == pytest.approx([np.log(50 / 1), np.log(50 / 40), np.log(2 / 1)])


def test_metrics_of_a_case_are_those_of_its_rank() -> None:
    cases = toy_cases(3, rank=np.array([1, 10, 11], dtype=np.int32))
    assert cases.values("recall@10").tolist() == [1, 1, 0]
    assert cases.values("recall@1").tolist() == [1, 0, 0]
    assert cases.values("mrr").tolist() == pytest.approx([1, 1 / 10, 1 / 11])
    with pytest.raises(UnknownNameError):
        cases.values("hit")


def test_two_runs_fix_and_break_the_cases_that_both_have() -> None:
    ours = toy_cases(4, rank=np.array([1, 20, 5, 30], dtype=np.int32))
    theirs = toy_cases(4, rank=np.array([1, 3, 15, 30], dtype=np.int32))
    turned = Cases(**{**vars(theirs), **{n: vars(theirs)[n][::-1] for n in ("key", "rank", "item", "user")}})
    sides = compare(ours, turned)
    assert (sides["fixed"].tolist(), sides["broken"].tolist()) == ([1], [2])
    assert (sides["found"].tolist(), sides["lost"].tolist()) == ([0], [3])
    assert sides["there"][:, 1].tolist() == [3, 2, 1, 0]


def test_books_of_other_kinds_and_versions_have_other_files(tmp_path) -> None:
    from core.workspace import Workspace

    workspace = Workspace.open(tmp_path)
    names = {CaseSet(run="studio-default", kind=kind, part=part).file(workspace).name
             for kind in ("users", "review+photo") for part in ("test", "validation")}  # fmt: skip
    assert len(names) == 4


# ---- attributes


def test_numbers_fall_into_bands_of_equal_size_and_the_unknown_into_their_own() -> None:
    made = bands("words", [*range(1, 9), None], "words")
    assert made.values == ("1 to 2 words", "3 to 4 words", "5 to 6 words", "7 to 8 words", "unknown")
    assert made.masks.sum(1).tolist() == [2, 2, 2, 2, 1]
    assert made.masks.sum(0).tolist() == [1] * 9


def test_equal_numbers_are_one_band() -> None:
    assert bands("price", [3.0, 3.0, 3.0]).values == ("3",)


def test_a_path_gives_every_level_and_labels_give_every_label() -> None:
    paths = categories([Item(item_id="a", category="Home > Lamps"), Item(item_id="b", category="Home > Mugs")])
    assert [one.values for one in paths] == [("Home",), ("Home > Lamps", "Home > Mugs")]
    [labels] = categories([Item(item_id="a", category="Drama|War"), Item(item_id="b", category="Drama")])
    assert labels.masks.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("text", "script"), [("a lamp", "Latin"), ("лампа", "Cyrillic"), ("ランプ", "Katakana"), ("42", "")]
)
def test_the_script_of_a_text_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_what_a_case_says_about_itself_becomes_attributes() -> None:
    cases, shop = toy_cases(), toy_shop()
    found = {one.name: one for one in known(cases, shop)}
    assert found["colour"].values == ("blue", "green", "red")
    assert found["stars of the review"].values == ("1", "2", "3", "4")  # one a visit
    assert found["category, level 2"].masks.sum(1).tolist() == [48] * 5
    assert "script of the query" not in found  # all are Latin: nothing to compare


def test_every_kind_of_fault_that_cleaning_found_is_an_attribute() -> None:
    cases, shop = toy_cases(), toy_shop()
    marks = (Mark(item_id="i3", score=2.0), Mark(item_id="i4", score=0.5))  # the second is below the limit
    review = (Mark(item_id="i7", user_id="u7", score=2.0),)
    faults = (
        Detection(step="wrong_photo", marks=marks, looked_at=60, limit=1.0),
        Detection(step="contradictory_review", marks=review, looked_at=240, limit=1.0),
    )
    found = {one.name: one for one in attributes(cases, shop, {}, {}, faults)}
    photo, words = found["cleaning, photo of something else"], found["cleaning, words against stars"]
    assert np.flatnonzero(photo.masks[photo.values.index("marked")]).tolist() == [3, 63, 123, 183]
    assert np.flatnonzero(words.masks[words.values.index("marked")]).tolist() == [7]


@pytest.mark.parametrize(
    ("text", "language"),
    [("the lamp is not the one i saw", "English"), ("die Lampe ist nicht sehr hell", "German"),
     ("la lampe est très belle pour une chambre", "French"), ("lamp 42", ""), ("", "")],
)  # fmt: skip
def test_the_language_of_a_text_is_told_by_its_small_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_planted_faults_are_counted_from_the_top_of_the_list() -> None:
    """The worst case has a wrong photo, the second a contradictory review; another wrong photo is never asked about."""
    loss = np.zeros(240, dtype=np.float32)
    loss[[5, 9]] = [9.0, 8.0]
    truth = {"faults": [
        {"kind": "wrong_photo", "item_id": "i5"}, {"kind": "wrong_photo", "item_id": "elsewhere"},
        {"kind": "contradictory_review", "item_id": "i9", "user_id": "u9"},
        {"kind": "near_duplicate", "item_id": "elsewhere", "of": "i9"},
    ]}  # fmt: skip
    found = sightings(toy_cases(loss=loss), toy_shop(), truth, first=2)
    photo, review, twice = found["wrong_photo"], found["contradictory_review"], found["near_duplicate"]
    assert (photo.planted, photo.touched, photo.seen["worst"]) == (2, 4, 1)
    assert (review.planted, review.touched, review.seen["worst"]) == (1, 1, 1)
    assert (twice.touched, twice.seen["worst"]) == (4, 1)
    assert photo.by_chance == pytest.approx(2 * 4 / 240)


# ---- slices


def test_many_products_are_drawn_in_bundles_and_the_interval_stays() -> None:
    """The interval of 4,000 products by hand: the difference of two means, 1.96 standard errors either way."""
    rng = np.random.default_rng(0)
    group = np.arange(4000).astype(str)
    inside = np.arange(4000) < 1000
    values = rng.normal(size=4000) - 0.5 * inside
    one = measure_slice([Condition(attribute="a", value="x")], inside, values, group)
    error = np.sqrt(1 / 1000 + 1 / 3000)
    assert (one.high - one.low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    assert bundled(np.arange(4000), 4000)[1] == 1000 and bundled(np.arange(7), 7)[0].tolist() == list(range(7))
    member, _ = bundled(np.repeat(np.arange(2000), 2), 2000)
    assert (member[::2] == member[1::2]).all()  # a product is never torn apart


def test_more_finds_than_can_be_read_are_counted_and_the_surest_listed(monkeypatch) -> None:
    from core.evaluate import slices

    monkeypatch.setattr(slices, "MOST_LISTED", 1)
    cases, shop = toy_cases(480, 120), toy_shop(480, 120)
    weak = np.array([n % 120 % 3 == 0 for n in range(480)])
    values = np.random.default_rng(1).uniform(0, 1, 480) - 0.9 * weak
    search = search_slices(values, cases.item, known(cases, shop), metric="mrr", show=0)
    assert len(search.slices) == 1 and search.slices[0].name == "colour: red"
    assert search.found > 1


def test_a_planted_weakness_is_found_first_and_nothing_else() -> None:
    cases, shop = toy_cases(480, 120), toy_shop(480, 120)
    weak = np.array([shop.items[n % 120].category.endswith("Kind 2") for n in range(480)])
    values = np.random.default_rng(1).uniform(0.4, 1.0, 480) - 0.3 * weak
    search = search_slices(values, cases.item, known(cases, shop), metric="mrr")
    first, *others = search.slices
    assert first.name == "category, level 2: Room > Kind 2"
    assert first.found and first.size == 96 and first.groups == 24
    assert first.difference == pytest.approx(values[weak].mean() - values[~weak].mean())
    assert first.low < first.difference < first.high < 0
    assert not [one.name for one in others if one.found and one.difference < 0]


def test_a_weak_pair_is_found_as_a_pair() -> None:
    cases, shop = toy_cases(1200, 120), toy_shop(1200, 120)
    colour = np.array([shop.items[n % 120].attributes["colour"] == "red" for n in range(1200)])
    stars = np.array([1 + n // 120 % 5 == 1 for n in range(1200)])
    values = np.random.default_rng(2).uniform(0.4, 1.0, 1200) - 0.5 * (colour & stars)
    top = search_slices(values, cases.item, known(cases, shop), metric="mrr").slices
    pair = {Condition(attribute="colour", value="red"), Condition(attribute="stars of the review", value="1")}
    assert any(one.found and set(one.conditions) == pair for one in top)


def test_on_harmless_data_next_to_nothing_is_found() -> None:
    """Forty searches of values drawn per product: Holm allows any finding in one of twenty."""
    cases, shop = toy_cases(240, 60), toy_shop(240, 60)
    about, searches = known(cases, shop), 40
    alarms = 0
    for seed in range(searches):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=60)[np.arange(240) % 60] + rng.normal(size=240)
        alarms += any(one.found for one in search_slices(values, cases.item, about, metric="mrr", show=0).slices)
    assert alarms <= 4


def test_many_cases_of_few_products_are_not_taken_for_many_draws() -> None:
    """Six unlucky products with forty cases each: the same difference, spread over 120 products, is found."""
    group = np.repeat([f"i{n}" for n in range(12)], 40)
    inside = np.arange(480) < 240
    attribute = one_of("half", np.where(inside, "first", "second"))
    noise = np.random.default_rng(3).normal(size=12)
    values = np.repeat(noise, 40) - 0.5 * inside
    few = measure_slice([Condition(attribute="half", value="first")], attribute.masks[0], values, group)
    spread = np.random.default_rng(3).normal(size=480) - 0.5 * inside
    many = measure_slice(
        [Condition(attribute="half", value="first")], attribute.masks[0], spread, np.arange(480).astype(str)
    )
    assert few.p > 0.1
    assert many.p < 1e-5


def test_a_loss_is_worse_where_it_is_higher() -> None:
    cases, shop = toy_cases(480, 120), toy_shop(480, 120)
    weak = np.array([n % 120 % 3 == 0 for n in range(480)])
    values = np.random.default_rng(1).uniform(0, 1, 480) + 0.4 * weak
    top = search_slices(values, cases.item, known(cases, shop), metric="loss", worse=1).slices[0]
    assert (top.name, top.difference > 0) == ("colour: red", True)


def test_slices_too_small_to_judge_are_not_looked_at() -> None:
    attribute = one_of("odd", ["yes"] * 5 + ["no"] * 235)
    search = search_slices(np.arange(240.0), toy_cases().item, [attribute], metric="mrr")
    assert (search.tested, search.slices) == (0, ())


def test_the_same_cases_under_two_names_count_once() -> None:
    twice = [one_of("photo", ["there", "missing"] * 120), one_of("photos", ["1", "0"] * 120)]
    assert search_slices(np.arange(240.0), toy_cases().item, twice, metric="mrr").tested == 1


def test_a_search_comes_back_from_its_file_and_a_slice_has_one_link() -> None:
    cases, shop = toy_cases(), toy_shop()
    search = search_slices(cases.values("mrr"), cases.item, known(cases, shop), metric="mrr", show=5)
    assert Search.from_json(search.to_json()) == search
    a, b = Condition(attribute="price", value="1 to 15"), Condition(attribute="colour", value="red")
    assert slice_id([a, b]) == slice_id([b, a])
    assert slice_id([a]) != slice_id([b])


def test_members_of_a_pair_meet_both_conditions_and_nobody_meets_an_unknown_one() -> None:
    about = [one_of("a", ["x", "x", "y"]), one_of("b", ["1", "2", "1"])]
    pair = [Condition(attribute="a", value="x"), Condition(attribute="b", value="1")]
    assert members(pair, about, 3).tolist() == [True, False, False]
    assert not members([Condition(attribute="a", value="z")], about, 3).any()
    assert not members([Condition(attribute="c", value="x")], about, 3).any()


def test_search_words_look_into_review_title_and_key() -> None:
    cases, shop = toy_cases(), toy_shop()
    book = CaseBook(cases=cases, catalogue=shop, attributes=(), searches={})
    assert np.flatnonzero(book.search("thing 7")).tolist() == [
        n for n in range(240) if "7" in f"{n % 60}{cases.key[n]}"
    ]
    assert book.search(str(cases.key[3]).upper())[3]
    assert book.search("").all()
