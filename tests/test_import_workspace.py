"""Imports into a workspace: archives, matrices, ids alone, refusals; nothing half, nothing that cannot be compared."""

import errno
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import core.catalog.archive
import core.importing
from core.__main__ import main
from core.catalog.report import RowsRefusedError
from core.domain import MATRIX, Query
from core.errors import ModelError, SettingsError, StoreError
from core.features import catalogue_features, matrix_values, modalities_of
from core.workspace import Workspace
from tests.test_workspace import write_run

USERS, ITEMS = 8, 6
HEAD = "userID\titemID\tx_label\n"
PAIRS = [
    (user, (user + step) % ITEMS, label) for user in range(USERS) for step, label in ((0, 0), (1, 0), (2, 1), (3, 2))
]
TABLE = HEAD + "".join(f"{user}\t{item}\t{label}\n" for user, item, label in PAIRS)
VECTORS = np.random.default_rng(1).normal(size=(ITEMS, 5)) * 1e6  # far beyond what half precision holds


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "toy.inter").write_text(TABLE)
    np.save(folder / "feat.npy", VECTORS)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.importing, "_encoded", lambda workspace, catalogue, tell: 0)
    monkeypatch.setattr(
        core.importing, "_trained", lambda workspace, catalogue, folder, tell: write_run(folder, catalogue.name)
    )


def test_a_matrix_is_kept_under_its_content_and_comes_back_equal(workspace: Workspace, toy: Path, quick: None) -> None:
    done = workspace.import_folder(toy, "toys", features={"audio": Path("feat.npy")})
    assert (done.items, done.users, done.media, done.changed) == (ITEMS, USERS, {"audio": ITEMS}, True)
    assert (done.split["train"], done.split["validation"], done.split["test"]) == (2 * USERS, USERS, USERS)
    shop = workspace.catalogue("toys")
    matrix = shop.features["audio"]
    assert (matrix.width, matrix.items, matrix.path) == (5, ITEMS, f"{matrix.digest[:2]}/{matrix.digest}.npy")
    assert np.array_equal(matrix_values(shop, matrix), VECTORS.astype(np.float32))
    assert workspace.catalogues()[-1].media == {"audio": ITEMS}
    again = workspace.import_folder(toy, "toys", features={"audio": Path("feat.npy")})
    assert not again.changed
    np.save(toy / "feat.npy", VECTORS + 1)
    assert workspace.import_folder(toy, "toys", features={"audio": Path("feat.npy")}).changed
    (workspace.media_folder / matrix.path).write_bytes(b"changed")
    with pytest.raises(ModelError):
        matrix_values(shop, matrix)


def test_a_zip_is_unpacked_in_private_and_leaves_nothing(workspace: Workspace, toy: Path, quick: None) -> None:
    with zipfile.ZipFile(toy.with_suffix(".zip"), "w") as archive:
        for path in toy.iterdir():
            archive.write(path, f"toy/{path.name}")
    done = workspace.import_folder(toy.with_suffix(".zip"), "toys", features={"image": Path("feat.npy")}, uploaded=True)
    assert (done.interactions, done.media) == (len(PAIRS), {"image": ITEMS})
    assert list((workspace.home / "incoming").iterdir()) == []


def test_a_zip_on_a_full_disk_is_told_and_leaves_nothing(
    workspace: Workspace, toy: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(toy.with_suffix(".zip"), "w") as archive:
        for path in toy.iterdir():
            archive.write(path, path.name)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(core.catalog.archive, "_copy", full)
    with pytest.raises(StoreError, match=r"toy\.zip: the disk is full") as caught:
        workspace.import_folder(toy.with_suffix(".zip"), "toys", uploaded=True)
    assert caught.value.code == "E-DISK-FULL"
    assert not list((workspace.home / "incoming").glob("*"))
    assert all(info.bundled for info in workspace.catalogues())


def test_a_bad_row_of_a_benchmark_leaves_only_the_list_of_bad_rows(
    workspace: Workspace, toy: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy / "toy.inter").write_text(TABLE + "x\t0\t0\n-1\t0\t0\n")
    with pytest.raises(RowsRefusedError):
        workspace.import_folder(toy, "toys")
    assert [info.name for info in workspace.catalogues()] == ["studio", "support"]
    assert main(["import", str(toy), "--name", "toys", "--home", str(workspace.home), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in answer["refused"]] == ["E-ROW-ID", "E-ROW-ID"]
    listed = Path(answer["rejects_file"]).read_text().splitlines()
    assert len(listed) == 1 + 2 and listed[1].startswith("STOP,E-ROW-ID,toy.inter,33,34,userID,x,")


def test_the_command_mounts_what_it_is_told(toy: Path, workspace: Workspace, quick: None, capsys) -> None:
    words = ["import", str(toy), "--name", "toys", "--home", str(workspace.home), "--json", "--format", "mmrec"]
    assert main([*words, "--features", "text=feat.npy"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["media"], answer["split"]["test"], answer["rejects_file"]) == ({"text": ITEMS}, USERS, None)
    with pytest.raises(SystemExit) as end:
        main([*words, "--features", "smell=feat.npy"])
    assert end.value.code == 2


def test_the_template_is_written_by_the_command(tmp_path: Path, capsys) -> None:
    assert main(["import", "--template", str(tmp_path / "t.zip"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path / "t.zip")}
    assert zipfile.is_zipfile(tmp_path / "t.zip")


def test_a_catalogue_of_ids_starts_with_popularity(workspace: Workspace, toy: Path) -> None:
    done = workspace.import_folder(toy, "ids")
    assert (done.run, workspace.run(done.run).rank, done.media) == ("ids-popularity", "popularity", {})
    from core.pipeline import open_pipeline

    answer = open_pipeline(workspace, done.run).recommend(Query.of(user=workspace.known_user("ids", "0")), top=3)
    assert len(answer.items) == 3


def test_a_run_of_ready_made_vectors_compares_them_with_nothing_else(workspace: Workspace, toy: Path) -> None:
    done = workspace.import_folder(toy, "toys", features={"text": Path("feat.npy"), "audio": Path("feat.npy")})
    assert workspace.run(done.run).rank == "content"
    from core.pipeline import open_pipeline

    pipeline = open_pipeline(workspace, done.run)
    assert pipeline.model.modalities == ("text", "audio")
    assert all(one.startswith(MATRIX) for one in pipeline.told["encoders"].values())
    assert np.isfinite(pipeline.items.vectors.numpy()).all()
    answer = pipeline.recommend(Query.of(user=workspace.known_user("toys", "0")), top=2)
    assert set(answer.items[0].shares) == {"text", "audio"}
    with pytest.raises(SettingsError, match="no text that is given now can be compared with them"):
        pipeline.recommend(Query.of(text="a red mug"))
    np.save(toy / "feat.npy", VECTORS[::-1])
    workspace.import_folder(toy, "others", features={"text": Path("feat.npy"), "audio": Path("feat.npy")})
    with pytest.raises(SettingsError, match=r"cannot be compared\. Train a run on others"):
        open_pipeline(workspace, done.run, "others")


def test_a_matrix_is_one_token_an_item_in_half_precision(workspace: Workspace, toy: Path, quick: None) -> None:
    from core.config import RunSettings

    gaps = VECTORS.copy()
    (toy / "layer").mkdir()
    for row in (0, 2):
        np.save(toy / "layer" / f"{row}.npy", gaps[row])
    workspace.import_folder(toy, "toys", features={"video": Path("layer")})
    shop = workspace.catalogue("toys")
    features = catalogue_features(shop, RunSettings(), workspace.vectors)
    assert modalities_of(shop) == ("video",) and features.widths == {"video": 5} and features.encoded == 0
    assert [item["video"] for item in features.items] == [(0,), (), (1,), (), (), ()]
    first, second = features.states["video"]
    assert first.tokens.shape == (1, 5) and np.isfinite(first.pooled).all()
    unit = first.pooled.astype(np.float64) / second.pooled.astype(np.float64)
    assert unit == pytest.approx(gaps[0] / gaps[2], rel=2e-3)
