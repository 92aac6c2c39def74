"""The bench's report has its form, and its arms do the same work; no test looks at a time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import missed_rows, table
from bench.case import Sameness
from bench.timing import Row, Spread, beyond, effect, spread

ROOT = Path(__file__).resolve().parents[1]


def test_a_ratio_points_the_way_its_case_says():
    assert effect("speedup", ours=1.0, peer=2.0, runs=2) == pytest.approx(np.log(2))
    assert effect("cost", ours=1.0, peer=2.0, runs=2) == pytest.approx(-np.log(2))
    assert effect("extra", ours=1.0, peer=2.0, runs=2) == pytest.approx(-1 / 2)


def test_the_interval_holds_the_median_of_the_blocks():
    found = spread([0.1, 0.2, 0.3, 0.4, 0.5], back=float)
    assert found.value == 0.3
    assert 0.1 <= found.low <= found.value <= found.high <= 0.5


def around(value: float, width: float) -> Spread:
    return Spread(value=value, low=value - width, high=value + width)


def test_a_verdict_heeds_the_control():
    quiet, loud = around(1.0, 0.02), around(1.0, 0.6)
    assert beyond("speedup", around(1.5, 0.1), quiet, 1.2)
    assert not beyond("speedup", around(1.5, 0.1), loud, 1.2)  # ours is 1.6 times as fast as itself, too
    assert beyond("speedup", around(0.6, 0.1), quiet, 0.3) and not beyond("speedup", around(0.6, 0.1), loud, 0.45)
    assert beyond("cost", around(1.2, 0.1), quiet, 1.5) and not beyond("cost", around(1.2, 0.1), loud, 1.5)
    low = around(0.2, 0.1)
    assert beyond("cost", low, quiet, 0.35) and not beyond("cost", low, around(0.7, 0.5), 0.35)
    assert beyond("extra", low, around(0.0, 0.1), 0.5) and not beyond("extra", low, loud, 0.5)


def row_that_is(verdict: str) -> Row:
    return Row(
        id="E1", title="texts", kind="speedup", ours="a", peer="b", ratio=around(1.5, 0.1), control=None,
        sameness=Sameness(ok=True, detail=""), verdict=verdict, blocks=3, void=0, ours_ms={}, peer_ms={}, items=1,
        floor=1.2, target=1.5, limit_ms=None, noise="",
    )  # fmt: skip


def test_the_check_fails_on_what_was_skipped_unless_that_is_allowed():
    kept, none = row_that_is("floor kept"), frozenset[str]()
    assert not missed_rows([kept], {}, none, smoke=False)
    assert missed_rows([kept], {"S3": "no websockets"}, none, smoke=False) == {"S3": "skipped (no websockets)"}
    assert not missed_rows([kept], {"S3": "no websockets"}, frozenset({"S3"}), smoke=False)
    for verdict in ("no claim", "no control", "not timed", "machine too noisy", "over the floor"):
        assert missed_rows([row_that_is(verdict)], {}, none, smoke=False) == {"E1": verdict}
    assert not missed_rows([row_that_is("not timed")], {}, none, smoke=True)
    assert "| E1 | texts | b | 1.50 [1.40, 1.60] | - | 1.2 | 1.5 | floor kept |" in table([kept], {})


@pytest.mark.slow
def test_a_smoke_run_reports_equal_arms_and_no_time(tmp_path):
    file = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench", "--smoke", "--ids", "E1,E5,Q4,S2,R1,T1,V1,V2", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert {"machine", "probe", "rows", "skipped", "smoke"} <= report.keys()
    rows = {row["id"]: row for row in report["rows"]}
    assert set(rows) | set(report["skipped"]) == {"E1", "E5", "Q4", "S2", "R1", "T1", "V1", "V2"}
    for row in rows.values():
        assert row["sameness"]["ok"], row["sameness"]["detail"]
        assert row["verdict"] == "not timed" and row["ratio"] is None and row["ours_ms"] == {}


def test_the_scan_of_a_quarter_of_the_bytes_finds_what_a_full_sort_finds():
    from core.nearest import Index

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 32)).astype(np.float32)
    vectors[100:140] = vectors[7]  # equal rows: the earlier wins
    vectors[200:240] *= 1000  # lengths far apart
    vectors[300:340] = vectors[8] + 1e-6 * rng.normal(size=(40, 32)).astype(np.float32)  # nearly equal ones
    index = Index(vectors)
    for query in (*vectors[:20], *rng.normal(size=(20, 32)).astype(np.float32), np.zeros(32, np.float32)):
        exact = vectors.astype(np.float64) @ query
        found = index.top(query, 10)
        assert np.allclose(exact[found.rows], np.sort(exact)[::-1][:10], rtol=1e-5, atol=1e-5)
        assert len(set(found.rows.tolist())) == 10
    assert index.top(vectors[7], 600).rows.shape == (600,)
    found = index.top(np.zeros(32, np.float32), 5)
    assert found.rows.tolist() == [0, 1, 2, 3, 4]


def test_the_graph_of_neighbours_is_that_of_a_full_sort_whatever_the_block():
    from core.nearest import neighbours

    rows = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, np.inf)
    wanted = np.argsort(-cosines, axis=1, kind="stable")[:, :6]
    assert (neighbours(rows, 6)[0] == wanted).all()
    assert (neighbours(rows, 6, block=7)[0] == wanted).all()
