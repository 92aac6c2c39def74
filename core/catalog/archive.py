"""Zip archives: a catalogue folder in one file -> that folder, checked entry by entry before a byte is unpacked.

Our own loop instead of `zipfile`'s extraction, which flattens paths, follows no rule for links and takes the last of
two equal names. Order of checks: empty, signature, directory, count, then every entry's name, type, flags, method,
ratio and overlap, and only then data. A problem of one entry leaves that entry out; one of the archive refuses it.
"""

from __future__ import annotations

import csv
import io
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.catalog.folder import TABLE_ENDINGS
from core.catalog.formats import detect
from core.catalog.media_paths import path_fault
from core.catalog.names import shown_bytes, shown_name, shown_value
from core.catalog.photos import ENDINGS
from core.catalog.tables import Problem, problem
from core.errors import InputError
from core.files import write_atomic
from core.limits import GB, LIMITS, MB

_CHUNK = 1 << 20
_LITTER = ("thumbs.db", "desktop.ini", ".ds_store")
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """The folder that holds the tables, and what was left out of the archive or needs a word."""

    folder: Path
    problems: tuple[Problem, ...]


def unpack_archive(
    source: Path,
    target: Path,
    *,
    uploaded: bool = True,
    photos: bool = True,
    on_step: Callable[[str, float], None] | None = None,
) -> Unpacked:
    """Unpack a zip into the empty folder `target`. Raises InputError E-ZIP-*; then `target` may hold a part of it.

    uploaded: apply the limits of the page; from the command line an archive may be larger. photos: where no format is
    recognised, each photo becomes an item.
    """
    name, size = shown_name(source.name, "archive"), source.stat().st_size
    with source.open("rb") as file:
        _check_signature(name, size, file.read(4), uploaded)
        try:
            with zipfile.ZipFile(file) as archive:
                entries, start = archive.infolist(), archive.start_dir
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise _refused("BROKEN", name, "the directory at its end cannot be read, so the archive is cut or damaged",
                           "a whole zip was", "Copy or pack it again.") from error  # fmt: skip
        wanted, problems = _checked(name, entries, uploaded)
        places = _places(name, file, wanted, start)
        for done, entry in enumerate(wanted):
            fault = _write(file, places[entry.filename], entry, target, name)
            if fault:
                problems.append(fault)
            if on_step:
                on_step("unpack", (done + 1) / len(wanted))
    folder = _table_folder(target)
    if photos and not detect(folder):
        problems.append(_photos_to_items(folder, name))
    return Unpacked(folder=folder, problems=tuple(problems))


def _refused(code: str, name: str, came: str, expected: str, then: str) -> InputError:
    return InputError(f"E-ZIP-{code}", f"{name}: {came}; {expected} expected. {then}")


def _check_signature(name: str, size: int, head: bytes, uploaded: bool) -> None:
    if uploaded and size > LIMITS.zip_bytes:
        raise _refused("SIZE", name, f"{shown_bytes(size)} arrived", f"at most {LIMITS.zip_bytes // MB} MB were",
                       f"Import it from the command line: python -m core import {name}.")  # fmt: skip
    if not size:
        raise _refused("EMPTY", name, "the file is empty, 0 bytes arrived", "a zip was", "Pack the folder again.")
    if head not in (b"PK\3\4", b"PK\5\6"):
        what = "a .gz or .tar.gz" if head[:2] == b"\x1f\x8b" else "no zip archive"
        raise _refused("TYPE", name, f"this is {what}", "a zip was", "Pack the folder as zip and import that.")


def _checked(name: str, entries: list[zipfile.ZipInfo], uploaded: bool) -> tuple[list[zipfile.ZipInfo], list[Problem]]:
    """The entries to unpack, and those that are left out."""
    most = LIMITS.zip_entries if uploaded else LIMITS.path_zip_entries
    if len(entries) > most:
        raise _refused("COUNT", name, f"{len(entries):,} files", f"at most {most:,} were",
                       f"Split it, or import it from the command line: python -m core import {name}.")  # fmt: skip
    files, problems = [], []
    for entry in entries:
        _check_entry(name, entry)
        if not entry.is_dir() and not _is_litter(entry.filename):
            files.append(entry)
    if not files:
        raise _refused("EMPTY", name, "it holds no file", "a table and photos were", "Pack the folder again.")
    twice = [file for file, count in Counter(entry.filename for entry in files).items() if count > 1]
    if twice:
        raise _refused("DUP", name, f'two entries are named "{shown_value(twice[0])}"', "every name once was",
                       "Pack the folder again.")  # fmt: skip
    total, room = (
        sum(entry.file_size for entry in files),
        LIMITS.zip_unpacked_bytes if uploaded else LIMITS.path_unpacked_bytes,
    )
    if total > room:
        raise _refused(
            "BOMB", name, f"it unpacks to {shown_bytes(total)}", f"at most {room // GB} GB were", "Split it."
        )
    _check_one_table(name, files)
    wanted = []
    for entry in files:
        fault = _entry_fault(entry)
        if fault:
            code, reason, fix = fault
            problems.append(problem(code, name, reason, fix, value=entry.filename, severity="SKIP"))
        else:
            wanted.append(entry)
    return wanted, problems


def _check_entry(name: str, entry: zipfile.ZipInfo) -> None:
    """Raise for what makes the whole archive suspect."""
    shown = shown_value(entry.orig_filename)
    if "\0" in entry.orig_filename:
        raise _refused("NAME", name, f'the name "{shown}" holds a NUL character', "a plain name was", "Pack it again.")
    if not entry.filename:
        raise _refused("NAME", name, "an entry has no name", "a plain name was", "Pack it again.")
    if (fault := path_fault(entry.filename)) and not fault.startswith("holds"):
        raise _refused(
            "PATH", name, f'the path "{shown}" {fault}', "paths inside the archive were", "Pack the folder again."
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(
            "LINK", name, f'"{shown}" is a link or a device', "plain files were", "Pack the files themselves."
        )
    if entry.flag_bits & 0x41:
        raise _refused(
            "LOCKED", name, f'"{shown}" is encrypted', "an archive without password was", "Pack it without one."
        )
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused("METHOD", name, f'"{shown}" is packed by method {entry.compress_type}', "stored or deflated was",
                       "Pack it as an ordinary zip.")  # fmt: skip
    if entry.file_size > max(LIMITS.zip_ratio_from_bytes, LIMITS.zip_ratio * entry.compress_size):
        came = f'"{shown}" unpacks from {shown_bytes(entry.compress_size)} to {shown_bytes(entry.file_size)}'
        raise _refused("BOMB", name, came, f"at most {LIMITS.zip_ratio} to 1 were", "Leave it out.")


def _check_one_table(name: str, files: list[zipfile.ZipInfo]) -> None:
    tables: dict[str, list[str]] = {}
    for entry in files:
        folder, _, file = entry.filename.rpartition("/")
        if file.lower() in {f"items{ending}" for ending in TABLE_ENDINGS}:
            tables.setdefault(folder, []).append(shown_value(file))
    several = next((found for found in tables.values() if len(found) > 1), None)
    if several:
        raise _refused("TABLE", name, f"it holds two tables of items, {' and '.join(several)}", "one was",
                       "Leave one of them out.")  # fmt: skip


def _entry_fault(entry: zipfile.ZipInfo) -> tuple[str, str, str] | None:
    """Why one entry is left out while the rest is kept."""
    if len(entry.filename.encode("utf-8", "surrogatepass")) > LIMITS.zip_name_bytes or path_fault(entry.filename):
        reason = f"has a name of over {LIMITS.zip_name_bytes} bytes or with control characters"
        return "E-ZIP-NAME", reason, "shorten it. The file was skipped."
    if entry.filename.lower().endswith(_ARCHIVES):
        return "E-ZIP-NEST", "is an archive in the archive", "unpack it first. The file was skipped."
    return None


def _is_litter(path: str) -> bool:
    """Files that systems leave behind in folders; they go without a word."""
    file = path.rpartition("/")[2].lower()
    return path.startswith("__MACOSX/") or "/__MACOSX/" in path or file in _LITTER or file.startswith("._")


def _places(name: str, file: BinaryIO, entries: list[zipfile.ZipInfo], end: int) -> dict[str, int]:
    """Where the data of each entry starts; raises when two entries share bytes or a header does not fit."""
    places = {}
    in_order = sorted(entries, key=lambda entry: entry.header_offset)
    limits = (*(entry.header_offset for entry in in_order[1:]), end)
    for entry, limit in zip(in_order, limits, strict=True):
        file.seek(entry.header_offset)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise _refused("BROKEN", name, f'the entry "{shown_value(entry.filename)}" is damaged', "a whole zip was",
                           "Copy or pack it again.")  # fmt: skip
        label, extra = struct.unpack("<HH", header[26:30])
        places[entry.filename] = entry.header_offset + 30 + label + extra
        if places[entry.filename] + entry.compress_size > limit:
            raise _refused("BOMB", name, f'"{shown_value(entry.filename)}" shares bytes with another entry',
                           "entries one after the other were", "Pack the folder again.")  # fmt: skip
    return places


def _write(file: BinaryIO, place: int, entry: zipfile.ZipInfo, target: Path, name: str) -> Problem | None:
    """Unpack one entry, counting bytes; a wrong checksum leaves the file out."""
    path = target / entry.filename
    if not os.path.realpath(path).startswith(os.path.realpath(target) + os.sep):
        raise _refused("PATH", name, "a path leads out of the archive", "paths inside were", "Pack the folder again.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            checksum = _copy(file, place, entry, out, name)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _refused("DUP", name, f'"{shown_value(entry.filename)}" is a file and a folder, or stands there twice',
                       "every name once was", "Pack the folder again.") from error  # fmt: skip
    if checksum == entry.CRC:
        return None
    path.unlink()
    return problem("E-ZIP-CRC", name, "does not match its checksum", "pack it again. The file was skipped.",
                   value=entry.filename, severity="SKIP")  # fmt: skip


def _copy(file: BinaryIO, place: int, entry: zipfile.ZipInfo, out: BinaryIO, name: str) -> int:
    """The checksum of what was written. Raises when the data is not as long as it claims."""
    file.seek(place)
    left, written, checksum = entry.compress_size, 0, 0
    packer = zlib.decompressobj(-15) if entry.compress_type == zipfile.ZIP_DEFLATED else None
    broken = _refused("BROKEN", name, f'"{shown_value(entry.filename)}" is not as long as the archive says',
                      "a whole zip was", "Copy or pack it again.")  # fmt: skip
    waiting = b""
    while left or waiting:
        taken = waiting or file.read(min(left, _CHUNK))
        if not taken:
            raise broken
        if not waiting:
            left -= len(taken)
        try:
            plain = packer.decompress(taken, _CHUNK) if packer else taken
        except zlib.error as error:
            raise broken from error
        waiting = packer.unconsumed_tail if packer else b""
        written += len(plain)
        if written > entry.file_size:
            raise broken
        checksum = zlib.crc32(plain, checksum)
        out.write(plain)
    if packer:
        rest = packer.flush()
        checksum, written = zlib.crc32(rest, checksum), written + len(rest)
        out.write(rest)
    if written != entry.file_size:
        raise broken
    return checksum


def _tables(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.stem == "items" and path.suffix in TABLE_ENDINGS]


def _table_folder(target: Path) -> Path:
    """Many archives hold one folder that holds everything."""
    inside = list(target.iterdir())
    if not _tables(target) and len(inside) == 1 and inside[0].is_dir():
        return inside[0]
    return target


def _photos_to_items(folder: Path, name: str) -> Problem:
    """An archive of photos alone: each becomes an item named after its file."""
    photos = sorted(path for path in folder.rglob("*") if path.suffix[1:].lower() in ENDINGS and path.is_file())
    if not photos:
        raise _refused("TABLE", name, "it holds neither a table of items nor photos", "items.csv or photos was",
                       "Put items.csv in and pack it again.")  # fmt: skip
    page = io.StringIO()
    writer = csv.writer(page)
    writer.writerow(("item_id", "title", "image"))
    for path in photos:
        file = path.relative_to(folder).as_posix()
        writer.writerow((file.rpartition(".")[0], path.stem.replace("_", " ").replace("-", " "), file))
    write_atomic(folder / "items.csv", page.getvalue().encode())
    reason = f"holds {len(photos):,} photos and no table"
    return problem("N-ZIP-TABLE", name, reason, "each photo became an item named after its file.")
