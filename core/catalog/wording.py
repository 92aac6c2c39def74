"""catalogue.json: what a catalogue calls its things, so that a screen need not call everything a product of a shop.

    {"words": {"item": "reply", "items": "replies", "query": "message", "queries": "messages", "unit": "min"}}

The keys are the fields of `core.domain.Words`. What is wrong is listed and left out: the standard word stands.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from core.catalog.ledger import Ledger
from core.domain import Words

FILE = "catalogue.json"
LARGEST = 10_000  # bytes
PLAIN = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '/-](?=[^\W\d_])){0,23}")  # letters, single joints between them
UNIT = re.compile(r"[^\W_][\w/%.²³ -]{0,11}|[€$£¥%]")
KNOWN = tuple(one.name for one in fields(Words))


def read_words(source: Path, ledger: Ledger | None = None) -> Words:
    """The words of the catalogue in folder `source`; the standard ones where it says nothing. Raises nothing."""
    ledger = ledger or Ledger()
    path = source / FILE
    if not path.is_file():
        return Words()
    given = _words(path, ledger)
    good: dict[str, str] = {}
    for name, word in given.items():
        if name not in KNOWN:
            _refuse(ledger, str(name), f"is no word that can be chosen; {', '.join(KNOWN)} are")
        elif not isinstance(word, str) or not (UNIT if name == "unit" else PLAIN).fullmatch(word):
            longest = "a unit of up to 12" if name == "unit" else "a word of up to 24 letters"
            _refuse(ledger, name, f"is {json.dumps(word)[:80]}; {longest} was expected")
        else:
            good[name] = word
    return Words(**good)


def _words(path: Path, ledger: Ledger) -> dict[str, Any]:
    """The table below "words", empty where there is none that can be read."""
    if path.stat().st_size > LARGEST:
        _refuse(ledger, "", f"has more than {LARGEST:,} bytes; a short list of words was expected")
        return {}
    try:
        told = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        _refuse(ledger, "", "is no JSON in UTF-8")
        return {}
    words = told.get("words", {}) if isinstance(told, dict) else None
    if not isinstance(words, dict):
        _refuse(ledger, "words", 'is no table; {"words": {"item": "reply"}} was expected')
        return {}
    return words


def _refuse(ledger: Ledger, column: str, reason: str) -> None:
    ledger.tell_table("E-ROW-VALUE", FILE, column, reason, "The standard word stands.")
