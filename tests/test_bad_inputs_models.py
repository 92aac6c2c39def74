"""Every model file and array of the bad-inputs corpus, and a run.json of another version, through our readers."""

import json
import shutil

import pytest

from core.catalog.feature_files import read_features
from core.errors import InputError, ModelError
from core.pipeline import load_run
from core.tensors import check_shapes, checked_tensors, read_tensors
from core.workspace import BUNDLED_RUN, Workspace
from tests.corpus import expected, folder, need_corpus, rows_of, tool

need_corpus()


def digest_beside(path):
    beside = path.with_name(f"{path.name}.sha256")
    return beside.read_text("ascii").split()[0] if beside.is_file() else ""


def like_ok():
    return read_tensors(folder() / "model" / "700_ok.safetensors")


@pytest.mark.parametrize("row", rows_of("model"))
def test_every_model_file_gets_its_outcome_and_code(row, capfd):
    path = folder() / row["file"]
    try:
        read_tensors(path, digest_beside(path), like=like_ok())
        found = "accept", ""
    except ModelError as error:
        found = "refuse", error.code
        assert "expected" in str(error) and str(folder()) not in str(error) and tool().CANARY not in str(error)
    assert found == expected(row)
    assert tool().CANARY not in "".join(capfd.readouterr())  # nothing was unpickled


def test_a_cut_file_is_broken_even_where_nobody_knows_its_digest():
    with pytest.raises(ModelError, match="bytes arrived"):
        read_tensors(folder() / "model" / "708_cut.safetensors")


def test_the_first_tensor_that_differs_is_named():
    found = read_tensors(folder() / "model" / "703_other_tensors.safetensors")
    with pytest.raises(ModelError, match=r'"align\.image\.weight" there is none; 32x64 was expected'):
        check_shapes(found, like_ok(), "x.safetensors")


def test_no_bit_of_a_header_can_be_changed_without_a_word():
    data = (folder() / "model" / "700_ok.safetensors").read_bytes()
    header = int.from_bytes(data[:8], "little")
    for at in range(8 * (8 + header)):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        try:
            checked_tensors(bytes(changed), "x.safetensors", like=like_ok())
        except ModelError:
            continue
        assert json.loads(changed[8 : 8 + header]) is not None  # another offset order or a blank: the same tensors


@pytest.mark.parametrize("row", rows_of("array"))
def test_every_array_gets_its_outcome_and_code(row):
    try:
        _, told = read_features(folder() / row["file"], ["a", "b", "c"])  # all of them are for three items
        found = "accept-with-notice" if told else "accept", ",".join(one.code for one in told)
    except InputError as error:
        found = "refuse", error.code
    assert found == expected(row)


# 705: another version's run.json


@pytest.fixture
def run_folder(tmp_path):
    source = Workspace.open(tmp_path).sample / "runs" / BUNDLED_RUN
    if not (source / "run.json").is_file():
        pytest.skip("the bundled run is not there")
    return shutil.copytree(source, tmp_path / BUNDLED_RUN)


@pytest.mark.parametrize("change", [{"format": 99}, {"settings": {"an_option_of_tomorrow": 1}}])
def test_705_a_run_of_another_version_is_refused(run_folder, change, tmp_path):
    told = json.loads((run_folder / "run.json").read_text("utf-8"))
    told |= change if "format" in change else {"settings": told["settings"] | change["settings"]}
    (run_folder / "run.json").write_text(json.dumps(told))
    with pytest.raises(ModelError) as caught:
        load_run(run_folder, Workspace.open(tmp_path).catalogue("studio"))
    assert caught.value.code == "E-MODEL-VERSION"
    assert next(iter(change.get("settings", {"99": 0}))) in str(caught.value)
