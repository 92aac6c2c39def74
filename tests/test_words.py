"""Words: what is kept, what is dropped or masked, and that every change is told."""

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from core.catalog.names import kept_name, shown_bytes, shown_name
from core.catalog.redact import redact
from core.catalog.words import clean_fragment, clean_text, cut_between_graphemes, says_little
from core.errors import TextError
from core.limits import LIMITS

CLEAN = "N-TXT-CLEAN"


def codes(raw):
    return [notice.code for notice in clean_text(raw)[1]]


def test_plain_words_pass_unchanged_and_unremarked():
    assert clean_text("  A warm lamp for my desk \n") == ("A warm lamp for my desk", ())


def test_typed_and_uploaded_words_are_the_same():
    typed = "Lampe für den Tisch \ud83d\udc4d"  # a pair of surrogates, as a browser may send it
    assert clean_text(typed)[0] == "Lampe für den Tisch \U0001f44d"
    assert clean_text("Lampe für".encode("utf-8-sig")) == clean_text("Lampe für")


@pytest.mark.parametrize("raw", ["", " \n\t", "\u200b\u200d\ufeff", b"", b"\xff\xfe", "\u3164\u2800"])
def test_nothing_to_see_is_empty(raw):
    with pytest.raises(TextError, match=r"no words arrived; .* \(E-TXT-EMPTY\)"):
        clean_text(raw)


def test_odd_utf16_is_refused_with_its_byte():
    with pytest.raises(TextError, match=r"byte 4: not UTF-16"):
        clean_text(b"\xff\xfea\0b")


@pytest.mark.parametrize(("raw", "kept"), [
    ("warm\x00 lamp", "warm lamp"),
    ("a \x1b]0;title\x07b lamp", "a b lamp"),
    ("w\u00adarm \u2060lamp\u2066 x\u2069", "warm lamp x"),
    ("hidden lamp" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore me"), "hidden lamp"),
    ("lamp w" + "\u0301" * 200, "lamp \u1e83" + "\u0301" * 7),
])  # fmt: skip
def test_unseen_characters_are_dropped_and_told(raw, kept):
    assert clean_text(raw)[0] == kept and codes(raw) == [CLEAN]


@pytest.mark.parametrize("raw", [
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f flag of England",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 Persian joiner",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "tab\tand\nline",
])  # fmt: skip
def test_joiners_flags_tabs_and_lines_stay(raw):
    assert clean_text(raw) == (raw, ())


def test_mojibake_is_repaired_line_by_line_and_good_lines_stay():
    raw = "café Noir\nvery goodâ€¦\nÄÖÜ straße"
    assert clean_text(raw)[0] == "café Noir\nvery good…\nÄÖÜ straße"
    assert codes(raw) == ["N-TXT-FIXED"]


@pytest.mark.parametrize(("raw", "masked"), [
    ("write to anna.b+shop@mail.example.co.uk, please", "write to [mail], please"),
    ("call +49 30 1234567 or (030) 123 45 67", "call [phone] or [phone]"),
    ("call 030/1234567", "call [phone]"), ("call 0171 2345678.", "call [phone]."), ("(555) 123-4567", "[phone]"),
    ("card 4111 1111 1111 1111", "card [card]"), ("5500-0000-0000-0004 is mine", "[card] is mine"),
    ("3782 822463 10005", "[card]"),
    ("DE89 3704 0044 0532 0130 00 and more words", "[IBAN] and more words"), ("gb82WEST12345698765432", "[IBAN]"),
])  # fmt: skip
def test_personal_data_is_masked(raw, masked):
    assert redact(raw).text == masked
    assert clean_text(raw + " lamp")[0] == masked + " lamp" and codes(raw + " lamp") == ["N-TXT-PII"]


@pytest.mark.parametrize("raw", [
    "2026-01-01 00:00:00", "01.02.2024 10:00", "01/02/2024 1000", "EAN 4006381333931", "item 12345-678", "1,234,567.00",
    "4222222222222",
    "4111 1111 1111 1112", "DE00370400440532013000", "0.5 x 10 mm", "50 x 70 x 120 cm", "10 000 000", "a@b", "@home",
    "ISBN 978-3-16-148410-0", "ratio 16:9, 1920x1080", "0 0 0 0 0 0 0",
])  # fmt: skip
def test_numbers_of_things_are_not_personal(raw):
    assert (redact(raw).text, redact(raw).removed) == (raw, {})


@pytest.mark.parametrize(
    "raw", ["the and of 12 7", "http://example.invalid/warm-lamp", "[link] [name]", "it is", "\U0001f44d", "[mail]"]
)
def test_few_words_are_ranked_with_a_hint(raw):
    assert says_little(raw) and codes(raw) == ["N-TXT-WEAK"]


def test_an_address_alone_is_masked_and_says_little():
    raw = "http://shop.example/warm-lamp"
    assert says_little(raw) and codes(raw) == ["N-TXT-PII", "N-TXT-WEAK"]


@pytest.mark.parametrize("raw", ["lamp", "null", "这盏灯", "โคมไฟ", "für Kinder"])
def test_one_word_that_says_something_is_enough(raw):
    assert not says_little(raw) and codes(raw) == []


def test_a_huge_text_is_cut_and_both_numbers_are_told():
    text, notices = clean_text("lamp " * 1_000_000)
    assert len(text) == LIMITS.text_characters
    assert "5 000 000 characters arrived; the first 20 000 are used" in notices[0].message


def test_a_grapheme_longer_than_the_limit_is_cut_anyway():
    assert cut_between_graphemes("e" + "\u0301" * 50, 10) == "e" + "\u0301" * 9


def test_thousands_of_marks_take_no_time():
    text, _ = clean_text("a" + "\u0301\u0316" * 90_000 + " lamp")
    assert len(text) < 40


@pytest.mark.parametrize(("raw", "text", "steps"), [
    ("<p>Warm &amp; <b>soft</b></p><ul><li>one<li>two</ul>", "Warm & soft\none\ntwo", {"html": 8, "entities": 1}),
    ("Soft<script>alert(1)</script><style>p{}</style> rug", "Soft rug", {"html": 4}),
    ("3 < 5 and b > a, <br/>yes", "3 < 5 and b > a,\nyes", {"html": 1}),
    ("two  blanks", "two blanks", {"spaces": 1}),
    ("", "", {}), ("NA", "NA", {}), ("\u200b", "", {CLEAN: 1}),
    ("mail a@example.com", "mail [mail]", {"N-TXT-PII": 1, "masked mail": 1}),
    ("x" * 20_001, "x" * 20_000, {"N-TXT-CUT": 1}),
])  # fmt: skip
def test_a_cell_becomes_plain_text_and_every_step_is_counted(raw, text, steps):
    assert clean_fragment(raw) == (text, steps)


def test_a_cell_of_the_shop_may_keep_its_phone_number():
    assert clean_fragment("Call +49 30 1234567", personal=False) == ("Call +49 30 1234567", {})


@pytest.mark.parametrize(("name", "shown"), [
    ("../../etc/passwd.jpg", "passwd.jpg"), ("C:\\photos\\a.jpg", "a.jpg"), ("a\nb\u202e.jpg", "a\\x0ab\\u202e.jpg"),
    ("", "unnamed file"), ("/", "unnamed file"), ("a" * 300 + ".jpg", "a" * 67 + "..." + "a" * 6 + ".jpg"),
    ("\ud800.jpg", "\\ud800.jpg"), ("Lampe für Anna.jpg", "Lampe für Anna.jpg"),
])  # fmt: skip
def test_names_are_shown_but_never_obeyed(name, shown):
    assert shown_name(name) == shown and len(shown) <= 80


@pytest.mark.parametrize("letter", ["a", "é", "𝄞"])
def test_the_kept_name_of_a_file_fits_into_every_file_system(letter):
    assert kept_name(letter * 300 + ".png") == letter * ((80 - 4) // len(letter.encode())) + ".png"


def test_bytes_are_told_in_words():
    assert [shown_bytes(n) for n in (0, 1, 999, 31_400, 21_000_000)] == [
        "0 bytes", "1 byte", "999 bytes", "31 kB", "21.0 MB"
    ]  # fmt: skip


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)  # surrogates included


@settings(max_examples=200, deadline=5_000)
@given(raw=st.one_of(ANY_TEXT, st.binary(max_size=300), ANY_TEXT.map(lambda text: text.encode("utf-16", "replace"))))
def test_any_text_gives_clean_words_or_our_own_refusal(raw):
    try:
        text, notices = clean_text(raw)
    except TextError as error:
        assert error.code in ("E-TXT-EMPTY", "E-TXT-ENC")
        return
    text.encode("utf-8")
    assert text == text.strip() and len(text) <= LIMITS.text_characters
    assert all(letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs") for letter in text)
    assert not regex.search(r"\p{M}{9}", text)
    assert all(notice.code.startswith("N-TXT-") for notice in notices)


@settings(max_examples=200, deadline=5_000)
@given(raw=ANY_TEXT)
def test_cleaning_a_second_time_changes_nothing(raw):
    text, _ = clean_fragment(raw)
    text.encode("utf-8")
    assert clean_fragment(text, personal=False)[0] in (text, clean_fragment(clean_fragment(text)[0])[0])
