"""The cases by name; each is built with a Size."""

from __future__ import annotations

from collections.abc import Callable

from bench.case import Case, Size
from bench.cases.encode import PhotoCase, TextCase
from bench.cases.four import FourCase
from bench.cases.query import QueryCase
from bench.cases.start import FirstPageCase, ImportCase

CASES: dict[str, Callable[[Size], Case]] = {
    "query": QueryCase,
    "Q4": FourCase,
    "E1": TextCase,
    "E5": PhotoCase,
    "S1": FirstPageCase,
    "S2": ImportCase,
}
HEADLINE = ("query", "E1", "E5", "S1", "S2")


def build(case_id: str, size: Size) -> Case:
    if case_id not in CASES:
        raise SystemExit(f'unknown case "{case_id}"; known: {", ".join(CASES)}')
    return CASES[case_id](size)
