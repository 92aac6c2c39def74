"""All of the bad-inputs contract and of SECURITY.md in one go: python -m bench.harden [--short] [--only GROUPS].

Groups: corpus, codes, faults, loads, security. One line a group with honest counts: what was skipped is named and does
not count as passed. Results go to bench/results/harden.json. --short kills twice in place of 25 times and shortens the
loads to minutes.
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
NUMBERED = {"faults": ("f", 19), "security": ("s", 19)}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One test as it ended: "passed", "failed" or "skipped"."""

    name: str
    state: str
    told: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    name: str
    passed: int
    of: int
    missing: tuple[str, ...]

    @property
    def line(self) -> str:
        left = f"; not passed: {', '.join(self.missing[:12])}" if self.missing else ""
        return f"{self.name}: {self.passed} of {self.of}{left}"


def run_tests(patterns: Iterable[str], kills: int) -> list[Check]:
    """Every test of these files in a process of its own."""
    files = sorted({str(path) for pattern in patterns for path in (ROOT / "tests").glob(pattern)})
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-p", "no:cacheprovider", *files]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "FUSESCOPE_KILLS": str(kills)}, stdout=subprocess.DEVNULL)
        cases = ElementTree.parse(report).getroot().iter("testcase")
        return [check_of(case) for case in cases]


def check_of(case: ElementTree.Element) -> Check:
    bad = case.find("failure") if case.find("failure") is not None else case.find("error")
    skipped = case.find("skipped")
    state = "failed" if bad is not None else "skipped" if skipped is not None else "passed"
    told = "" if bad is None and skipped is None else str((skipped if bad is None else bad).get("message", ""))[:300]
    return Check(name=case.get("name", ""), state=state, told=told)


def numbered(name: str, checks: Sequence[Check]) -> Group:
    """A number passes where it has tests and all of them passed."""
    letter, last = NUMBERED[name]
    of: dict[int, list[str]] = defaultdict(list)
    for check in checks:
        for number in re.findall(rf"(?<![a-z]){letter}(\d\d)(?=_)", check.name):
            of[int(number)].append(check.state)
    good = [number for number in range(1, last + 1) if of[number] and set(of[number]) == {"passed"}]
    missing = tuple(f"{letter.upper()}{number}" for number in range(1, last + 1) if number not in good)
    return Group(name=name, passed=len(good), of=last, missing=missing)


def corpus_group(checks: Sequence[Check]) -> Group:
    """A file of the manifest passes where it was read and every test about it passed; the digests beside models are
    read with them."""
    from tests import corpus

    states: dict[str, list[str]] = defaultdict(list)
    for check in checks:
        for row in corpus.manifest():
            if row["kind"] != "sidecar" and row["file"] in check.name:
                states[row["file"]].append(check.state)
                states[f"{row['file']}.sha256"].append(check.state)
    files = [row["file"] for row in corpus.manifest()]
    good = [file for file in files if states[file] and set(states[file]) == {"passed"}]
    return Group(name="corpus", passed=len(good), of=len(files), missing=tuple(f for f in files if f not in good))


def counted(name: str, checks: Sequence[Check]) -> Group:
    good = [check for check in checks if check.state == "passed"]
    return Group(name=name, passed=len(good), of=len(checks),
                 missing=tuple(check.name for check in checks if check.state != "passed"))  # fmt: skip


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
    return 0 if all(one.passed == one.of for one in groups) else 1


if __name__ == "__main__":
    sys.exit(main())
