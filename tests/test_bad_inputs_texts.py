"""Every text of the bad-inputs corpus, through the reader that page, command and training use."""

import pytest

from core.catalog.words import clean_text
from core.errors import TextError
from tests.corpus import expected, folder, need_corpus, outcome, rows_of, tool

need_corpus()
TOOL = tool()


@pytest.fixture(scope="session")
def corpus():
    return folder()


@pytest.mark.parametrize("row", rows_of("text"))
def test_every_text_gets_its_outcome_and_code(corpus, row):
    try:
        _, notices = clean_text((corpus / row["file"]).read_bytes(), row["file"])
        found = outcome({notice.code for notice in notices})
    except TextError as error:
        found = "refuse", error.code
    assert found == expected(row)


def cleaned(corpus, file):
    return clean_text((corpus / "text" / file).read_bytes(), file)


def test_the_cut_falls_between_graphemes(corpus):
    assert len(cleaned(corpus, "205_at_limit.txt")[0]) == 20_000
    assert len(cleaned(corpus, "206_over_limit.txt")[0]) == 20_000
    text, notices = cleaned(corpus, "207_cut_inside_emoji.txt")
    assert len(text) == 20_000 - 3 and not set(text) & set(TOOL.FAMILY)
    assert "20 008" in notices[0].message and "19 997" in notices[0].message


@pytest.mark.parametrize(("file", "text"), [
    ("208_emoji.txt", f"Great {TOOL.FAMILY} gift \U0001f1eb\U0001f1f7 \U0001f44d\U0001f3fd!"),
    ("210_bidi_override.txt", "good txet desrever end x"),
    ("211_invisible.txt", "warm lamp end"),
    ("212_nul.txt", "warmlamp"),
    ("213_controls.txt", "warm red  lamp"),
    ("214_lone_surrogate.txt", "warm \ufffd lamp"),
    ("215_composed.txt", "caf\u00e9 cr\u00e8me"),
    ("215_decomposed.txt", "caf\u00e9 cr\u00e8me"),
    ("216_mojibake.txt", "caf\u00e9 cr\u00e8me \u2013 very good"),
    ("222_sql.txt", "'; DROP TABLE item; -- \" OR 1=1"),
    ("224_personal.txt", "[mail], [phone], card [card], IBAN [IBAN]"),
    ("226_utf16.txt", "warme Lampe f\u00fcr den Tisch"),
    ("228_line_breaks.txt", "one\ntwo\nthree\nfour\nfive\nsix"),
    ("231_null_words.txt", "null None NaN undefined true"),
])  # fmt: skip
def test_what_is_left_of_a_text(corpus, file, text):
    assert cleaned(corpus, file)[0] == text


def test_at_most_eight_marks_stay_on_a_letter(corpus):
    text = cleaned(corpus, "218_stacked_marks.txt")[0]
    assert text.startswith("w") and text.endswith("arm lamp") and 1 <= len(text) - len("warm lamp") <= 8


def test_markup_stays_literal(corpus):
    assert cleaned(corpus, "219_markup.txt")[0] == (corpus / "text/219_markup.txt").read_text().strip()


def test_the_byte_that_is_not_utf8_is_named(corpus):
    with pytest.raises(TextError, match="byte 13"):
        cleaned(corpus, "227_latin1.txt")
