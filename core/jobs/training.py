"""Asking for a training: what can be chosen, what goes together, and the job that does it."""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from core.errors import FusescopeError, JobError
from core.jobs.queue import jobs, start
from core.store.values import JobInfo

if TYPE_CHECKING:
    from core.config import RunSettings
    from core.domain import Catalogue
    from core.workspace import Workspace

EARLIER_JOBS = 1000  # whose names are not given again
FILLED_BY = {
    "none": "What is missing weighs nothing.",
    "generator": "The generators of the adversarial aligner, trained with it.",
    "interpolation": "Stars a person did not give, from those given before and after; media stay missing.",
    "mean": "The mean of the training products.",
    "median": "The median of the training products.",
    "knn": "The mean of the nearest training products that have it.",
    "iterative": "Regression on the modality that is there, axis by axis, until it settles.",
    "ridge": "A ridge map from the modality that is there.",
    "adversarial": "A generator that a critic taught to make likely stand-ins from what is there.",
}
MADE_ALIKE = {
    "damped_pca": "Principal axes, the strong ones damped: they say little about which item it is.",
    "zscore": "Every number by its own mean and spread.",
    "unit": "Every vector divided by its length.",
    "whiten": "Principal axes, all with the same spread.",
}
FEWEST_ROWS = 5  # of a user, below which their taste is a guess


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the registries hold: name -> what it is, in one sentence (of a cleaning step, its title).

    asks, users: rankers that answer a query, that know users; deaf: rankers that look at ids or frozen features alone,
    whatever aligner and fuser are chosen; generating: aligners that can fill in a missing modality."""

    align: Mapping[str, str]
    fuse: Mapping[str, str]
    rank: Mapping[str, str]
    protocol: Mapping[str, str]
    impute: Mapping[str, str]
    standardise: Mapping[str, str]
    clean: Mapping[str, str]
    asks: frozenset[str]
    users: frozenset[str]
    deaf: frozenset[str]
    generating: frozenset[str]


def choices() -> Choices:
    """Loads the methods, and torch with them."""
    from core.align import ALIGNERS
    from core.align.space import SPACES
    from core.catalog.clean import STEPS
    from core.evaluate.protocols import PROTOCOLS, TOLD
    from core.fuse import FUSERS
    from core.prepare.impute import IMPUTERS
    from core.rank import RANKERS

    return Choices(
        align={name: sentence(name, one) for name, one in ALIGNERS.items()},
        fuse={name: sentence(name, one) for name, one in FUSERS.items()},
        rank={name: sentence(name, one) for name, one in RANKERS.items()},
        protocol={name: TOLD.get(name, "") for name in PROTOCOLS},
        impute={name: FILLED_BY.get(name, "") for name in IMPUTERS},
        standardise={name: MADE_ALIKE.get(name, "") for name in SPACES},
        clean={name: step.title for name, step in STEPS.items()},
        asks=frozenset(name for name, one in RANKERS.items() if "query" in cases_of(one)),
        users=frozenset(name for name, one in RANKERS.items() if "known user" in cases_of(one)),
        generating=frozenset(name for name, one in ALIGNERS.items() if hasattr(one, "filled")),
        deaf=frozenset(name for name, one in RANKERS.items() if getattr(one, "reads", "vectors") != "vectors"),
    )


def cases_of(ranker: Any) -> frozenset[str]:
    return ranker.cases


def sentence(name: str, method: Any) -> str:
    """What a method is, in one sentence: of its file where that is about it alone, else of its own docstring."""
    file = " ".join((sys.modules[method.__module__].__doc__ or "").split("\n\n")[0].split())
    alone = re.match(rf"\w+ `{re.escape(name)}`: (.+)", file)
    told = alone.group(1) if alone else " ".join((inspect.getdoc(method) or "").split("\n\n")[0].split())
    first = re.split(r"(?<=\S)\.\s", told)[0].rstrip(".")
    return f"{first[:1].upper()}{first[1:]}." if first else ""


def misfits(settings: RunSettings, catalogue: Catalogue, known: Choices) -> tuple[str, ...]:
    """Why these settings cannot be trained on this catalogue, a sentence each; empty where they can."""
    from core.evaluate.protocols import split_by
    from core.evaluate.splits import TRAIN

    if settings.impute == "generator" and settings.align not in known.generating:
        return (
            f"{settings.align} has no generators to fill gaps with. Choose adversarial, or another way to fill them",
        )
    try:
        split = split_by(settings.protocol, catalogue)
    except FusescopeError as refused:
        return (refused.message,)
    found = []
    rows = Counter(
        row.user_id for row, label in zip(catalogue.interactions, split.labels, strict=True) if label == TRAIN
    )
    if settings.rank not in known.asks and not rows:
        found.append(f"{settings.rank} learns from users, and this catalogue has none in training. Choose content")
    elif settings.rank not in known.asks and not any(count >= FEWEST_ROWS for count in rows.values()):
        found.append(
            f"{settings.rank} learns from users, and 0 users have {FEWEST_ROWS} rows or more in training. "
            "Choose a ranker that answers queries"
        )
    return tuple(found)


def remarks(settings: RunSettings, catalogue: Catalogue, known: Choices) -> tuple[str, ...]:
    """What a person should know before: it can be trained, but something is missing or weak."""
    from core.evaluate.protocols import split_by
    from core.evaluate.splits import COLD, TEST, new_rows

    found = []
    if settings.rank not in known.asks:
        found.append(f"{settings.rank} knows users only: such a run cannot answer words and photos on Recommend")
    if settings.rank in known.deaf:
        found.append(f"{settings.rank} looks at no aligned and fused vectors: its scores are the same with any pair")
    split = split_by(settings.protocol, catalogue)
    if split.name == "everything":
        found.append("nothing is held out, so this run is not measured and stands on no leaderboard")
    elif split.fingerprint.caution and not split.fingerprint.cold:
        found.append(split.fingerprint.caution)
    tested, new = split.rows(TEST, COLD), new_rows(catalogue, split)
    written = any(catalogue.interactions[at].text or catalogue.interactions[at].media for at in new)
    if len(new) and len(new) == len(tested) and not written:
        found.append("held out are new items alone, without reviews to ask with: evaluate tells how known users find "
                     "them, but the run stands on no leaderboard. Choose random or leave-last for one that does")
    return tuple([*found, *split.notes])


def free_name(workspace: Workspace, stem: str) -> str:
    """`stem`, or `stem-2`, ...: neither a run nor what any earlier training was called."""
    taken = {info.run for info in workspace.runs()}
    if workspace.has_database:
        taken |= {job.target for job in jobs(workspace, limit=EARLIER_JOBS) if job.kind == "train"}
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 100_000))
    return next(name for name in numbered if name not in taken)


def stem_of(settings: RunSettings, grid: bool) -> str:
    """What a run is called where nobody gave it a name."""
    parts = [settings.catalogue[:24], settings.rank, *(["grid"] if grid else [settings.align, settings.fuse])]
    return "-".join(parts)[:56]


def start_training(
    workspace: Workspace, settings: RunSettings, grid: Mapping[str, tuple[str, ...]] | None = None
) -> JobInfo:
    """A job of its own for everybody who asks, under a name that nobody has; it waits for those before it.

    grid: lists of aligners and fusers of which all pairs are trained. Raises JobError, StoreError.
    """
    words = [*arguments_of(settings, grid or {}), *(["--grid"] if grid is not None else [])]
    for _ in range(100):
        name = free_name(workspace, stem_of(settings, grid is not None))
        try:
            return start(workspace, "train", name, [*words, "--name", name])
        except JobError as error:  # somebody took the name in the meantime
            if error.code != "E-JOB-RUNNING":
                raise
    raise JobError("E-QUEUE-FULL", "a hundred others were quicker; one was expected. Press Train again.")


def arguments_of(settings: RunSettings, lists: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The options of `train` that give these settings: what differs from the defaults, and what it always asks for."""
    from core.config import RunSettings

    standard = asdict(RunSettings(rank=settings.rank, loss=settings.loss)) | {"loss": RunSettings.loss}
    words = []
    for one in fields(settings):
        value = ",".join(lists[one.name]) if one.name in lists else getattr(settings, one.name)
        if one.name in ("catalogue", "rank", *lists) or value != standard[one.name]:
            words += [f"--{one.name.replace('_', '-')}", str(value)]
    return words
