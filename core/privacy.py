"""Forget: a person or an item leaves rows, photos, vectors, runs' lists, caches, labels, cases, maps, logs and backups.

What can be made again (cases, maps, item vectors, thumbnails, measured values) is thrown away whole; what cannot (runs,
the list of refusals) is rewritten without the name. Weights stay as they were trained: their runs are marked. The
bundled catalogue is read-only, so there a tombstone hides what was forgotten; it holds a keyed digest, never the id.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.catalog.forgotten import follow, remaining, tombstone
from core.catalog.words import clean_fragment, sentences
from core.domain import Catalogue, Interaction, Item
from core.errors import InputError
from core.files import digest_bytes, digest_file, write_atomic
from core.store.values import Forgotten

if TYPE_CHECKING:
    from core.workspace import Workspace

MADE_AGAIN = ("cases", "maps", "measured", "cache", "backups", "uploads", "vectors/faults")
GONE = "forgotten"
SHORT = 6  # letters; an id below that is searched for as a cell or in quotes only
TABLES = (".sqlite", ".sqlite-wal", ".sqlite-shm")


@dataclass(frozen=True, kw_only=True)
class Removal:
    """rows of the database and of the catalogue, files removed or rewritten, vectors, the runs that are marked now, and
    left: places that still hold a trace (empty, or something went wrong)."""

    catalogue: str
    rows: int
    files: int
    vectors: int
    runs: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Target:
    """Who is forgotten: kind, the id that the catalogue knows, what they are called outside, and what was theirs;
    asked: their words, cleaned by the rules of today."""

    kind: str
    ident: str
    outside: str
    media: frozenset[str]
    media_digests: frozenset[str]
    text_digests: frozenset[str]
    asked: frozenset[str]

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.ident, self.outside)))


def forget(workspace: Workspace, catalogue: str, *, user: str | None = None, item: str | None = None) -> Removal:
    """Remove one user (by the id of the catalogue's own table) or one item. Doing it twice is safe.

    Raises UnknownNameError for an unknown catalogue, InputError where nobody of that name was ever there.
    """
    from core.store.pgvectors import forget_sets

    if (user is None) == (item is None):
        raise InputError("E-INPUT-VALUE", "forget one user or one item at a time; exactly one of the two was expected.")
    before = workspace.catalogue(catalogue)
    target = _target(workspace, before, user, item)
    after = remaining(before, lambda kind, ident: (kind, ident) == (target.kind, target.ident))
    runs = tuple(sorted(info.run for info in workspace.runs() if info.catalogue == catalogue))
    bundled = any(info.name == catalogue and info.bundled for info in workspace.catalogues())
    rows = _forget_rows(workspace, before, after, target, runs, bundled)
    files = sum(_drop(workspace.home / name) for name in MADE_AGAIN)
    files += _forget_media(workspace, after, target)
    for run in runs:
        files += _forget_in_run(workspace, workspace.home / "runs" / run, after, target)
    vectors = _forget_vectors(workspace, before, target)
    files += _forget_lines(workspace.home, target)
    write_atomic(workspace.home / "forgotten", b"catalogues are to be read anew\n")
    forget_sets(workspace.store)  # no set of the old version is kept from here on
    workspace.store.settle(rewrite=True)
    return Removal(
        catalogue=catalogue, rows=rows, files=files, vectors=vectors, runs=runs,
        left=tuple(traces(workspace, target.words, target.media_digests | target.text_digests)),
    )  # fmt: skip


def marked_runs(workspace: Workspace) -> dict[str, datetime]:
    """Runs that learned from what was forgotten since, and when that was."""
    from core.store.labels import list_forgotten

    if not workspace.has_database:
        return {}
    when = {run: one.created for one in list_forgotten(workspace.store) for run in one.runs}
    return {info.run: when[info.run] for info in workspace.runs() if info.run in when and info.created < when[info.run]}


def traces(workspace: Workspace, words: Iterable[str], digests: Iterable[str]) -> Iterator[str]:
    """Places of the workspace where an id or a digest still stands: names of files, files, cells of the database."""
    wanted = _pattern([*words, *digests])
    for path in sorted(workspace.home.rglob("*")):
        place = path.relative_to(workspace.home).as_posix()
        if wanted.search(place.encode("utf-8", "replace")):
            yield f"the name {place}"
        elif path.is_file() and not path.name.endswith((*TABLES, ".bin")) and wanted.search(path.read_bytes()):
            yield place
    if workspace.has_database:
        yield from _cells_with(workspace, wanted)


def _pattern(words: Iterable[str]) -> re.Pattern[bytes]:
    """Finds an id as a whole word; a short one, which any number may look like, only where it stands in quotes or as a
    cell of a table."""
    found = []
    for word in words:
        told = re.escape(word.encode("utf-8", "replace"))
        if len(word) >= SHORT:
            found.append(rb"(?<![A-Za-z0-9_])" + told + rb"(?![A-Za-z0-9_])")
        else:
            found.append(rb'"' + told + rb'"|(?<![^,\n])' + told + rb"(?=[,\r\n])|\A" + told + rb"\Z")
    return re.compile(b"|".join(found), re.MULTILINE)


def _target(workspace: Workspace, before: Catalogue, user: str | None, item: str | None) -> _Target:
    kind, outside = ("user", user or "") if user is not None else ("item", item or "")
    ident = workspace.known_user(before.name, outside) if kind == "user" else outside
    known = {one.user_id for one in before.interactions} if kind == "user" else before.position().keys()
    if ident not in known and outside in known:
        ident = outside  # somebody hands over the id that the catalogue itself uses
    if ident not in known and not _tombstoned(workspace, before.name, kind, ident):
        raise InputError(
            "E-INPUT-VALUE", f'{before.name} knows no {kind} "{outside[:80]}"; nothing was removed. Check the name.'
        )
    theirs, others = _parted(before, kind, ident)
    media = _media_of(theirs) - _media_of(others)
    texts = {one.text for one in theirs if one.text} - {one.text for one in others}
    said = _sentences_of(theirs) - _sentences_of(others)  # what vectors are kept of
    root = before.root
    return _Target(
        kind=kind, ident=ident, outside=outside, media=frozenset(media),
        media_digests=frozenset(digest_file(root / path) for path in media if (root / path).is_file()),
        text_digests=frozenset(digest_bytes(text.encode("utf-8", "replace")) for text in texts | said),
        asked=frozenset(map(_as_asked, texts)) - {""},
    )  # fmt: skip


def _sentences_of(things: Iterable[Item | Interaction]) -> set[str]:
    return {sentence for one in things if one.text for sentence in sentences(one.text)}


def _as_asked(text: str) -> str:
    """For words that were kept at different times, under different rules, on either side."""
    return clean_fragment(text)[0]


Thing = Item | Interaction


def _parted(catalogue: Catalogue, kind: str, ident: str) -> tuple[list[Thing], list[Thing]]:
    """What is theirs, and everything else."""
    theirs: list[Thing] = []
    others: list[Thing] = []
    for item in catalogue.items:
        (theirs if kind == "item" and item.item_id == ident else others).append(item)
    for row in catalogue.interactions:
        (theirs if ident == (row.user_id if kind == "user" else row.item_id) else others).append(row)
    return theirs, others


def _media_of(things: Iterable[Thing]) -> set[str]:
    return {path for thing in things for paths in thing.media.values() for path in paths}


# ---- rows


def _tombstoned(workspace: Workspace, catalogue: str, kind: str, ident: str) -> bool:
    from core.store.labels import list_forgotten

    digest = workspace.user_key(tombstone(catalogue, kind, ident))
    return workspace.has_database and any(one.digest == digest for one in list_forgotten(workspace.store))


def _is_theirs(part: Mapping[str, str], target: _Target) -> bool:
    """Whether a part of a saved question holds their words or their photo, sound or clip."""
    return _as_asked(part.get("text", "")) in target.asked or Path(part.get("file", "")).stem in target.media_digests


def _forget_rows(
    workspace: Workspace, before: Catalogue, after: Catalogue, target: _Target, runs: tuple[str, ...], bundled: bool
) -> int:
    """One transaction: the catalogue anew, what people said, saved questions, and the tombstone. How many rows went."""
    from core.store.catalogues import list_catalogues, save_catalogue
    from core.store.labels import add_forgotten, forget_annotations
    from core.store.runs import forget_queries

    rows = len(before.interactions) - len(after.interactions) + len(before.items) - len(after.items)
    reports = {info.name: info.report for info in list_catalogues(workspace.store)}
    mine = {"user": target.ident} if target.kind == "user" else {"item": target.ident}
    with workspace.store.writing() as session:
        if not bundled and after is not before:
            save_catalogue(
                session, _settled(workspace, before, after), _report_without(reports.get(before.name, {}), target)
            )
        rows += forget_annotations(session, before.name, **mine)
        queries, copies = forget_queries(session, mine.get("user"), lambda part: _is_theirs(part, target))
        rows += queries
        digest = workspace.user_key(tombstone(before.name, target.kind, target.ident))
        add_forgotten(
            session,
            Forgotten(catalogue=before.name, kind=target.kind, digest=digest, runs=runs, created=datetime.now(UTC)),
        )
    for file in copies:  # that only removed questions had
        (workspace.home / "queries" / file[:2] / file).unlink(missing_ok=True)
    return rows


def _cells_with(workspace: Workspace, wanted: re.Pattern[bytes]) -> Iterator[str]:
    from core.store.tables import Base

    with workspace.store.reading() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(table.select()).mappings():
                for column, value in row.items():
                    told = value if isinstance(value, str) else json.dumps(value, default=str)
                    if wanted.search(told.encode("utf-8", "replace")):
                        yield f"the database, {table.name}.{column}"


# ---- files


def _settled(workspace: Workspace, before: Catalogue, after: Catalogue) -> Catalogue:
    """The catalogue as it is kept: rows of forgotten items leave the feature matrices too."""
    import numpy as np

    if not after.gone:
        return after
    features = {}
    for modality, matrix in before.features.items():
        values = np.delete(np.load(before.root / matrix.path, allow_pickle=False), list(after.gone), axis=0)
        sink = io.BytesIO()
        np.save(sink, values, allow_pickle=False)
        digest = digest_bytes(sink.getvalue())
        path = f"{digest[:2]}/{digest}.npy"
        write_atomic(workspace.media_folder / path, sink.getvalue())
        filled = int((~np.isnan(values).any(1)).sum())
        features[modality] = replace(matrix, path=path, digest=digest, items=filled, encoder=matrix.fingerprint)
        (before.root / matrix.path).unlink(missing_ok=True)
    return replace(after, features=features, gone=())


def _drop(path: Path) -> int:
    """A folder of what can be made again; how many files that were."""
    count = sum(one.is_file() for one in path.rglob("*")) if path.is_dir() else 0
    shutil.rmtree(path, ignore_errors=True)
    return count


def _forget_media(workspace: Workspace, after: Catalogue, target: _Target) -> int:
    """Photos that nobody else uses, in any catalogue, and what points to them; copies in saved questions."""
    others = [info.name for info in workspace.catalogues() if not info.bundled and info.name != after.name]
    used = _media_of([*after.items, *after.interactions])
    for name in others:
        kept = workspace.catalogue(name)
        used |= _media_of([*kept.items, *kept.interactions])
    names = {Path(path).name for path in target.media - used}
    found = [path for path in workspace.home.glob("media/??/*") if path.name in names]
    found += [path for path in workspace.home.glob("queries/??/*") if path.stem in target.media_digests]
    found += [path for path in workspace.home.glob("media/seen/??/*") if path.read_text("ascii", "replace") in names]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _forget_in_run(workspace: Workspace, folder: Path, after: Catalogue, target: _Target) -> int:
    """A run of the workspace: its lists of users and items, its histories, and whatever else holds the name."""
    from core.store.runs import list_runs, save_run

    told_file = folder / "run.json"
    if not told_file.is_file():
        return _drop(folder)
    told = json.loads(told_file.read_text("utf-8"))
    for name in ("users", "items"):
        told[name] = [GONE if f"{name[:-1]} {one}" == f"{target.kind} {target.ident}" else one for one in told[name]]
    history = folder / "history.safetensors"
    if history.is_file():
        write_atomic(history, _history_without(history, told, after))
    told["digests"] = {name: digest for name, digest in told["digests"].items() if not name.startswith("items-")}
    count, named = 2, _pattern(target.words)
    for path in [one for one in folder.rglob("*") if one.is_file() and one not in (told_file, history)]:
        name = path.relative_to(folder).as_posix()
        stale = path.name.startswith("items-") or name.startswith("checkpoint/")
        if stale or (name != "model.safetensors" and named.search(path.read_bytes())):
            path.unlink()
            told["digests"].pop(name, None)
            count += 1
    told["digests"]["history.safetensors"] = digest_file(history)
    write_atomic(told_file, (json.dumps(told, indent=1) + "\n").encode())
    info = next((one for one in list_runs(workspace.store) if one.run == folder.name), None)
    if info is not None:
        with workspace.store.writing() as session:
            save_run(session, replace(info, digest=digest_file(told_file)))
    return count


def _history_without(history: Path, told: Mapping[str, Any], after: Catalogue) -> bytes:
    """The users' training rows: none for who was forgotten, none of an item that was, the others where they are now."""
    import numpy as np
    from safetensors.numpy import load, save

    kept = load(history.read_bytes())
    ends, pairs = (
        np.cumsum(kept["length"]).tolist(),
        list(zip(kept["item"].tolist(), kept["rating"].tolist(), strict=True)),
    )
    histories = [
        follow(pairs[end - length : end], after.gone) if user != GONE else []
        for user, end, length in zip(told["users"], ends, kept["length"].tolist(), strict=True)
    ]
    rows = [pair for history in histories for pair in history]
    return save({
        "length": np.array([len(history) for history in histories], dtype=np.int32),
        "item": np.array([item for item, _ in rows], dtype=np.int32),
        "rating": np.array([rating for _, rating in rows], dtype=np.float32),
    })  # fmt: skip


def _forget_vectors(workspace: Workspace, before: Catalogue, target: _Target) -> int:
    """States of their texts and photos, and all item vectors of the old version; how many states that were."""
    from core.encode.cache import VectorStore

    for path in workspace.vectors.glob(f"items/*/items-{before.version[:16]}.safetensors"):
        path.unlink()
    keys = sorted(target.text_digests | target.media_digests)
    folders = [path.parent for path in workspace.vectors.glob("*/index.sqlite")]
    return sum(VectorStore(folder.parent, folder.name).drop(keys) for folder in folders)


def _forget_lines(home: Path, target: _Target) -> int:
    """Refusals and logs: the lines that name them go."""
    changed, named = 0, _pattern(target.words)
    for path in [*home.glob("rejects/*.csv"), *home.glob("jobs/*.log")]:
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not named.search(line)]
        if len(kept) < len(lines):
            write_atomic(path, b"".join(kept))
            changed += 1
    return changed


def _report_without(report: Mapping[str, Any], target: _Target) -> dict[str, Any]:
    """What an import said, without the refusals that name them."""
    named = _pattern(target.words)
    refused = [one for one in report.get("refused", ()) if not named.search(json.dumps(one).encode())]
    return {**report, "refused": refused} if "refused" in report else dict(report)
