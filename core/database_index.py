"""Search inside the PostgreSQL of a workspace, for who asked for it: FUSESCOPE_INDEX=pgvector, `recommend --index`.

The item vectors of a run are put there when it is opened and they are not there yet; whoever opens it next, on any app
server, finds them. As with every approximate index, what it finds is scored, ranked and explained exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.config import wanted_index
from core.rank.index import Floats, Shortlist, questions
from core.store.pgvectors import PgVectors

if TYPE_CHECKING:
    from core.pipeline import Pipeline
    from core.workspace import Workspace


@dataclass(frozen=True)
class DatabaseIndex:
    """The HNSW of pgvector over one set of item vectors (N, D)."""

    held: PgVectors

    def search(self, query: Floats, k: int) -> Shortlist:
        rows, scores, recall = self.held.search(query, k)
        return Shortlist(rows=rows, scores=scores, recall=recall, engine="pgvector HNSW")


def open_indexed(
    workspace: Workspace, run: str, catalogue: str | None = None, *, index: str = "", device: str = ""
) -> Pipeline:  # fmt: skip
    """`open_pipeline`, searched as `index` says: "auto" (every item compared, see `core/rank/index.py` for more than a
    million) or "pgvector"; "" is what FUSESCOPE_INDEX says. A run that answers no questions needs no index.

    Raises UnknownNameError, ModelError; SettingsError where the tables are no PostgreSQL with pgvector.
    """
    from core.pipeline import open_pipeline

    wanted = index or wanted_index()
    pipeline = open_pipeline(workspace, run, catalogue, device)
    ranker: Any = pipeline.model.ranker
    if wanted == "pgvector" and "query" in ranker.cases:
        pipeline.index = DatabaseIndex(kept_set(workspace, pipeline))
    return pipeline


def kept_set(workspace: Workspace, pipeline: Pipeline) -> PgVectors:
    """The vectors of this run's items in the database, put there now unless they are there."""
    weights, version = pipeline.told["digests"]["model.safetensors"], pipeline.catalogue.version
    held = PgVectors(workspace.store, f"{weights[:16]}_{version[:16]}")
    vectors = pipeline.items.vectors[-1].float().cpu().numpy()
    made = held.made()
    if made is None or made[:2] != vectors.shape:
        held.keep(vectors, questions(vectors))
    return held
