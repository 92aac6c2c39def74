"""A catalogue becomes part of the workspace: read, kept, encoded, trained on, and only then visible.

Everything slow is stored by content (photos, vectors), so an import that was cut off goes on where it stopped and a
second one encodes nothing. The rows appear in one transaction at the end: half an import is never seen.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from core.catalog.names import shown_name
from core.cluster import INLINE, check_engine, encode_by_ray
from core.domain import Catalogue, FeatureMatrix, Modality, Notice
from core.errors import InputError, SettingsError
from core.files import digest_bytes, disk_error, write_atomic
from core.store.values import RunInfo, count_media

if TYPE_CHECKING:
    from core.catalog.arrays import Matrix
    from core.catalog.reading import Ask, Reading
    from core.catalog.report import ImportReport
    from core.catalog.tables import Problem
    from core.workspace import Workspace

OnStep = Callable[[str, float], None]
READ, KEPT, ENCODED, TRAINED = 0.1, 0.3, 0.7, 1.0  # shares of the whole that are done after each stage
UPLOADS = "uploads"  # folder of the workspace where the page keeps an upload until it is imported
SHOWN = 100  # refusals kept with the catalogue; all of them are in the rejects file


@dataclass(frozen=True, kw_only=True)
class ImportOutcome:
    """What an import did. `encoded` counts media and texts that had to be encoded; `changed` is False when the same
    catalogue was here already. `rejects_file` lists every refused row and file, None when nothing was refused. `split`
    is the fingerprint of the labels that came with the data, by the ids as they came; {} where there are none."""

    catalogue: str
    items: int
    users: int
    interactions: int
    media: Mapping[Modality, int]
    refused: tuple[Notice, ...]
    notices: tuple[Notice, ...]
    cleaned: Mapping[str, int]
    rejects_file: Path | None
    run: str
    encoded: int
    changed: bool
    split: Mapping[str, Any]


def import_source(
    workspace: Workspace,
    source: Path,
    name: str,
    on_step: OnStep | None = None,
    *,
    layout: str = "auto",
    features: Mapping[Modality, Path] | None = None,
    uploaded: bool = False,
    engine: str = "inline",
) -> ImportOutcome:
    """Import `source` as `name`, and train its first run: `content`, or `popularity` where there are ids only.

    layout: a name of `core.catalog.formats.FORMATS`, or auto. features: .npy files that stand for a modality, one row
    an item. uploaded: the limits of the page apply. engine: who encodes, see `core.cluster`. Raises RowsRefusedError
    after writing the list of bad rows, TableError (nothing usable), InputError (the name), StoreError, SettingsError
    (the engine), and whatever `on_step` raises to stop it.
    """
    from core.catalog.reading import Ask
    from core.prepare.findings import keep_words

    workspace.check_name(name, "catalogue")
    if engine != INLINE:
        check_engine(engine)
    tell = on_step or (lambda label, fraction: None)
    ask = Ask(uploaded=uploaded, step=_part(tell, 0.0, READ))
    with _unpacked(workspace, source, ask, layout in ("auto", "folder")) as (folder, told):
        reading = _read(workspace, folder, name, layout, features, ask)
        report, split = reading.report, _labels(reading.catalogue)
        catalogue, lost = _kept(workspace, reading, _part(tell, READ, KEPT))
        keep_words(workspace.vectors, catalogue, folder, reading.catalogue, workspace.user_key)
    report.note((*told, *lost))
    elsewhere = encode_by_ray(catalogue, workspace.vectors, _part(tell, KEPT, ENCODED)) if engine != INLINE else 0
    encoded = elsewhere + _encoded(workspace, catalogue, _part(tell, ENCODED if elsewhere else KEPT, ENCODED))
    listed = report.write_rejects(rejects_file(workspace, name)) if report.refused else None
    run, changed = _published(workspace, catalogue, {**_told(report), "split": split}, _part(tell, ENCODED, TRAINED))
    if source.is_relative_to(workspace.home / UPLOADS):
        source.unlink(missing_ok=True)  # our copy of an upload: people and words as they came stay nowhere
    tell("done", 1.0)
    return _outcome(catalogue, report, listed, run=run, encoded=encoded, changed=changed, split=split)


def _read(
    workspace: Workspace, folder: Path, name: str, layout: str, features: Mapping[Modality, Path] | None, ask: Ask
) -> Reading:
    """What the folder holds. Raises RowsRefusedError after writing the list of bad rows."""
    from core.catalog.formats import read_source
    from core.catalog.report import RowsRefusedError, write_rejects

    try:
        return read_source(folder, name, layout, features=features, ask=ask)
    except RowsRefusedError as error:
        write_rejects(rejects_file(workspace, name), error.problems)
        raise


def _outcome(catalogue: Catalogue, report: ImportReport, listed: Path | None, **done: Any) -> ImportOutcome:
    """What is told of an import; done: what the steps after reading did."""
    users = {one.user_id for one in catalogue.interactions}
    return ImportOutcome(
        catalogue=catalogue.name, items=len(catalogue.items), users=len(users),
        interactions=len(catalogue.interactions), media=count_media(catalogue), refused=report.refused,
        notices=report.notices, cleaned=dict(report.cleaned), rejects_file=listed, **done,
    )  # fmt: skip


@contextmanager
def _unpacked(workspace: Workspace, source: Path, ask: Ask, photos: bool) -> Iterator[tuple[Path, tuple[Problem, ...]]]:
    """The folder to read: `source` itself, or what a zip holds, in a private folder that is gone afterwards."""
    if not source.is_file() or source.suffix.lower() != ".zip":
        yield source, ()
        return
    place = workspace.home / "incoming"
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place, prefix="zip-") as target:
        yield _unpack(source, Path(target), ask, photos)


def _unpack(source: Path, target: Path, ask: Ask, photos: bool) -> tuple[Path, tuple[Problem, ...]]:
    from core.catalog.archive import unpack_archive

    try:
        inside = target / (shown_name(source.stem).strip(".") or "archive")
        inside.mkdir()
        found = unpack_archive(source, inside, uploaded=ask.uploaded, photos=photos, on_step=ask.step)
    except OSError as error:
        raise disk_error(error, shown_name(source.name, "archive")) from error
    return found.folder, found.problems


def rejects_file(workspace: Workspace, name: str) -> Path:
    """Where the list of what the last import of `name` refused is kept."""
    return workspace.home / "rejects" / f"{name}.csv"


def _part(tell: OnStep, begin: float, end: float) -> OnStep:
    return lambda label, fraction: tell(label, begin + (end - begin) * min(1.0, max(0.0, fraction)))


def _kept(workspace: Workspace, reading: Reading, tell: OnStep) -> tuple[Catalogue, list[Problem]]:
    """The catalogue with our own copies of its media and matrices, people as keyed hashes; and what was refused."""
    raw = reading.catalogue
    owners = _owners(raw)
    stored: dict[str, str] = {}
    lost: list[Problem] = []

    def keep(path: str) -> str | Problem:
        try:
            return workspace.keep_medium((raw.root / path).read_bytes(), Path(path).name, owners[path].modality)
        except InputError as error:
            return _media_problem(error.code, error.message, owners[path].row, path)
        except FileNotFoundError:
            said = "the file is gone. Put it back and import again."
            return _media_problem("N-ZIP-PAIR", said, owners[path].row, path)

    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        try:
            for done, (path, kept) in enumerate(zip(owners, pool.map(keep, owners), strict=True), start=1):
                if isinstance(kept, str):
                    stored[path] = kept
                else:
                    lost.append(kept)
                tell("keeping media", done / len(owners))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    features = {modality: _kept_matrix(workspace, matrix) for modality, matrix in reading.matrices.items()}
    told = [f"{modality} {matrix.fingerprint} {matrix.digest}" for modality, matrix in sorted(features.items())]
    parts = [raw.version, *(stored[path] for path in sorted(stored)), *told]
    version = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    items = tuple(replace(item, media=_stored_media(item.media, stored)) for item in raw.items)
    keys = {user: workspace.user_key(user) for user in {one.user_id for one in raw.interactions}}
    interactions = tuple(
        replace(one, user_id=keys[one.user_id], media=_stored_media(one.media, stored)) for one in raw.interactions
    )
    root = workspace.media_folder
    return replace(raw, version=version, root=root, items=items, interactions=interactions, features=features), lost


def _kept_matrix(workspace: Workspace, matrix: Matrix) -> FeatureMatrix:
    """Our own copy of a matrix, named by its content."""
    from core.catalog.arrays import matrix_bytes

    data = matrix_bytes(matrix.values)
    digest = digest_bytes(data)
    path = f"{digest[:2]}/{digest}.npy"
    if not (workspace.media_folder / path).is_file():
        write_atomic(workspace.media_folder / path, data)
    there = int((matrix.values[:, 0] == matrix.values[:, 0]).sum())  # a row of NaN stands for nothing
    return FeatureMatrix(path=path, digest=digest, width=matrix.values.shape[1], items=there, encoder=matrix.encoder)


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """What a file is, and the row that names it first."""

    modality: Modality
    row: str


def _owners(raw: Catalogue) -> dict[str, _Owner]:
    """Every photo, sound and clip once."""
    owners: dict[str, _Owner] = {}
    for table, rows in (("items.csv", raw.items), ("interactions.csv", raw.interactions)):
        for one in rows:
            for modality, paths in one.media.items():
                for path in paths:
                    owners.setdefault(path, _Owner(modality=modality, row=f"{table}, item {one.item_id[:80]}"))
    return owners


def _media_problem(code: str, message: str, owner: str, path: str) -> Problem:
    from core.catalog.tables import Problem

    reason, _, fix = message.partition(". ")
    return Problem(
        code=code, message=message, where=f"{owner}, {path[:80]}", file=owner.split(",")[0], value=path[:80],
        reason=reason, fix=fix,
    )  # fmt: skip


def _stored_media(
    media: Mapping[Modality, tuple[str, ...]], stored: Mapping[str, str]
) -> dict[Modality, tuple[str, ...]]:
    kept = {m: tuple(dict.fromkeys(stored[path] for path in paths if path in stored)) for m, paths in media.items()}
    return {m: paths for m, paths in kept.items() if paths}


def _encoded(workspace: Workspace, catalogue: Catalogue, tell: OnStep) -> int:
    from core.features import encode_catalogue

    return encode_catalogue(catalogue, workspace.vectors, tell)


def _published(workspace: Workspace, catalogue: Catalogue, report: Mapping[str, Any], tell: OnStep) -> tuple[str, bool]:
    """Train the first run and make catalogue and run visible at once; the run's name, and whether anything changed."""
    known = {info.name: info.version for info in workspace.catalogues() if not info.bundled}
    before = _first_run(workspace, catalogue.name)
    if known.get(catalogue.name) == catalogue.version and before is not None:
        return before.run, False
    from core.store.catalogues import save_catalogue
    from core.store.runs import save_run
    from core.workspace import read_run

    run = workspace.free_run_name(f"{catalogue.name}-{_first_rank(catalogue)}")
    folder = workspace.new_run_folder(run)
    _trained(workspace, catalogue, folder, tell)
    with workspace.store.writing() as session:
        save_catalogue(session, catalogue, report)
        save_run(session, read_run(folder))
    return run, True


def _trained(workspace: Workspace, catalogue: Catalogue, folder: Path, tell: OnStep) -> None:
    from core.config import RunSettings
    from core.train import train_run

    settings = RunSettings(
        catalogue=catalogue.name, fuse="weighted", rank=_first_rank(catalogue), protocol="everything",
        weight_users=0.0, epochs=20,
    )  # fmt: skip
    train_run(
        catalogue, settings, folder, vectors=workspace.vectors, on_step=lambda label, done, _figures: tell(label, done)
    )


def _labels(raw: Catalogue) -> dict[str, Any]:
    """What the split that came with the data is; labels that nobody knows are left for the person to judge."""
    from core.evaluate.splits import label_column

    if not any(one.split for one in raw.interactions):
        return {}
    try:
        return asdict(label_column(raw).fingerprint)
    except SettingsError:
        return {}


def _first_rank(catalogue: Catalogue) -> str:
    """By content where any item has some, else by how often an item was met."""
    has = catalogue.features or any(item.text or item.media for item in catalogue.items)
    return "content" if has else "popularity"


def _told(report: ImportReport) -> dict[str, Any]:
    """What is kept of a report with the catalogue: all counts, and the first hundred refusals."""
    refused = [{"where": one.where, "code": one.code, "reason": one.message} for one in report.refused[:SHOWN]]
    return {
        "summary": report.summary, "scale": report.scale, "refused": refused, "refusals": len(report.refused),
        "cleaned": dict(report.cleaned),
    }  # fmt: skip


def _first_run(workspace: Workspace, catalogue: str) -> RunInfo | None:
    first = ("content", "popularity")
    mine = [info for info in workspace.runs() if info.catalogue == catalogue and info.rank in first]
    return mine[0] if mine else None
