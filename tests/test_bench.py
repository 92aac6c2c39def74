"""The bench's report has its form, and its arms do the same work; no test looks at a time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.timing import effect, spread

ROOT = Path(__file__).resolve().parents[1]


def test_a_ratio_points_the_way_its_case_says():
    assert effect("speedup", ours=1.0, peer=2.0, runs=2) == pytest.approx(np.log(2))
    assert effect("cost", ours=1.0, peer=2.0, runs=2) == pytest.approx(-np.log(2))
    assert effect("extra", ours=1.0, peer=2.0, runs=2) == pytest.approx(-1 / 2)


def test_the_interval_holds_the_median_of_the_blocks():
    found = spread([0.1, 0.2, 0.3, 0.4, 0.5], back=float)
    assert found.value == 0.3
    assert 0.1 <= found.low <= found.value <= found.high <= 0.5


@pytest.mark.slow
def test_a_smoke_run_reports_equal_arms_and_no_time(tmp_path):
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench", "--smoke", "--ids", "E1,E5,S2", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert {"machine", "probe", "rows", "skipped", "smoke"} <= report.keys()
    rows = {row["id"]: row for row in report["rows"]}
    assert set(rows) | set(report["skipped"]) == {"E1", "E5", "S2"}
    for row in rows.values():
        assert row["sameness"]["ok"], row["sameness"]["detail"]
        assert row["verdict"] == "not timed" and row["ratio"] is None and row["ours_ms"] == {}
