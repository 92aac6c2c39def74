"""RecBole, Amazon, plain tables and tables without a header: what is read, what is refused."""

import json

import pytest

from core.catalog.formats import detect, read_source
from tests.test_importers import refusal, rows, write

# ---- RecBole


RECBOLE = "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\tb\t4\t964981247.0\nv\ta\t2.5\t964982703\n"


def test_recbole_reads_types_items_and_float_times(tmp_path):
    item = 'item_id:token\ttitle:token_seq\tprice:float\tgenre:token_seq\nc\tThe "Last" One\t9.5\tdrama war\n'
    source = write(tmp_path / "toy", toy__inter=RECBOLE, toy__item=item, toy__user="user_id:token\nu\n")
    reading = read_source(source, "toy")
    assert detect(source) == "recbole" and [one.item_id for one in reading.catalogue.items] == ["c", "b", "a"]
    first = reading.catalogue.items[0]
    assert (first.title, first.price, first.attributes) == ('The "Last" One', 9.5, {"genre": "drama war"})
    assert [one.timestamp for one in reading.catalogue.interactions] == [964_981_247_000, 964_982_703_000]
    assert [found.reason for found in reading.report.notices] == ["are not used: toy.user"]


def test_parts_of_recbole_are_train_validation_and_test(tmp_path):
    head = "user_id:token\titem_id:token\n"
    parts = {f"toy__part{n}__inter": f"{head}u\t{item}\n" for n, item in ((1, "a"), (2, "b"), (3, "c"))}
    reading = read_source(write(tmp_path / "toy", **parts), "toy")
    assert [(one.item_id, one.split) for one in reading.catalogue.interactions] == [
        ("a", "train"), ("b", "validation"), ("c", "test")
    ]  # fmt: skip


@pytest.mark.parametrize(("inter", "code", "told"), [
    ("user_id:token\titem_id:id\nu\ta\n", "E-TAB-HEADER", 'the header cell "item_id:id" came'),
    ("user_id:token\titem_id:token:x\nu\ta\n", "E-TAB-HEADER", "item_id:token:x"),
    ("user_id:token\titem:token\nu\ta\n", "E-TAB-COLUMN", "no column item_id:token"),
    ("user_id:token\titem_id:float\nu\t1\n", "E-TAB-COLUMN", "no column item_id:token"),
    (RECBOLE + "u\ta\tx\t1\n", "E-ROW-VALUE", '"x" is not a number'),
    (RECBOLE + "u\ta\n", "E-ROW-FIELDS", "2 cells under 4 columns"),
    (RECBOLE + "\ta\t1\t1\n", "E-ROW-ID", "is empty"),
])  # fmt: skip
def test_what_recbole_cannot_read_is_refused(tmp_path, inter, code, told):
    error = refusal(write(tmp_path / "toy", toy__inter=inter), "recbole")
    assert error.code == code and told in str(error)


def test_ragged_sequences_are_refused(tmp_path):
    item = "item_id:token\temb:float_seq\na\t1 2\nb\t1\n"
    assert "has 1 numbers, 2 were expected" in str(refusal(write(tmp_path / "t", t__inter=RECBOLE, t__item=item)))


# ---- Amazon


def review(user: str, item: str, **more) -> dict:
    return {"rating": 5.0, "title": "Good", "text": "It <b>bends</b>", "images": [],
            "asin": f"{item}v", "parent_asin": item, "user_id": user,
            "timestamp": 1_600_000_000_000, **more}  # fmt: skip


def meta(item: str, **more) -> dict:
    return {"title": "Lamp", "features": ["Bends"], "categories": ["Home", "Lamps"], "description": ["Warm", "light"],
            "price": 12.5, "images": [{"thumb": "https://x/t.jpg", "large": "https://x/l.jpg", "hi_res": None}],
            "details": {"Brand": "Lux"}, "average_rating": 4.1, "parent_asin": item, **more}  # fmt: skip


def lines(*objects: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def test_amazon_is_joined_on_the_parent_and_fetches_nothing(tmp_path):
    other = {"images": {"hi_res": ["https://x/h.jpg", None], "large": ["https://x/l.jpg", "https://x/m.jpg"]},
             "details": '{"Brand": "Lux"}', "price": "$1,012.50"}  # fmt: skip
    late = review("v", "B", timestamp=None, sort_timestamp=1_600_000_000_001)
    metas, reviews = lines(meta("A"), meta("B", **other)), lines(review("u", "A"), late)
    source = write(tmp_path / "toy", meta_Toys__jsonl=metas, Toys__jsonl=reviews)
    reading = read_source(source, "toy")
    first, second = reading.catalogue.items
    assert detect(source) == "amazon" and (first.title, first.text) == ("Lamp", "Lamp. Bends Home Lamps Warm light")
    assert (first.price, second.price, first.category) == (12.5, 1012.5, "Home > Lamps")
    assert first.attributes["image_urls"] == "https://x/l.jpg" and first.media == {}
    assert second.attributes["image_urls"] == "https://x/h.jpg https://x/m.jpg" and second.attributes["Brand"] == "Lux"
    one, other = reading.catalogue.interactions
    assert (one.item_id, one.text, other.timestamp) == ("A", "Good. It bends", 1_600_000_000_001)


def test_a_review_without_its_product_is_left_out_and_listed(tmp_path):
    source = write(tmp_path / "toy", meta_T__jsonl=lines(meta("A")), T__jsonl=lines(review("u", "A"), review("u", "C")))
    reading = read_source(source, "toy")
    assert len(reading.catalogue.interactions) == 1
    assert [(found.code, found.line, found.value) for found in reading.report.refused] == [("E-ROW-REF", 2, "C")]
    alone = write(tmp_path / "alone", T__jsonl=lines(review("u", "A"), review("u", "C")))
    assert [item.item_id for item in read_source(alone, "toy").catalogue.items] == ["A", "C"]


@pytest.mark.parametrize(("text", "code", "told"), [
    (lines(review("u", "A", rating=6)), "E-ROW-VALUE", '"6" is not from 1 to 5'),
    (lines(review("u", "A", rating=0.5)), "E-ROW-VALUE", "is not from 1 to 5"),
    (lines(review("u", "A")) + '{"a": \n' + lines(review("u", "B")), "E-ROW-JSON", "row 2 (line 2)"),
    (lines(review("u", "A", user_id=None)), "E-ROW-ID", 'column "user_id": is missing'),
    (lines(review("u", "A", timestamp="soon")), "E-ROW-TIME", '"soon" is not a time'),
])  # fmt: skip
def test_a_bad_review_stops_the_import(tmp_path, text, code, told):
    error = refusal(write(tmp_path / "toy", T__jsonl=text))
    assert error.code == code and told in str(error)


def test_a_product_without_its_id_stops_the_import(tmp_path):
    source = write(tmp_path / "toy", meta_T__jsonl=lines(meta("A"), meta("")), T__jsonl=lines(review("u", "A")))
    assert refusal(source).code == "E-ROW-ID"


def test_a_last_line_that_is_cut_costs_that_line_only(tmp_path):
    source = write(tmp_path / "toy", T__jsonl=lines(review("u", "A")) + json.dumps(review("u", "B"))[:-20])
    reading = read_source(source, "toy")
    assert len(reading.catalogue.interactions) == 1 and [f.code for f in reading.report.refused] == ["E-ROW-JSON"]


@pytest.mark.parametrize("header", ["", "user_id,parent_asin,rating,timestamp\n"])
def test_the_official_split_is_read_with_and_without_a_header(tmp_path, header):
    parts = {f"Toys__{part}__csv": f"{header}u,{part},5.0,1600000000000\n" for part in ("train", "valid", "test")}
    reading = read_source(write(tmp_path / "toy", **parts), "toy")
    assert rows(reading) == [
        ("u", "train", 5.0, "train"),
        ("u", "valid", 5.0, "validation"),
        ("u", "test", 5.0, "test"),
    ]
    assert refusal(write(tmp_path / "toy", Toys__test__csv=f"{header}u,x,9,1\n")).code == "E-ROW-VALUE"


# ---- one table; tables without a header


def test_one_table_of_interactions_names_its_items(tmp_path):
    source = write(tmp_path / "toy", log__csv="user_id,item_id,weight,datetime\nu,b,2,2024-03-01\nv,a,,\nw,b,x,\n")
    reading = read_source(source / "log.csv", "toy")
    assert detect(source / "log.csv") == "interactions"
    assert rows(reading) == [("u", "b", 2.0, ""), ("v", "a", None, "")] and len(reading.catalogue.items) == 2
    assert [(found.code, found.row) for found in reading.report.refused] == [("E-ROW-VALUE", 3)]  # left out, not a stop
    assert reading.report.cleaned["N-TAB-MAP"] == 1


def test_a_folder_with_interactions_alone_and_a_parquet_file_are_tables_too(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"user_id": [1, 2], "item_id": [7, 7], "rating": [4, 5]}), tmp_path / "interactions.parquet"
    )
    assert rows(read_source(tmp_path, "toy")) == [("1", "7", 4.0, ""), ("2", "7", 5.0, "")]


def test_a_table_without_a_good_row_and_an_unknown_file_are_refused(tmp_path):
    write(tmp_path, log__csv="user_id,item_id,rating\nu,a,x\n", note__doc="hello")
    assert refusal(tmp_path / "log.csv").code == "E-ROW-VALUE"
    error = refusal(tmp_path / "note.doc")
    assert error.code == "E-TAB-TYPE" and "cornac-uir" in str(error)


@pytest.mark.parametrize(("form", "text", "expected"), [
    ("cornac-uir", "u\ta\t4\nv\tb\t2.5\n", [("u", "a", 4.0, ""), ("v", "b", 2.5, "")]),
    ("cornac-uirt", "u\ta\t4\t964981247\n", [("u", "a", 4.0, "")]),
    ("cornac-ui", "u\ta\tb\nv\tb\n", [("u", "a", None, ""), ("u", "b", None, ""), ("v", "b", None, "")]),
    ("cornac-uireview", 'u\ta\tA "fine" lamp\n', [("u", "a", None, "")]),
])  # fmt: skip
def test_cornac_is_read_as_it_is_named(tmp_path, form, text, expected):
    source = write(tmp_path, data__txt=text) / "data.txt"
    assert detect(source) == "" and rows(read_source(source, "toy", form)) == expected


@pytest.mark.parametrize(("form", "text", "code"), [
    ("cornac-uir", "u\ta\n", "E-ROW-FIELDS"), ("cornac-uir", "u\ta\tx\n", "E-ROW-VALUE"),
    ("cornac-uir", "u\ta\t\n", "E-ROW-VALUE"), ("cornac-uirt", "u\ta\t4\t964981247.0\n", "E-ROW-TIME"),
    ("cornac-uir", "u\t\t4\n", "E-ROW-ID"), ("cornac-uir", "u\ta\t1\nv\ta\n", "E-ROW-FIELDS"),
])  # fmt: skip
def test_a_bad_line_stops_cornac(tmp_path, form, text, code):
    assert refusal(write(tmp_path, data__txt=text) / "data.txt", form).code == code


def test_elliot_is_three_tables_without_headers(tmp_path):
    source = write(tmp_path / "toy", train__tsv="u\ta\t5\n", val__tsv="u\tb\t3\n", test__tsv="u\tc\t4\n")
    assert [one[3] for one in rows(read_source(source, "toy", "elliot"))] == ["train", "validation", "test"]
    (source / "test.tsv").unlink()
    assert "there is no test.tsv" in str(refusal(source, "elliot"))
