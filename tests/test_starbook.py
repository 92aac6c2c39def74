"""Stars foretold: the matrix, the curve and the reviews behind a cell, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.errors import SettingsError, ShapeError
from core.evaluate.protocols import split_by
from core.evaluate.starbook import StarBook, star_book
from core.figures_errors import calibration_figure, confusion_figure
from pages.shared import errors_services, services
from pages.shared import errors_visit as visit
from tests.toys import ToyWorkspace, toy_catalogue

ROOT = Path(__file__).resolve().parents[1]


def toy_stars() -> StarBook:
    """Six ratings. Read: 5 as 5 (sure .9), 5 as 5 (.7), 1 as 5 (.9), 1 as 1 (.7); the last two have nothing to read.
    Before: all foretold as 5, sure .6."""
    sure = [(5, 0.9), (5, 0.7), (5, 0.9), (1, 0.7)]
    written = np.zeros((6, 5), dtype=np.float32)
    for at, (star, chance) in enumerate(sure):
        written[at] = (1 - chance) / 4
        written[at, star - 1] = chance
    before = np.tile(np.array([0.1, 0.1, 0.1, 0.1, 0.6], dtype=np.float32), (6, 1))
    return StarBook(
        about={"run": "toy", "digest": "d", "catalogue": "toy"}, key=np.array([f"{n:016x}" for n in range(6)]),
        row=np.arange(6), user=np.array(["u"] * 6), item=np.array(["t00"] * 6),
        truth=np.array([5, 5, 1, 1, 4, 5], dtype=np.int8), told=np.array([True] * 4 + [False] * 2),
        chances={"written": written, "before": before},
    )  # fmt: skip


def test_the_matrix_counts_true_against_foretold_and_only_what_was_read():
    counts = toy_stars().confusion("written")
    assert counts.sum() == 4
    assert (counts[4, 4], counts[0, 4], counts[0, 0]) == (2, 1, 1)
    assert toy_stars().confusion("before")[:, 4].tolist() == [2, 0, 0, 1, 3]


def test_behind_a_cell_stand_its_reviews_the_surest_first():
    book = toy_stars()
    assert book.cell("written", 5, 5).tolist() == [0, 1]
    assert book.cell("written", 1, 5).tolist() == [2]
    assert book.cell("written", 4, 5).tolist() == []  # rated, but nothing was written
    turned = replace(book, chances={**book.chances, "written": book.chances["written"][[1, 0, 2, 3, 4, 5]]})
    assert turned.cell("written", 5, 5).tolist() == [1, 0]


def test_the_curve_compares_how_sure_with_how_often_right():
    first, second = toy_stars().calibration("written")
    assert (first.count, first.right, second.count, second.right) == (2, 1.0, 2, 0.5)
    assert (first.sure, second.sure) == (pytest.approx(0.7), pytest.approx(0.9))
    assert second.low < 0.5 < second.high
    told = toy_stars().numbers("written")
    assert told["ece"] == pytest.approx((2 * abs(1.0 - 0.7) + 2 * abs(0.5 - 0.9)) / 4)
    assert told["accuracy"] == 3 / 4
    expected = [0.9 * 5 + 0.025 * 10, 0.7 * 5 + 0.075 * 10, 0.9 * 5 + 0.025 * 10, 0.7 * 1 + 0.075 * 14]
    truth = [5, 5, 1, 1]
    assert told["mae"] == pytest.approx(np.mean([abs(e - t) for e, t in zip(expected, truth, strict=True)]))


def test_a_book_of_stars_comes_back_from_its_file_and_its_columns_fit():
    book, again = toy_stars(), StarBook.from_bytes(toy_stars().to_bytes())
    assert again.about == book.about
    assert np.array_equal(again.chances["written"], book.chances["written"])
    assert np.array_equal(again.truth, book.truth) and np.array_equal(again.told, book.told)
    with pytest.raises(ShapeError, match="another number of truth"):
        replace(book, truth=book.truth[:3])


def test_pictures_carry_counts_and_intervals():
    book = toy_stars()
    matrix = confusion_figure(book.confusion("written"))
    assert list(matrix.data[0].text[0]) == list("10001")
    bins = book.calibration("written")
    curve = calibration_figure([b.sure for b in bins], [b.right for b in bins], [b.low for b in bins],
                               [b.high for b in bins], [b.count for b in bins])  # fmt: skip
    shown = curve.data[1]
    assert list(shown.y) == [1.0, 0.5]
    assert list(shown.error_y.array) == pytest.approx([b.high - b.right for b in bins])
    assert list(shown.error_y.arrayminus) == pytest.approx([b.right - b.low for b in bins])


def test_a_run_that_foretells_no_stars_is_refused_and_one_that_does_is_read(tmp_path, monkeypatch):
    import core.train.run
    from core.pipeline import load_run
    from core.train import train_run
    from tests.tiny_world import tiny_catalogue, tiny_features, tiny_settings

    monkeypatch.setattr(core.train.run, "catalogue_features", tiny_features)
    shop = tiny_catalogue()
    features, split = tiny_features(shop), split_by("leave-last", shop)
    for rank in ("rating", "content"):
        train_run(shop, tiny_settings(rank=rank, epochs=1), tmp_path / rank, vectors=tmp_path)
    book = star_book(load_run(tmp_path / "rating", shop, features=features), features, split)
    assert len(book) == (np.array(split.labels) == "test").sum() and book.told.all()
    assert book.chances["written"].sum(1) == pytest.approx(np.ones(len(book)), abs=1e-5)
    with pytest.raises(SettingsError, match="foretells no stars"):
        star_book(load_run(tmp_path / "content", shop, features=features), features, split)


# ---- the page


@pytest.fixture
def page(monkeypatch, tmp_path):
    st.cache_data.clear()
    st.cache_resource.clear()
    shop = toy_catalogue()
    toy = ToyWorkspace(shop=shop, home=tmp_path)
    toy.has_database = False
    monkeypatch.setattr(services, "workspace", lambda: toy)
    monkeypatch.setattr(errors_services, "stars", lambda wanted: replace(toy_stars(), row=np.zeros(6, dtype=np.int64)))
    at = AppTest.from_file(ROOT / "pages" / "errors_page.py", default_timeout=120)
    at.query_params["errors_kind"] = "stars"
    yield at
    st.cache_data.clear()
    st.cache_resource.clear()


def test_the_page_shows_matrix_curve_and_the_reviews_of_a_cell(page):
    at = page.run()
    assert not at.exception
    assert "right class **75.0%**" in "\n".join(one.value for one in at.markdown)
    assert len(at.get("plotly_chart")) == 2
    assert "1 reviews in this cell" in "\n".join(one.value for one in at.caption)
    assert at.dataframe[0].value["sure"].tolist() == pytest.approx([0.9])
    at.segmented_control(key=visit.GIVEN).set_value("2").run()
    assert not at.exception and "No rating is in this cell" in at.info[0].value
    at.toggle(key="errors_stars_table").set_value(True).run()
    assert not at.exception and len(at.dataframe) == 2
