"""How the name of a file is shown to people: never as a path, never able to forge a line or turn letters around."""

from __future__ import annotations

import re
import unicodedata

from core.limits import LIMITS


def shown_name(name: str, missing: str = "unnamed file") -> str:
    """Last part of `name`, unprintable characters escaped, at most 80 characters with the ending kept."""
    plain = _escaped(re.split(r"[/\\]", name[-400:])[-1].strip() or missing)
    if len(plain) <= LIMITS.name_characters:
        return plain
    return f"{plain[: LIMITS.name_characters - 13]}...{plain[-10:]}"


def kept_name(name: str) -> str:
    """The end of a file's name, of at most 80 bytes: a letter may take four of the 255 that file systems allow."""
    return name.encode("utf-8", "ignore")[-LIMITS.name_characters :].decode("utf-8", "ignore")


def shown_value(value: str) -> str:
    """First 80 characters of a cell, unprintable characters escaped."""
    return _escaped(value[: LIMITS.name_characters])


def shown_bytes(count: int) -> str:
    """A number of bytes in words: 512 bytes, 31 kB, 21.4 MB."""
    if count < 1_000:
        return f"{count} byte{'' if count == 1 else 's'}"
    return f"{count / 1_000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def _escaped(text: str) -> str:
    return "".join(_escape(letter) for letter in text)


def _escape(letter: str) -> str:
    if letter.isprintable():
        return letter
    if unicodedata.category(letter) == "Zs":
        return " "
    return f"\\x{ord(letter):02x}" if ord(letter) < 256 else letter.encode("ascii", "backslashreplace").decode("ascii")
