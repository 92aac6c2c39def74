"""Cleaning as named steps: what each finds in a shop whose faults are known, and that each can be taken back."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from core.catalog.clean import (
    CELL_STEPS,
    STEPS,
    Detection,
    Mark,
    changed_words,
    check_steps,
    dead_paths,
    from_json,
    missing_parts,
    prepared,
    to_json,
)  # fmt: skip
from core.catalog.duplicates import common_look, common_words, difference_hash, near_duplicates, photo_hashes
from core.catalog.folder import read_folder
from core.catalog.outliers import price_outliers, rating_outliers, robust_z
from core.domain import Catalogue, Interaction, Item
from core.errors import UnknownNameError
from core.evaluate.truth import area_under_curve, fault_scores
from core.prepare.contradiction import contradictions
from core.prepare.faults import cleaned
from core.prepare.findings import keep_faults, keep_words, kept_faults, table_faults
from core.prepare.mismatch import wrong_media
from core.prepare.out_of_fold import folds_of
from core.prepare.unusual import unusual_items
from tests.toys import paint

WORDS = ("A mug for every day. Holds heat for hours. Fits a whole hand. Washed by machine. Made of clay. "
         "Ships tomorrow. Comes in plain paper.")  # fmt: skip
ITEMS = f"""item_id,title,description,price,image
a,Day mug,{WORDS},10,photos/mug_red.jpg
b,Garbled mug,"Itâ€™s a mug â€“ a good one â€¦ for tea",11,photos/mug_blue.jpg
c,<b>Bold</b> mug,Tea &amp; coffee<br/>all day,12,photos/mug_green.jpg|photos/gone.jpg
d,,,13,photos/bowl_red.jpg
e,Unseen bowl,A bowl nobody has a picture of,14,
"""
ROWS = 'user_id,item_id,rating,review_text\nann,b,5,"Write to ann@mail.example, it â€™s good"\nben,a,4,plain\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("mug_red", "mug_blue", "mug_green", "bowl_red"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(paint(*name.split("_"), side=96))
    (tmp_path / "items.csv").write_text(
        ITEMS.replace("photos/mug_green.jpg|photos/gone.jpg", "photos/gone.jpg"), "utf-8"
    )
    (tmp_path / "interactions.csv").write_text(ROWS, "utf-8")
    return tmp_path


def by_step(detections) -> dict[str, Detection]:
    return {one.step: one for one in detections}


def catalogue_of(items, rows=()) -> Catalogue:
    return Catalogue(name="toy", version="v" * 64, root=Path("nowhere"), items=tuple(items), interactions=tuple(rows))


# ---- words


def test_every_repaired_cell_is_listed_with_the_value_as_it_came(shop):
    found = by_step(changed_words(shop))
    assert {(m.user_id, m.item_id, m.column) for m in found["mojibake"].found} == {
        ("", "b", "description"), ("ann", "b", "review_text"),
    }  # fmt: skip
    assert {(m.item_id, m.column) for m in found["html"].found} == {("c", "title"), ("c", "description")}
    (title,) = (m for m in found["html"].found if m.column == "title")
    assert (title.before, title.after) == ("<b>Bold</b> mug", "Bold mug")
    assert found["html"].looked_at == 5 * 2 + 2


def test_a_step_that_is_switched_off_gives_the_words_back_as_they_came(shop):
    catalogue, _ = read_folder(shop, "shop")
    found = changed_words(shop)
    on = {*CELL_STEPS.values()}
    assert prepared(catalogue, found, on) == catalogue
    off = prepared(catalogue, found, on - {"html"})
    assert off.items[2].title == "<b>Bold</b> mug" and off.items[1] == catalogue.items[1]


def test_personal_data_stays_masked_even_where_every_step_is_off(shop):
    catalogue, _ = read_folder(shop, "shop")
    raw = prepared(catalogue, changed_words(shop), set())
    assert raw.interactions[0].review_text == "Write to [mail], it â€™s good"


def test_what_is_missing_is_told_apart_no_words_no_photo_and_a_path_to_nothing(shop):
    catalogue, _ = read_folder(shop, "shop")
    found = by_step(missing_parts(catalogue, dead_paths(shop, catalogue)))
    assert [m.item_id for m in found["no_words"].found] == ["d"]
    assert [m.item_id for m in found["no_photo"].found] == ["e"]
    assert [(m.item_id, m.file) for m in found["dead_path"].found] == [("c", "photos/gone.jpg")]


# ---- duplicates


def changed_copy(picture: Image.Image) -> Image.Image:
    """Cropped by 4 %, darker, encoded anew."""
    side = picture.width
    cut = picture.crop((side * 0.02, side * 0.02, side * 0.98, side * 0.98)).resize((side, side))
    data = io.BytesIO()
    ImageEnhance.Brightness(cut).enhance(0.9).save(data, "WEBP", quality=60)
    return Image.open(data)


def test_the_difference_hash_is_blind_to_cropping_brightness_and_encoding_but_not_to_the_thing():
    mug, stool = (Image.open(io.BytesIO(paint(kind, "red"))) for kind in ("mug", "stool"))
    same = np.mean(difference_hash(mug) != difference_hash(changed_copy(mug)))
    other = np.mean(difference_hash(mug) != difference_hash(stool))
    assert same < 0.15 < other
    assert np.mean(difference_hash(mug) != difference_hash(mug.resize((90, 90)))) < 0.05


def listings():
    sentences = [part.strip() for part in WORDS.split(".") if part.strip()]
    return [
        Item(item_id="one", title="Day mug", description=WORDS, media={"image": ("mug",)}),
        Item(
            item_id="variant",
            title="Day mug",
            media={"image": ("mug",)},
            description="Cools fast. By hand only. "
            "Needs a saucer. Sent next week in foam and wrapped for gifts. Made of glass.",
        ),
        Item(
            item_id="again",
            title="NEW: Day mug",
            media={"image": ("copy",)},
            description=". ".join(sentences[3:] + sentences[:3]) + ". Back in stock.",
        ),
        Item(item_id="alike", title="Day mug", description=WORDS, media={"image": ("stool",)}),
        Item(item_id="wordless", media={"image": ("mug",)}),
    ]


def hashes():
    mug, stool = (Image.open(io.BytesIO(paint(kind, "red"))) for kind in ("mug", "stool"))
    pictures = {"mug": mug, "stool": stool, "copy": changed_copy(mug)}
    return {name: difference_hash(picture) for name, picture in pictures.items()}


def test_a_listing_repeats_another_when_words_and_photos_agree_in_any_order_of_sentences():
    found = near_duplicates(catalogue_of(listings()[:4]), hashes()).found
    assert [(m.item_id, m.other) for m in found] == [("again", "one")]


def test_the_same_photo_with_other_words_is_a_variant_and_the_same_words_with_another_photo_are_too():
    marks = {m.item_id: m.score for m in near_duplicates(catalogue_of(listings()[:4]), hashes()).marks}
    assert marks.get("variant", 0.0) < 1 and marks["alike"] < 1


def test_a_listing_without_words_repeats_only_what_looks_exactly_the_same():
    found = near_duplicates(catalogue_of(listings()), hashes()).found
    assert {(m.item_id, m.other) for m in found} == {("again", "one"), ("wordless", "one")}


def test_likenesses_are_shares_of_words_and_bits():
    assert common_words(Counter("aab"), Counter("abc")) == 2 / 4
    one, other = np.zeros(64, bool), np.arange(64) < 16
    assert common_look([one], [other]) == 1 - 16 / 64
    assert common_look([one, other], [one]) == (1 + (1 + (1 - 16 / 64)) / 2) / 2


def test_rows_of_a_repeated_listing_count_for_the_first_and_one_a_person_stays():
    rows = [Interaction(user_id=u, item_id=i, rating=r) for u, i, r in
            (("ann", "one", 5), ("ann", "again", 1), ("ben", "again", 4))]  # fmt: skip
    catalogue = catalogue_of(listings(), rows)
    found = near_duplicates(catalogue, hashes())
    merged = prepared(catalogue, [found], {"near_duplicate"})
    assert [(r.user_id, r.item_id, r.rating) for r in merged.interactions] == [("ann", "one", 5), ("ben", "one", 4)]
    assert merged.items == catalogue.items  # nothing leaves the catalogue


# ---- numbers


def test_the_robust_z_is_not_moved_by_the_outlier_itself():
    z = robust_z([1, 2, 3, 4, 1000])
    assert z[4] == pytest.approx((1000 - 3) / (1.4826 * 1)) and z[0] == pytest.approx(2 / 1.4826)


def test_a_price_a_hundred_times_off_is_found_in_a_cheap_and_in_a_dear_category():
    prices = {"mugs": [9, 11, 12, 14, 10, 1100], "tables": [900, 1000, 1200, 1500, 1100, 11]}
    items = [Item(item_id=f"{kind}{n}", category=kind, price=float(p)) for kind, ps in prices.items()
             for n, p in enumerate(ps)]  # fmt: skip
    found = price_outliers(catalogue_of([*items, Item(item_id="free", category="mugs", price=0.0)]))
    assert {m.item_id for m in found.found} == {"mugs5", "tables5", "free"}
    off = prepared(catalogue_of(items), [found], {"price_outlier"})
    assert [item.item_id for item in off.items if item.price is None] == ["mugs5", "tables5"]


def test_a_star_far_from_the_person_and_the_item_is_listed_and_kept():
    rows = [Interaction(user_id=f"u{u}", item_id=f"i{i}", rating=5.0) for u in range(12) for i in range(12)]
    rows[7] = replace(rows[7], rating=1.0)
    catalogue = catalogue_of([Item(item_id=f"i{i}") for i in range(12)], rows)
    found = rating_outliers(catalogue)
    assert [(m.user_id, m.item_id) for m in found.found] == [("u0", "i7")]
    assert prepared(catalogue, [found], {"rating_outlier"}) == catalogue


def test_a_shop_without_prices_and_ratings_has_no_outliers():
    empty = catalogue_of([Item(item_id="a")])
    assert price_outliers(empty).found == () and rating_outliers(empty).found == ()


# ---- what needs vectors


def aligned_world(n: int = 80, swapped: tuple[int, ...] = (3, 30, 50)):
    """Words and photos of an item are two linear views of one hidden vector; some items show another one's photo."""
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(n, 4))
    words = hidden @ draw.normal(size=(4, 12)) + 0.05 * draw.normal(size=(n, 12))
    shown = hidden.copy()
    shown[list(swapped)] = -hidden[list(swapped)]
    photos = shown @ draw.normal(size=(4, 16)) + 0.05 * draw.normal(size=(n, 16))
    items = [Item(item_id=f"i{k}", title="a", media={"image": (f"p{k}",)}) for k in range(n)]
    state = lambda vector: SimpleNamespace(pooled=vector.astype(np.float16))  # noqa: E731
    features = SimpleNamespace(
        states={"text": [state(v) for v in words], "image": [state(v) for v in photos]},
        items=tuple({"text": (k,), "image": (k,)} for k in range(n)), interactions=(),
    )  # fmt: skip
    return catalogue_of(items), features


def test_a_photo_of_something_else_is_found_by_a_model_that_has_not_seen_the_item():
    catalogue, features = aligned_world()
    found = wrong_media(catalogue, features)
    assert {m.item_id for m in found.found} == {"i3", "i30", "i50"}
    off = prepared(catalogue, [found], {"wrong_photo"})
    assert [item.item_id for item in off.items if not item.media] == ["i3", "i30", "i50"]
    assert prepared(catalogue, [found], set()) == catalogue


def test_too_few_photos_say_nothing():
    catalogue, features = aligned_world(20, ())
    assert wrong_media(catalogue, features).marks == ()


def test_folds_depend_on_the_key_alone():
    assert folds_of(["a", "b", "a"])[0] == folds_of(["x", "a"])[1]
    assert len(set(folds_of([str(n) for n in range(200)]))) == 5


def test_words_against_the_stars_are_found_and_taken_out_of_training_while_the_stars_stay():
    draw = np.random.default_rng(0)
    stars = draw.integers(1, 6, 400).astype(float)
    tone = stars + 0.2 * draw.normal(size=400)
    wrong = [int(np.flatnonzero(stars == 1)[4]), int(np.flatnonzero(stars == 5)[9])]
    tone[wrong] = 6 - tone[wrong]
    words = np.outer(tone, draw.normal(size=8)) + 0.1 * draw.normal(size=(400, 8))
    rows = [Interaction(user_id=f"u{n}", item_id="i", rating=r, review_text="told") for n, r in enumerate(stars)]
    features = SimpleNamespace(
        states={"text": [SimpleNamespace(pooled=v) for v in words]}, items=({},),
        interactions=tuple({"text": (n,)} for n in range(400)),
    )  # fmt: skip
    catalogue = catalogue_of([Item(item_id="i")], rows)
    found = contradictions(catalogue, features)
    assert {m.user_id for m in found.found} == {f"u{n}" for n in wrong}
    muted = prepared(catalogue, [found], {"contradictory_review"}).interactions
    assert [row.user_id for row in muted if not row.text] == [f"u{n}" for n in sorted(wrong)]
    assert [row.rating for row in muted] == stars.tolist()


def test_an_item_unlike_the_rest_is_the_first_of_its_view():
    catalogue, features = aligned_world(60, ())
    features.states["image"][5].pooled[:] = 30
    marks = unusual_items(catalogue, features).marks
    for view in ("image", "all together"):
        assert max((m for m in marks if m.column == view), key=lambda m: m.score).item_id == "i5"


# ---- kept, chosen, scored


def test_findings_are_kept_for_this_version_of_the_catalogue_only(tmp_path, shop):
    catalogue, _ = read_folder(shop, "shop")
    found = table_faults(catalogue, tmp_path)
    assert {one.step for one in found} >= {"mojibake", "html", "no_words", "near_duplicate", "price_outlier"}
    keep_faults(tmp_path, catalogue, found)
    kept = by_step(kept_faults(tmp_path, catalogue))
    assert kept["mojibake"] == by_step(found)["mojibake"]
    assert kept_faults(tmp_path, replace(catalogue, version="other")) is None


def test_an_import_keeps_what_its_tables_said_with_people_as_keyed_hashes(tmp_path, shop):
    read, _ = read_folder(shop, "shop")
    kept = replace(read, name="mine", root=tmp_path / "media")
    keep_words(tmp_path / "vectors", kept, shop, read, lambda user: f"key-{user}")
    found = by_step(table_faults(kept, tmp_path / "vectors"))
    assert [m.user_id for m in found["mojibake"].found if m.user_id] == ["key-ann"]
    assert [m.file for m in found["dead_path"].found] == ["photos/gone.jpg"]
    assert "no_photo" in by_step(table_faults(replace(kept, version="other"), tmp_path / "vectors"))


def test_marks_come_back_as_they_were_kept():
    one = Detection(step="html", looked_at=9, limit=0.5, marks=(Mark(item_id="ä", score=0.25, before="<b>", file="p"),))
    assert from_json(to_json([one])) == (one,)


def test_a_run_takes_the_steps_it_names_and_refuses_those_nobody_knows(tmp_path):
    catalogue, _ = aligned_world()
    wrong = Detection(step="wrong_photo", looked_at=1, marks=(Mark(item_id="i3", file="p3", score=9.0),), limit=3.0)
    keep_faults(tmp_path, catalogue, (wrong,))
    assert cleaned(catalogue, "", tmp_path) is catalogue
    assert cleaned(catalogue, "wrong_photo", tmp_path).items[3].media == {}
    with pytest.raises(UnknownNameError, match="wrong_photo"):
        cleaned(catalogue, "wrong_foto", tmp_path)
    assert check_steps(STEPS) == tuple(STEPS)


def test_faults_are_scored_by_arithmetic():
    truth = {"faults": [{"kind": "no_words", "item_id": x} for x in "ab"] + [{"kind": "strange", "item_id": "z"}]}
    marks = tuple(Mark(item_id=x, score=s) for x, s in (("a", 3.0), ("c", 2.0), ("b", 1.0)))
    ((kind, told),) = fault_scores(truth, [Detection(step="no_words", marks=marks, looked_at=5, limit=1.5)]).items()
    assert kind == "no_words" and (told["planted"], told["found"]) == (2, 2)
    assert (told["precision"], told["recall"], told["f1"]) == (1 / 2, 1 / 2, 1 / 2)
    assert told["auc"] == pytest.approx((3 + 2) / (2 * 3))  # a beats all three others; b beats two and loses to c


def test_ties_count_half_and_a_planted_fault_without_a_score_is_below_all():
    assert area_under_curve({("a",): 1.0, ("b",): 1.0}, {("a",)}, 2) == 0.5
    assert area_under_curve({("b",): 1.0}, {("a",)}, 3) == 0.25  # loses to b, ties with the third place
    assert np.isnan(area_under_curve({("a",): 1.0}, {("a",)}, 1))


def test_photos_that_cannot_be_read_have_no_hash(shop):
    (shop / "photos" / "mug_red.jpg").write_bytes(b"\xff\xd8\xff nothing")
    catalogue, _ = read_folder(shop, "shop")
    assert "photos/mug_red.jpg" not in photo_hashes(catalogue) and "photos/bowl_red.jpg" in photo_hashes(catalogue)
