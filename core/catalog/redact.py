"""What is personal in a text, masked; and what it was, so that a person sees what was removed.

Mail, IBAN, card (Luhn) and phone are masked wherever text is cleaned (`words.mask_personal`). Here come web addresses,
and names on request: those that are listed, and those that stand where a name stands (after a salutation, "my name is",
"kind regards"). Nothing here guesses names in running text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import regex

from core.catalog.words import mask_personal

MASKS = ("mail", "IBAN", "card", "phone", "link", "name")
_LINK = regex.compile(r"(?:https?://|www\.)[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]", regex.IGNORECASE)
_NAME = r"\p{Lu}[\p{L}'\u2019-]+(?: (?:van |von |de |al-)?\p{Lu}[\p{L}'\u2019-]+){0,2}"
_NAMED = regex.compile(
    rf"(?<=\b(?:Mrs|Mr|Ms|Miss|Dr|Frau|Herrn|Herr|Mme|Sr|Sra)\.? ){_NAME}"
    rf"|(?<=\b(?i:my name is|i am called|ich hei(?:ß|ss)e|je m'appelle|me llamo) ){_NAME}"
    r"|(?<=\b(?i:best regards|regards|yours|sincerely|cheers|liebe gr(?:ü|ue)(?:ß|ss)e|gru(?:ß|ss))[,!]?\s)"
    rf"{_NAME}"
)


@dataclass(frozen=True, kw_only=True)
class Redacted:
    """A text without what was personal in it; removed: kind (one of MASKS) -> how many."""

    text: str
    removed: Mapping[str, int]

    @property
    def told(self) -> str:
        """Such as "2 mail, 1 link"; "" where nothing was removed."""
        return ", ".join(f"{count} {kind}" for kind, count in self.removed.items())


def redact(text: str, *, names: Sequence[str] = (), signed: bool = False) -> Redacted:
    """Mask mail, IBAN, card, phone and web addresses; `names` too, and with `signed` names where one stands."""
    before = Counter({kind: text.count(f"[{kind}]") for kind in MASKS})
    text, _ = mask_personal(_LINK.sub("[link]", text))
    for name in sorted(filter(None, names), key=len, reverse=True):
        text = regex.sub(rf"(?<!\p{{L}}){regex.escape(name)}(?!\p{{L}})", "[name]", text, flags=regex.IGNORECASE)
    if signed:
        text = _NAMED.sub("[name]", text)
    removed = Counter({kind: text.count(f"[{kind}]") for kind in MASKS}) - before
    return Redacted(text=text, removed=dict(removed))
