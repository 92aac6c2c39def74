"""Zip archives: nothing leaves the folder, nothing expands, and one bad entry does not cost the rest."""

import io
import zipfile

import pytest

from core.catalog.archive import unpack_archive
from core.catalog.folder import read_folder
from core.errors import InputError


def packed(folder, *entries, name="shop.zip"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in entries:
            archive.writestr(path, data)
    (folder / name).write_bytes(buffer.getvalue())
    target = folder / "out"
    target.mkdir()
    return folder / name, target


def test_a_folder_inside_the_archive_is_found(tmp_path):
    source, target = packed(tmp_path, ("shop/items.csv", "item_id,title\na,Lamp\n"), ("shop/notes/x.txt", "x"))
    unpacked = unpack_archive(source, target)
    assert unpacked.folder == target / "shop" and unpacked.problems == ()
    assert read_folder(unpacked.folder, "shop")[1].items == 1


def test_an_entry_larger_than_a_chunk_is_whole(tmp_path):
    data = bytes(range(256)) * 20_000  # 5 MB, packed about 250:1, so it is stored in random order to stay below 100:1
    data = bytes((byte * 167 + at // 256) % 256 for at, byte in enumerate(data[:2_500_000]))
    source, target = packed(tmp_path, ("items.csv", "item_id,title\na,Lamp\n"), ("big.bin", data))
    unpack_archive(source, target)
    assert (target / "big.bin").read_bytes() == data


@pytest.mark.parametrize(("entries", "code"), [
    ([("a.txt", "x"), ("a.txt/b.txt", "y")], "E-ZIP-DUP"),
    ([("notes.txt", "x")], "E-ZIP-TABLE"),
    ([("~/items.csv", "x")], "E-ZIP-PATH"),
    ([("photos/../../items.csv", "x")], "E-ZIP-PATH"),
    ([(zipfile.ZipInfo("\0"), "x")], "E-ZIP-NAME"),  # written as an entry without a name
])  # fmt: skip
def test_an_archive_that_cannot_be_a_catalogue_is_refused(tmp_path, entries, code):
    with pytest.raises(InputError) as caught:
        unpack_archive(*packed(tmp_path, *entries))
    assert caught.value.code == code and str(tmp_path) not in str(caught.value)


def test_from_a_path_more_entries_are_allowed(tmp_path):
    source, target = packed(
        tmp_path, ("items.csv", "item_id,title\na,Lamp\n"), *((f"n/{i}.txt", "") for i in range(10_000))
    )
    with pytest.raises(InputError, match=r"10,001 files; at most 10,000 were expected.*command line"):
        unpack_archive(source, target)
    assert len(list((unpack_archive(source, target, uploaded=False).folder / "n").iterdir())) == 10_000
