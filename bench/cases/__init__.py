"""The cases by name, each loaded when it is asked for (the peers' environment lacks what other cases need)."""

from __future__ import annotations

from importlib import import_module

from bench.case import Case, Size

CASES: dict[str, tuple[str, str]] = {
    "query": ("query", "QueryCase"),
    "Q4": ("four", "FourCase"),
    "E1": ("encode", "TextCase"),
    "E2": ("encode", "ReducedTextCase"),
    "E5": ("encode", "PhotoCase"),
    "R1": ("search", "SearchCase"),
    "R1-10k": ("search", "SmallSearchCase"),
    "T1": ("ranking", "LearnCase"),
    "V1": ("ranking", "RankCase"),
    "V2": ("ranking", "MetricsCase"),
    "D1": ("drawing", "MapCase"),
    "S1": ("start", "FirstPageCase"),
    "S2": ("start", "ImportCase"),
    "S3": ("pages", "RerunCase"),
}
HEADLINE = ("E1", "E2", "E5", "R1", "T1", "V1", "V2", "D1", "S1", "S3")


def build(case_id: str, size: Size) -> Case:
    if case_id not in CASES:
        raise SystemExit(f'unknown case "{case_id}"; known: {", ".join(CASES)}')
    module, name = CASES[case_id]
    case: Case = getattr(import_module(f"bench.cases.{module}"), name)(size)
    return case
