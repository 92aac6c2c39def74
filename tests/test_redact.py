"""Redaction: what is personal goes, what it was is told, and names only where somebody asked for it."""

from __future__ import annotations

import pytest

from core.catalog.clean import changed_words
from core.catalog.folder import read_folder
from core.catalog.redact import redact
from core.catalog.words import clean_fragment, clean_text


def test_each_kind_is_masked_and_counted():
    found = redact("See https://x.example/a?b=1, mail a@b.co, card 4111 1111 1111 1111 or www.shop.example!")
    assert found.text == "See [link], mail [mail], card [card] or [link]!"
    assert found.removed == {"mail": 1, "card": 1, "link": 2}
    assert found.told == "1 mail, 2 links, 1 card"


def test_nothing_personal_is_left_as_it_is():
    found = redact("A lamp of 40 x 20 cm for 19.95, version 2.0, e.g. for Anna's desk")
    assert (found.text, found.removed, found.told) == (
        "A lamp of 40 x 20 cm for 19.95, version 2.0, e.g. for Anna's desk", {}, "",
    )  # fmt: skip


@pytest.mark.parametrize("text", [
    "EUR 1.234.567,89", "$ 555 123 4567", "price: 100 200 3000", "100 200 3000 EUR", "1 299,00 EUR",
    "sizes 036 038 040", "012 3456 mm", "24V 10 000 000 lm", "120x80x40 cm",
    "SKU 555-123-4567", "part no. 0815-4711", "Artikel-Nr. 0123 456789", "model 0123-456789", "item #020/1234567",
    "EAN 4006381333931", "ISBN 978-3-16-148410-0", "UPC 0 12345 67890 5", "IMEI 490154203237518", "B00XYZ1234",
    "7012888888881881 is a number of a part", "6011000990139 as well",
    "2024-05-17 and 17.05.2024", "05/17/2024", "03 05 2024", "01.02.2024 - 03.04.2025", "2020-2024", "10:30-12:45",
    "http://example.invalid/a", "Great.Really nice", "example.com", "and/or", "f/2.8", "a@b", "ip 192.168.100.200",
])  # fmt: skip
def test_prices_sizes_codes_and_dates_are_no_phone_no_card_and_no_link(text):
    assert (redact(text).text, redact(text).removed) == (text, {})


@pytest.mark.parametrize(("text", "masked"), [
    ("my number in this order 0171 2345678", "my number in this order [phone]"),
    ("Nice products. 0171 2345678", "Nice products. [phone]"),
    ("2221 0000 0000 0009 is a card too", "[card] is a card too"),
    ("look at shop.example.de/anna and ftp://x.example/z.", "look at [link] and [link]."),
    ("http://a.invalid.example/b", "[link]"), ("https://anna@shop.example/me", "[link]"),
])  # fmt: skip
def test_what_is_personal_beside_words_of_the_trade_goes(text, masked):
    assert redact(text).text == masked


def test_a_question_tells_what_was_removed_from_it():
    text, [notice] = clean_text("A lamp like https://shop.example/anna, write a@b.co or c@d.co")
    assert text == "A lamp like [link], write [mail] or [mail]"
    assert notice.code == "N-TXT-PII" and "1 link" in notice.message and "2 mails" in notice.message


def test_an_import_tells_what_was_removed_and_where(tmp_path):
    rows = "l-1,Lamp,See www.shop.example or a@b.co\nm-1,Mug,Blue\n"
    (tmp_path / "items.csv").write_text("item_id,title,description\n" + rows)
    [found] = [one for one in changed_words(tmp_path) if one.step == "personal"]
    [mark] = found.marks
    assert (mark.item_id, mark.before, mark.after) == ("l-1", "See [link] or [mail]", "See [link] or [mail]")
    assert mark.reason.endswith("1 mail, 1 link masked")
    assert clean_fragment("a@b.co")[1] == {"N-TXT-PII": 1, "masked mail": 1}


def test_names_go_where_the_installation_asks_for_it(monkeypatch):
    said = "Anna is 1 of us. Yours, Ben Miller"
    monkeypatch.delenv("FUSESCOPE_MASK_NAMES", raising=False)
    assert clean_text(said)[0] == said
    monkeypatch.setenv("FUSESCOPE_MASK_NAMES", "1")
    assert clean_text(said)[0] == "Anna is 1 of us. Yours, [name]"
    monkeypatch.setenv("FUSESCOPE_MASK_NAMES", "Anna, Zoë")
    assert clean_fragment(said)[0] == "[name] is 1 of us. Yours, [name]"
    monkeypatch.setenv("FUSESCOPE_MASK_NAMES", "Ben, 2, ., ")
    assert clean_text("Ben has 2. Ben2 not, Dr. Ole neither")[0] == "[name] has 2. Ben2 not, Dr. [name] neither"


@pytest.mark.parametrize("off", ["", "0", " 0 ", ",", "0,"])
def test_zero_and_nothing_leave_names_as_they_are(off, monkeypatch):
    monkeypatch.setenv("FUSESCOPE_MASK_NAMES", off)
    assert clean_text("0 of us. Yours, Ben Miller")[0] == "0 of us. Yours, Ben Miller"
    assert clean_fragment("Ben") == ("Ben", {})


@pytest.mark.parametrize(("cell", "kind"), [
    ("DE89370400440532013000", "IBAN"), ("4111111111111111", "card"), ("004917123456789", "phone"), ("Anna", "name"),
])  # fmt: skip
def test_a_cell_that_is_nothing_but_personal_is_masked_too(cell, kind, monkeypatch):
    monkeypatch.setenv("FUSESCOPE_MASK_NAMES", "Anna")
    assert clean_fragment(cell) == (f"[{kind}]", {"N-TXT-PII": 1, f"masked {kind}": 1})
    assert clean_fragment(cell, personal=False) == (cell, {})


def test_the_ids_of_a_catalogue_are_never_masked(tmp_path):
    iban, card = "DE89370400440532013000", "4111111111111111"
    (tmp_path / "items.csv").write_text(f"item_id,title\n{iban},{iban}\n{card},mug\n")
    (tmp_path / "interactions.csv").write_text(f"user_id,item_id,rating\n{card},{iban},5\n")
    catalogue, _ = read_folder(tmp_path, "toys")
    assert [(one.item_id, one.title) for one in catalogue.items] == [(iban, "[IBAN]"), (card, "mug")]
    assert [(one.user_id, one.item_id) for one in catalogue.interactions] == [(card, iban)]


def test_a_mask_that_was_there_before_is_not_counted_again():
    assert redact("[mail] and a@b.co").removed == {"mail": 1}


@pytest.mark.parametrize(("text", "masked"), [
    ("Anna likes it, and ANNA's sister Hannah too", "[name] likes it, and [name]'s sister Hannah too"),
    ("ask Anna Maria", "ask [name]"), ("Anna2 is a model, 3Anna as well", "Anna2 is a model, 3Anna as well"),
])  # fmt: skip
def test_listed_names_go_as_whole_words(text, masked):
    assert redact(text, names=("Anna", "Anna Maria")).text == masked


@pytest.mark.parametrize(("text", "masked"), [
    ("Ask Mr. Smith about it", "Ask Mr. [name] about it"),
    ("My name is Zoë Field and I like it", "My name is [name] and I like it"),
    ("Lovely lamp. Kind regards, Anna Müller", "Lovely lamp. Kind regards, [name]"),
    ("A Nordlys mug for Monday", "A Nordlys mug for Monday"),
])  # fmt: skip
def test_signed_names_go_where_a_name_stands_and_nowhere_else(text, masked):
    assert redact(text, signed=True).text == masked
    assert "[name]" not in redact(text).text
