"""Redaction: what is personal goes, what it was is told, and names only where somebody asked for it."""

from __future__ import annotations

import pytest

from core.catalog.redact import redact


def test_each_kind_is_masked_and_counted():
    found = redact("See https://x.example/a?b=1, mail a@b.co, card 4111 1111 1111 1111 or www.shop.example!")
    assert found.text == "See [link], mail [mail], card [card] or [link]!"
    assert found.removed == {"mail": 1, "card": 1, "link": 2}
    assert found.told == "1 mail, 1 card, 2 link"


def test_nothing_personal_is_left_as_it_is():
    found = redact("A lamp of 40 x 20 cm for 19.95, version 2.0, e.g. for Anna's desk")
    assert (found.text, found.removed, found.told) == (
        "A lamp of 40 x 20 cm for 19.95, version 2.0, e.g. for Anna's desk", {}, "",
    )  # fmt: skip


def test_a_mask_that_was_there_before_is_not_counted_again():
    assert redact("[mail] and a@b.co").removed == {"mail": 1}


@pytest.mark.parametrize(("text", "masked"), [
    ("Anna likes it, and ANNA's sister Hannah too", "[name] likes it, and [name]'s sister Hannah too"),
    ("ask Anna Maria", "ask [name]"),
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
