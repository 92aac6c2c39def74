"""Media that a table names: which paths may be used, and what the first bytes of a file already rule out."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from core.catalog.ledger import Ledger
from core.catalog.names import shown_bytes, shown_value
from core.catalog.photos import ENDINGS, photo_kind
from core.catalog.tables import Record, Table
from core.domain import Modality
from core.limits import LIMITS, MB

MEDIA_COLUMNS: dict[Modality, tuple[str, ...]] = {
    "image": ("image", "images"),
    "audio": ("audio",),
    "video": ("video",),
}
AREAS = {"image": "IMG", "audio": "AUD", "video": "VID"}
MEDIA_ENDINGS = {*ENDINGS, "wav", "flac", "ogg", "oga", "opus", "mp3", "mp4", "m4v", "mov", "webm", "mkv"}
_MP3_STARTS = (b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3", b"\xff\xe2")


class MediaFiles:
    """The media of one folder as rows name them; every file is looked at once, every row that names a bad one told."""

    def __init__(self, source: Path, ledger: Ledger) -> None:
        self.root, self.ledger = os.path.realpath(source), ledger
        self.sizes: dict[str, int] = {}  # of every usable medium
        self.kinds: dict[str, Modality] = {}
        self.faults: dict[tuple[str, Modality], tuple[str, str, str] | None] = {}

    def counts(self) -> dict[Modality, int]:
        """Usable files by modality."""
        found = Counter(self.kinds.values())
        return {modality: found[modality] for modality in AREAS if found[modality]}

    def of_row(self, table: Table, record: Record) -> dict[Modality, tuple[str, ...]]:
        media = {}
        for modality, columns in MEDIA_COLUMNS.items():
            named: dict[str, str] = {}
            for column in columns:
                if cell := table.cell(record, column):
                    named.update({path.strip(): column for path in cell.split("|") if path.strip() not in named})
            named.pop("", None)
            files = [path for path, column in named.items() if self.usable(table, record, column, modality, path)]
            if files:
                media[modality] = tuple(files)
        return media

    def usable(self, table: Table, record: Record, column: str, modality: Modality, path: str) -> bool:
        """True where a medium may be used; otherwise the reason is listed at this row."""
        if (path, modality) not in self.faults:
            self.faults[path, modality] = self._fault(path, modality)
        found = self.faults[path, modality]
        if found is not None:
            code, reason, fix = found
            self.ledger.tell(code, table, record, column, path, reason, fix)
        return found is None

    def _fault(self, path: str, modality: Modality) -> tuple[str, str, str] | None:
        kept = "The item was kept without it."
        if wrong := path_fault(path):
            return "E-ROW-PATH", wrong, f"write a path inside the folder, such as photos/a1.jpg. {kept}"
        place = os.path.realpath(os.path.join(self.root, path))
        if not place.startswith(self.root + os.sep):
            return "E-ROW-PATH", "is a link that leads out of the folder", f"put the file itself there. {kept}"
        try:
            with open(place, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                head = file.read(300)
        except (OSError, ValueError):
            return "N-ZIP-PAIR", "is not in the folder", f"add the file, or correct the path. {kept}"
        if fault := head_fault(head, size, modality):
            return f"E-{AREAS[modality]}-{fault[0]}", fault[1], f"{fault[2]}. {kept}"
        self.sizes[path], self.kinds[path] = size, modality
        return None

    def report_unnamed(self) -> None:
        """One notice about media files that no row names."""
        unnamed = []
        for folder, _, files in os.walk(self.root):
            inside = os.path.relpath(folder, self.root).replace(os.sep, "/")
            for file in files:
                path = file if inside == "." else f"{inside}/{file}"
                if (
                    file.rpartition(".")[2].lower() in MEDIA_ENDINGS
                    and path not in self.sizes
                    and not any((path, modality) in self.faults for modality in AREAS)
                ):
                    unnamed.append(path)
        if unnamed:
            shown = ", ".join(shown_value(path) for path in sorted(unnamed)[:3])
            more = f" and {len(unnamed) - 3:,} more" if len(unnamed) > 3 else ""
            self.ledger.tell_table(
                "N-ZIP-PAIR",
                "media",
                "",
                f"{len(unnamed):,} media file{'s are' if len(unnamed) > 1 else ' is'} named by no row: {shown}{more}",
                "they were left out; name them in a row, or remove them.",
            )


def path_fault(path: str) -> str:
    """Why a media path of a table may not be used, "" where it may. Looks at the text alone."""
    if "\\" in path:
        return "has a backslash"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path):
        return "is a web address or a drive"
    if path.startswith(("/", "~")):
        return "does not start in the folder"
    if ".." in path.split("/"):
        return "leads out of the folder"
    return "holds a control character" if any(ord(letter) < 32 or ord(letter) == 127 for letter in path) else ""


def head_fault(head: bytes, size: int, modality: Modality) -> tuple[str, str, str] | None:
    """End of the code, reason and fix where the first bytes or the size of a medium already rule it out."""
    if not size:
        return "EMPTY", "is an empty file, 0 bytes", "copy it again"
    most = {"image": LIMITS.photo_bytes, "audio": LIMITS.audio_bytes, "video": LIMITS.video_bytes}[modality]
    if size > most:
        return "SIZE", f"has {shown_bytes(size)}, at most {most // MB} MB were expected", "save a smaller copy"
    if modality == "image":
        return None if photo_kind(head) else ("TYPE", "is no picture of a known type", "save it as JPEG, PNG or WebP")
    if modality == "audio":
        sound = head[:4] in (b"RIFF", b"RF64", b"fLaC", b"OggS") or head[:3] == b"ID3" or head[:2] in _MP3_STARTS
        return None if sound else ("TYPE", "is no sound of a known type", "save it as WAV, FLAC, Ogg or MP3")
    film = head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or head[:6] in (b"GIF87a", b"GIF89a")
    return None if film else ("TYPE", "is no film of a known type", "save it as MP4, WebM, MKV or a moving GIF")
