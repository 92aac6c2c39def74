"""One training from start to end, and the folder that is left: settings, weights, item vectors, histories, digests."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes

from core.align import ALIGNERS
from core.align.space import SPACES
from core.catalog.clean import check_steps
from core.config import RunSettings, wanted_device
from core.domain import Catalogue
from core.errors import SettingsError, UnknownNameError
from core.evaluate.measure import held_distances, measure
from core.evaluate.protocols import split_by
from core.evaluate.ratings import measured_ratings
from core.evaluate.splits import TRAIN, Split, item_folds
from core.evaluate.vectors import MEASURED, pack
from core.features import Features, catalogue_features, without_media
from core.files import digest_bytes, write_atomic
from core.fuse import FUSERS
from core.fuse.weighted import Weighted
from core.model import Model, best_device
from core.pipeline import FORMAT, TUNED_TEXT, Pipeline, load_run
from core.prepare.faults import cleaned
from core.prepare.impute import IMPUTERS
from core.prepare.interpolate import with_interpolated_ratings
from core.rank import RANKERS, reads
from core.train.build import training_data, training_users
from core.train.checkpoint import Checkpoint
from core.train.curves import CURVES, EVENTS, Curves
from core.train.data import TrainingData
from core.train.interactions import InteractionTrainer, learns_from_interactions
from core.train.loop import Trainer
from core.train.parallel import processes, shared
from core.train.second import SecondTrainer, learns_second
from core.train.trust import fit_trust
from core.train.unfreeze import Unfrozen, tuned_features
from core.train.views import Views

OnStep = Callable[[str, float, dict[str, float]], None]
Prepare = Callable[[TrainingData], TrainingData]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a training did; metrics: validation and test figures by name."""

    run: str
    epochs: int
    best_epoch: int
    metrics: Mapping[str, Any]
    seconds: float


def train_run(
    catalogue: Catalogue,
    settings: RunSettings,
    out: Path,
    *,
    vectors: Path,
    on_step: OnStep | None = None,
    resume: bool = False,
    grid: str = "",
    ready: Features | None = None,
) -> RunRecord:
    """Trains one run on a catalogue and writes its folder `out`, whose name becomes the run's name.

    vectors: the content-addressed vector store. on_step(label, fraction, figures) may raise to cancel: no run is
    written then, but a checkpoint of the last whole epoch stays in `out`. resume: go on from such a checkpoint, with
    the same weights in the end as without the break (on the CPU). grid: of which search this run is a part. ready: the
    encoded media of the cleaned catalogue, where the caller has them (`prepared_features`).
    Raises UnknownNameError for names that no registry knows, SettingsError where the checkpoint belongs to another
    training.
    """
    begun, tell = time.monotonic(), on_step or (lambda label, fraction, figures: None)
    check_names(settings)
    if resume and processes() > 1:
        raise SettingsError("what torchrun began cannot be resumed. Train again, or in one process")
    catalogue, split = divided(catalogue, settings, vectors, tell)
    kept = checkpoints(out, catalogue, settings, split)
    if not resume:
        forget(out, kept)
    unfrozen = Unfrozen.of(catalogue, settings, vectors, lambda label, fraction: tell(label, 0.0, {}))
    features = ready or encoded_media(catalogue, settings, vectors, tell)
    views = Views.of(catalogue, settings, features, split, vectors, lambda label, done: tell(label, 0.3 * done, {}))
    fitted = fit(catalogue, settings, features, split, kept, prepared(unfrozen, views), out, tell)
    parts = fitted.parts()
    if unfrozen:
        bank: Any = fitted.data.banks["text"]
        parts[TUNED_TEXT] = bank.tail.to_bytes()
        write_atomic(out / TUNED_TEXT, parts[TUNED_TEXT])
        features = tuned_features(catalogue, settings, vectors, out, lambda label, fraction: tell(label, 0.91, {}))
    told = {**about_run(out.name, catalogue, settings, features, split), **fitted.told(catalogue, split), "grid": grid}
    write_run(out, told, parts)
    tell("measuring", 0.92, {})
    figures = measured_run(load_run(out, catalogue, features=features), features, split, parts)
    seconds = time.monotonic() - begun
    write_run(out, {**told, **figures, "seconds": round(seconds, 1)}, parts)
    forget(out, kept, curves=False)
    tell("done", 1.0, {})
    return RunRecord(run=out.name, epochs=len(fitted.curves) - 1, best_epoch=fitted.best, metrics=figures["metrics"],
                     seconds=seconds)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model that has learned, from which data; best: the epoch whose weights it has."""

    model: Model
    data: TrainingData
    best: int
    curves: list[dict[str, float]]

    def parts(self) -> dict[str, bytes]:
        """The files of the run that hold what was learned."""
        weights = {name: value.cpu() for name, value in self.model.state_dict().items()}
        return {"model.safetensors": to_bytes(weights), "history.safetensors": to_bytes(history_tensors(self.data))}

    def told(self, catalogue: Catalogue, split: Split) -> dict[str, Any]:
        """What run.json tells of it, and of whom and what it knows."""
        return {
            "items": [catalogue.items[item].item_id for item in self.data.trainable],
            "users": list(training_users(catalogue, split)),
            "training": {"best_epoch": self.best, "curves": self.curves},
        }


def divided(catalogue: Catalogue, settings: RunSettings, vectors: Path, tell: OnStep) -> tuple[Catalogue, Split]:
    """The cleaned catalogue and its split; with stars foretold for training rows that have none, where asked for."""
    catalogue = cleaned(catalogue, settings.clean, vectors, lambda label, fraction: tell(label, 0.0, {}))
    split = split_by(settings.protocol, catalogue, 0)
    if settings.impute == "interpolation":
        catalogue = with_interpolated_ratings(catalogue, [label == TRAIN for label in split.labels])
    return catalogue, split


def prepared(*parts: Unfrozen | Views | None) -> Prepare:
    """How data are made ready by those parts that a run has, one after the other."""
    return lambda data: reduce(lambda so_far, part: part.prepare(so_far) if part else so_far, parts, data)


def fit(
    catalogue: Catalogue, settings: RunSettings, features: Features, split: Split, kept: Mapping[str, Checkpoint],
    prepare: Prepare, out: Path, tell: OnStep,
) -> Fitted:  # fmt: skip
    """Finds how long to train where the settings ask for that, trains, and fits the gates' trust."""
    with deterministic(settings):
        stop = None
        if settings.tune_folds:
            stop = best_length(catalogue, settings, features, split, kept["tuning"], prepare)
        if split.name == "everything" and stop is None:
            stop = settings.epochs  # nothing is held out to choose an epoch by
        data = prepare(training_data(catalogue, features, split))
        model = fresh_model(settings, features, data)
        device = best_device(wanted_device())
        with Curves(out) as shown:
            trainer = trainer_of(model, data, settings, device)
            best, curves = trainer.fit(
                lambda label, fraction, figures: tell(label, 0.3 + 0.6 * fraction, figures),
                stop_after=stop, checkpoint=kept["training"], curves=shown,
            )  # fmt: skip
        if settings.trust_folds and type(model.fuser) is Weighted and isinstance(trainer, Trainer):
            learn = partial(learned, settings=settings, features=features, device=device, prepare=prepare)
            fit_trust(
                model.fuser, catalogue, settings, features, split, learn, lambda label, done: tell(label, 0.9, {})
            )
    return Fitted(model=model, data=data, best=best, curves=curves)


def about_run(
    name: str, catalogue: Catalogue, settings: RunSettings, features: Features, split: Split
) -> dict[str, Any]:  # fmt: skip
    """What run.json tells of everything that was given to the training."""
    return {
        "format": FORMAT,
        "run": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": json.loads(settings.to_json()),
        "widths": dict(features.widths),
        "encoders": dict(features.encoders),
        "data": {
            "catalogue": catalogue.name,
            "version": catalogue.version,
            "protocol": split.name,
            "split": asdict(split.fingerprint),
        },
    }


def measured_run(pipeline: Pipeline, features: Features, split: Split, parts: dict[str, bytes]) -> dict[str, Any]:
    """`metrics` and `distances` of a run; item vectors and the values behind its figures become `parts` of it."""
    parts[f"items-{pipeline.catalogue.version[:16]}.safetensors"] = pipeline.items.to_bytes()
    metrics, measured = measure(pipeline, features, split)
    if hasattr(pipeline.model.ranker, "written"):
        for part in ("validation", "test"):
            figures, stars = measured_ratings(pipeline, features, split, part)
            metrics[part] = {**metrics.get(part, {}), **figures}
            measured |= {f"{part} {subject}": values for subject, values in stars.items()}
    parts[MEASURED] = pack(measured)
    distances = held_distances(pipeline, features, split) if "query" in pipeline.model.ranker.cases else {}
    return {"metrics": metrics, "distances": distances}


def prepared_features(
    catalogue: Catalogue, settings: RunSettings, vectors: Path, on_step: OnStep
) -> Features | None:  # fmt: skip
    """What all runs may share whose settings differ in their methods alone; None where encoders are fine-tuned."""
    if settings.unfreeze:
        return None
    tell = lambda label, fraction: on_step(label, 0.0, {})  # noqa: E731
    return encoded_media(cleaned(catalogue, settings.clean, vectors, tell), settings, vectors, on_step)


def encoded_media(catalogue: Catalogue, settings: RunSettings, vectors: Path, tell: OnStep) -> Features:
    """Everything that this run reads; nothing where its ranker looks at ids alone."""
    if reads(settings) == "ids":
        return without_media(catalogue)
    return catalogue_features(
        catalogue, settings, vectors, on_step=lambda label, fraction: tell(label, fraction * 0.3, {})
    )


WORD = {"align": "aligner", "fuse": "fuser", "rank": "ranker", "impute": "imputer",
        "standardise": "standardisation"}  # fmt: skip


def check_names(settings: RunSettings) -> None:
    """Raises UnknownNameError before anything is encoded."""
    for kind, known in (
        ("align", ALIGNERS), ("fuse", FUSERS), ("rank", RANKERS), ("impute", IMPUTERS),
        ("standardise", SPACES),
    ):  # fmt: skip
        name = getattr(settings, kind)
        if name not in known:
            raise UnknownNameError(WORD[kind], name, known)
    check_steps(step for step in settings.clean.split(",") if step)


def checkpoints(out: Path, catalogue: Catalogue, settings: RunSettings, split: Split) -> dict[str, Checkpoint]:
    """Where the two parts of a training are kept while it goes on: finding the number of epochs, and the run itself."""
    belongs = {"settings": asdict(settings), "version": catalogue.version, "split": split.fingerprint.sha}
    names = ("tuning", "training")
    return {name: Checkpoint(path=out / "checkpoint" / f"{name}.safetensors", belongs=belongs) for name in names}


def forget(out: Path, kept: Mapping[str, Checkpoint], curves: bool = True) -> None:
    """The checkpoints go, and with them the curves of an earlier training."""
    for one in kept.values():
        one.remove()
    shutil.rmtree(out / "checkpoint", ignore_errors=True)  # those of a ranker's own epochs among them
    if curves:
        (out / CURVES).unlink(missing_ok=True)
        shutil.rmtree(out / EVENTS, ignore_errors=True)


def best_length(
    catalogue: Catalogue, settings: RunSettings, features: Features, split: Split, kept: Checkpoint,
    prepare: Prepare,
) -> int:  # fmt: skip
    """How many epochs are best for products that training has not seen: judged on one fold of them, held out."""
    folds = item_folds((item.item_id for item in catalogue.items), settings.tune_folds)
    data = prepare(
        training_data(catalogue, features, split, tuning=[item for item, fold in folds.items() if fold == 0])
    )  # fmt: skip
    trainer = trainer_of(fresh_model(settings, features, data), data, settings, best_device(wanted_device()))
    return max(1, trainer.fit(checkpoint=kept)[0])


def learned(
    data: TrainingData, *, settings: RunSettings, features: Features, device: str,
    prepare: Prepare,
) -> Any:  # fmt: skip
    """A trainer that has learned these data to its last epoch."""
    data = prepare(data)
    trainer = trainer_of(fresh_model(settings, features, data), data, settings, device)
    trainer.fit(stop_after=settings.epochs)
    return trainer


def fresh_model(settings: RunSettings, features: Features, data: TrainingData) -> Model:
    torch.manual_seed(settings.seed)
    return Model(settings, features.widths, len(data.histories), len(data.trainable))


def trainer_of(model: Model, data: TrainingData, settings: RunSettings, device: str) -> Any:
    """What fits this model: see `Trainer`, and its likes for rankers that learn from who liked what."""
    second = learns_second(model, data)
    kind = InteractionTrainer if learns_from_interactions(model) else SecondTrainer if second else Trainer
    return shared(kind, settings)(model, data, settings, device)


class deterministic:
    """Inside, the same seed gives the same weights on the same machine, versions and threads."""

    def __init__(self, settings: RunSettings) -> None:
        self.settings = settings

    def __enter__(self) -> None:
        self.threads, self.exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        torch.set_num_threads(self.settings.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)  # else gradients of a gather add up in any order
        random.seed(self.settings.seed)
        torch.manual_seed(self.settings.seed)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(self.exact)


def history_tensors(data: TrainingData) -> dict[str, torch.Tensor]:
    """Training histories end to end: length per user, then item rows of the catalogue and ratings (-1 unrated)."""
    rows = [pair for history in data.histories for pair in history]
    return {
        "length": torch.tensor([len(history) for history in data.histories], dtype=torch.int32),
        "item": torch.tensor([item for item, _ in rows], dtype=torch.int32),
        "rating": torch.tensor([-1.0 if rating is None else rating for _, rating in rows], dtype=torch.float32),
    }


def write_run(out: Path, told: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
    """All parts first, run.json with their digests last: a folder with a run.json is whole."""
    for name, data in parts.items():
        path = out / name
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)
    digests = {name: digest_bytes(data) for name, data in parts.items()}
    write_atomic(out / "run.json", (json.dumps({**told, "digests": digests}, indent=1) + "\n").encode())
