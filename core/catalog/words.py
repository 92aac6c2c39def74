"""Words: what was typed or imported -> clean Unicode text, and a word about everything that was changed.

`clean_text` reads a query; `clean_fragment` a cell of a catalogue, where markup of the shop's page is removed too.
Nothing here interprets markup in a query: what a person types stays literal.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import regex

from core.catalog.names import shown_name
from core.catalog.redact import LINK, MASKS, counted, masked, may_be_personal
from core.domain import Notice
from core.errors import TextError
from core.limits import LIMITS

_READ_AHEAD = 10 * LIMITS.text_characters  # of a text of any size, no more is looked at
_LINE_BREAKS = regex.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_TERMINAL = regex.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)?|[@-_])?")
_CONTROLS = regex.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_TURNING = regex.compile("[\u202a-\u202e\u2066-\u2069]")
_UNSEEN = regex.compile(
    "[\u00ad\u180e\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]"
    "|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+"  # tag letters belong in flags only
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAY_BE_GARBLED = re.compile("[\u00c2\u00c3]|[^\x00-\x7f]{2}")  # bytes of one UTF-8 letter stand side by side
_PLAIN = re.compile("[\t\n\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff]*")  # Latin letters as they should be: nothing to do
_MARKS = regex.compile(rf"(\p{{M}}{{{LIMITS.text_marks}}})\p{{M}}+")
_BLANK = regex.compile(r"[\s\p{Cf}\p{M}\u115f\u1160\u2800\u3164\uffa0]*")
_GRAPHEME = regex.compile(r"\X")
_SPACES = regex.compile(r"[ \t\u00a0]{2,}")

_MASKED = regex.compile(rf"\[(?:{'|'.join(MASKS)})\]")
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}'\u2019\u200c\u200d-]*")
_WITHOUT_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_SENTENCE_END = regex.compile(r"(?<=[.!?\u2026][\"'\u2019\u201d)]?)\s+|(?<=[\u3002\uff01\uff1f])|\n+|\s*[\u2022;]\s+")
_STOP_LIST = (
    "a about all also am an and any are as at be been but by can did do does for from had has have he her him his i if "
    "in into is it its me my no nor not of on or our she so than that the their them then there these they this those "
    "to too us very was we were what when which who will with would you your "
    "aber als am an auch auf aus bei das dem den der des die du ein eine einem einen einer er es für hat ich im in ist "
    "mit nicht oder sich sie sind so und von war wie wir zu "
    "au aux avec ce ces dans de des du elle en est et il je la le les mais ne nous ou pas pour que qui sa se son sur "
    "un une vous con del el los las por una y"
)
_STOP_WORDS = frozenset(_STOP_LIST.split())
_TAG = regex.compile(
    r"<!--[^>]*>|<(/?)(a|abbr|article|b|big|blockquote|body|br|button|center|code|div|dd|dl|dt|em|figure|font|footer|h[1-6]"
    r"|head|header|hr|html|i|iframe|img|input|li|link|main|meta|nav|noscript|object|ol|p|picture|pre|s|script|section"
    r"|small|span|strike|strong|style|sub|sup|svg|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|video)"
    r"(?:\s[^<>]*|/)?>",
    regex.IGNORECASE,
)
_BLOCK_LIST = "p br div li ul ol tr table h1 h2 h3 h4 h5 h6 hr section article blockquote dd dt pre"
_BLOCKS = frozenset(_BLOCK_LIST.split())
_ENTITY = regex.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")


@dataclass(kw_only=True)
class Cleaned:
    """A text and what was done to it: steps maps a code (N-TXT-*) or the name of a step to a number of places; removed:
    what was masked, such as "1 mail"."""

    text: str
    removed: str = ""
    steps: Counter[str] = field(default_factory=Counter)
    length: int = 0


def clean_text(raw: str | bytes, name: str = "text") -> tuple[str, tuple[Notice, ...]]:
    """The words of a query, composed (NFC), without unseen or turning characters, personal data masked, at most 20 000
    characters cut between graphemes; and what a person should know. Raises TextError E-TXT-EMPTY or E-TXT-ENC."""
    shown = shown_name(name, "text")
    typed, encoding = (raw, "") if isinstance(raw, str) else _decoded(raw, shown)
    done = _cleaned(typed, personal=True)
    text = done.text.strip()
    if _BLANK.fullmatch(text):
        raise TextError("E-TXT-EMPTY", f"{shown}: no words arrived; at least one was expected. Type a few words.")
    notices = []
    if encoding:
        notices.append(_notice("N-TXT-ENC", f"was {encoding}; it was read as that.", shown))
    if done.steps["N-TXT-FIXED"]:
        notices.append(_notice("N-TXT-FIXED", "was garbled by a wrong encoding somewhere; it was repaired.", shown))
    if dropped := done.steps["N-TXT-CLEAN"]:
        text_about = f"{_count(dropped, 'character')} that cannot be seen or shown {_were(dropped)} dropped."
        notices.append(_notice("N-TXT-CLEAN", text_about, shown))
    if count := done.steps["N-TXT-PII"]:
        text_about = (
            f"{_count(count, 'piece')} of personal data {_were(count)} masked before use: {done.removed}. "
            "Where one stood, the words now show its kind in square brackets."
        )
        notices.append(_notice("N-TXT-PII", text_about, shown))
    kept = cut_between_graphemes(text, LIMITS.text_characters)
    if len(kept) < len(text) or done.length > _READ_AHEAD:
        came = max(done.length, len(text))
        text_about = f"{_spaced(came)} characters arrived; the first {_spaced(len(kept))} are used."
        notices.append(_notice("N-TXT-CUT", text_about, shown))
    elif says_little(kept):
        text_about = "has few words that describe anything; a few more (what it is, colour, material) would help."
        notices.append(_notice("N-TXT-WEAK", text_about, shown))
    return kept, tuple(notices)


def clean_fragment(raw: str, *, personal: bool = True) -> tuple[str, Counter[str]]:
    """A cell of a catalogue as plain text ("" where nothing is left), and how often each step changed something.

    Steps: "html" tags and "entities" turned into text, "spaces" runs shortened, what was "masked mail",
    "masked link" and so on, and N-TXT-FIXED, -CLEAN, -PII, -CUT.
    """
    if not raw:
        return "", Counter()
    if raw.isascii() and raw.isalnum() and not (personal and may_be_personal(raw)):
        return _fragment_end(Cleaned(text=raw, length=len(raw)))
    steps: Counter[str] = Counter()
    text = raw[:_READ_AHEAD]
    if "<" in text:
        text, tags = _without_tags(text)
        steps["html"] += tags
    if "&" in text:
        text, entities = _ENTITY.subn(lambda found: html.unescape(found.group()), text)
        steps["entities"] += entities
    done = _cleaned(text, personal=personal)
    done.length = len(raw)
    done.steps.update(steps)
    return _fragment_end(done)


def masks_told(steps: Mapping[str, int]) -> str:
    """What `clean_fragment` masked, by the steps it told: such as "1 mail, 2 links"; "" for nothing."""
    return counted({kind: steps[f"masked {kind}"] for kind in MASKS if steps.get(f"masked {kind}")})


def sentences(text: str) -> list[str]:
    """The sentences of a cleaned text, in order, each a piece of it; at most `LIMITS.text_sentences`.

    Each is encoded by itself: a long text speaks of many things, and their average says little of any.
    """
    pieces = [piece.strip() for piece in _SENTENCE_END.split(text)]
    return [piece for piece in pieces if any(map(str.isalnum, piece))][: LIMITS.text_sentences] or [text]


def cut_between_graphemes(text: str, most: int) -> str:
    """The longest beginning of at most `most` characters that ends between two graphemes (a family emoji is one)."""
    if len(text) <= most:
        return text
    end = 0
    for grapheme in _GRAPHEME.finditer(text, 0, most + 64):
        if grapheme.end() > most:
            break
        end = grapheme.end()
    return text[: end or most]


def says_little(text: str) -> bool:
    """True where nothing is left after links, numbers, masks, single letters and stop words."""
    plain = _MASKED.sub(" ", LINK.sub(" ", text))
    if _WITHOUT_SPACES.search(plain):
        return False
    return not any(len(word) > 1 and word not in _STOP_WORDS for word in _WORD.findall(plain.lower()))


# Steps


def _decoded(raw: bytes, shown: str) -> tuple[str, str]:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return raw.decode("utf-16", "surrogatepass"), "UTF-16"
        except UnicodeDecodeError as error:
            raise _not_text(shown, "UTF-16", error.start) from error
    try:
        return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogatepass"), ""
    except UnicodeDecodeError as error:
        raise _not_text(shown, "UTF-8", error.start) from error


def _not_text(shown: str, expected: str, at: int) -> TextError:
    return TextError(
        "E-TXT-ENC",
        f"{shown}, byte {at}: not {expected}; text in UTF-8 was expected. Save it as UTF-8, or paste the words.",
    )


def _cleaned(raw: str, *, personal: bool) -> Cleaned:
    done = Cleaned(text=raw[:_READ_AHEAD], length=len(raw))
    text = done.text
    if not text.isascii():
        text = _repaired(text, done.steps)
    if not _PLAIN.fullmatch(text):
        text = _LINE_BREAKS.sub("\n", text)
        text = _dropped(text, done.steps, _TERMINAL, _CONTROLS, _TURNING, _UNSEEN)
        text, cut = _MARKS.subn(r"\1", text)
        done.steps["N-TXT-CLEAN"] += cut
        text = unicodedata.normalize("NFC", text)
    if personal:
        found = masked(text)
        text = found.text
        done.steps["N-TXT-PII"] = found.removed.total()
        done.steps.update({f"masked {kind}": count for kind, count in found.removed.items()})
        done.removed = found.told
    done.text = text
    return done


def _repaired(text: str, steps: Counter[str]) -> str:
    """Lone surrogates become U+FFFD, pairs one character; then mojibake, line by line, is turned back."""
    if _SURROGATE.search(text):
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        steps["N-TXT-CLEAN"] += max(1, joined.count("\ufffd") - text.count("\ufffd"))
        text = joined
    if not _MAY_BE_GARBLED.search(text):
        return text
    from ftfy import fix_encoding  # some 50 ms to import, and few texts need it

    lines = text.split("\n")
    fixed = [fix_encoding(line) if _MAY_BE_GARBLED.search(line) else line for line in lines]
    # a repair shortens; a line of equal length only had control characters read as Windows-1252: those are dropped
    fixed = [became if len(became) < len(came) else came for came, became in zip(lines, fixed, strict=True)]
    steps["N-TXT-FIXED"] += sum(came != became for came, became in zip(lines, fixed, strict=True))
    return "\n".join(fixed)


def _dropped(text: str, steps: Counter[str], *kinds: regex.Pattern) -> str:
    for kind in kinds:
        text, count = kind.subn("", text)
        steps["N-TXT-CLEAN"] += count
    return text


def _without_tags(text: str) -> tuple[str, int]:
    """Known HTML tags become a space or a line break; what stands inside script and style is left out."""
    kept: list[str] = []
    at, tags, inside = 0, 0, ""
    for tag in _TAG.finditer(text):
        closing, kind = tag.group(1), (tag.group(2) or "").lower()
        if not inside:
            kept.append(text[at : tag.start()])
            kept.append("\n" if kind in _BLOCKS else "")
        at, tags = tag.end(), tags + 1
        if not inside and not closing and kind in ("script", "style"):
            inside = kind
        elif inside and closing and kind == inside:
            inside = ""
    if not inside:
        kept.append(text[at:])
    return "".join(kept), tags


def _fragment_end(done: Cleaned) -> tuple[str, Counter[str]]:
    if done.steps["html"] or "  " in done.text:
        done.text, spaces = _SPACES.subn(" ", done.text)
        done.text = regex.sub(r" ?\n\s*", "\n", done.text) if done.steps["html"] else done.text
        done.steps["spaces"] += spaces
    text = done.text.strip()
    if len(text) > 1 and _BLANK.fullmatch(text):
        text = ""
    kept = cut_between_graphemes(text, LIMITS.text_characters)
    done.steps["N-TXT-CUT"] += len(kept) < len(text) or done.length > _READ_AHEAD
    return kept, +done.steps


def _notice(code: str, message: str, where: str) -> Notice:
    return Notice(code=code, message=message, where=where)


def _count(number: int, what: str) -> str:
    return f"{_spaced(number)} {what}{'' if number == 1 else 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")
