"""What a simulation of missing media told: kept in the workspace under run, catalogue version and the way of losing.

Loads no network, so that a page shows at once what was measured before. Ratios and ways to fill in that are measured
later join those that are there; the choice among them is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.files import weights_of, write_atomic

if TYPE_CHECKING:
    from core.workspace import Workspace

FORMAT = 1
HOW = {
    "random": "Drawn by chance.",
    "category": "Whole categories, one after another: a department that never took any.",
    "popularity": "The least asked for first: what is new or rare is described worst.",
}
WHEN = {
    "items": "What is offered loses it after training: the run meets it as it is.",
    "query": "Held-out queries lose it: people who ask with less.",
    "training": "Lost before a run is trained anew, once for every way to fill in; minutes each.",
}
ABOUT = ("modality", "when", "how", "seed")  # what two answers must share to be one figure
Answer = Mapping[str, Any]
Rows = Sequence[Mapping[str, Any]]


def folder_of(workspace: Workspace) -> Path:
    """Among what is measured, so that whoever is forgotten is forgotten here too."""
    return workspace.home / "measured" / "missing"


def stem_of(workspace: Workspace, run: str, version: str) -> str:
    """Names what was simulated: other weights or another version of the catalogue have other figures."""
    return f"{weights_of(workspace.run_folder(run))[:16]}-{version[:16]}"


def file_of(workspace: Workspace, about: Answer, version: str) -> Path:
    """about: `run` and what ABOUT names."""
    stem = stem_of(workspace, about["run"], version)
    return folder_of(workspace) / ("-".join([stem, *(str(about[name]) for name in ABOUT)]) + ".json")


def keep(workspace: Workspace, answer: Answer, version: str) -> Path:
    """Joins an answer of `simulate`, whole or in part, to what is kept of the same run and way of losing."""
    path = file_of(workspace, answer, version)
    before = read(path)
    whole = joined(before, answer) if before else dict(answer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"format": FORMAT, **whole}).encode())
    return path


def kept_answers(workspace: Workspace, run: str, version: str) -> list[dict[str, Any]]:
    """Everything simulated for a run as it is now, in the order of its names; damaged files are left out."""
    folder = folder_of(workspace)
    if not folder.is_dir():
        return []
    found = [read(path) for path in sorted(folder.glob(f"{stem_of(workspace, run, version)}-*.json"))]
    return [one for one in found if one]


def read(path: Path) -> dict[str, Any] | None:
    """None where there is nothing, or nothing that this version wrote: it is then simulated again."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT and found.get("rows") else None


def joined(before: Answer, now: Answer) -> dict[str, Any]:
    """Rows of both, the later ones where both have the same ratio and way to fill in."""
    again = {(row["ratio"], row["method"]) for row in now["rows"]}
    rows = [dict(row) for row in before["rows"] if (row["ratio"], row["method"]) not in again] + list(now["rows"])
    rows.sort(key=lambda row: row["ratio"])
    chosen = {str(ratio): best(rows, ratio) for ratio in dict.fromkeys(row["ratio"] for row in rows)}
    for row in rows:
        row["chosen"] = chosen[str(row["ratio"])] == row["method"]
    return {**now, "rows": rows, "chosen": chosen}


def best(rows: Rows, ratio: float) -> str:
    """The way to fill in with the highest validation ndcg@10: of users where there are any, else of queries."""
    judged = [row for row in rows if row["ratio"] == ratio and row["part"] == "validation"]
    judged = judged or [row for row in rows if row["ratio"] == ratio]
    subject = "users" if any(row["subject"] == "users" for row in judged) else "queries"
    judged = [row for row in judged if row["subject"] == subject and row["moved"]] or judged
    return str(max(judged, key=lambda row: row["metrics"]["ndcg@10"]["value"])["method"])


def flat(answer: Answer) -> list[dict[str, Any]]:
    """One row a ratio, way, subject and part, every estimate as three columns: for tables and files."""
    about = {name: answer[name] for name in ("run", "catalogue", *ABOUT)}
    whole = [{**row, "ratio": 0.0, "method": "complete", "chosen": False} for row in answer["complete"]]
    return [{**about, **flat_row(row)} for row in [*whole, *answer["rows"]]]


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: row.get(name) for name in ("ratio", "method", "chosen", "subject", "part", "lost", "of", "n")}
    shares = {f"share_{m}": one for m, one in row["shares"].items()}
    for name, one in {**row["metrics"], "kept": row["kept"], **shares}.items():
        column = name.replace("@", "_")
        told |= {column: one["value"], f"{column}_low": one["low"], f"{column}_high": one["high"]}
    return told
