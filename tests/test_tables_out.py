"""Rows that leave the house: exact numbers, cells that a spreadsheet will not execute."""

from __future__ import annotations

import csv
import io

import pytest

from core.domain import Query
from core.report.tables import as_csv, ranking_rows
from tests.toys import ToyPipeline


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", '=HYPERLINK("http://e.x","y")'])
def test_a_cell_that_could_be_a_formula_gets_an_apostrophe(cell):
    assert read(as_csv([{"text": cell}]))[1] == [f"'{cell}"]


def test_numbers_and_plain_text_stay_as_they_are():
    header, row = read(as_csv([{"phi": -0.25, "title": 'a "quoted", mug\nof two lines', "price": None}]))
    assert header == ["phi", "title", "price"] and row == ["-0.25", 'a "quoted", mug\nof two lines', ""]


def test_a_ranking_becomes_one_row_a_card_with_its_numbers_unrounded():
    pipeline = ToyPipeline()
    answer = pipeline.recommend(Query.of(text="a mug"), top=3)
    rows = ranking_rows(answer, {item.item_id: item for item in pipeline.catalogue.items})
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["price"] == 12.0 and rows[0]["category"] == "mug"
    assert rows[0]["phi_text"] == answer.items[0].phi["text"] and rows[0]["share_text"] == 1.0
    assert rows[0]["run"] == "toy-run" and rows[0]["device"] == "cpu"
    assert as_csv(rows).startswith("\ufeffrank,item_id,title".encode())


def test_no_rows_are_an_empty_table():
    assert read(as_csv([])) == [[]]
