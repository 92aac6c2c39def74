"""What is personal in a text, masked; and what it was, so that a person sees what was removed.

Mail, web address, IBAN, card (Luhn) and phone are masked wherever text is cleaned (`core.catalog.words`); names on
request: those that are listed, and those that stand where a name stands (after a salutation, "my name is", "kind
regards"). Nothing here guesses names in running text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import regex

from core.config import mask_names

MASKS = ("mail", "link", "IBAN", "card", "phone", "name")
LINK = regex.compile(
    r"(?<![\w@.])(?:(?:https?|ftp)://|www\.(?=\w))[^\s<>\"']*[^\s<>\"'.,;:!?)\]}]"
    r"|(?<![\w@./-])(?:[a-z0-9-]{1,63}\.){1,4}(?:com|org|net|io|de|at|ch|fr|it|es|nl|uk|eu|us|info|shop)/[^\s<>\"']*"
    r"[^\s<>\"'.,;:!?)\]}]",  # without a scheme it is an address only where a path follows
    regex.IGNORECASE,
)
_NOWHERE = regex.compile(r"\w+://[^/?#\s]*\.invalid(?![\w.-])")  # RFC 2606: leads to nothing and nobody, by agreement
_MAY_BE_PERSONAL = re.compile(r"@|://|[wW]{3}\.|\.[A-Za-z]+/|[0-9][^A-Za-z]*[0-9]")
_MAIL = regex.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}\p{L}{2,24}(?![\w-])")
_IBAN = regex.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_CARD = regex.compile(r"(?<![\d.,-])[2-6]\d(?:[ -]?\d){12,17}(?![\d-])")
_ISSUERS = {14: "30[0-5]|3[68]", 15: "3[47]", 16: "4|5[1-5]|2[2-7]|35|6", 19: "4|6"}  # digits -> first digits
_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?!\d)|\d{1,2} \d{1,2} (?:19|20)\d\d(?!\d)"
_NUMBER_OF = r"[- ]?(?i:no|nr|number|nummer|code|id)\b"
_OF_A_THING = (  # before a number: it names or measures a thing
    r"(?<!\b(?:(?i:sku|ean|upc|gtin|isbn|asin|imei|s/n|serial|model|modell|part|lot|ref|sizes?|gr(?:ö|oe)(?:ß|ss)en?|price|preis"
    rf"|eur|usd|gbp|chf|version)(?:{_NUMBER_OF})?|(?i:article|artikel|art\.|item|order|bestell|product|produkt|type|code)"
    rf"(?:{_NUMBER_OF}| ?#))[.:#]{{0,2}} {{0,2}}#?)(?<![$€£#])(?<![$€£#] )"
)
_UNITS = r"(?! ?(?:[€$£%]|(?i:eur|usd|gbp|chf|cm|mm|km|kg|lbs?|lm|ml|mah|inch|watts?)\b))"
_PHONE = regex.compile(
    rf"(?<![\w.,+/-])(?!{_DATE}){_OF_A_THING}(?:"
    r"(?:\+|00)[1-9]\d{0,2}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,7}"  # with the code of a country
    r"|\(0\d{1,5}\)[ ./-]{0,2}\d{2,5}(?:[ /-]?\d{1,5}){1,4}"  # (030) 123 45 67
    r"|0\d{1,4}[ /-]\d{2,8}(?:[ /-]\d{1,5}){0,3}"  # 030 1234567
    r"|(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # (555) 123-4567
    rf")(?![\w])(?![.,]\d){_UNITS}"
)
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
    removed: Counter[str]

    @property
    def told(self) -> str:
        """Such as "1 mail, 2 links"; "" where nothing was removed."""
        return counted(self.removed)


def counted(removed: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in removed.items())


def redact(text: str, *, names: Sequence[str] = (), signed: bool = False) -> Redacted:
    """Mask mail, web addresses, IBAN, card and phone; `names` too, and with `signed` names where one stands."""
    removed: Counter[str] = Counter()
    if _MAY_BE_PERSONAL.search(text):
        text = _masked(_MAIL, text, "mail", removed)
        text = _masked(LINK, text, "link", removed, lambda came: 0 if _NOWHERE.match(came) else len(came))
        text = _masked(_IBAN, text, "IBAN", removed, _account_end)
        text = _masked(_CARD, text, "card", removed, lambda came: len(came) if _is_card(came) else 0)
        text = _masked(_PHONE, text, "phone", removed, lambda came: len(came) if _is_phone(came) else 0)
    for name in sorted(filter(None, names), key=len, reverse=True):
        whole = regex.compile(rf"(?<![\p{{L}}\p{{N}}]){regex.escape(name)}(?![\p{{L}}\p{{N}}])", regex.IGNORECASE)
        text = _masked(whole, text, "name", removed)
    if signed:
        text = _masked(_NAMED, text, "name", removed)
    return Redacted(text=text, removed=removed)


def masked(text: str) -> Redacted:
    """`redact` as this installation asks for it: with names where FUSESCOPE_MASK_NAMES says so."""
    wanted = mask_names()
    return redact(text, names=[name for name in wanted if name != "1"], signed=bool(wanted))


def may_be_personal(text: str) -> bool:
    """Quickly: whether `masked` could find something in it."""
    return bool(_MAY_BE_PERSONAL.search(text) or mask_names())


def _masked(
    kind: regex.Pattern, text: str, label: str, removed: Counter[str], end_of: Callable[[str], int] = len
) -> str:
    """end_of: how many letters of what was met are personal; 0: none."""

    def put(found: regex.Match) -> str:
        end = end_of(found.group())
        removed.update([label] if end else [])
        return f"[{label}]{found.group()[end:]}" if end else found.group()

    return kind.sub(put, text)


def _is_card(came: str) -> bool:
    plain = "".join(letter for letter in came if letter.isdigit())
    digits = list(map(int, plain))
    if len(set(digits)) < 2 or not re.match(_ISSUERS.get(len(digits), r"\b\B"), plain):
        return False  # of other lengths it is a product code (EAN, IMEI) far more often than a card
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_phone(came: str) -> bool:
    return 7 <= sum(letter.isdigit() for letter in came) <= 15


def _account_end(came: str) -> int:
    """The run of letters and digits may reach into the next word: the longest beginning that adds up is the number."""
    ends = [at for at in range(15, len(came) + 1) if at == len(came) or came[at] == " "]
    for end in reversed(ends):
        plain = came[:end].replace(" ", "").upper()
        if 15 <= len(plain) <= 34 and _adds_up(plain):
            return end
    return 0


def _adds_up(account: str) -> bool:
    return int("".join(str(int(letter, 36)) for letter in account[4:] + account[:4])) % 97 == 1
