"""Every archive of the bad-inputs corpus, through the reader that page, command and training use."""

import pytest

from core.catalog.archive import unpack_archive
from core.catalog.folder import read_folder
from core.catalog.photos import read_image
from core.catalog.verify import verify_media
from core.errors import FusescopeError
from tests.corpus import expected, folder, need_corpus, outcome, rows_of

need_corpus()


@pytest.fixture(scope="session")
def corpus():
    return folder()


def import_archive(corpus, row, place):
    """The catalogue of an archive, its import report and every code that came up on the way, decoding included."""
    unpacked = unpack_archive(corpus / row["file"], place)
    catalogue, report = read_folder(unpacked.folder, "corpus")
    problems = (*unpacked.problems, *report.refused, *report.notices, *verify_media(catalogue, read=read_image))
    return catalogue, problems


@pytest.mark.parametrize("row", rows_of("archive"))
def test_every_archive_gets_its_outcome_and_code(corpus, row, tmp_path):
    target = tmp_path / "in" / "here"
    target.mkdir(parents=True)
    try:
        _, problems = import_archive(corpus, row, target)
        found = outcome({problem.code for problem in problems})
        if row["expected_code"] in ("E-ZIP-CRC",):  # the item whose photo was skipped is told too
            assert "N-ZIP-PAIR" in found[1]
            found = outcome({problem.code for problem in problems} - {"N-ZIP-PAIR"})
    except FusescopeError as error:
        assert str(tmp_path) not in str(error) and "expected" in str(error)
        found = "refuse", error.code
    assert found == expected(row)
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"here"}  # nothing was written outside
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_one_bad_entry_does_not_cost_the_others(corpus, tmp_path):
    catalogue, problems = import_archive(corpus, {"file": "archive/418_wrong_checksum.zip"}, tmp_path)
    assert len(catalogue.items) == 3 and problems[0].value == "photos/a2.jpg"
    assert [bool(item.media) for item in catalogue.items] == [True, False, True]
