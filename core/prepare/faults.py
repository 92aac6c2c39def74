"""Every cleaning step over one catalogue, with encoded media: see `findings` for those that need none."""

from __future__ import annotations

from pathlib import Path

from core.catalog.clean import CELL_STEPS, STEPS, Detection, check_steps, prepared
from core.config import RunSettings
from core.domain import Catalogue
from core.features import Features, catalogue_features
from core.prepare.contradiction import contradictions
from core.prepare.findings import OnStep, keep_faults, kept_faults, table_faults
from core.prepare.mismatch import wrong_media
from core.prepare.unusual import unusual_items


def find_faults(catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None) -> tuple[Detection, ...]:
    """All steps, in the order of STEPS. vectors: the store of encoded media; what it lacks is encoded now."""
    tell = on_step or (lambda label, fraction: None)
    quick = table_faults(catalogue, vectors, lambda label, fraction: tell(label, 0.1 * fraction))
    features = catalogue_features(
        catalogue, RunSettings(), vectors, on_step=lambda label, fraction: tell(label, 0.1 + 0.7 * fraction)
    )
    tell("judging photos, words and stars", 0.8)
    found = {one.step: one for one in (*quick, *vector_faults(catalogue, features))}
    tell("done", 1.0)
    return tuple(found[step] for step in STEPS if step in found)


def known_faults(
    catalogue: Catalogue, vectors: Path, on_step: OnStep | None = None, *, again: bool = False
) -> tuple[Detection, ...]:
    """What was found before in this version of the catalogue, else what is found now and kept."""
    kept = None if again else kept_faults(vectors, catalogue)
    if kept is not None:
        return kept
    found = find_faults(catalogue, vectors, on_step)
    keep_faults(vectors, catalogue, found)
    return found


def cleaned(catalogue: Catalogue, steps: str, vectors: Path, on_step: OnStep | None = None) -> Catalogue:
    """The catalogue with these steps on (names with commas) beside the repairs of words, which are always on here.

    Raises UnknownNameError.
    """
    chosen = check_steps(step for step in steps.split(",") if step)
    if not chosen:
        return catalogue
    return prepared(catalogue, known_faults(catalogue, vectors, on_step), {*chosen, *CELL_STEPS.values()})


def vector_faults(catalogue: Catalogue, features: Features) -> tuple[Detection, ...]:
    """The steps that need encoded media; each says nothing where the catalogue lacks what it needs."""
    both = {"text", "image"} <= set(features.states)
    wrong = (wrong_media(catalogue, features),) if both else ()
    tone = (contradictions(catalogue, features),) if "text" in features.states else ()
    return (*wrong, *tone, unusual_items(catalogue, features))
