"""The form of the Data page that adds one item from raw media, and its door to core: runs rank the item at once."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.catalog.names import kept_name
from core.domain import Modality
from core.errors import FusescopeError
from core.figures import word_of
from core.limits import MB
from pages.shared import (
    access,
    data_visit,
    explain_services,
    media_parts,
    media_services,
    parts,
    services,
    visit,
    wording,
)
from pages.shared.data_visit import field
from pages.shared.theme import leading, literal

if TYPE_CHECKING:
    from core.adding import Added

LIMITS = services.LIMITS
PHOTOS = ["jpg", "jpeg", "png", "webp", "gif", "avif", "heic", "tif", "bmp"]
Files = Mapping[Modality, Sequence[tuple[str, bytes]]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a form holds: cells of a row of items.csv, the files (name, bytes) of every modality, and the id that is
    taken where none was written."""

    cells: Mapping[str, str]
    media: Files
    proposed: str

    @property
    def row(self) -> dict[str, str]:
        return {
            **{name: cell for name, cell in self.cells.items() if cell},
            "item_id": self.cells["item_id"] or self.proposed,
        }

    @property
    def digest(self) -> str:
        files = [(m, name, hashlib.sha256(data).hexdigest()) for m, some in self.media.items() for name, data in some]
        return hashlib.sha256(repr((sorted(self.cells.items()), files)).encode()).hexdigest()


def draw_form(catalogue: str) -> None:
    """Words, photos, a sound and a clip of one item; a press adds it."""
    st.subheader(wording.said("Add a product"))
    if any(one.bundled for one in services.catalogues() if one.name == catalogue):
        st.info(
            f"{literal(catalogue)} comes with the app and stays as it is. Import a catalogue of your own and choose "
            "it above.",
            icon=":material/lock:",
        )
        st.button(
            "Import a catalogue", on_click=data_visit.show_import, key="data_add_import", icon=":material/upload:"
        )  # fmt: skip
        return
    st.markdown(wording.said("It is read and encoded as in an import, and every run ranks it at once, untrained."))
    place = st.empty()
    with place.container():
        given = draw_fields(catalogue)
    if given and submit(catalogue, given):
        with place.container():
            draw_fields(catalogue)


def draw_fields(catalogue: str) -> Asked | None:
    """The form; what it holds where it was sent in this very run."""
    proposed = next_id(services.shop(catalogue).items)
    with st.form(field("form"), border=False):
        cells = draw_cells(proposed)
        media = draw_media()
        pressed = st.form_submit_button(
            "Add", key=field("go"), type=leading(), icon=":material/add:", width="stretch"
        )  # fmt: skip
    return Asked(cells=cells, media=media, proposed=proposed) if pressed else None


def draw_cells(proposed: str) -> dict[str, str]:
    title = st.text_input("Title", key=field("title"), max_chars=500)
    description = st.text_area("Description", key=field("description"), height=100)
    left, middle, right = st.columns(3)
    category = left.text_input("Category", key=field("category"), max_chars=255)
    price = middle.text_input(wording.said("Price"), key=field("price"), placeholder="12.50", max_chars=32)
    item_id = right.text_input(
        "Id", key=field("id"), placeholder=proposed, max_chars=LIMITS.id_characters,
        help="By which tables and addresses name it. Left empty, the next free number is taken.",
    )  # fmt: skip
    return {
        "item_id": item_id.strip(), "title": title, "description": description,
        "category": category, "price": price.strip(),
    }  # fmt: skip


def draw_media() -> Files:
    photos = st.file_uploader(
        "Photos", type=PHOTOS, accept_multiple_files=True, key=field("photos"),
        max_upload_size=LIMITS.photo_bytes // MB, help="The first one is the picture on its card.",
    )  # fmt: skip
    left, right = st.columns(2)
    sound = left.file_uploader(
        "A sound", type=media_parts.SOUNDS, key=field("sound"), max_upload_size=LIMITS.audio_bytes // MB
    )  # fmt: skip
    clip = right.file_uploader(
        "A clip", type=media_parts.CLIPS, key=field("clip"), max_upload_size=LIMITS.video_bytes // MB
    )  # fmt: skip
    given: dict[Modality, list[Any]] = {
        "image": list(photos), "audio": [sound] if sound else [], "video": [clip] if clip else [],
    }  # fmt: skip
    return {m: [(file.name, file.getvalue()) for file in files] for m, files in given.items() if files}


def submit(catalogue: str, given: Asked) -> bool:
    """What is refused is said and nothing is changed; what was added has a door to the question that finds it. Returns
    whether it was added: the next form is then an empty one."""
    if not given.media and not any(cell for name, cell in given.cells.items() if name != "item_id"):
        st.warning("Nothing was given. Write a title, or add a photo, a sound or a clip.", icon=":material/edit:")
        return False
    before = data_visit.added()  # held here: asking for it after the item was added may begin the page anew
    wait = 0.0 if given.digest in before else visit.seconds_to_wait(LIMITS.heavy_actions_a_minute)
    if wait:
        st.warning(f"Too much at once; wait {wait:.0f} s, then press Add again.", icon=":material/hourglass:")
        return False
    try:
        with st.spinner("Reading, keeping and encoding it", show_time=True):
            done = before.get(given.digest) or add(catalogue, given, before)
            open_anew(catalogue)
            data_visit.empty_form()
    except FusescopeError as refused:
        parts.refusal(refused, title="This was not added")
        return False
    parts.message_cards(done.notices, refused=False)
    name = done.item.title or done.item.item_id
    st.success(
        f"{literal(name)} is in {literal(catalogue)}: "
        + wording.said(f"{done.items:,} products now, all of them ranked."),
        icon=":material/check:",
    )
    draw_blind(catalogue, done)
    st.page_link("pages/recommend_page.py", label="Ask for it", icon=":material/arrow_forward:")
    return True


def draw_blind(catalogue: str, done: Added) -> None:
    """The runs that read nothing of what the new item has: they rank it all the same, but not by itself."""
    has = {*done.item.media, *(["text"] if done.item.text else [])}
    blind = [
        one.run for one in services.runs()
        if one.catalogue == catalogue and not has & set(media_services.modalities_of(one.run))
    ]  # fmt: skip
    if blind:
        told = parts.listed([literal(run) for run in blind], "and")
        st.info(
            wording.said("This product has nothing that these runs read, so they rank it as one of which nothing is ")
            + f"known: {told}. Add words or a photo, or train a run that reads {_heard(has)}.",
            icon=":material/visibility_off:",
        )


def _heard(has: Collection[str]) -> str:
    return parts.listed([word_of(m) for m in sorted(has)], "and") or "something of it"


def add(catalogue: str, given: Asked, before: dict[str, object]) -> Added:
    """Writes what was added down in `before`, at once. Raises what `core.adding.add_item` raises, and RoleError."""
    from core.adding import add_item

    workspace = access.writable()
    incoming = workspace.home / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=incoming, prefix="upload-") as folder:
        files = {
            m: [_written(Path(folder), f"{m}{at}", *one) for at, one in enumerate(some)]
            for m, some in given.media.items()
        }
        done = before[given.digest] = add_item(workspace, catalogue, given.row, files)
    return done


def open_anew(catalogue: str) -> None:
    """The runs of the catalogue, and what was answered before."""
    for run in services.runs():
        if run.catalogue == catalogue:
            services.engine.clear(run.run)
    for kept in (services.answer, services.on_cpu, explain_services.microscope):
        kept.clear()


def _written(folder: Path, place: str, name: str, data: bytes) -> Path:
    """In a folder of its own, so that two photos may have one name."""
    (folder / place).mkdir()
    path = folder / place / kept_name(Path(name).name)
    path.write_bytes(data)
    return path


def next_id(known: Mapping[str, object]) -> str:
    """The first of new-1, new-2, ... that no item has."""
    return next(name for number in range(1, len(known) + 2) if (name := f"new-{number}") not in known)
