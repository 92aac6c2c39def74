"""Rating prediction: stars of a written review, and stars before anything is written; two tasks, never in one table.

Beside them stand the models that read no media: the mean, the item's mean, and mean + item + user (`bias`). A ranker
that does not beat `bias` foretells nothing that counting does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import LIKED, Catalogue
from core.evaluate.metrics import rating_classes, rating_metrics
from core.evaluate.splits import TEST, TRAIN, VALIDATION, Split
from core.evaluate.vectors import Measured

if TYPE_CHECKING:
    from core.features import Features
    from core.pipeline import Pipeline

DAMPING = 10.0  # rows that an item or a user is thought to have had at the mean
HELD = {"test": TEST, "validation": VALIDATION}
Table = dict[str, dict[str, float]]


def reference_ratings(catalogue: Catalogue, split: Split, rows: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Model -> (R,) ratings foretold for interactions `rows`: mean, item mean, bias; what is unknown counts as 0."""
    trained = [catalogue.interactions[row] for row in split.rows(TRAIN)]
    known = [(row.user_id, row.item_id, row.rating) for row in trained if row.rating is not None]
    mean = float(np.mean([rating for _, _, rating in known]))
    items = _sums((item, rating - mean) for _, item, rating in known)
    of_item = {item: total / (DAMPING + count) for item, (total, count) in items.items()}
    users = _sums((user, rating - mean - of_item[item]) for user, item, rating in known)
    of_user = {user: total / (DAMPING + count) for user, (total, count) in users.items()}
    asked = [catalogue.interactions[row] for row in rows]
    own = [items.get(row.item_id, (0.0, 1)) for row in asked]
    return {
        "mean": np.full(len(asked), mean),
        "item mean": mean + np.array([total / count for total, count in own]),
        "bias": mean + np.array([of_item.get(r.item_id, 0.0) + of_user.get(r.user_id, 0.0) for r in asked]),
    }


def reference_table(catalogue: Catalogue, split: Split, rows: Sequence[int]) -> Table:
    """Metrics of the reference models, and of always saying the most frequent class."""
    truth = _stars(catalogue, rows)
    scale = _scale(catalogue)
    told = reference_ratings(catalogue, split, rows)
    frequent = np.bincount(rating_classes(_stars(catalogue, rated(catalogue, split.rows(TRAIN))))).argmax()
    table = {name: rating_metrics(truth, values, scale=scale) for name, values in told.items()}
    return table | {"majority": rating_metrics(truth, np.full(len(truth), float(frequent)), scale=scale)}


def rating_report(pipeline: Pipeline, features: Features, split: Split, part: str = "test") -> dict[str, Any]:
    """`before`: every rated held-out row, nothing of it seen; `written`: those with a review or photo, which are read.

    Each task: rows, supports of the classes, and model -> accuracy, macro_f1, mae, rmse, references on the same rows.
    """
    catalogue = pipeline.catalogue
    rows = rated(catalogue, split.rows(HELD[part]))
    told = [row for row in rows if any(features.interactions[row].values())]
    report = {}
    for task, asked in (("before", rows), ("written", told)):
        if not asked:
            continue
        probabilities = star_probabilities(pipeline, features, asked, written=task == "written")
        truth = _stars(catalogue, asked)
        report[task] = {
            "rows": len(asked),
            "supports": np.bincount(rating_classes(truth), minlength=6)[1:].tolist(),
            "rating": rating_metrics(truth, probabilities=probabilities, scale=_scale(catalogue)),
            **reference_table(catalogue, split, asked),
        }
    return report


def only_likes(catalogue: Catalogue, split: Split, part: str = "test") -> str:
    """What must be said where nothing but likes is held out of ratings that go lower; "" where all are tested."""
    held = _stars(catalogue, rated(catalogue, split.rows(HELD[part])))
    low = _scale(catalogue)[0] if len(held) else LIKED
    if not len(held) or low >= LIKED or held.min() < LIKED:
        return ""
    return (
        f"all {len(held):,} ratings of the {part} part are likes ({LIKED:g} stars and more), as protocol {split.name} "
        "holds out likes only: nothing is said about low ratings. Protocol ratings tests all of them"
    )


def measured_ratings(
    pipeline: Pipeline, features: Features, split: Split, part: str = "test"
) -> tuple[dict[str, float], dict[str, Measured]]:
    """What a leaderboard needs of a run that foretells stars: figures by name ("ratings before mae"), and the values of
    every rating of both tasks, drawn by person.

    accuracy: the class is right. gained: by how many stars the foretold value is nearer to the truth than that of
    `bias`, which reads no media; above 0 is better than counting.
    """
    catalogue, told = pipeline.catalogue, rating_report(pipeline, features, split, part)
    figures: dict[str, float] = {}
    kept: dict[str, Measured] = {}
    for task, one in told.items():
        figures |= {f"ratings {task} {name}": float(value) for name, value in one["rating"].items()}
        asked = rated(catalogue, split.rows(HELD[part]))
        if task == "written":
            asked = [row for row in asked if any(features.interactions[row].values())]
        truth = _stars(catalogue, asked)
        chances = star_probabilities(pipeline, features, asked, written=task == "written")
        bias = np.clip(reference_ratings(catalogue, split, asked)["bias"], *_scale(catalogue))
        value = np.clip(chances @ np.arange(1, chances.shape[1] + 1), *_scale(catalogue))
        classes = rating_classes(truth)
        rows = [catalogue.interactions[row] for row in asked]
        kept[f"ratings {task}"] = Measured(
            ids=tuple(f"{row.user_id}\t{row.item_id}\t{row.timestamp or ''}" for row in rows),
            groups=tuple(row.user_id for row in rows),
            values={
                "accuracy": (chances.argmax(1) + 1 == classes).astype(np.float64),
                "gained": np.abs(truth - bias) - np.abs(truth - value),
            },
            floors={"bias": {
                "accuracy": (rating_classes(bias) == classes).astype(np.float64), "gained": np.zeros(len(rows)),
            }},
            about={},
        )  # fmt: skip
        figures |= {
            f"ratings {task} {name}": float(value.mean()) for name, value in kept[f"ratings {task}"].values.items()
        }
    return figures, kept


def star_probabilities(
    pipeline: Pipeline, features: Features, rows: Sequence[int], written: bool
) -> NDArray[np.float64]:
    """(R, 5) of interactions `rows`, with or without what was written and shown in them."""
    import torch

    from core.evaluate.measure import query_vectors

    catalogue, ranker = pipeline.catalogue, pipeline.model.ranker
    position = catalogue.position()
    asked = [catalogue.interactions[row] for row in rows]
    place = torch.tensor([position[row.item_id] for row in asked], device=pipeline.device)
    user = torch.tensor([pipeline.user_rows.get(row.user_id, -1) for row in asked], device=pipeline.device)
    vectors, item = pipeline.items.vectors[-1][place], pipeline.known[place]
    with torch.inference_mode():
        if written:
            review = query_vectors(pipeline, features, [features.interactions[row] for row in rows])
            logits = ranker.written(review, vectors, item, user)  # type: ignore[operator, union-attr]
        else:
            logits = ranker.before(vectors, item, user)  # type: ignore[operator, union-attr]
        return logits.double().softmax(-1).cpu().numpy()


def rated(catalogue: Catalogue, rows: Any) -> list[int]:
    """Those of these interactions that carry stars."""
    return [int(row) for row in rows if catalogue.interactions[row].rating is not None]


def _stars(catalogue: Catalogue, rows: Sequence[int]) -> NDArray[np.float64]:
    return np.array([catalogue.interactions[row].rating for row in rows], dtype=np.float64)


def _scale(catalogue: Catalogue) -> tuple[float, float]:
    known = [row.rating for row in catalogue.interactions if row.rating is not None]
    return min(known), max(known)


def _sums(pairs: Any) -> Mapping[str, tuple[float, int]]:
    found: dict[str, tuple[float, int]] = {}
    for key, value in pairs:
        total, count = found.get(key, (0.0, 0))
        found[key] = (total + value, count + 1)
    return found
