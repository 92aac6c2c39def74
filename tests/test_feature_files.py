"""Vectors that come ready-made: which arrays are read, which are refused, and how they find their items."""

from pathlib import Path

import numpy as np
import pytest

from core.catalog.arrays import read_matrix
from core.catalog.feature_files import read_features
from core.errors import InputError


def npy(path: Path, values: object) -> Path:
    np.save(path, values)
    return path


@pytest.mark.parametrize(("values", "code", "told"), [
    (np.ones(3), "E-ARR-SHAPE", "its shape is 3; two dimensions"), (np.ones((2, 2)), "E-ARR-SHAPE", "2 rows; 3 were"),
    (np.array([[1.0], [np.nan], [1.0]]), "E-ARR-VALUES", "row 1, column 0 is nan"),
    (np.array([[1.0], [1e300], [1.0]]), "E-ARR-VALUES", "row 1, column 0 is inf"),
    (np.array([["a"], ["b"], ["c"]]), "E-ARR-TYPE", "values of type"),
])  # fmt: skip
def test_a_matrix_that_cannot_be_used_is_refused_with_its_place(tmp_path, values, code, told):
    with pytest.raises(InputError) as caught:
        read_matrix(npy(tmp_path / "f.npy", values), 3)
    assert caught.value.code == code and told in str(caught.value)


def test_a_pickled_object_is_never_opened(tmp_path):
    with pytest.raises(InputError) as caught:
        read_matrix(npy(tmp_path / "f.npy", np.array([{"t": 1}], dtype=object)), 1)
    assert caught.value.code == "E-ARR-PICKLE"


@pytest.mark.parametrize(("data", "code"), [
    (b"", "E-ARR-EMPTY"), (b"hello, this is text", "E-ARR-TYPE"), (b"\x93NUMPY", "E-ARR-BROKEN"),
    (b"\x93NUMPY\1\0\x10\0{'descr': __imp}", "E-ARR-BROKEN"),
])  # fmt: skip
def test_bytes_that_are_no_array_are_refused(tmp_path, data, code):
    (tmp_path / "f.npy").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_matrix(tmp_path / "f.npy", 3)
    assert caught.value.code == code


def test_a_cut_array_and_one_that_claims_too_much_are_refused(tmp_path):
    path = npy(tmp_path / "f.npy", np.ones((3, 4)))
    whole = path.read_bytes()
    for data in (whole[:-1], whole.replace(b"(3, 4)", b"(9, 9)")):
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            read_matrix(path, 3)
        assert caught.value.code == "E-ARR-BROKEN"


def test_halves_doubles_big_endian_and_columns_first_become_float32(tmp_path):
    values = np.arange(6).reshape(3, 2)
    for kind in ("<f2", "<f8", ">f4", "<i8"):
        read = read_matrix(npy(tmp_path / "f.npy", np.asfortranarray(values.astype(kind))), 3)
        assert read.dtype == np.float32 and read.tolist() == values.tolist()
    np.savez(tmp_path / "f.npz", values.astype("<f4"))
    assert read_matrix(tmp_path / "f.npz", 3).tolist() == values.tolist()


def test_an_npz_that_unpacks_to_far_more_is_a_bomb(tmp_path):
    np.savez_compressed(tmp_path / "f.npz", np.zeros((2_000, 1_000)))
    with pytest.raises(InputError) as caught:
        read_matrix(tmp_path / "f.npz", 2_000)
    assert caught.value.code == "E-ZIP-BOMB"


def test_vectors_by_id_leave_items_without_one_and_refuse_strangers(tmp_path):
    ids = ["a.1", "b", "c"]
    layer = tmp_path / "avgpool"
    layer.mkdir()
    npy(layer / "a.npy", np.array([[1.0, 2.0]]))  # Ducho cuts the name at the first dot
    npy(layer / "c.npy", np.array([3.0, 4.0]))
    matrix, told = read_features(layer, ids)
    assert matrix.values[[0, 2]].tolist() == [[1, 2], [3, 4]] and np.isnan(matrix.values[1]).all()
    assert [found.reason for found in told] == ["1 of 3 items have no vector"]
    npy(layer / "z.npy", np.array([3.0, 4.0]))
    with pytest.raises(InputError, match=r'1 vectors without an item, "z" first'):
        read_features(layer, ids)


@pytest.mark.parametrize(("values", "ids", "told"), [
    (np.ones((2, 2, 2)), ["a"], "Choose a pooled layer"), (np.ones((2, 2)), ["a"], "Choose a pooled layer"),
    (np.ones(2), ["a.1", "a.2"], "it may belong to a.1 or a.2"),
])  # fmt: skip
def test_a_layer_that_is_not_pooled_or_not_clear_is_refused(tmp_path, values, ids, told):
    npy(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=told):
        read_features(tmp_path, ids)


def test_cornac_names_the_rows_of_its_matrix_in_a_list(tmp_path):
    path = npy(tmp_path / "f.npy", np.array([[1.0], [2.0]]))
    (tmp_path / "item_ids.txt").write_text("b\na\n")
    assert read_features(path, ["a", "b"])[0].values.tolist() == [[2], [1]]
    (tmp_path / "item_ids.txt").write_text("b\nb\n")
    with pytest.raises(InputError, match='two vectors of "b"'):
        read_features(path, ["a", "b"])
