"""The index: approximate answers carry their recall, few items are never approximated, and `recommend` says which."""

import numpy as np
import pytest
import torch

import core.rank.index as module
from core.domain import Query
from core.nearest import SCANS, Index
from core.rank.index import ABOVE, Graph, best_columns, choose, graph_of, questions


def unit(rows: int, width: int = 16) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def hostile(rows: int = 4000, width: int = 37) -> np.ndarray:
    """Equal rows, nearly equal ones, rows a thousand times as long, zeros, one axis that outweighs all others."""
    draw = np.random.default_rng(1)
    vectors = draw.normal(size=(rows, width)).astype(np.float32)
    vectors[100:140] = vectors[7]
    vectors[300:400] = vectors[8] + 1e-6 * draw.normal(size=(100, width)).astype(np.float32)
    vectors[500:520] *= 1000
    vectors[600:640] = 0
    vectors[700:800, 3] *= 300
    return vectors


@pytest.mark.parametrize("scan", ["", *SCANS])
def test_exact_search_finds_what_a_full_sort_finds_on_hostile_vectors(scan) -> None:
    vectors = hostile()
    index = Index(vectors, scan)
    asked = [*vectors[[7, 8, 350, 505, 610, 710]], *unit(20, 37), np.zeros(37, np.float32)]
    for query in asked:
        exact = (vectors.astype(np.float64) * query).sum(1)
        try:
            found = index.top(query, 30)
        except (AttributeError, RuntimeError):
            pytest.skip(f"this torch has no product for {scan}")
        assert np.allclose(exact[found.rows], np.sort(exact)[::-1][:30], rtol=1e-12, atol=1e-12)
    tied = [7, *range(100, 140)]
    assert [row for row in index.top(vectors[7], 300).rows.tolist() if row in tied] == tied  # longer rows come first
    assert index.top(np.zeros(37, np.float32), 5).rows.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("scan", SCANS)
def test_the_bound_of_a_scan_holds_for_every_row(scan) -> None:
    vectors = hostile()
    index = Index(vectors, scan)
    for query in (*vectors[[8, 505, 710]], *unit(10, 37)):
        try:
            scores, error = index.bounds(torch.from_numpy(query))
        except (AttributeError, RuntimeError):
            pytest.skip(f"this torch has no product for {scan}")
        exact = (vectors.astype(np.float64) * query).sum(1)
        slack = 1e-5 * np.linalg.norm(query) * index.longest
        assert (np.abs(scores.numpy() - exact) <= error.numpy() + slack).all()


def test_a_scan_whose_bound_does_not_hold_is_not_used(monkeypatch) -> None:
    monkeypatch.setattr("core.nearest.PAYS", 1e9)
    wrong = lambda small, scales, asked: (torch.zeros(len(small)), 0.0, 0.0)  # noqa: E731
    monkeypatch.setattr("core.nearest.SCANS", {"wrong": wrong})
    assert Index(unit(3000)).scan == ""


def test_the_best_columns_are_the_head_of_a_stable_sort() -> None:
    scores = np.random.default_rng(0).integers(0, 9, 500).astype(np.float32)
    for k in (0, 1, 7, 60, 499, 500, 900):
        assert best_columns(scores, k).tolist() == np.argsort(-scores, kind="stable")[:k].tolist()


def test_an_approximate_answer_says_its_measured_recall(tmp_path) -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    vectors = unit(3000)
    asked = questions(vectors)
    graph, exact = Graph(vectors, asked, k=10), Index(vectors)
    hits = [len({*graph.search(q, 10).rows} & {*exact.top(q, 10).rows}) / 10 for q in asked]
    found = graph.search(asked[0], 10)
    assert found.recall == pytest.approx(np.mean(hits)) and found.recall > 0.9
    assert f"recall {found.recall:.3f}" in found.told()
    again = Graph.from_bytes(graph.to_bytes())
    assert again.recall == graph.recall and (again.search(asked[0], 10).rows == found.rows).all()


def test_a_million_items_are_searched_exactly_however_slow_the_machine() -> None:
    assert choose(ABOVE, 384, bandwidth=1e6).engine == "exact"
    assert graph_of(unit(50), None) is None


def test_above_a_million_the_measured_bandwidth_decides() -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    assert choose(4 * ABOVE, 192, bandwidth=1e12).engine == "exact"
    assert choose(4 * ABOVE, 192, bandwidth=1e9).engine == "faiss"


class Half:
    """An index that finds every second row, and says so."""

    def search(self, query, k):
        rows = np.arange(0, 40, 2)[:k]
        return module.Shortlist(rows=rows, scores=np.zeros(len(rows), np.float32), recall=0.5, engine="a toy")


def test_recommend_prints_the_recall_of_an_approximate_answer_and_explains_it_exactly(monkeypatch) -> None:
    from bench.cases.four import drawn_shop

    pipeline = drawn_shop()
    query = Query.of("a red mug, light and cheap")
    whole = pipeline.recommend(query, top=5)
    assert whole.search == "" and len(whole.item_ids) == len(pipeline.item_ids)
    pipeline.index = Half()
    found = pipeline.recommend(query, top=5)
    assert "recall 0.500" in found.search and found.item_ids == pipeline.item_ids[0:40:2]
    assert found.coalitions.shape == (2, 20)
    place = {item_id: row for row, item_id in enumerate(pipeline.item_ids)}
    for item in found.items:
        row = place[item.item_id]
        assert row % 2 == 0 and item.score == pytest.approx(float(whole.coalitions[-1, row]), abs=1e-5)
        assert item.base + sum(item.phi.values()) == pytest.approx(item.score, abs=1e-5)
    assert pipeline.recommend(query, top=len(place)).search == ""  # who wants all gets all
