"""All of the bad-inputs contract and of SECURITY.md in one go: python -m bench.harden [--short] [--only GROUPS].

Groups: corpus, codes, faults, loads, security. One line a group with honest counts: every test of a group's files has
to pass, with or without a number of the contract; what failed or was skipped is named and fails its group. Results go
to bench/results/harden.json. --short kills twice in place of 25 times and shortens the loads to minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import load

ROOT = Path(__file__).resolve().parents[1]
FILES: Mapping[str, tuple[str, ...]] = {
    "corpus": ("test_bad_inputs_*.py", "test_properties.py"),
    "codes": ("test_codes.py",),
    "faults": ("test_faults*.py",),
    "security": ("test_security*.py", "test_access.py"),
}
NUMBERED = {"faults": ("f", 19, 19), "security": ("s", 18, 19)}  # letter, last of the contract, last with our own
EXAMPLES = 200  # inputs a property test makes up
SHOWN = 12  # names in a line; harden.json holds them all


@dataclass(frozen=True, kw_only=True)
class Check:
    """One test as it ended: "passed", "failed" or "skipped"."""

    name: str
    state: str
    told: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """`missing`: numbers, files or loads that did not pass; `failed`: tests without one that did not pass."""

    name: str
    passed: int
    of: int
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    besides: str = ""

    @property
    def whole(self) -> bool:
        return self.passed == self.of and not self.missing and not self.failed

    @property
    def line(self) -> str:
        left = f"; not passed: {some(self.missing)}" if self.missing else ""
        return f"{self.name}: {self.passed} of {self.of}{self.besides}{left}" + (
            f"; tests that did not pass: {some(self.failed)}" if self.failed else ""
        )


def some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def run_tests(patterns: Iterable[str], kills: int) -> list[Check]:
    """Every test of these files in a process of its own; one that breaks off is a failed check of its own."""
    files = sorted({str(path) for pattern in patterns for path in (ROOT / "tests").glob(pattern)})
    told = {**os.environ, "FUSESCOPE_KILLS": str(kills), "FUSESCOPE_EXAMPLES": str(EXAMPLES)}
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-p", "no:cacheprovider", *files]
        status = subprocess.run(command, cwd=ROOT, env=told, stdout=subprocess.DEVNULL).returncode
        cases = ElementTree.parse(report).getroot().iter("testcase") if report.is_file() else ()
        checks = [check_of(case) for case in cases]
    broken = [Check(name=f"pytest, exit code {status}", state="failed")] if status not in (0, 1) else []
    return checks + broken


def check_of(case: ElementTree.Element) -> Check:
    bad = case.find("failure") if case.find("failure") is not None else case.find("error")
    skipped = case.find("skipped")
    state = "failed" if bad is not None else "skipped" if skipped is not None else "passed"
    told = "" if bad is None and skipped is None else str((skipped if bad is None else bad).get("message", ""))[:300]
    return Check(name=case.get("name", ""), state=state, told=told)


def numbered(name: str, checks: Sequence[Check]) -> Group:
    """A number passes where it has tests and all of them passed; our own come after those of the contract."""
    letter, asked, last = NUMBERED[name]
    of: dict[int, list[str]] = defaultdict(list)
    others = []
    for check in checks:
        numbers = {int(one) for one in re.findall(rf"(?<![a-z]){letter}(\d\d)(?=_)", check.name)}
        for number in numbers:
            of[number].append(check.state)
        if not numbers & set(range(1, last + 1)):
            others.append(check)
    good = [number for number in range(1, last + 1) if of[number] and set(of[number]) == {"passed"}]
    own = [number for number in good if number > asked]
    missing = tuple(f"{letter.upper()}{number}" for number in range(1, last + 1) if number not in good)
    first = f"{letter.upper()}{asked + 1}"
    besides = f" ({letter.upper()}1 to {letter.upper()}{asked}), {len(own)} of {last - asked} of our own ({first})"
    return Group(name=name, passed=len(good) - len(own), of=asked, missing=missing, failed=not_passed(others),
                 besides=besides if last > asked else "")  # fmt: skip


def not_passed(checks: Iterable[Check]) -> tuple[str, ...]:
    return tuple(check.name + (" (skipped)" if check.state == "skipped" else "")
                 for check in checks if check.state != "passed")  # fmt: skip


def corpus_group(checks: Sequence[Check]) -> Group:
    """A file of the manifest passes where it was read and every test about it passed; the digests beside models are
    read with them."""
    from tests import corpus

    rows = corpus.manifest()
    states: dict[str, list[str]] = defaultdict(list)
    others = []
    for check in checks:
        named = [row["file"] for row in rows if row["kind"] != "sidecar" and row["file"] in check.name]
        for file in named:
            states[file].append(check.state)
            states[f"{file}.sha256"].append(check.state)
        if not named:
            others.append(check)
    files = [row["file"] for row in rows]
    good = [file for file in files if states[file] and set(states[file]) == {"passed"}]
    return Group(name="corpus", passed=len(good), of=len(files), missing=tuple(f for f in files if f not in good),
                 failed=not_passed(others))  # fmt: skip


def counted(name: str, checks: Sequence[Check]) -> Group:
    good = [check for check in checks if check.state == "passed"]
    return Group(name=name, passed=len(good), of=len(checks), failed=not_passed(checks))


def loads_group(rows: Sequence[load.Row]) -> Group:
    good = [row.id for row in rows if row.passed]
    wanted = [f"L{number}" for number in range(1, 11)]
    return Group(name="loads", passed=len(good), of=10, missing=tuple(one for one in wanted if one not in good))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.harden", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--short", action="store_true", help="two kills and minutes of load")
    parser.add_argument("--only", default="", help="some of: corpus, codes, faults, loads, security; with commas")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "harden.json")
    given = parser.parse_args()
    wanted = [one for one in given.only.split(",") if one] or ["corpus", "codes", "faults", "security", "loads"]
    groups: list[Group] = []
    faults: list[Check] = []
    rows: list[load.Row] = []
    for name in wanted:
        if name == "loads":
            rows = load.run(load.SHORT if given.short else load.Plan())
            groups.append(loads_group(rows))
        else:
            checks = run_tests(FILES[name], kills=2 if given.short else 25)
            faults += [check for check in checks if check.state != "passed"]
            groups.append(numbered(name, checks) if name in NUMBERED else
                          corpus_group(checks) if name == "corpus" else counted(name, checks))  # fmt: skip
        print(groups[-1].line, flush=True)
    told = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"), "short": given.short, "cores": os.cpu_count(),
        "load": os.getloadavg()[0], "groups": [asdict(one) for one in groups], "loads": [asdict(row) for row in rows],
        "not passed": [asdict(check) for check in faults],
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if all(one.whole for one in groups) else 1


if __name__ == "__main__":
    sys.exit(main())
