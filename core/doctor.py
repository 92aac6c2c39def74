"""What this installation has, what is missing, and what that costs. Nothing here changes anything."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core import __version__
from core.errors import FusescopeError

if TYPE_CHECKING:
    from core.workspace import Workspace

PACKAGES = (
    "torch",
    "transformers",
    "timm",
    "safetensors",
    "numpy",
    "pillow",
    "sqlalchemy",
    "alembic",
    "streamlit",
    "plotly",
)
ROOM = 2 << 30  # bytes of free disk below which an import may not fit
NETWORK_DISKS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs")


class Missing(Exception):
    """What a check did not find, in words for a person."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line: `detail` says what was found and, where `ok` is False, what that costs and what helps.

    needed: False where everything of this version still works without it.
    """

    name: str
    ok: bool
    detail: str
    needed: bool = True


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """`ok` when nothing that is needed is missing; `device` is where models compute."""

    ok: bool
    device: str
    checks: tuple[Check, ...]


def examine(workspace: Workspace) -> Diagnosis:
    """Run every check; one that cannot even run is a check that failed."""
    device, found = _device()
    checks = [
        *_versions(),
        found,
        *_weights(),
        _threads(),
        _checked("catalogue", lambda: _sample(workspace)),
        _checked("run", lambda: _bundled_run(workspace)),
        _checked("talk", lambda: _talk(workspace), needed=False),
        _checked("database", lambda: _database(workspace)),
        _checked("disk", lambda: _disk(workspace)),
        _checked("ffmpeg", _film, needed=False),
        _checked("browser", _browser, needed=False),
    ]
    return Diagnosis(ok=all(check.ok for check in checks if check.needed), device=device, checks=tuple(checks))


def _checked(name: str, look: Callable[[], str], *, needed: bool = True) -> Check:
    try:
        return Check(name=name, ok=True, detail=look(), needed=needed)
    except (FusescopeError, Missing) as error:
        return Check(name=name, ok=False, detail=str(error), needed=needed)
    except Exception as error:  # a check must report, whatever a library throws
        return Check(name=name, ok=False, detail=f"{type(error).__name__}: {error}", needed=needed)


def _versions() -> Iterable[Check]:
    good = sys.version_info >= (3, 11)
    detail = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, Fusescope {__version__}"
    yield Check(name="python", ok=good, detail=detail if good else f"{detail}; Python 3.11 or newer is needed.")
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    cost = f"; missing: {', '.join(missing)}. Install them with: pip install -r requirements.txt" if missing else ""
    yield Check(name="packages", ok=not missing, detail=", ".join(found) + cost)


def _device() -> tuple[str, Check]:
    try:
        from core.config import wanted_device
        from core.model import best_device

        device = best_device(wanted_device())
        names = {"cuda": "an NVIDIA GPU", "mps": "the GPU of this Mac", "cpu": "no GPU was found or wanted"}
        told = names.get(device.split(":")[0], "as asked for")
        return device, Check(name="device", ok=True, detail=f"{device}: {told}; encoders compute in float32")
    except Exception as error:  # a broken driver or a missing torch is a finding, not a crash
        detail = f"torch cannot be used ({error}); nothing can be encoded. pip install -r requirements.txt"
        return "none", Check(name="device", ok=False, detail=detail)


def _weights() -> Iterable[Check]:
    from core.encode.weights import BUNDLED

    for weights in BUNDLED.values():
        yield _checked(
            f"weights {weights.name}",
            lambda w=weights: f"{w.verified().name}, sha256 {w.sha256[:12]}... as expected, {w.licence}",  # type: ignore[misc]
        )


def _threads() -> Check:
    cores = os.cpu_count() or 1
    told = f"{cores} cores"
    try:
        import torch

        told += f", torch uses {torch.get_num_threads()} threads"
    except ImportError:
        pass
    layers = [name for name in ("tbb", "intel-openmp") if _installed(name)]
    numba = "numba " + (importlib.metadata.version("numba") if _installed("numba") else "not installed")
    told += (
        f"; {numba}, threading layer {layers[0] if layers else 'built in'}: maps are computed in a process of their own"
    )
    return Check(name="threads", ok=True, detail=told, needed=False)


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _sample(workspace: Workspace) -> str:
    from core.workspace import BUNDLED_CATALOGUE

    catalogue = workspace.catalogue(BUNDLED_CATALOGUE)
    return f"{catalogue.name}: {len(catalogue.items)} items, {len(catalogue.interactions)} interactions"


def _bundled_run(workspace: Workspace) -> str:
    from core.files import read_verified
    from core.workspace import BUNDLED_RUN

    folder = workspace.run_folder(BUNDLED_RUN)
    digests = json.loads((folder / "run.json").read_bytes())["digests"]
    for name, digest in digests.items():
        read_verified(folder / Path(name).name, digest)
    return f"{BUNDLED_RUN}: {len(digests)} files, sha256 as recorded"


def _talk(workspace: Workspace) -> str:
    """What a walk through `?demo=1` needs, ten minutes before it."""
    from core.config import PROJECT
    from core.evaluate.casebook import CaseSet, load_book
    from core.workspace import BUNDLED_RUN

    assets = PROJECT / "assets"
    stops = json.loads((assets / "demo.json").read_text("utf-8"))
    stories = json.loads((assets / "stories.json").read_text("utf-8"))
    for story in stories:
        root = workspace.catalogue(story["catalogue"]).root
        named = [path for step in story["steps"] for path in (*step.get("photos", ()), *step.get("sounds", ()))]
        gone = [path for path in named if not (root / path).is_file()]
        if gone:
            raise Missing(f"the story {story['story_id']} lacks {gone[0]}; unpack the sample again")
    if load_book(workspace, CaseSet(run=BUNDLED_RUN, kind="review+photo")) is None:
        raise Missing(
            "nobody has judged the cases of the last stop of the demo yet, which takes minutes; before the talk: "
            f"python -m core cases --run {BUNDLED_RUN} --kind review+photo"
        )
    return f"demo of {len(stops)} stops, {len(stories)} stories with their photos and sounds, its cases are judged"


def _database(workspace: Workspace) -> str:
    from core.store.engines import HEAD

    disk = _kind_of_disk(workspace.home)
    if disk in NETWORK_DISKS and workspace.database is None:
        raise Missing(
            f"the workspace lies on a network disk ({disk}), where SQLite may lose writes; choose a local one"
        )
    if not workspace.has_database:
        return "none yet; it is made by the first import, training or saved query"
    workspace.store.prepare()
    with workspace.store.read.connect() as connection:
        answer = connection.exec_driver_sql("PRAGMA quick_check").scalar() if workspace.store.sqlite else "ok"
    if answer != "ok":
        raise Missing("the database is damaged; put the newest file of its backups folder in its place")
    return f"{workspace.store.url.get_backend_name()}, schema {HEAD}, checked"


def _kind_of_disk(folder: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return "unknown"
    rows = [line.split()[1:3] for line in mounts.read_text("utf-8", "replace").splitlines() if len(line.split()) > 2]
    holding = [(len(place), kind) for place, kind in rows if folder.is_relative_to(place)]
    return max(holding, default=(0, "unknown"))[1]


def _disk(workspace: Workspace) -> str:
    folder = next(place for place in (workspace.home, *workspace.home.parents) if place.is_dir())
    if not os.access(folder, os.W_OK):
        raise Missing(
            "the workspace cannot be written: nothing can be imported, trained or saved; choose another --home"
        )
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise Missing(f"{free / 1e9:.1f} GB free: an import may not fit; 2 GB were expected. Free some space")
    return f"{free / 1e9:.0f} GB free"


def _film() -> str:
    try:
        import av
    except ImportError:
        raise Missing("the package av is missing: no clip can be read. pip install -r requirements.txt") from None
    return f"FFmpeg's libraries come with av {av.__version__}; no ffmpeg program is needed"


def _browser() -> str:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Missing("playwright is missing: browser tests are skipped. pip install -r requirements-dev.txt") from None
    with sync_playwright() as play:
        if not Path(play.chromium.executable_path).is_file():
            raise Missing("Chromium is missing: browser tests are skipped. Run: playwright install chromium")
    return "Chromium is there for the browser tests"
