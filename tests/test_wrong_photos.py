"""Photos swapped between the products of a real shop: how many the list of worst pairs finds. Needs the real data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.catalog.folder import read_folder
from core.config import RunSettings
from core.domain import Catalogue

LUMA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "magento_luma"


def swapped(catalogue: Catalogue, share: float, seed: int) -> tuple[Catalogue, set[tuple[str, str]]]:
    """The catalogue with a share of its photos handed on in a ring, each to another product; and (item, photo) of the
    wrong ones."""
    photos = [(row, path) for row, item in enumerate(catalogue.items) for path in item.media.get("image", ())]
    random = np.random.default_rng(seed)
    chosen = [photos[n] for n in sorted(random.choice(len(photos), round(share * len(photos)), replace=False))]
    order = random.permutation(len(chosen))
    while any(chosen[a][0] == chosen[b][0] for a, b in zip(order, np.roll(order, 1), strict=True)):
        order = random.permutation(len(chosen))
    new = {chosen[a]: chosen[b][1] for a, b in zip(order, np.roll(order, 1), strict=True)}
    items = tuple(
        replace(item, media=_handed_on(item.media, row, new)) for row, item in enumerate(catalogue.items)
    )  # fmt: skip
    wrong = {(catalogue.items[row].item_id, path) for (row, _), path in new.items()}
    return replace(catalogue, items=items, version=f"{catalogue.version[:8]}-swapped-{seed}"), wrong


def _handed_on(
    media: Mapping[str, tuple[str, ...]], row: int, new: Mapping[tuple[int, str], str]
) -> dict[str, tuple[str, ...]]:
    return {**media, "image": tuple(new.get((row, path), path) for path in media.get("image", ()))}


def found(catalogue: Catalogue, wrong: set[tuple[str, str]], settings: RunSettings, folder: Path) -> dict[str, float]:
    """AUC of the list of worst pairs of a run that was trained with the wrong photos in it."""
    from core.features import catalogue_features
    from core.mapping.report import worst_pairs
    from core.mapping.space import spaces_of
    from core.pipeline import load_run
    from core.train.run import train_run

    train_run(catalogue, settings, folder / "runs" / catalogue.version, vectors=folder / "vectors")
    features = catalogue_features(catalogue, settings, folder / "vectors")
    pipeline = load_run(folder / "runs" / catalogue.version, catalogue, features=features)
    pairs = worst_pairs(spaces_of(pipeline, features), catalogue)
    return {"auc": auc(pairs, wrong), "in sample": auc([p for p in pairs if p["trained"]], wrong),
            "held out": auc([p for p in pairs if not p["trained"]], wrong)}  # fmt: skip


def auc(pairs: list[dict], wrong: set[tuple[str, str]]) -> float:
    from core.evaluate.alignment import area_under_curve

    bad = np.array([(pair["item_id"], pair["image"]) in wrong for pair in pairs], dtype=bool)
    value = area_under_curve(np.array([pair["excess"] for pair in pairs]), bad) if len(pairs) else None
    return float("nan") if value is None else value


def test_a_swap_keeps_every_photo_and_gives_it_to_another_product() -> None:
    from tests.toys import toy_catalogue

    whole = toy_catalogue()
    items = tuple(replace(item, media={"image": (f"{item.item_id}.jpg",)}) for item in whole.items)
    mixed, wrong = swapped(replace(whole, items=items), 0.25, 0)
    assert len(wrong) == 9
    assert sorted(i.media["image"][0] for i in mixed.items) == sorted(f"{i.item_id}.jpg" for i in items)
    assert {(i.item_id, i.media["image"][0]) for i in mixed.items if i.media["image"][0] != f"{i.item_id}.jpg"} == wrong


@pytest.mark.slow
@pytest.mark.skipif(not LUMA.is_dir(), reason="the Magento sample shop is not here")
def test_swapped_photos_of_a_real_shop_stand_out_even_where_training_has_seen_them(tmp_path) -> None:
    catalogue, _ = read_folder(LUMA, "magento")[:2]
    mixed, wrong = swapped(catalogue, 0.1, 0)
    settings = RunSettings(catalogue="magento", rank="content", protocol="everything", epochs=20, threads=1)
    told = found(mixed, wrong, settings, tmp_path)
    print(f"{len(wrong)} of {sum(len(i.media.get('image', ())) for i in mixed.items)} photos swapped: {told}")
    assert told["auc"] > 0.6  # the aligner was trained to bring the wrong pairs together as well
