"""`make harden` hides no failure: a test of a group that did not pass fails the group and is named."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from bench import harden
from bench.harden import Check, Group, corpus_group, counted, loads_group, numbered
from bench.load import Row
from tests import corpus


def checks(*names: str, state: str = "passed") -> list[Check]:
    return [Check(name=name, state=state) for name in names]


def whole(name: str) -> list[Check]:
    """One good test for every number of a group, or for every file of the corpus."""
    if name == "corpus":
        corpus.need_corpus()
        return checks(*(f"test_a_file[{row['file']}]" for row in corpus.manifest() if row["kind"] != "sidecar"))
    letter, _, last = harden.NUMBERED[name]
    return checks(*(f"test_{letter}{number:02d}_holds" for number in range(1, last + 1)))


def group(name: str, found: list[Check]) -> Group:
    return corpus_group(found) if name == "corpus" else numbered(name, found)


LINES = {
    "corpus": "corpus: 309 of 309",
    "faults": "faults: 19 of 19",
    "security": "security: 18 of 18 (S1 to S18), 1 of 1 of our own (S19)",
}


@pytest.mark.parametrize("name", LINES)
def test_a_group_whose_tests_all_passed_is_whole(name):
    found = group(name, [*whole(name), *checks("test_something_else", "test_909_a_file_of_60_mb")])
    assert found.whole and found.line == LINES[name]


@pytest.mark.parametrize("state", ["failed", "skipped"])
@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("other", ["test_pictures_never_crash", "test_909_a_file_of_60_mb", "tests.test_bombs"])
def test_one_that_carries_no_number_fails_its_group_by_name(name, other, state):
    found = group(name, [*whole(name), *checks(other, state=state)])
    told = f"{other} (skipped)" if state == "skipped" else other
    assert not found.whole and found.line == f"{LINES[name]}; tests that did not pass: {told}"


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_a_number_with_one_bad_test_of_two_does_not_pass(state):
    found = numbered("faults", [*whole("faults"), *checks("test_f07_again", state=state)])
    assert not found.whole and found.line == "faults: 18 of 19; not passed: F7"
    assert numbered("faults", whole("faults")[1:]).missing == ("F1",)  # no test at all


def test_our_own_number_is_counted_beside_those_of_the_contract():
    found = numbered("security", whole("security")[:18])
    assert not found.whole
    assert found.line == "security: 18 of 18 (S1 to S18), 0 of 1 of our own (S19); not passed: S19"


def test_codes_and_loads_name_what_did_not_pass():
    assert counted("codes", checks("test_a", "test_b")).whole
    found = counted("codes", [*checks("test_a"), *checks("test_b", state="failed")])
    assert not found.whole and found.line == "codes: 1 of 2; tests that did not pass: test_b"
    rows = [Row(id=f"L{n}", title="", wanted="", passed=n != 9) for n in range(1, 11)]
    assert loads_group(rows).line == "loads: 9 of 10; not passed: L9" and not loads_group(rows).whole


def test_a_long_list_says_how_many_more():
    assert harden.some([str(n) for n in range(15)]).endswith("11 and 3 more")


@pytest.mark.parametrize("status", [2, -9])
def test_tests_that_broke_off_are_a_failed_check(monkeypatch, status):
    asked = {}

    def broken(command, **given):
        asked.update(given["env"])
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(harden.subprocess, "run", broken)
    assert harden.run_tests(["test_codes.py"], kills=2) == checks(f"pytest, exit code {status}", state="failed")
    assert asked["FUSESCOPE_EXAMPLES"] == "200" and asked["FUSESCOPE_KILLS"] == "2"


@pytest.mark.parametrize("state", ["passed", "failed"])
def test_the_exit_code_says_whether_every_group_is_whole(monkeypatch, tmp_path, capsys, state):
    made = [*whole("faults"), *checks("test_bombs", state=state)]
    monkeypatch.setattr(harden, "run_tests", lambda patterns, kills: made)
    monkeypatch.setattr(sys, "argv", ["harden", "--only", "faults", "--out", str(tmp_path / "h.json")])
    assert harden.main() == (state == "failed")
    assert "faults: 19 of 19" in capsys.readouterr().out
