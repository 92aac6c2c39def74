"""Every cleaning step over one catalogue, with encoded media: see `findings` for those that need none."""

from __future__ import annotations

from pathlib import Path

from core.catalog.clean import STEPS, Detection
from core.config import RunSettings
from core.domain import Catalogue
from core.features import Features, catalogue_features
from core.prepare.contradiction import contradictions
from core.prepare.findings import OnStep, table_faults
from core.prepare.mismatch import wrong_media
from core.prepare.unusual import unusual_items


def find_faults(catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None) -> tuple[Detection, ...]:
    """All steps, in the order of STEPS. vectors: the store of encoded media; what it lacks is encoded now."""
    tell = on_step or (lambda label, fraction: None)
    quick = table_faults(catalogue, lambda label, fraction: tell(label, 0.1 * fraction))
    features = catalogue_features(
        catalogue, RunSettings(), vectors, on_step=lambda label, fraction: tell(label, 0.1 + 0.7 * fraction)
    )
    tell("judging photos, words and stars", 0.8)
    found = {one.step: one for one in (*quick, *vector_faults(catalogue, features))}
    tell("done", 1.0)
    return tuple(found[step] for step in STEPS if step in found)


def vector_faults(catalogue: Catalogue, features: Features) -> tuple[Detection, ...]:
    """The steps that need encoded media; each says nothing where the catalogue lacks what it needs."""
    both = {"text", "image"} <= set(features.states)
    wrong = (wrong_media(catalogue, features),) if both else ()
    tone = (contradictions(catalogue, features),) if "text" in features.states else ()
    return (*wrong, *tone, unusual_items(catalogue, features))
