"""One cell -> one value: ids, numbers and times, with the reason where a cell is none of them."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, datetime

from core.limits import LIMITS

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"-?[0-9]{1,17}")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].{1,40})?", re.DOTALL)
_UNITS = ((10**11, "seconds", 1_000.0), (10**14, "milliseconds", 1.0), (10**17, "microseconds", 0.001))


def id_fault(key: str) -> str:
    """Why a trimmed cell cannot be an id, "" where it can."""
    if not key:
        return "is empty"
    if len(key) > LIMITS.id_characters:
        return f"has {len(key)} characters, at most {LIMITS.id_characters} were expected"
    if not key.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in key):
        return "holds a control character"
    return ""


def number(cell: str) -> float:
    """The finite number in a trimmed cell, NaN where it is none; 4,5 and 6/5, nan and 1_0 are none."""
    value = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    return value + 0.0 if math.isfinite(value) else math.nan


def better_number(cell: str) -> str:
    """How a cell that is no number may be mended."""
    plain = re.sub(r"[^0-9,.-]", "", cell).replace(",", ".")
    mended = _NUMBER.fullmatch(plain) and "/" not in cell
    return f"write {plain} or leave it empty" if mended else "leave it empty"


def time_unit(cell: str) -> str:
    """The unit that the size of an integer tells: seconds, milliseconds or microseconds; "" for 0 and other cells."""
    if not _INTEGER.fullmatch(cell) or not int(cell):
        return ""
    return next((unit for below, unit, _ in _UNITS if abs(int(cell)) < below), "")


def milliseconds(cell: str) -> int | None:
    """UTC milliseconds of an ISO 8601 time or of an integer whose size tells its unit; None where it is neither."""
    if _INTEGER.fullmatch(cell):
        value = int(cell)
        return next((round(value * factor) for below, _, factor in _UNITS if abs(value) < below), None)
    if not cell.isascii() or not _ISO.fullmatch(cell):
        return None
    try:
        moment = datetime.fromisoformat(cell)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000)
    except (ValueError, OverflowError):
        return None
