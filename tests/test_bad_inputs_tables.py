"""Every table of the bad-inputs corpus, through the reader that page, command and training use."""

import csv
import io

import pytest

from core.catalog.folder import read_folder
from core.errors import FusescopeError
from tests.corpus import expected, folder, need_corpus, outcome, rows_of

need_corpus()


@pytest.fixture(scope="session")
def corpus():
    return folder()


def import_table(corpus, row, place):
    """The table alone as a catalogue; interactions come with the three items of the control."""
    source = corpus / row["file"]
    data = source.read_bytes()
    if b"user_id" in data[:20]:
        (place / "items.csv").write_bytes((corpus / "table/300_items.csv").read_bytes())
        (place / "interactions.csv").write_bytes(data)
    else:
        (place / f"items{source.suffix}").write_bytes(data)
    if "picture_paths" in row["file"]:
        (place / "photos").mkdir()
        (place / "photos/a1.jpg").write_bytes((corpus / "image/100_ok.jpg").read_bytes())
    return read_folder(place, "corpus")


@pytest.mark.parametrize("row", rows_of("table"))
def test_every_table_gets_its_outcome_and_code(corpus, row, tmp_path):
    try:
        _, report = import_table(corpus, row, tmp_path)
        codes = {found.code for found in report.refused + report.notices}
        found = outcome(codes | {code for code in report.cleaned if code.startswith("N-")})
    except FusescopeError as error:
        assert str(tmp_path) not in str(error)
        found = "refuse", error.code
    assert found == expected(row)


@pytest.mark.parametrize(("file", "items", "interactions"), [
    ("300_items.csv", 3, 0), ("300_interactions.csv", 3, 3), ("300_items.jsonl", 3, 0), ("300_items.parquet", 200, 0),
    ("308_mixed_line_ends.csv", 3, 0), ("311_one_extra_field.csv", 2, 0), ("313_nul_in_cell.csv", 2, 0),
    ("314_unclosed_quote.csv", 1, 0), ("317_ids_that_look_like_numbers.csv", 8, 0),
    ("321_ids_that_look_alike.csv", 4, 0),
    ("323_ratings.csv", 3, 4), ("324_timestamps_odd.csv", 3, 4), ("325_timestamps_bad.csv", 3, 1),
    ("329_unknown_item.csv", 3, 1), ("330_picture_paths.csv", 7, 0), ("331_last_line_cut.jsonl", 2, 0),
    ("334_odd_values.jsonl", 2, 0), ("336_not_objects.jsonl", 1, 0), ("339_line_separator_in_text.jsonl", 2, 0),
    ("348_other_types.parquet", 200, 0), ("356_same_user_and_item.csv", 3, 1), ("358_quoted_line_breaks.csv", 1, 0),
])  # fmt: skip
def test_how_many_rows_are_kept(corpus, file, items, interactions, tmp_path):
    catalogue, report = import_table(corpus, {"file": f"table/{file}"}, tmp_path)
    assert (len(catalogue.items), len(catalogue.interactions)) == (items, interactions)
    assert (report.items, report.interactions) == (items, interactions)


def test_ids_and_words_that_look_like_something_else_stay_text(corpus, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ids = import_table(corpus, {"file": "table/317_ids_that_look_like_numbers.csv"}, tmp_path / "a")[0]
    assert [item.item_id for item in ids.items] == [
        "00123", "1.0", "1e5", "12345678901234567890", "-0", "1_000", "TRUE", "MAR-01"
    ]  # fmt: skip
    words = import_table(corpus, {"file": "table/322_null_words.csv"}, tmp_path / "b")[0]
    assert [item.title for item in words.items] == ["NA", "None", "NaN"]


def test_the_earliest_of_two_meetings_is_kept(corpus, tmp_path):
    catalogue, _ = import_table(corpus, {"file": "table/356_same_user_and_item.csv"}, tmp_path)
    assert catalogue.interactions[0].rating == 5


def test_times_are_stored_in_utc_milliseconds(corpus, tmp_path):
    catalogue, _ = import_table(corpus, {"file": "table/324_timestamps_odd.csv"}, tmp_path)
    day = 19_783 * 86_400_000  # 2024-03-01 is day 19 783 after 1970-01-01
    assert [met.timestamp for met in catalogue.interactions][1:] == [0, day + 16_200_000, day + 36_000_000]


def test_the_row_and_line_of_an_unclosed_quote_are_named(corpus, tmp_path):
    _, report = import_table(corpus, {"file": "table/314_unclosed_quote.csv"}, tmp_path)
    assert report.refused[0].where == "items.csv, row 2 (line 3)"


def test_formulas_are_kept_and_escaped_in_the_rejects_file(corpus, tmp_path):
    header, cell = "item_id,title\n", '=HYPERLINK("http://example.invalid")'
    (tmp_path / "items.csv").write_text(f'{header}a1,"Kettle"\n,"x"\n"a2","y","z"\n')
    (tmp_path / "interactions.csv").write_text('user_id,item_id\nu1,"' + cell.replace('"', '""') + '"\n')
    _, report = read_folder(tmp_path, "x")
    rejects = list(csv.DictReader(io.StringIO(report.write_rejects(tmp_path / "rejects.csv").read_text())))
    assert [row["code"] for row in rejects] == [found.code for found in report.refused]
    assert "'" + cell in [row["value"] for row in rejects]
