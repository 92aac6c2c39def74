"""The canonical folder: what is kept, what is left out and listed, and the known counts of the sample folders."""

import csv
import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.catalog import media_paths
from core.catalog.folder import read_folder, read_photos, read_side_table
from core.catalog.photos import read_image
from core.catalog.tables import plain_cell, read_table, safe_cell
from core.catalog.template import template_csv
from core.catalog.verify import verify_media
from core.errors import AddressError, FusescopeError, TableError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ITEMS = "item_id,title,description,category,price,image,images\n"


def photo(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize((32, 32 + shade)).save(path)


def write(folder, **tables):
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def read(folder, **tables):
    return read_folder(write(folder, **tables), "shop")


def codes(problems):
    return [(found.code, found.row, found.line, found.column) for found in problems]


def test_an_item_comes_with_all_its_fields(tmp_path):
    photo(tmp_path / "photos/a_1.png")
    photo(tmp_path / "photos/a_2.png", 1)
    table = "item_id,Title,price,image,images,description,category,colour\n"
    table += "a,Blue lamp,39.90,photos/a_1.png,photos/a_1.png|photos/a_2.png,<b>Warm</b>,Home > Lamps,blue|white\n"
    catalogue, report = read(tmp_path, items=table)
    item = catalogue.items[0]
    assert (item.title, item.description, item.category, item.price) == ("Blue lamp", "Warm", "Home > Lamps", 39.9)
    assert item.media == {"image": ("photos/a_1.png", "photos/a_2.png")}  # the main picture is not counted twice
    assert item.attributes == {"colour": "blue|white"}
    assert report.media == {"image": 2} and report.cleaned == {"html": 2, "N-TAB-MAP": 1}
    assert catalogue.root == tmp_path and catalogue.name == "shop"


def test_customer_photos_belong_to_their_interaction(tmp_path):
    photo(tmp_path / "customer/1.png")
    events = "user_id,item_id,rating,timestamp,review_title,review_text,images,split\n"
    events += 'u,a,,2024-03-01T01:00:00+01:00,Nice,"Warm, soft",customer/1.png|customer/2.png,test\n'
    catalogue, report = read(tmp_path, items="item_id,title\na,Lamp\n", interactions=events)
    met = catalogue.interactions[0]
    assert met.media == {"image": ("customer/1.png",)} and met.split == "test"
    assert met.rating is None and met.timestamp == 19_783 * 86_400_000  # 2024-03-01T00:00Z
    assert met.text == "Nice. Warm, soft"
    assert codes(report.notices) == [("N-ZIP-PAIR", 1, 2, "images")] and report.users == 1


def test_a_problem_names_file_row_line_column_value_reason_and_fix(tmp_path):
    table = ITEMS + 'a,"Two\nlines",,,,,\n\nb,Lamp,,,"12,50 EUR",,\nc,Mug,,,-1,,\n'
    catalogue, report = read(tmp_path, items=table)
    assert [item.item_id for item in catalogue.items] == ["a"]
    first = report.refused[0]
    assert first.where == 'items.csv, row 2 (line 5), column "price"'  # row 1 takes lines 2 and 3, line 4 is blank
    assert first.message == '"12,50 EUR" is not a number; write 12.50 or leave it empty. The row was skipped.'
    assert (first.severity, first.file, first.value, first.reason) == (
        "SKIP",
        "items.csv",
        "12,50 EUR",
        "is not a number",
    )
    assert report.refused[1].reason == "is below 0" and report.item_rows == 3
    assert report.summary == "1 of 3 items imported, 2 problems listed"


def test_a_bad_row_in_quotes_leaves_the_rows_after_it(tmp_path):
    catalogue, report = read(tmp_path, items='item_id,title\na,Lamp\nb,"Mug" x\nc,Rug\n')
    assert [item.item_id for item in catalogue.items] == ["a", "c"]
    assert codes(report.refused) == [("E-ROW-QUOTE", 2, 3, "")]


@pytest.mark.parametrize("path", [
    "/etc/passwd", "..\\x.png", "C:\\x.png", "C:/x.png", "file:///etc/passwd", "http://127.0.0.1:9/x.png", "~/x.png",
    "\\\\host\\share\\x.png", "photos/../../x.png", "..", "a\x07.png",
])  # fmt: skip
def test_a_path_out_of_the_folder_is_never_opened(tmp_path, path, monkeypatch):
    opened = []
    monkeypatch.setattr(media_paths, "open", lambda *name: opened.append(name), raising=False)
    catalogue, report = read(tmp_path, items=f'item_id,title,image\na,Lamp,"{path}"\n')
    assert catalogue.items[0].media == {} and catalogue.items[0].title == "Lamp"
    assert codes(report.refused) == [("E-ROW-PATH", 1, 2, "image")] and not opened


def test_a_path_that_goes_up_and_down_again_is_refused_too(tmp_path):
    photo(tmp_path / "photos/a.png")
    write(tmp_path, items="item_id,title\na,Lamp\n", photos="image,item_id\nx/../photos/a.png,a\nphotos/a.png,a\n")
    _, report = read_folder(tmp_path, "shop")
    assert codes(report.refused) == [("E-ROW-PATH", 1, 2, "image")] and report.media == {"image": 1}
    assert [view.image for view in read_photos(tmp_path)] == ["photos/a.png"]


def test_numbers_in_json_lines_keep_their_spelling(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"item_id": -0, "price": 4.50}\n{"item_id": 1e5, "x": true, "y": null}\n')
    catalogue, _ = read_folder(tmp_path, "shop")
    assert [(item.item_id, item.price) for item in catalogue.items] == [("-0", 4.5), ("1e5", None)]
    assert catalogue.items[1].attributes == {"x": "true", "y": ""}


def test_a_link_that_leaves_the_folder_is_not_followed(tmp_path):
    photo(tmp_path / "outside.png")
    inside = tmp_path / "shop"
    inside.mkdir()
    os.symlink(tmp_path / "outside.png", inside / "a.png")
    os.symlink(tmp_path, inside / "up")
    catalogue, report = read(inside, items="item_id,title,images\na,Lamp,a.png|up/outside.png\n")
    assert catalogue.items[0].media == {}
    assert [found.code for found in report.refused] == ["E-ROW-PATH", "E-ROW-PATH"]


def test_a_missing_photo_leaves_the_item_without_that_modality(tmp_path):
    catalogue, report = read(tmp_path, items=ITEMS + "a,Lamp,,,,photos/none.jpg,\n")
    assert catalogue.items[0].media == {}
    assert codes(report.notices) == [("N-ZIP-PAIR", 1, 2, "image")] and report.cleaned == {"N-ZIP-PAIR": 1}


@pytest.mark.parametrize(("column", "data", "code"), [
    ("image", b"", "E-IMG-EMPTY"), ("image", b"hello", "E-IMG-TYPE"), ("audio", b"", "E-AUD-EMPTY"),
    ("audio", b"hello", "E-AUD-TYPE"), ("video", b"", "E-VID-EMPTY"), ("video", b"\x89PNG\r\n\x1a\n", "E-VID-TYPE"),
])  # fmt: skip
def test_a_medium_whose_first_bytes_are_wrong_is_left_out(tmp_path, column, data, code):
    (tmp_path / "m").write_bytes(data)
    catalogue, report = read(tmp_path, items=f"item_id,title,{column}\na,Lamp,m\n")
    assert catalogue.items[0].media == {} and [found.code for found in report.refused] == [code]


def test_media_that_no_row_names_are_told_once(tmp_path):
    for number in range(5):
        photo(tmp_path / f"more/{number}.png")
    _, report = read(tmp_path, items="item_id,title\na,Lamp\n")
    assert report.notices[0].reason == (
        "5 media files are named by no row: more/0.png, more/1.png, more/2.png and 2 more"
    )  # fmt: skip


def test_photos_that_open_but_do_not_decode_are_found_by_verifying(tmp_path):
    photo(tmp_path / "good.png")
    photo(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-30])
    catalogue, report = read(tmp_path, items=ITEMS + "a,Lamp,,,,good.png,\nb,Mug,,,,cut.png,\n")
    assert report.refused == () and report.media == {"image": 2}
    steps = []
    problems = verify_media(catalogue, lambda label, share: steps.append(share), read=read_image)
    assert [(found.code, found.value) for found in problems] == [("E-IMG-TRUNC", "cut.png")]
    assert steps == [0.5, 1.0]


def test_an_unknown_item_is_an_orphan_never_a_new_item(tmp_path):
    events = "user_id,item_id\nu,a\nu,zz\n"
    catalogue, report = read(tmp_path, items="item_id,title\na,Lamp\n", interactions=events)
    assert len(catalogue.items) == 1 and len(catalogue.interactions) == 1
    assert codes(report.refused) == [("E-ROW-REF", 2, 3, "item_id")]


def test_without_times_the_first_row_of_a_pair_is_kept(tmp_path):
    events = "user_id,item_id,rating,timestamp\nu,a,1,\nu,a,2,2024-01-01\nv,a,3,2024-01-02\nv,a,4,2024-01-01\n"
    catalogue, _ = read(tmp_path, items="item_id,title\na,Lamp\n", interactions=events)
    assert {met.user_id: met.rating for met in catalogue.interactions} == {"u": 1, "v": 4}


@pytest.mark.parametrize(("ratings", "scale", "told"), [
    ((1, 5), "1 to 5", 0), ((0.5, 4), "0.5 to 5", 0), ((1, 1), "0 or 1", 0), ((0, 1), "0 or 1", 1),
    ((1, 10), "1 to 10", 1), ((1, 3.3), "1 to 3.3", 1),
])  # fmt: skip
def test_the_scale_of_ratings_is_taken_from_the_data(tmp_path, ratings, scale, told):
    events = "user_id,item_id,rating\n" + "".join(f"u{i},a,{value}\n" for i, value in enumerate(ratings))
    _, report = read(tmp_path, items="item_id,title\na,Lamp\n", interactions=events)
    assert report.scale == scale and len(report.notices) == told


@pytest.mark.parametrize(("cell", "moment"), [
    ("1700000000", 1_700_000_000_000), ("1700000000000", 1_700_000_000_000), ("1700000000000000", 1_700_000_000_000),
    ("964981247", 964_981_247_000), ("2024-03-01", 19_783 * 86_400_000), ("20240301", 20_240_301_000),
])  # fmt: skip
def test_the_size_of_a_number_tells_its_unit(tmp_path, cell, moment):
    events = f"user_id,item_id,timestamp\nu,a,{cell}\n"
    catalogue, _ = read(tmp_path, items="item_id,title\na,Lamp\n", interactions=events)
    assert catalogue.interactions[0].timestamp == moment


@pytest.mark.parametrize("cell", ["99999999999999999999", "1e9", "٢٠٢٤", "2024-13-01", "2024-03-01T25:00", "0x5"])
def test_what_is_no_time_skips_the_row(tmp_path, cell):
    events = f"user_id,item_id,timestamp\nu,a,{cell}\n"
    _, report = read(tmp_path, items="item_id,title\na,Lamp\n", interactions=events)
    assert codes(report.refused) == [("E-ROW-TIME", 1, 2, "timestamp")]


def test_the_version_changes_with_a_table_or_the_size_of_a_photo_and_with_nothing_else(tmp_path):
    photo(tmp_path / "a.png")
    table = ITEMS + "a,Lamp,,,,a.png,\n"
    first = read(tmp_path, items=table)[0].version
    assert read(tmp_path, items=table)[0].version == first and len(first) == 64
    (tmp_path / "NOTICE.md").write_text("x")
    assert read_folder(tmp_path, "another name")[0].version == first
    assert read(tmp_path, items=table.replace("Lamp", "Lamq"))[0].version != first
    write(tmp_path, items=table)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"x")
    assert read_folder(tmp_path, "shop")[0].version != first


@pytest.mark.parametrize(("items", "code"), [
    (None, "E-TAB-EMPTY"), ("", "E-TAB-EMPTY"), ("title\nLamp\n", "E-TAB-COLUMN"), ("item_id,title\n,x\n", "E-ROW-ID"),
])  # fmt: skip
def test_a_folder_without_good_items_is_refused_whole(tmp_path, items, code):
    if items is not None:
        write(tmp_path, items=items)
    with pytest.raises(TableError) as caught:
        read_folder(tmp_path, "shop")
    assert caught.value.code == code and str(tmp_path) + "/" not in str(caught.value)


def test_a_folder_that_is_not_there_is_told():
    with pytest.raises(AddressError, match=r"nowhere: this folder is not there"):
        read_folder(Path("/nowhere"), "shop")


def test_the_template_reads_back(tmp_path):
    for name, text in template_csv().items():
        (tmp_path / name).write_text(text, newline="")
    for path in ("photos/lamp-1_a.jpg", "photos/lamp-1_b.jpg", "photos/mug-1.jpg", "customer/mug-1_ben.jpg",
                 "more/lamp-1_evening.jpg"):  # fmt: skip
        photo(tmp_path / path)
    catalogue, report = read_folder(tmp_path, "template")
    assert (report.refused, report.notices, report.cleaned) == ((), (), {})
    assert (report.items, report.users, report.interactions, report.media) == (2, 2, 3, {"image": 5})
    assert catalogue.interactions[2].media == {"image": ("customer/mug-1_ben.jpg",)}
    assert [view.item_id for view in read_photos(tmp_path)] == ["lamp-1"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@x", "\t=1", "'=1", "''-x", "plain", "'quoted'", "", "'"])
def test_a_formula_survives_export_and_import(text):
    assert plain_cell(safe_cell(text)) == text
    assert not safe_cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_rejects_file_is_whole_and_runs_no_formula(tmp_path):
    _, report = read(tmp_path, items='item_id,title,price\na,Lamp,\nb,Mug,"=cmd(""x"")"\nc,Rug,-5\n')
    rows = list(csv.DictReader(io.StringIO(report.write_rejects(tmp_path / "out/rejects.csv").read_text())))
    assert [row["value"] for row in rows] == ['\'=cmd("x")', "'-5"]
    assert rows[0]["line"] == "3" and rows[0]["severity"] == "SKIP" and rows[0]["fix"]


def test_a_thousand_items_take_about_a_second(tmp_path):
    words = "A warm café lamp with <b>soft</b> light for the evening; call +49 30 1234567 to order. " * 4
    rows = []
    for number in range(1_000):
        (tmp_path / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
        rows.append(f'i{number},Lamp {number},"{words}",Home,{number}.5,{number}.png,\n')
    write(tmp_path, items=ITEMS + "".join(rows))
    start = time.perf_counter()
    _, report = read_folder(tmp_path, "shop")
    assert time.perf_counter() - start < 2 and report.items == 1_000 and report.media == {"image": 1_000}


# The sample folders; the counts are those of the evaluation reference


def sample(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"the sample folder ../shared/data/{name} is not there")
    return DATA / name


def test_movielens_has_442_rated_and_162_cold_films():
    catalogue, report = read_folder(sample("movielens_dev"), "movielens")
    assert (report.items, report.users, report.interactions, report.media) == (604, 594, 12_661, {"image": 604})
    rated = {met.item_id for met in catalogue.interactions}
    assert (len(rated), 604 - len(rated)) == (442, 162)
    assert report.scale == "0.5 to 5" and report.refused == () and report.notices == ()
    assert not any(met.text for met in catalogue.interactions) and all(item.description for item in catalogue.items)
    assert all(820_000_000_000 < met.timestamp < 1_600_000_000_000 for met in catalogue.interactions)  # 1996 to 2018
    assert len(read_side_table(sample("movielens_dev"), "tags", ("user_id", "item_id", "tag", "timestamp"))) == 496


def test_luma_has_454_picture_references_to_445_files():
    catalogue, report = read_folder(sample("magento_luma"), "luma")
    assert (report.items, report.users, report.interactions, report.media) == (197, 335, 348, {"image": 445})
    assert sum(len(item.media["image"]) for item in catalogue.items) == 454
    assert report.scale == "1 to 5" and all(met.timestamp is None and met.text for met in catalogue.interactions)
    assert [item.price for item in catalogue.items].count(0.0) == 1
    assert [found.code for found in report.notices] == ["N-ZIP-PAIR"]  # the one video that no row names
    links = read_side_table(sample("magento_luma"), "related", ("item_id", "related_item_id", "kind"))
    kinds = [link["kind"] for link in links]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"crosssell": 654, "related": 468, "upsell": 325}


def test_orphan_reviews_all_come_out_as_orphans(tmp_path):
    source = sample("magento_luma")
    (tmp_path / "items.csv").write_bytes((source / "items.csv").read_bytes())
    (tmp_path / "interactions.csv").write_bytes((source / "orphan_reviews.csv").read_bytes())
    _, report = read_folder(tmp_path, "orphans")
    assert [found.code for found in report.refused] == ["E-ROW-REF"] * 152 and report.interactions == 0


def test_groceries_have_546_more_photos_in_the_given_split():
    source = sample("grocery_store_small")
    catalogue, report = read_folder(source, "groceries")
    assert (report.items, report.interactions, report.media) == (81, 0, {"image": 81 + 546})
    assert all(len(item.media["image"]) == 1 for item in catalogue.items)
    views = read_photos(source)
    splits = [view.split for view in views]
    assert [splits.count(part) for part in ("train", "val", "test")] == [243, 60, 243]
    assert 81 - len({view.item_id for view in views if view.split == "val"}) == 21


def test_sounds_have_right_and_wrong_answers():
    catalogue, report = read_folder(sample("esc10_audio"), "sounds")
    assert (report.items, report.users, report.interactions, report.media) == (160, 135, 1_859, {"audio": 160})
    assert len({met.item_id for met in catalogue.interactions}) == 124
    assert {item.attributes["fold"] for item in catalogue.items} == set("12345")
    assert len({item.attributes["freesound_id"] for item in catalogue.items}) == 127
    assert report.scale == "0 or 1" and "1,774 of 1,859 are 1" in report.notices[0].reason


def test_clips_without_description_fall_back_to_their_title():
    catalogue, report = read_folder(sample("video_clips"), "clips")
    assert (report.items, report.media, report.refused, report.notices) == (6, {"video": 6}, (), ())
    bare = [item for item in catalogue.items if not item.description]
    assert len(bare) == 2 and all(item.text == item.title for item in bare)


# Any bytes at all


@settings(max_examples=200, deadline=5_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8")),
                      st.text("ab,;\"'\n\r\t|=0.5{}[]:\0\ufeff", max_size=120).map(
                          lambda text: ("item_id,price,image\n" + text).encode())),
       ending=st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet"]))  # fmt: skip
def test_any_bytes_give_a_catalogue_or_our_own_refusal(tmp_path, data, ending):
    for left in tmp_path.iterdir():
        left.unlink()
    (tmp_path / f"items{ending}").write_bytes(data)
    try:
        catalogue, report = read_folder(tmp_path, "x")
    except FusescopeError as error:
        assert error.code.startswith(("E-TAB-", "E-ROW-"))
        return
    assert report.items == len(catalogue.items) > 0
    assert report.items + len(
        [found for found in report.refused if found.severity == "SKIP"]
    ) <= report.item_rows + sum(found.code == "E-ROW-PATH" for found in report.refused)
    assert len({item.item_id for item in catalogue.items}) == report.items


def test_cells_of_a_table_are_found_by_name():
    table = read_table(b"a,b\n1,2\n", "t.csv", required=("a",))
    assert (table.cell(table.records[0], "b"), table.cell(table.records[0], "c")) == ("2", "")
