"""Vectors in PostgreSQL: exact is the sorted list, the graph says its recall, several servers see one set."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import inspect

from core import privacy
from core.__main__ import main
from core.database_index import kept_set, open_indexed
from core.domain import Query
from core.errors import SettingsError
from core.privacy import forget
from core.store.engines import Store
from core.store.pgvectors import PgVectors, forget_sets
from core.workspace import Workspace
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


def address(store: Store) -> str:
    return store.url.set(drivername="postgresql").render_as_string(hide_password=False)


@SERVER
def test_exact_search_in_the_database_is_the_sorted_list_with_ties_by_row(store) -> None:
    vectors = np.repeat(unit(100), 2, axis=0)
    held = PgVectors(store, "shop")
    assert held.made() is None
    held.keep(vectors, vectors[:4])
    assert held.made()[:2] == (200, 24)
    for query in unit(5, seed=1):
        rows, scores, recall = held.search(query, 10, exact=True)
        wanted = np.lexsort((np.arange(200), -(vectors.astype(np.float64) @ query)))[:10]
        assert rows.tolist() == wanted.tolist() and recall == 1
        assert np.allclose(scores, (vectors @ query)[rows], atol=1e-6)


@SERVER
def test_the_graph_in_the_database_says_its_measured_recall(store) -> None:
    vectors, asked = unit(2000), unit(20, seed=1)
    held = PgVectors(store, "shop")
    recall = held.keep(vectors, asked, k=10)
    hits = [np.isin(held.search(one, 10)[0], held.search(one, 10, exact=True)[0]).mean() for one in asked]
    assert recall == pytest.approx(np.mean(hits)) and recall > 0.9
    assert held.search(asked[0], 10)[2] == pytest.approx(recall)


@SERVER
def test_several_servers_on_one_store_give_the_same_answers(store) -> None:
    """Two other processes, while this one makes the set anew."""
    vectors, asked = unit(500), unit(3, seed=2)
    held = PgVectors(store, "shop")
    held.keep(vectors, asked)
    command = [sys.executable, "-c", OTHER, address(store), json.dumps(asked.tolist())]
    others = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    held.keep(vectors, asked)
    told = [json.loads(one.communicate(timeout=120)[0]) for one in others]
    assert told[0] == told[1] == [held.search(one, 10, exact=True)[0].tolist() for one in asked]


def test_a_file_has_no_vectors_to_search(tmp_path) -> None:
    with pytest.raises(SettingsError, match="FUSESCOPE_DATABASE"):
        PgVectors(Store.open(tmp_path / "x.sqlite"), "shop")


@SERVER
def test_who_forgets_takes_every_set_out_of_the_database(store, tmp_path) -> None:
    workspace = Workspace.open(tmp_path / "home", database=address(store))
    held = [PgVectors(workspace.store, name) for name in ("shop", "other")]
    for one in held:
        one.keep(unit(60), unit(2, seed=1))
    person = workspace.catalogue("studio").interactions[0].user_id
    forget(workspace, "studio", user=person)
    assert [one.made() for one in held] == [None, None] and forget_sets(workspace.store) == 0
    with workspace.store.reading() as session:
        assert not inspect(session.connection()).has_table("vectors_shop")


@SERVER
def test_a_set_takes_the_place_of_earlier_versions_and_is_left_out_where_it_is_one(store) -> None:
    names = ("ab_shop_1", "ab_shop_2", "ab_other_1", "abxshop_1")
    first, second, *others = (PgVectors(store, name) for name in names)
    for one in (first, *others):
        one.keep(unit(60), unit(2, seed=1))
    assert second.keep(unit(60), unit(2, seed=1), family="ab_shop_") is not None
    assert first.made() is None and all(one.made() for one in (second, *others))
    assert first.keep(unit(60), unit(2, seed=1), family="ab_shop_", wanted=lambda: False) is None
    assert first.made() is None and second.made()


@SERVER
def test_a_run_that_was_open_when_somebody_was_forgotten_compares_all_items_and_keeps_nothing(
    store, tmp_path, monkeypatch
) -> None:
    workspace = Workspace.open(tmp_path / "home", database=address(store))
    opened = open_indexed(workspace, "studio-default", index="pgvector")
    asked, lines = Query.of(text="a light red lamp"), privacy._forget_lines
    assert opened.recommend(asked).search.startswith("approximate (pgvector")
    monkeypatch.setattr(privacy, "_forget_lines", lambda *of: kept_set(workspace, opened) and lines(*of))
    forget(workspace, "studio", item=opened.item_ids[0])
    assert kept_set(workspace, opened).made() is None and forget_sets(store) == 0
    assert opened.recommend(asked).search == ""


def recommended(capsys, home: Path, *more: str) -> dict:
    words = ["recommend", "--home", str(home), "--run", "studio-default", "--text", "a light red lamp", "--top", "5"]
    assert main([*words, "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


@SERVER
def test_recommend_searches_the_database_where_it_was_asked_to_and_prints_the_recall(
    store, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("FUSESCOPE_DATABASE", address(store))
    exact = recommended(capsys, tmp_path)
    assert exact["search"] == "exact"
    near = recommended(capsys, tmp_path, "--index", "pgvector")
    assert re.fullmatch(r"approximate \(pgvector HNSW\), recall (0\.9\d\d|1\.000) as measured on this index",
                        near["search"])  # fmt: skip
    assert [one["item_id"] for one in near["items"]] == [one["item_id"] for one in exact["items"]]
    monkeypatch.setattr(PgVectors, "keep", lambda *_: pytest.fail("made twice"))
    monkeypatch.setenv("FUSESCOPE_INDEX", "pgvector")
    assert recommended(capsys, tmp_path)["search"] == near["search"]
    assert recommended(capsys, tmp_path, "--index", "auto")["search"] == "exact"


def test_pgvector_without_a_server_and_an_unknown_index_are_refused_in_words(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("FUSESCOPE_DATABASE", raising=False)
    words = ["recommend", "--home", str(tmp_path), "--run", "studio-default", "--text", "a lamp"]
    assert main([*words, "--index", "pgvector"]) == 1 and "FUSESCOPE_DATABASE" in capsys.readouterr().err
    monkeypatch.setenv("FUSESCOPE_INDEX", "scann")
    assert main(words) == 1 and 'FUSESCOPE_INDEX is "scann"' in capsys.readouterr().err
