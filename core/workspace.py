"""One folder per installation: binds the store, the catalogues, the runs, the vectors and the caches.

    home/fusescope.sqlite   what was imported, trained, asked        home/media/     photos, sounds, clips of ours
    home/runs/NAME/         trained runs                            home/queries/   media of saved queries
    home/vectors/           encoded media, by content               home/cache/     thumbnails; may be deleted

The bundled catalogue and its run are served from sample_data, read-only; nothing is set up for them, no database is
opened. SQLAlchemy and the readers are imported where they are needed.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.copies import CALLED, ending, is_bare, own_copy
from core.config import SAMPLE, database_url, home_folder
from core.domain import Catalogue, Modality, Part, Query, Words
from core.errors import AddressError, InputError, ModelError, StoreError, UnknownNameError
from core.files import digest_bytes, digest_file, secret_key, write_atomic
from core.store.values import CatalogueInfo, RunInfo, SavedPart, SavedQuery

if TYPE_CHECKING:
    from core.importing import ImportOutcome
    from core.store.engines import Store

BUNDLED_CATALOGUE = "studio"
BUNDLED_CATALOGUES = (BUNDLED_CATALOGUE, "support")
BUNDLED_RUN = "studio-default"
BUNDLED_RUNS = (BUNDLED_RUN, "studio-senses", "studio-cleaned", "support-default")
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
STORED = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{3,4}")


@dataclass(eq=False, kw_only=True)
class Workspace:
    """What an installation holds. Open it with `Workspace.open`; safe to share between threads."""

    home: Path
    sample: Path = SAMPLE
    database: str | None = field(default_factory=database_url)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _catalogues: dict[tuple[str, str], Catalogue] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, home: Path | None = None, *, database: str | None = None) -> Workspace:
        """The workspace in `home`, else in FUSESCOPE_HOME, else in .fusescope beside the app. Writes nothing yet.

        database: URL of the tables, else FUSESCOPE_DATABASE, else SQLite in `home`.
        """
        return cls(home=(home or home_folder()).expanduser().absolute(), database=database or database_url())

    # ---- catalogues

    def catalogues(self) -> list[CatalogueInfo]:
        """The bundled catalogues first, then the imported ones by name.

        Cheap enough for a first page: the bundled tables are counted, not cleaned. Its version is "" until it was read.
        """
        return [*map(self._bundled_info, self._bundled()), *self._imported()]

    def catalogue(self, name: str) -> Catalogue:
        """The catalogue, read once in a process. Raises UnknownNameError."""
        if name in BUNDLED_CATALOGUES:
            hidden = self.home / "forgotten"
            version = f"bundled {hidden.stat().st_mtime_ns}" if hidden.is_file() else "bundled"
            return self._remembered(name, version, lambda: self._read_bundled(name))
        known = {info.name: info for info in self._imported()}
        if name not in known:
            raise UnknownNameError("catalogue", name, [*BUNDLED_CATALOGUES, *known])
        return self._remembered(name, known[name].version, lambda: self._read_imported(name))

    def words(self, name: str) -> Words:
        """What the catalogue calls its things, without reading it; the standard words of one that is not known."""
        if name in BUNDLED_CATALOGUES:
            from core.catalog.wording import read_words

            return read_words(self.sample / name)
        told: dict[str, str] = next((one.report.get("words", {}) for one in self._imported() if one.name == name), {})
        return Words(**told)

    def import_folder(
        self,
        source: Path,
        name: str,
        on_step: Callable[[str, float], None] | None = None,
        *,
        layout: str = "auto",
        features: Mapping[str, Path] | None = None,
        uploaded: bool = False,
    ) -> ImportOutcome:
        """Read, check, encode and keep a catalogue, and train its first run; see core/importing.py."""
        from core.importing import import_source

        return import_source(self, source, name, on_step, layout=layout, features=features, uploaded=uploaded)

    def check_name(self, name: str, kind: str) -> str:
        """`name` if it can name a new catalogue or run; raises InputError."""
        if not NAME.fullmatch(name):
            raise InputError(
                "E-INPUT-VALUE",
                f'"{name[:80]}" cannot name a {kind}; 1 to 64 small letters, digits, "-", "_" or "." were expected. '
                "Choose another name.",
            )
        if name in (*BUNDLED_CATALOGUES, *BUNDLED_RUNS):
            raise InputError(
                "E-INPUT-VALUE", f'"{name}" is the bundled {kind} and stays as it is. Choose another name.'
            )
        return name

    def user_key(self, user: str) -> str:
        """The keyed hash that stands for a raw user id of an imported catalogue: 32 hex digits (HMAC-SHA-256)."""
        return hmac.new(self._key, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    def known_user(self, catalogue: str, user: str) -> str:
        """The id under which `catalogue` knows the person who is called `user` outside; plain in the bundled ones."""
        return user if catalogue in BUNDLED_CATALOGUES else self.user_key(user)

    # ---- media

    @property
    def media_folder(self) -> Path:
        return self.home / "media"

    @property
    def vectors(self) -> Path:
        """Folder of the content-addressed vector store."""
        return self.home / "vectors"

    def media(self, catalogue: str, path: str) -> bytes:
        """One file of a catalogue. Raises AddressError when the path leads out of it, to nothing or to damage."""
        file = self._media_file(catalogue, path)
        data = file.read_bytes()
        if STORED.fullmatch(file.name) and digest_bytes(data) != file.stem:
            raise AddressError("E-URL-VALUE", f'"{file.name[:12]}..." is damaged. Import the catalogue again.')
        return data

    def thumbnail(self, catalogue: str, path: str, side: int = 320) -> bytes:
        """A small copy of a photo, kept in the cache under the photo's content."""
        from core.catalog.photos import read_image, thumbnail

        data = self.media(catalogue, path)
        cached = self.home / "cache" / "thumbnails" / f"{digest_bytes(data)[:32]}-{side}"
        if cached.is_file():
            return cached.read_bytes()
        image, _ = read_image(data, Path(path).name)
        small = thumbnail(image, side)
        try:
            write_atomic(cached, small)
        except StoreError:  # a cache that cannot be written costs time, never the picture
            return small
        return small

    def keep_medium(self, data: bytes, name: str, modality: Modality = "image") -> str:
        """Store our own encoding of a photo, sound or clip, bare, under its sha256; returns `ab/abcd...ext`.

        One that was kept before is not encoded again, so this can be repeated. Raises InputError of its modality.
        """
        digest = digest_bytes(data + (b"" if modality == "image" else modality.encode()))
        pointer = self.media_folder / "seen" / digest[:2] / digest
        if pointer.is_file():
            kept = pointer.read_text("ascii")
            if STORED.fullmatch(kept) and (self.media_folder / kept[:2] / kept).is_file():
                return f"{kept[:2]}/{kept}"
        clean = own_copy(modality, data, name)
        stored = f"{digest_bytes(clean)}.{ending(clean)}"
        if not (path := self.media_folder / stored[:2] / stored).is_file():
            write_atomic(path, clean)
        write_atomic(pointer, stored.encode("ascii"))
        return f"{stored[:2]}/{stored}"

    # ---- runs

    def runs(self) -> list[RunInfo]:
        """Bundled runs first, then those of this workspace, the newest first."""
        if not self.has_database:
            return self._bundled_runs()
        from core.store.runs import list_runs

        return [*self._bundled_runs(), *list_runs(self.store)]

    def run(self, run: str) -> RunInfo:
        """One run by name. Raises UnknownNameError."""
        known = {info.run: info for info in self.runs()}
        if run not in known:
            raise UnknownNameError("run", run, known)
        return known[run]

    def run_folder(self, run: str) -> Path:
        """Where the files of a run are; its run.json is what was recorded. Raises UnknownNameError, ModelError."""
        info = self.run(run)
        folder = (self.sample if info.bundled else self.home) / "runs" / run
        if not (folder / "run.json").is_file():
            raise ModelError("E-MODEL-EMPTY", f'run "{run}": its folder has no run.json; train the run again.')
        if info.digest and digest_file(folder / "run.json") != info.digest:
            raise ModelError(
                "E-MODEL-SUM", f'run "{run}": its run.json is not the one that was recorded; train the run again.'
            )
        return folder

    def new_run_folder(self, run: str) -> Path:
        """Where a run of this name is to be written before `add_run` records it."""
        return self.home / "runs" / self.check_name(run, "run")

    def free_run_name(self, stem: str) -> str:
        """`stem`, or `stem-2`, `stem-3` ... where that is taken."""
        taken = {info.run for info in self.runs()}
        numbered = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 100_000))
        return next(name for name in numbered if name not in taken)

    def add_run(self, folder: Path) -> RunInfo:
        """Record the run in `folder`, which `new_run_folder` named. Raises ModelError, StoreError."""
        from core.store.runs import save_run

        info = read_run(folder)
        if folder.resolve() != (self.home / "runs" / info.run).resolve():
            raise ModelError("E-MODEL-TYPE", f'run "{info.run}": its folder must lie in the workspace under its name.')
        with self.store.writing() as session:
            save_run(session, info)
        return info

    # ---- queries

    def save_query(self, query: Query, run: str) -> str:
        """Keep a query and return the short id of its link. Text is cleaned and redacted, photos encoded again."""
        from core.store.runs import save_query

        media: dict[str, bytes] = {}
        parts = tuple(part for one in query.parts if (part := self._saved_part(one, media)) is not None)
        told = json.dumps([run, query.user, [[part.modality, part.text, part.file] for part in parts]])
        ident = base64.b32encode(hashlib.sha256(told.encode()).digest())[:12].decode().lower()
        with self.store.writing() as session:  # under the lock of the sweep, which removes what no question names
            for file, data in media.items():
                write_atomic(self.home / "queries" / file[:2] / file, data)
            save_query(session, SavedQuery(id=ident, run=run, user=query.user, parts=parts))
        return ident

    def query(self, ident: str) -> tuple[Query, str]:
        """The query behind a link, and its run. Raises AddressError when nobody saved it or a photo of it is gone."""
        from core.store.runs import load_query

        saved = load_query(self.store, ident) if self.has_database and len(ident) <= 16 else None
        if saved is None:
            raise AddressError("E-URL-VALUE", f'"{ident[:80]}": no query has this link here. Ask the question anew.')
        return Query(parts=tuple(map(self._loaded_part, saved.parts)), user=saved.user), saved.run

    def _saved_part(self, part: Part, media: dict[str, bytes]) -> SavedPart | None:
        if part.modality == "text":
            from core.catalog.words import clean_text

            text, _ = clean_text(part.content, "query")
            return SavedPart(modality="text", text=text)
        if part.modality == "image":
            # what a page shows was encoded by us already; once more would change the answer behind the link
            clean = part.content if is_bare(part.content) else own_copy("image", part.content, part.name or "photo")
        elif part.modality in CALLED:
            clean = own_copy(part.modality, part.content, part.name or CALLED[part.modality])
        else:
            return None
        media[file := f"{digest_bytes(clean)}.{ending(clean)}"] = clean
        return SavedPart(modality=part.modality, file=file)

    def _loaded_part(self, part: SavedPart) -> Part:
        if part.modality == "text":
            return Part(modality="text", content=part.text.encode())
        path = self.home / "queries" / part.file[:2] / part.file
        data = path.read_bytes() if path.is_file() else b""
        if digest_bytes(data) != path.stem:
            lost = CALLED[part.modality]
            raise AddressError("E-URL-VALUE", f"a {lost} of this query is gone or damaged. Ask the question anew.")
        return Part(modality=part.modality, content=data, name=f"{CALLED[part.modality]}{path.suffix}")

    # ---- inside

    @cached_property
    def store(self) -> Store:
        """The database, made or upgraded on first use. Raises StoreError."""
        from core.store.engines import Store
        from core.store.postgres import for_home

        with self._lock:
            return Store.open(for_home(self.database, self.home) if self.database else self.home / "fusescope.sqlite")

    @property
    def has_database(self) -> bool:
        return self.database is not None or (self.home / "fusescope.sqlite").is_file()

    @cached_property
    def _key(self) -> bytes:
        with self._lock:
            return secret_key(self.home / "key")

    def _remembered(self, name: str, version: str, read: Callable[[], Catalogue]) -> Catalogue:
        with self._lock:
            if (name, version) not in self._catalogues:
                catalogue = read()
                self._catalogues = {key: kept for key, kept in self._catalogues.items() if key[0] != name}
                self._catalogues[name, version] = catalogue
            return self._catalogues[name, version]

    def _imported(self) -> list[CatalogueInfo]:
        if not self.has_database:
            return []
        from core.store.catalogues import list_catalogues

        return list_catalogues(self.store)

    def _bundled(self) -> list[str]:
        return [name for name in BUNDLED_CATALOGUES if (self.sample / name / "items.csv").is_file()]

    def _bundled_info(self, name: str) -> CatalogueInfo:
        folder = self.sample / name
        items = _cells(folder / "items.csv", "image", "images")
        met = _cells(folder / "interactions.csv", "user_id", "image", "images")
        named = {
            path.strip() for cells in (*items, *(row[1:] for row in met)) for one in cells for path in one.split("|")
        }
        photos = sum((folder / path).is_file() for path in named if path)
        read = next((kept for (known, _), kept in self._catalogues.items() if known == name), None)
        return CatalogueInfo(
            name=name, items=len(items), users=len({row[0] for row in met}),
            interactions=len(met), media={"image": photos} if photos else {}, version=read.version if read else "",
            bundled=True,
        )  # fmt: skip

    def _read_bundled(self, name: str) -> Catalogue:
        from core.catalog.folder import read_folder

        whole = read_folder(self.sample / name, name, on_step=None)[0]
        if not (self.home / "forgotten").is_file():
            return whole
        from core.catalog.forgotten import remaining, tombstone
        from core.store.labels import list_forgotten

        gone = {one.digest for one in list_forgotten(self.store)}
        return remaining(whole, lambda kind, ident: self.user_key(tombstone(whole.name, kind, ident)) in gone)

    def _read_imported(self, name: str) -> Catalogue:
        from core.store.catalogues import load_catalogue

        catalogue = load_catalogue(self.store, name, self.media_folder)
        if catalogue is None:
            raise UnknownNameError("catalogue", name, self._bundled())
        return catalogue

    def _bundled_runs(self) -> list[RunInfo]:
        folders = sorted((self.sample / "runs").glob("*/run.json"))
        return sorted((read_run(path.parent, bundled=True) for path in folders), key=lambda run: run.run != BUNDLED_RUN)

    def _media_file(self, catalogue: str, path: str) -> Path:
        root = self.sample / catalogue if catalogue in BUNDLED_CATALOGUES else self.media_folder
        file = (root / path).resolve()
        if not file.is_relative_to(root.resolve()) or not file.is_file():
            raise AddressError(
                "E-URL-VALUE", f'catalogue "{catalogue}" has no file "{path[:80]}". Choose an item again.'
            )
        return file


def read_run(folder: Path, *, bundled: bool = False) -> RunInfo:
    """What the run.json in `folder` says of its run. Raises ModelError."""
    path = folder / "run.json"
    try:
        data = path.read_bytes()
        told: dict[str, Any] = json.loads(data)
        settings = told["settings"]
        created = datetime.fromisoformat(told["created"]) if "created" in told else datetime.fromtimestamp(0, UTC)
        return RunInfo(
            run=told["run"], catalogue=settings["catalogue"], align=settings["align"], fuse=settings["fuse"],
            rank=settings["rank"], metrics=told.get("metrics", {}), created=created, bundled=bundled,
            digest=digest_bytes(data),
        )  # fmt: skip
    except OSError:
        raise ModelError("E-MODEL-EMPTY", f'run "{folder.name}": it has no run.json; train the run again.') from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "E-MODEL-BROKEN", f'run "{folder.name}": its run.json cannot be read; train the run again.'
        ) from error


def _cells(table: Path, *columns: str) -> list[list[str]]:
    """The cells of some columns, row by row; [] where there is no such table or column."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        head = next(rows, [])
        places = [head.index(column) for column in columns if column in head]
        return [[row[place] for place in places] for row in rows if len(row) == len(head)]
