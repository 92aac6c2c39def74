"""Where audits are kept: one JSON file a run and catalogue version in the workspace. Loads nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import write_atomic

if TYPE_CHECKING:
    from core.workspace import Workspace


def audit_file(workspace: Workspace, run: str, catalogue: str | None = None) -> Path:
    """Named by the run and by what it ranks; an audit of other weights or items is another file."""
    info = workspace.run(run)
    version = workspace.catalogue(catalogue or info.catalogue).version
    return workspace.home / "audits" / f"{run}-{info.digest[:12]}-{version[:12]}.json"


def read_audit(workspace: Workspace, run: str, catalogue: str | None = None) -> dict[str, Any] | None:
    path = audit_file(workspace, run, catalogue)
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def keep_audit(workspace: Workspace, run: str, catalogue: str | None, audit: dict[str, Any]) -> Path:
    path = audit_file(workspace, run, catalogue)
    write_atomic(path, json.dumps(audit, indent=1).encode())
    return path
