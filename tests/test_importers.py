"""Every format that comes in: what is read, what is refused, and the known counts and splits of the sample folders."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.catalog.folder import read_folder, read_photos, read_side_table
from core.catalog.formats import FORMATS, detect, read_source
from core.catalog.reading import Ask
from core.catalog.report import RowsRefusedError
from core.catalog.tables import read_table
from core.catalog.template import template_zip
from core.errors import FusescopeError, TableError, UnknownNameError
from core.evaluate.splits import item_cold, label_column, leave_last, per_user_random, rated_rows

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def sample(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"../shared/data/{name} is not there")
    return DATA / name


def write(folder: Path, **files: str) -> Path:
    """Files by name, "__" for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8", newline="")
    return folder


def rows(reading) -> list[tuple]:
    return [(one.user_id, one.item_id, one.rating, one.split) for one in reading.catalogue.interactions]


def refusal(source: Path, layout: str = "auto", **options) -> FusescopeError:
    with pytest.raises(FusescopeError) as caught:
        read_source(source, "x", layout, **options)
    return caught.value


# ---- the canonical sample folders


def test_movielens_holds_442_rated_and_162_never_rated_films():
    catalogue, report = read_folder(sample("movielens_dev"), "movielens")
    assert (report.items, report.users, report.interactions, report.media) == (604, 594, 12_661, {"image": 604})
    met = {one.item_id for one in catalogue.interactions}
    assert (len(met), len(catalogue.items) - len(met), report.refused) == (442, 162, ())
    assert {len(str(one.timestamp)) for one in catalogue.interactions} == {12, 13}  # 9 and 10 digits in seconds
    assert not any(one.text for one in catalogue.interactions) and report.scale == "0.5 to 5"
    assert len(read_side_table(sample("movielens_dev"), "tags", ("user_id", "item_id", "tag", "timestamp"))) == 496


@pytest.mark.parametrize(("split", "counts", "sha"), [
    (per_user_random, (5_991, 714, 714), "60e431d89e1719d8"), (leave_last, (6_435, 492, 492), "8ace8e8edb5a9822"),
    (lambda one: per_user_random(one, 0, rated_rows(one)), (10_281, 1_190, 1_190), "8bdb39fd09ef8d75"),
])  # fmt: skip
def test_the_splits_of_movielens_are_the_published_ones(split, counts, sha):
    made = split(read_folder(sample("movielens_dev"), "movielens")[0]).fingerprint
    assert ((made.train, made.validation, made.test), made.sha) == (counts, sha)


def test_luma_has_no_user_to_learn_from_and_152_orphans(tmp_path):
    source = sample("magento_luma")
    catalogue, report = read_folder(source, "luma")
    assert (report.items, report.interactions, report.users) == (197, 348, 335)
    named = sum(len(item.media.get("image", ())) for item in catalogue.items)
    assert (named, report.media) == (454, {"image": 445}) and sum(item.price == 0 for item in catalogue.items) == 1
    kinds = [row["kind"] for row in read_side_table(source, "related", ("item_id", "related_item_id", "kind"))]
    assert [kinds.count(kind) for kind in ("crosssell", "related", "upsell")] == [654, 468, 325]
    assert [found.code for found in report.notices] == ["N-ZIP-PAIR"]  # the video that no row names
    for_orphans = write(tmp_path / "orphans")
    for name, came in (("items.csv", "items.csv"), ("interactions.csv", "orphan_reviews.csv")):
        (for_orphans / name).write_bytes((source / came).read_bytes())
    _, report = read_folder(for_orphans, "orphans")
    assert [found.code for found in report.refused if found.code == "E-ROW-REF"] == ["E-ROW-REF"] * 152
    assert report.interactions == 0


def test_phone_photos_of_groceries_are_views_and_not_items():
    source = sample("grocery_store_small")
    catalogue, report = read_folder(source, "grocery")
    views = read_photos(source)
    assert (report.items, len(views), report.media) == (81, 546, {"image": 81 + 546})
    assert [sum(view.split == part for view in views) for part in ("train", "val", "test")] == [243, 60, 243]
    assert len(catalogue.items) - len({view.item_id for view in views if view.split == "val"}) == 21


def test_right_or_wrong_is_no_taste_and_a_clip_may_be_all_there_is():
    catalogue, report = read_folder(sample("esc10_audio"), "esc10")
    assert (report.items, report.users, report.interactions, report.media) == (160, 135, 1_859, {"audio": 160})
    assert (report.scale, sum(one.rating for one in catalogue.interactions)) == ("0 or 1", 1_774)
    assert [found.code for found in report.notices] == ["N-TAB-SCALE"]
    assert {item.attributes["fold"] for item in catalogue.items} == set("12345")
    assert len({one.item_id for one in catalogue.interactions}) == 124


def test_a_clip_without_sound_or_description_is_an_item():
    catalogue, report = read_folder(sample("video_clips"), "clips")
    assert (report.items, report.media, report.refused) == (6, {"video": 6}, ())
    assert sum(not item.description for item in catalogue.items) == 2 and all(item.text for item in catalogue.items)


# ---- MMRec


def test_lfm2k_is_the_published_split_with_both_feature_matrices():
    features = {"text": Path("text_feat.npy"), "audio": Path("audio_feat.npy")}
    reading = read_source(sample("lfm2k"), "lfm2k", features=features)
    made = label_column(reading.catalogue).fingerprint
    assert (made.users, made.items, made.train, made.validation, made.test) == (1_858, 1_425, 44_327, 4_799, 7_219)
    assert (made.sha, made.tested_users) == ("ab57f78716156a4c", 1_858)
    assert {m: one.values.shape for m, one in reading.matrices.items()} == {"text": (1425, 384), "audio": (1425, 128)}
    told = [found.reason for found in reading.report.notices]
    assert ["1 repeat" in told[0], "3 repeat" in told[1]] == [True, True]
    assert reading.catalogue.items[0].title == "Groove Armada"


def test_amazon_sports_is_the_split_of_lattice():
    reading = read_source(sample("amazon_sports"), "sports")
    made = label_column(reading.catalogue).fingerprint
    assert (made.rows, made.sha) == (296_337, "35694257d7020ccb")
    assert reading.report.cleaned == {"items without a training row": 13}


MMREC = "userID\titemID\tx_label\n0\t0\t0\n0\t1\t1\n1\t1\t0\n1\t2\t2\n"


def test_a_matrix_is_mounted_where_it_is_told_and_nowhere_else(tmp_path):
    source = write(tmp_path / "toy", toy__inter=MMREC)
    np.save(source / "image_feat.npy", np.eye(3))
    plain = read_source(source, "toy")
    assert detect(source) == "mmrec" and plain.matrices == {}
    assert [found.reason for found in plain.report.notices] == ["1 arrays stand for no modality: image_feat.npy"]
    mounted = read_source(source, "toy", features={"audio": Path("image_feat.npy")})
    assert mounted.matrices["audio"].values.tolist() == np.eye(3).tolist() and mounted.report.notices == ()
    assert rows(mounted) == [("0", "0", None, "train"), ("0", "1", None, "validation"), ("1", "1", None, "train"),
                             ("1", "2", None, "test")]  # fmt: skip


def test_columns_of_an_inter_file_may_stand_in_any_order(tmp_path):
    source = write(
        tmp_path / "toy", toy__inter="x_label\ttimestamp\titemID\trating\tuserID\n2\t1700000000\t0\t4.5\t0\n"
    )
    [one] = read_source(source, "toy").catalogue.interactions
    assert (one.rating, one.split, one.timestamp) == (4.5, "test", 1_700_000_000_000)


def test_a_mapping_gives_raw_ids_and_names_items_that_no_row_has(tmp_path):
    source = write(tmp_path / "toy", toy__inter=MMREC, i_id_mapping__csv="asin\titemID\nB0\t0\nB1\t1\nB2\t2\nB3\t3\n")
    items = read_source(source, "toy").catalogue.items
    assert [(item.item_id, item.attributes["raw_id"]) for item in items] == [
        ("0", "B0"), ("1", "B1"), ("2", "B2"), ("3", "B3")
    ]  # fmt: skip


@pytest.mark.parametrize(("table", "code", "told"), [
    ("userID\titemID\n0\t0\n", "E-TAB-COLUMN", 'no column "x_label"'),
    (MMREC + "1\t0\t3\n", "E-ROW-VALUE", 'row 5 (line 6), column "x_label": "3" is no label'),
    (MMREC + "-1\t0\t0\n", "E-ROW-ID", '"-1" is not a whole number from 0'),
    (MMREC + "1.0\t0\t0\n", "E-ROW-ID", '"1.0" is not a whole number from 0'),
    (MMREC + "1\t4\t0\n", "E-ROW-ID", "1 ids below 4 are in no row, 3 first"),
    (MMREC + "3\t0\t0\n", "E-ROW-ID", "1 ids below 3 are in no row, 2 first"),
    (MMREC + "0\t0\t2\n", "E-ROW-DUP", "was met by user 0 in train and test"),
    (MMREC + "0\t0\n", "E-ROW-FIELDS", "2 cells under 3 columns"),
    (MMREC + "0\tx\t9\n", "E-ROW-ID", "1 more rows are bad"),
])  # fmt: skip
def test_a_bad_row_stops_a_benchmark(tmp_path, table, code, told):
    error = refusal(write(tmp_path / "toy", toy__inter=table))
    assert error.code == code and told in str(error) and "skipped" not in str(error)


def test_all_bad_rows_are_on_the_list(tmp_path):
    error = refusal(write(tmp_path / "toy", toy__inter=MMREC + "x\t0\t0\n" * 150))
    assert isinstance(error, RowsRefusedError) and len(error.problems) == 150
    assert {(found.severity, found.code) for found in error.problems} == {("STOP", "E-ROW-ID")}
    assert "149 more rows are bad. Nothing was imported" in str(error)


def test_an_equal_row_in_the_same_part_is_counted_once(tmp_path):
    reading = read_source(write(tmp_path / "toy", toy__inter=MMREC + "1\t2\t2\n"), "toy")
    assert len(reading.catalogue.interactions) == 4 and reading.report.cleaned["N-ROW-DUP"] == 1
    assert reading.report.cleaned["items without a training row"] == 1  # item 2 is in test alone


def test_two_tables_in_one_folder_are_not_guessed_between(tmp_path):
    error = refusal(write(tmp_path / "toy", a__inter=MMREC, b__inter=MMREC))
    assert error.code == "E-TAB-COLUMN" and "2 tables (a.inter, b.inter)" in str(error)


# ---- LATTICE


def lattice(folder: Path, train: dict, val: dict, test: dict) -> Path:
    files = zip(("train__json", "val__json", "test__json"), (train, val, test), strict=True)
    return write(folder, **{name: json.dumps(part) for name, part in files})


def test_a_lattice_split_has_items_up_to_its_largest_number(tmp_path):
    source = tmp_path / "toy"
    lattice(source / "5-core", {"0": [0, 1], "1": []}, {"0": [3]}, {"1": [1]})
    write(source, item_list__txt="org_id remap_id\nB00\t0\nB03\t3\n")
    reading = read_source(source, "toy")
    assert detect(source) == "lattice" and [item.item_id for item in reading.catalogue.items] == ["0", "1", "2", "3"]
    assert rows(reading) == [("0", "0", None, "train"), ("0", "1", None, "train"), ("0", "3", None, "validation"),
                             ("1", "1", None, "test")]  # fmt: skip
    assert reading.catalogue.items[3].attributes == {"raw_id": "B03"}
    assert reading.report.cleaned == {"users without a training row": 1, "items without a training row": 2}


def test_the_same_split_has_the_same_sha_as_json_and_as_inter(tmp_path):
    parts: dict[str, dict[str, list[int]]] = {"train": {}, "validation": {}, "test": {}}
    source = sample("lfm2k")
    for one in read_source(source, "lfm2k").catalogue.interactions:
        parts[one.split].setdefault(one.user_id, []).append(int(one.item_id))
    reading = read_source(lattice(tmp_path / "toy", *parts.values()), "toy")
    assert label_column(reading.catalogue).fingerprint.sha == "ab57f78716156a4c"


@pytest.mark.parametrize(("parts", "code", "told"), [
    (({"0": [1]}, {"0": [1]}, {}), "E-ROW-DUP", "in train and validation"),
    (({"0": [1.5]}, {}, {}), "E-ROW-ID", 'column "$["0"][0]": "1.5" is not a whole number'),
    (({"0": [-1]}, {}, {}), "E-ROW-ID", "is not a whole number from 0"),
    (({"a": [1]}, {}, {}), "E-ROW-ID", "is no user"),
    (({"0": [True]}, {}, {}), "E-ROW-ID", "is not a whole number"),
    (({"0": 7}, {}, {}), "E-ROW-ID", "is no user"),
    (([], {}, {}), "E-TAB-BROKEN", "an object"),
])  # fmt: skip
def test_what_is_no_split_stops_a_lattice_import(tmp_path, parts, code, told):
    error = refusal(lattice(tmp_path / "toy", *parts))
    assert error.code == code and told in str(error)


def test_broken_json_is_named_with_its_line(tmp_path):
    source = lattice(tmp_path / "toy", {"0": [1]}, {}, {})
    (source / "val.json").write_text('{"0":\n[1,')
    assert "val.json, line 2" in str(refusal(source))


# ---- limits, archives, templates


def test_more_rows_or_bytes_than_the_page_takes_name_the_command_line(monkeypatch):
    from dataclasses import replace

    from core.catalog import tables

    monkeypatch.setattr(tables, "LIMITS", replace(tables.LIMITS, table_rows=2, table_bytes=40))
    three = b"item_id\na\nb\nc\n"
    assert read_table(three, "items.csv").rows == 3
    for data, code in ((three, "E-TAB-ROWS"), (b"item_id\n" + b"a" * 40, "E-TAB-SIZE")):
        with pytest.raises(TableError, match=r"python -m core import items\.csv") as caught:
            read_table(data, "items.csv", uploaded=True)
        assert caught.value.code == code


def test_the_limits_of_the_page_reach_every_table_of_a_folder(tmp_path, monkeypatch):
    from dataclasses import replace

    from core.catalog import tables

    monkeypatch.setattr(tables, "LIMITS", replace(tables.LIMITS, table_rows=2))
    folder = write(tmp_path / "shop", items__csv="item_id\na\nb\n", interactions__csv="user_id,item_id\n" + "u,a\n" * 3)
    assert refusal(folder, ask=Ask(uploaded=True)).code == "E-TAB-ROWS"
    assert refusal(write(tmp_path / "toy", toy__inter=MMREC), ask=Ask(uploaded=True)).code == "E-TAB-ROWS"
    assert read_source(folder, "x").catalogue.items[0].item_id == "a"


def test_what_is_uploaded_mounts_nothing_from_elsewhere(tmp_path):
    outside = tmp_path / "f.npy"
    np.save(outside, np.eye(3))
    source = write(tmp_path / "toy", toy__inter=MMREC)
    assert read_source(source, "toy", features={"text": outside}).matrices
    for path in (outside, Path("../f.npy")):
        assert refusal(source, features={"text": path}, ask=Ask(uploaded=True)).code == "E-ARR-EMPTY"


def test_the_template_can_be_filled_in_packed_and_read(tmp_path):
    with zipfile.ZipFile(io.BytesIO(template_zip())) as archive:
        assert archive.namelist() == ["README.txt", "items.csv", "interactions.csv", "photos.csv"]
        for name in archive.namelist():
            (tmp_path / name).write_bytes(archive.read(name))
    reading = read_source(tmp_path, "shop")
    assert (reading.report.items, reading.report.interactions, reading.report.refused) == (2, 3, ())
    assert template_zip() == template_zip()


def test_a_gzip_is_no_table(tmp_path):
    (tmp_path / "toy.inter").write_bytes(gzip.compress(MMREC.encode()))
    assert refusal(tmp_path, "mmrec").code == "E-TAB-TYPE"


def test_a_cold_split_of_a_benchmark_of_ids_is_possible(tmp_path):
    catalogue = read_source(write(tmp_path / "toy", toy__inter=MMREC), "toy").catalogue
    assert item_cold(catalogue).fingerprint.rows == 4


def test_a_format_or_modality_that_nobody_knows_lists_the_known(tmp_path):
    with pytest.raises(UnknownNameError, match="known: amazon, amazon-benchmark, auto"):
        read_source(tmp_path, "x", "excel")
    with pytest.raises(UnknownNameError, match=r'unknown modality "smell"; known: audio, image'):
        read_source(tmp_path, "x", features={"smell": Path("a.npy")})
    assert all(one.title for one in FORMATS.values())
