"""python -m bench.shops magento_luma FOLDER | grocery_store_small FOLDER [--seeds 0,1,2] [--home DIR] [--json FILE]

Two small real shops. `magento_luma`: a review and another photo of a product -> the product, five folds of products,
none of which training has seen; whether words help beside the photo. `grocery_store_small`: a phone photo -> the words
of the product, settings chosen on the validation photos, beside a ridge map from photo to text features.
Intervals: bootstrap over products (magento_luma), paired over photos (grocery_store_small).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.catalog.folder import read_folder, read_photos
from core.config import RunSettings, home_folder
from core.domain import Catalogue, Interaction
from core.evaluate.metrics import retrieval_metrics, target_ranks
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import COLD, TRAIN, Split, fingerprint, item_folds
from core.features import Features, Media, catalogue_features, mean_states
from core.files import write_atomic
from core.train.build import spare, training_data
from core.train.loop import Trainer
from core.train.run import deterministic, fresh_model, learned
from core.train.trust import fit_trust

FOLDS = 5
LUMA = RunSettings(catalogue="magento_luma", rank="content", protocol="everything", epochs=8, trust_folds=4)
GROCERY = RunSettings(
    catalogue="grocery_store_small", rank="content", protocol="everything", epochs=40, weight_align=1.0
)
TRIED = [  # settings that the validation photos choose from, by recall@1 + recall@10
    {"drop_tokens": dropped, "epochs": epochs} for dropped in (0.0, 0.3, 0.5) for epochs in (40, 80)
]
Found = dict[str, NDArray[np.float64]]


def luma(folder: Path, home: Path, seed: int) -> dict[str, Any]:
    """Every pair of a review and another photo of its product (in turn by row) asked of the fold's own run."""
    catalogue, _ = read_folder(folder, "magento_luma")
    settings = replace(LUMA, seed=seed)
    features = catalogue_features(catalogue, settings, home / "vectors")
    position = catalogue.position()
    asked = [
        (position[row.item_id], {"text": media["text"], "image": (spare(features.items[position[row.item_id]])[at],)})
        for number, (row, media) in enumerate(zip(catalogue.interactions, features.interactions, strict=True))
        if media.get("text") and (others := spare(features.items[position[row.item_id]]))
        for at in [number % len(others)]
    ]
    products = [catalogue.items[item].item_id for item, _ in asked]
    fold_of = item_folds((item.item_id for item in catalogue.items), FOLDS)
    found: dict[str, Found] = {}
    for fold in range(FOLDS):
        tell(f"magento_luma, seed {seed}, fold {fold + 1} of {FOLDS}")
        trainer = luma_run(catalogue, settings, features, {item for item, at in fold_of.items() if at == fold})
        rows = [row for row, product in enumerate(products) if fold_of[product] == fold]
        for name, values in luma_fold(trainer, features, [asked[row] for row in rows]).items():
            for metric, part in values.items():
                found.setdefault(name, {}).setdefault(metric, np.zeros(len(asked)))[rows] = part
    for name, values in plain(features, asked).items():
        found[name] = values
    words = found.pop("words count")["phi"]
    return {
        "queries": len(asked), "products": len(set(products)), "seed": seed,
        "metrics": {name: told(values, products) for name, values in found.items()},
        "gain over photo": gain(found["fused"], found["photo"], products),
        "gain over photo against photos": gain(found["fused"], found["photo to photo"], products),
        "shapley of words, mean and share that is not zero": [float(words.mean()), float((abs(words) > 1e-6).mean())],
    }  # fmt: skip


def luma_run(catalogue: Catalogue, settings: RunSettings, features: Features, apart: set[str]) -> Trainer:
    """A run that never saw these products, its gates fitted on folds of the others."""
    labels = tuple(COLD if row.item_id in apart else TRAIN for row in catalogue.interactions)
    split = Split(name="everything", seed=0, labels=labels, fingerprint=fingerprint(catalogue, labels))

    def train(data: Any) -> Trainer:
        return learned(data, settings=settings, features=features, device="cpu", prepare=lambda same: same)

    with deterministic(settings):
        trainer = train(training_data(catalogue, features, split))
        fit_trust(trainer.model.fuser, catalogue, settings, features, split, train, lambda label, done: tell(label))
    trainer.model.eval()
    return trainer


@torch.no_grad()
def luma_fold(trainer: Trainer, features: Features, asked: Sequence[tuple[int, Media]]) -> dict[str, Found]:
    """The same queries as a whole and with one modality alone, before items with words and one photo."""
    answers = np.array([item for item, _ in asked])
    shown = [one_photo(item) for item in features.items]
    items, photos = trainer.vectors(shown), trainer.aligned(shown)["image"]
    sides = {"fused": ("text", "image"), "photo": ("image",), "words": ("text",)}
    scores = {
        name: trainer.vectors([only(media, kept) for _, media in asked]) @ items.T for name, kept in sides.items()
    }
    scores["photo to photo"] = trainer.aligned([only(media, ("image",)) for _, media in asked])["image"] @ photos.T
    null = functional.normalize(trainer.model.fuser.null, dim=0) @ items.T
    row = torch.arange(len(asked))
    fused, photo, words = (scores[name][row, answers] for name in ("fused", "photo", "words"))
    phi = ((fused - photo) + (words - null[answers])) / 2
    found = {name: measured(values, answers) for name, values in scores.items()}
    return {**found, "words count": {"phi": phi.double().numpy()}}


def plain(features: Features, asked: Sequence[tuple[int, Media]]) -> dict[str, Found]:
    """Cosine of what the encoders say, nothing learned: the photo, the words, and both as equal z-scores."""
    answers = np.array([item for item, _ in asked])
    queries, items = [media for _, media in asked], [one_photo(item) for item in features.items]
    scores = {m: pooled(features, m, queries) @ pooled(features, m, items).T for m in ("image", "text")}
    both = sum((s - s.mean(1, keepdim=True)) / s.std(1, keepdim=True) for s in scores.values())
    names = {"plain photo": scores["image"], "plain words": scores["text"], "plain, equal z-scores": both}
    return {name: measured(values, answers) for name, values in names.items()}


def grocery(folder: Path, home: Path, seed: int) -> dict[str, Any]:
    """Settings by the validation photos, then the test photos once."""
    catalogue = with_photos(read_folder(folder, "grocery_store_small")[0], folder)
    features = catalogue_features(catalogue, GROCERY, home / "vectors")
    position = catalogue.position()
    asked: dict[str, list[tuple[int, Media]]] = {"train": [], "val": [], "test": []}
    for row, media in zip(catalogue.interactions, features.interactions, strict=True):
        if media.get("image"):
            asked[row.split].append((position[row.item_id], {"image": media["image"]}))
    labels = tuple(TRAIN if row.split == "train" else COLD for row in catalogue.interactions)
    split = Split(name="everything", seed=0, labels=labels, fingerprint=fingerprint(catalogue, labels))
    best: tuple[float, dict[str, Any], Trainer] | None = None
    for number, tried in enumerate(TRIED, 1):
        settings = replace(GROCERY, seed=seed, **tried)
        tell(f"grocery_store_small, seed {seed}, setting {number} of {len(TRIED)}")
        with deterministic(settings):
            data = training_data(catalogue, features, split)
            trainer = Trainer(fresh_model(settings, features, data), data, settings)
            trainer.fit(stop_after=settings.epochs)
        found = to_words(trainer, features, asked["val"])
        value = float(found["recall@1"].mean() + found["recall@10"].mean())
        tell(f"  {tried}: validation recall@1 {found['recall@1'].mean():.3f}, @10 {found['recall@10'].mean():.3f}")
        if best is None or value > best[0]:
            best = (value, tried, trainer)
    assert best is not None
    ours, ridge = to_words(best[2], features, asked["test"]), ridge_map(features, asked)
    return {
        "queries": len(asked["test"]), "candidates": len(catalogue.items), "seed": seed, "settings": best[1],
        "metrics": {"ours": told(ours), "ridge": told(ridge)}, "gain over ridge": gain(ours, ridge),
    }  # fmt: skip


@torch.no_grad()
def to_words(trainer: Trainer, features: Features, asked: Sequence[tuple[int, Media]]) -> Found:
    """Photos before items that show their words alone."""
    trainer.model.eval()
    items = trainer.vectors([only(item, ("text",)) for item in features.items])
    return measured(trainer.vectors([media for _, media in asked]) @ items.T, np.array([item for item, _ in asked]))


def ridge_map(features: Features, asked: Mapping[str, Sequence[tuple[int, Media]]]) -> Found:
    """Photo features -> text features by ridge regression on the train photos and clean pictures; its penalty is chosen
    on the validation photos."""
    from sklearn.linear_model import Ridge

    words = pooled(features, "text", features.items)
    clean = [(item, {"image": media["image"][:1]}) for item, media in enumerate(features.items) if media.get("image")]
    known = [*asked["train"], *clean]
    given, wanted = pooled(features, "image", [m for _, m in known]), words[[item for item, _ in known]]

    def found(penalty: float, part: str) -> Found:
        model = Ridge(alpha=penalty).fit(given.numpy(), wanted.numpy())
        mapped = torch.from_numpy(model.predict(pooled(features, "image", [m for _, m in asked[part]]).numpy())).float()
        answers = np.array([item for item, _ in asked[part]])
        return measured(functional.normalize(mapped, dim=-1) @ words.T, answers)

    best = max((10.0**power for power in range(-4, 4)), key=lambda penalty: found(penalty, "val")["mrr"].mean())
    return found(best, "test")


def with_photos(catalogue: Catalogue, folder: Path) -> Catalogue:
    """The rows of photos.csv as photos that somebody took of a product."""
    rows = tuple(
        Interaction(user_id=f"photo {number}", item_id=row.item_id, media={"image": (row.image,)}, split=row.split)
        for number, row in enumerate(read_photos(folder))
    )
    return replace(catalogue, interactions=rows)


def pooled(features: Features, modality: str, media: Sequence[Media]) -> Tensor:
    """(n, E) unit rows: the mean of what the encoder says of each medium."""
    return functional.normalize(
        torch.from_numpy(mean_states(features.states[modality], [one[modality] for one in media])).float(), dim=-1
    )


def only(media: Media, kept: Sequence[str]) -> Media:
    return {m: rows for m, rows in media.items() if m in kept}


def one_photo(item: Media) -> Media:
    return {m: rows[:1] if m == "image" else rows for m, rows in item.items()}


def measured(scores: Tensor, answers: NDArray[np.int64]) -> Found:
    return retrieval_metrics(target_ranks(scores.numpy(), answers))


def told(values: Found, groups: Sequence[str] | None = None) -> dict[str, Any]:
    return {name: asdict(bootstrap(part, groups)) for name, part in values.items()}


def gain(ours: Found, theirs: Found, groups: Sequence[str] | None = None) -> dict[str, Any]:
    return {name: asdict(paired(ours[name], theirs[name], groups).difference) for name in ours}


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("shop", choices=("magento_luma", "grocery_store_small"))
    options.add_argument("folder", type=Path)
    options.add_argument("--seeds", default="0", help="with commas; default 0")
    options.add_argument("--home", type=Path, default=home_folder(), help="where encoded media are kept")
    options.add_argument("--json", type=Path, help="where to write the figures")
    given = options.parse_args()
    measure = luma if given.shop == "magento_luma" else grocery
    found = [measure(given.folder, given.home, int(seed)) for seed in given.seeds.split(",")]
    text = json.dumps(found, indent=1)
    print(text)
    if given.json:
        write_atomic(given.json, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
