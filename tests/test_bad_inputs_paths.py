"""The corpus as it really arrives: by the page's upload and by the command line, which give the same codes."""

import json
import shutil
import zipfile
from contextlib import suppress

import pytest

import core.importing
import core.pipeline
from core.__main__ import main
from core.domain import Part, Query
from core.errors import FusescopeError
from core.pipeline import Pipeline
from core.workspace import Workspace
from pages.shared import services
from tests.corpus import data_of, expected, folder, name_of, need_corpus, outcome, rows_of
from tests.test_workspace import write_run

need_corpus()
OF_THE_PAGE = {"E-ZIP-COUNT", "E-ZIP-SIZE", "E-TAB-ROWS", "E-TAB-SIZE", "E-ZIP-BOMB"}  # limits of uploads alone
SAID_TOO = {"E-ZIP-CRC": {"N-ZIP-PAIR"}, "E-IMG-TRUNC": set()}  # the item whose photo was left out is told too


@pytest.fixture
def ask(tmp_path, capsys, monkeypatch):
    """Runs a command with --json; encoding and training take no time."""
    monkeypatch.setattr(core.importing, "_encoded", lambda workspace, catalogue, tell: len(catalogue.items))
    monkeypatch.setattr(
        core.importing, "_trained", lambda workspace, catalogue, place, tell: write_run(place, catalogue.name)
    )

    def run(*arguments: str) -> tuple[int, dict]:
        status = main([arguments[0], "--home", str(tmp_path / "home"), "--json", *arguments[1:]])
        told = capsys.readouterr()
        assert str(folder()) not in told.out
        return status, json.loads(told.out)

    return run


def found_by(status: int, answer: dict, also: set[str] = frozenset()) -> tuple[str, str]:
    """Outcome and codes of an import as the command line tells them."""
    if status:
        return "refuse", answer["error"]["code"]
    codes = {one["code"] for one in answer["refused"]} | {code for code in answer["cleaned"] if code.startswith("N-")}
    return outcome(codes - also)


# ---- pictures


@pytest.mark.parametrize("row", rows_of("image"))
def test_every_picture_through_the_pages_uploader(row):
    files = [(data_of(row["file"]), name_of(row))]
    if row["expected_code"] == "N-IMG-DUP":
        files.insert(0, (data_of("image/197_same_photo_a.jpg"), "first.jpg"))
    read = services._read_photos.__wrapped__((), files)  # outside of a page's run
    codes = {notice.code for notice in read.notices}
    assert (outcome(codes) if read.photos else ("refuse", ",".join(codes))) == expected(row)


class Reads:
    """A pipeline that only reads."""

    must = must_read = staticmethod(lambda _: None)

    def recommend(self, query: Query, *, top: int, without=()):
        from dataclasses import replace

        from tests.test_command_line import answer_of

        read, notices = Pipeline.read(self, query)
        assert sum(map(len, read.values()))
        return replace(answer_of(query, 1, ()), notices=notices)


NAMEABLE = [row for row in rows_of("image") if not row.values[0]["upload_as"]]  # a file system can hold these names


@pytest.mark.parametrize("row", NAMEABLE)
def test_every_picture_through_the_command_line(row, ask, tmp_path, monkeypatch):
    monkeypatch.setattr(core.pipeline, "open_pipeline", lambda *_, **__: Reads())
    words = ["recommend", "--run", "studio-default"]
    files = [row["file"]] if row["expected_code"] != "N-IMG-DUP" else ["image/197_same_photo_a.jpg", row["file"]]
    for file in files:
        words += ["--image", str(shutil.copy(folder() / file, tmp_path / file.partition("/")[2].partition("_")[2]))]
    status, answer = ask(*words)
    found = ("refuse", answer["error"]["code"]) if status else outcome({one["code"] for one in answer["notices"]})
    assert found == expected(row)


# ---- texts


@pytest.mark.parametrize("row", rows_of("text"))
def test_every_text_as_a_part_of_a_question(row):
    data = data_of(row["file"])
    try:
        _, notices = Pipeline.read(Reads(), Query(parts=(Part(modality="text", content=data, name="words"),)))
        found = outcome({notice.code for notice in notices})
    except FusescopeError as error:
        found = "refuse", error.code
    assert found == expected(row)
    if not row["expected_code"].endswith("TXT-ENC"):  # typed words have no encoding any more
        try:
            found = outcome({notice.code for notice in services.clean_words(data.decode("utf-8", "surrogatepass"))[1]})
        except FusescopeError as error:
            found = "refuse", error.code
        except UnicodeDecodeError:
            return
        assert found == expected(row)


# ---- tables and archives


def stored(place, target):
    """The folder as a zip without compression: a cell of one letter, 1 MB long, would be a bomb by its ratio."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(place.rglob("*")):
            archive.write(path, path.relative_to(place))
    return target


@pytest.mark.parametrize("row", rows_of("table"))
def test_every_table_through_upload_and_command_line(row, ask, tmp_path):
    from tests.test_bad_inputs_tables import import_table

    place = tmp_path / "shop"
    place.mkdir()
    with suppress(FusescopeError):
        import_table(folder(), row, place)  # lays the files out as a shop
    packed = str(stored(place, tmp_path / "upload.zip"))
    assert found_by(*ask("import", packed, "--name", "page", "--uploaded")) == expected(row)
    if row["expected_code"] not in OF_THE_PAGE:
        assert found_by(*ask("import", str(place), "--name", "line")) == expected(row)


@pytest.mark.parametrize("row", rows_of("archive"))
def test_every_archive_through_upload_and_command_line(row, ask, tmp_path):
    packed = str(shutil.copy(folder() / row["file"], tmp_path / "upload.zip"))
    also = SAID_TOO.get(row["expected_code"], set())
    assert found_by(*ask("import", packed, "--name", "page", "--uploaded"), also) == expected(row)
    if row["expected_code"] not in OF_THE_PAGE:
        assert found_by(*ask("import", packed, "--name", "line"), also) == expected(row)
    if row["expected_outcome"] == "refuse":
        assert [info.name for info in Workspace.open(tmp_path / "home").catalogues()] == ["studio", "support"]
