"""Search inside the PostgreSQL of a workspace, for who asked for it: FUSESCOPE_INDEX=pgvector, `recommend --index`.

The item vectors of a run are put there when it is opened and they are not there yet; whoever opens it next, on any app
server, finds them. As with every approximate index, what it finds is scored, ranked and explained exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.config import wanted_index
from core.errors import SettingsError, StoreError
from core.files import digest_bytes
from core.rank.index import Floats, Shortlist, questions
from core.store.pgvectors import PgVectors

if TYPE_CHECKING:
    from core.pipeline import Pipeline
    from core.workspace import Workspace


@dataclass(frozen=True)
class DatabaseIndex:
    """The HNSW of pgvector over one set of item vectors (N, D)."""

    held: PgVectors

    def search(self, query: Floats, k: int) -> Shortlist | None:
        try:
            rows, scores, recall = self.held.search(query, k)
        except (SettingsError, StoreError):
            if self.held.made() is None:  # somebody was forgotten, or the catalogue changed, since the run was opened
                return None
            raise
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
    if wanted != "pgvector":
        return pipeline
    ranker: Any = pipeline.model.ranker
    if "query" in ranker.cases:
        pipeline.index = DatabaseIndex(kept_set(workspace, pipeline))
    return pipeline


def kept_set(workspace: Workspace, pipeline: Pipeline) -> PgVectors:
    """The vectors of this run's items in the database, put there now unless they are there, in the place of those of an
    earlier version of the catalogue; not where a later version came meanwhile."""
    weights, version = pipeline.told["digests"]["model.safetensors"], pipeline.catalogue.version
    name = pipeline.catalogue.name
    family = f"{weights[:16]}_{digest_bytes(name.encode())[:8]}_"
    held = PgVectors(workspace.store, f"{family}{version[:16]}")
    vectors = pipeline.items.vectors[-1].float().cpu().numpy()
    made = held.made()
    if made is None or made[:2] != vectors.shape:
        held.keep(
            vectors, questions(vectors), family=family, wanted=lambda: workspace.catalogue(name).version == version
        )
    return held
