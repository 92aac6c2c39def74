"""Vectors in PostgreSQL: exact is the sorted list, the graph says its recall, several servers see one set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import SettingsError
from core.store.engines import Store
from core.store.pgvectors import PgVectors
from tests import postgres

ROOT = Path(__file__).resolve().parents[1]
SERVER = pytest.mark.skipif(bool(postgres.ABSENT), reason=postgres.ABSENT)
OTHER = """
import json, sys
import numpy as np
from core.store.engines import Store
from core.store.pgvectors import PgVectors
vectors = PgVectors(Store.open(sys.argv[1]), "shop")
asked = np.array(json.loads(sys.argv[2]), np.float32)
print(json.dumps([vectors.search(one, 10, exact=True)[0].tolist() for one in asked]))
"""


def unit(rows: int, width: int = 24, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.fixture
def store():
    store = Store.open(postgres.fresh())
    yield store
    store.close()


@SERVER
def test_exact_search_in_the_database_is_the_sorted_list_with_ties_by_row(store) -> None:
    vectors = np.repeat(unit(100), 2, axis=0)
    held = PgVectors(store, "shop")
    assert held.made() is None
    held.keep(vectors, vectors[:4])
    assert held.made()[:2] == (200, 24)
    for query in unit(5, seed=1):
        rows, scores, told = held.search(query, 10, exact=True)
        wanted = np.lexsort((np.arange(200), -(vectors.astype(np.float64) @ query)))[:10]
        assert rows.tolist() == wanted.tolist() and told.startswith("exact")
        assert np.allclose(scores, (vectors @ query)[rows], atol=1e-6)


@SERVER
def test_the_graph_in_the_database_says_its_measured_recall(store) -> None:
    vectors, asked = unit(2000), unit(20, seed=1)
    held = PgVectors(store, "shop")
    recall = held.keep(vectors, asked, k=10)
    hits = [np.isin(held.search(one, 10)[0], held.search(one, 10, exact=True)[0]).mean() for one in asked]
    assert recall == pytest.approx(np.mean(hits)) and recall > 0.9
    assert f"recall {recall:.3f}" in held.search(asked[0], 10)[2]


@SERVER
def test_several_servers_on_one_store_give_the_same_answers(store) -> None:
    """Two other processes, while this one makes the set anew."""
    vectors, asked = unit(500), unit(3, seed=2)
    held = PgVectors(store, "shop")
    held.keep(vectors, asked)
    url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
    command = [sys.executable, "-c", OTHER, url, json.dumps(asked.tolist())]
    others = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    held.keep(vectors, asked)
    told = [json.loads(one.communicate(timeout=120)[0]) for one in others]
    assert told[0] == told[1] == [held.search(one, 10, exact=True)[0].tolist() for one in asked]


def test_a_file_has_no_vectors_to_search(tmp_path) -> None:
    with pytest.raises(SettingsError, match="FUSESCOPE_DATABASE"):
        PgVectors(Store.open(tmp_path / "x.sqlite"), "shop")
