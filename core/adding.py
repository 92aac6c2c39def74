"""One more item for an imported catalogue, from raw media: read, kept and encoded as in an import, rankable at once.

Runs answer with it without training: their item vectors are made anew for the new version of the catalogue, and all
but the new ones come from the store of encoded media. The rows appear in one transaction at the end.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from core.catalog.names import kept_name
from core.domain import Item, Modality, Notice
from core.errors import InputError
from core.importing import OnStep

if TYPE_CHECKING:
    from core.workspace import Workspace

COLUMNS: Mapping[Modality, str] = {"image": "images", "audio": "audio", "video": "video"}


@dataclass(frozen=True, kw_only=True)
class Added:
    """items: how many the catalogue has now; encoded: media and texts that had to be; notices: what was cleaned."""

    catalogue: str
    item: Item
    items: int
    encoded: int
    notices: tuple[Notice, ...]


def add_item(
    workspace: Workspace, catalogue: str, cells: Mapping[str, str], media: Mapping[Modality, Sequence[Path]],
    on_step: OnStep | None = None,
) -> Added:  # fmt: skip
    """cells: item_id and other columns of items.csv; media: files of the item. Limits are those of the page.

    Raises InputError, before anything is changed: a bundled catalogue, an id that is there, a medium or cell that an
    import would leave out. UnknownNameError, StoreError.
    """
    from core.features import encode_catalogue
    from core.store.catalogues import list_catalogues, save_catalogue

    if any(info.bundled for info in workspace.catalogues() if info.name == catalogue):
        raise InputError(
            "E-INPUT-VALUE",
            f'"{catalogue}" is a bundled catalogue and stays as it is. Import a copy of it under another name, and add '
            "the item there.",
        )
    shop = workspace.catalogue(catalogue)
    if shop.features:
        raise InputError(
            "E-INPUT-VALUE",
            f'"{catalogue}" has ready-made vectors of its items, and none of the new one came. Import it again with a '
            "row more in the tables and vectors.",
        )
    item, notices = _read(workspace, cells, media)
    if item.item_id in shop.position():
        raise InputError(
            "E-ROW-DUP", f'item "{item.item_id[:80]}" is in {catalogue} already; a new id was expected. Choose another.'
        )
    told = "\0".join([shop.version, repr(item)])
    more = replace(shop, items=(*shop.items, item), version=hashlib.sha256(told.encode()).hexdigest())
    encoded = encode_catalogue(more, workspace.vectors, on_step)
    with workspace.store.writing() as session:
        info = next((one for one in list_catalogues(workspace.store) if one.name == catalogue), None)
        if info is None or info.version != shop.version:
            raise InputError("E-INPUT-VALUE", f'"{catalogue}" was changed meanwhile; nothing was added. Add it again.')
        save_catalogue(session, more, info.report)
    return Added(catalogue=catalogue, item=item, items=len(more.items), encoded=encoded, notices=notices)


def _read(
    workspace: Workspace, cells: Mapping[str, str], media: Mapping[Modality, Sequence[Path]]
) -> tuple[Item, tuple[Notice, ...]]:
    """The item as an import of a table with this one row gives it, its media as our own copies."""
    from core.catalog.folder import read_folder

    place = workspace.home / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place, prefix="item-") as folder:
        inside, row = Path(folder), dict(cells)
        for modality, files in media.items():
            row[COLUMNS[modality]] = "|".join(_staged(inside, modality, at, file) for at, file in enumerate(files))
        with (inside / "items.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.DictWriter(table, list(row))
            writer.writeheader()
            writer.writerow(row)
        raw, report = read_folder(inside, "new", uploaded=True)
        for notice in report.refused:
            raise InputError(notice.code, notice.message)
        [item] = raw.items
        kept = {
            modality: tuple(dict.fromkeys(
                workspace.keep_medium((inside / path).read_bytes(), path.partition("-")[2], modality) for path in paths
            ))
            for modality, paths in item.media.items()
        }  # fmt: skip
    return replace(item, media=kept), tuple(report.notices)


def _staged(inside: Path, modality: Modality, at: int, file: Path) -> str:
    """A link beside the table would lead out of the folder, so the bytes are written there."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(
            "E-INPUT-VALUE", f"{file.name}: the file cannot be read ({error.strerror}). Check the name."
        ) from error
    name = f"{modality}{at}-{kept_name(file.name.replace('|', '_'))}"
    (inside / name).write_bytes(data)
    return name
