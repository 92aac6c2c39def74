"""The index: exact answers are exact, approximate ones carry their recall, and few items are never approximated."""

import numpy as np
import pytest

from core.rank.index import ABOVE, Exact, Graph, choose


def unit(rows: int, width: int = 16) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_exact_search_is_the_sorted_list_of_all_with_ties_by_row() -> None:
    vectors = np.repeat(unit(50), 4, axis=0)  # every vector four times
    query = unit(51)[50]
    found = Exact(vectors).search(query, 6)
    scores = vectors @ query
    assert found.rows.tolist() == sorted(range(200), key=lambda row: (-scores[row], row))[:6]
    assert (found.recall, found.told()) == (1.0, "exact")
    assert len(Exact(vectors).search(query, 999).rows) == 200


def test_an_approximate_answer_says_its_measured_recall() -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    vectors, asked = unit(3000), unit(3032)[3000:]
    graph = Graph(vectors, asked, k=10)
    exact = Exact(vectors)
    hits = [len({*graph.search(q, 10).rows} & {*exact.search(q, 10).rows}) / 10 for q in asked]
    found = graph.search(asked[0], 10)
    assert found.recall == pytest.approx(np.mean(hits)) and found.recall > 0.9
    assert f"recall {found.recall:.3f}" in found.told()


def test_a_million_items_are_searched_exactly_however_slow_the_machine() -> None:
    assert choose(ABOVE, 384, bandwidth=1e6).engine == "exact"


def test_above_a_million_the_measured_bandwidth_decides() -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    assert choose(4 * ABOVE, 192, bandwidth=1e12).engine == "exact"
    assert choose(4 * ABOVE, 192, bandwidth=1e9).engine == "faiss"
