"""python -m bench.weaknesses --run studio-default [--home DIR] [--draws 5] [--copies 100] [--kinds KIND,...]

Are planted weaknesses found by the automatic slices, and is nothing found where nothing was planted?

Every draw makes four damaged copies of the data, for judging only (the run stays as it was):
    blurred    all photos of one category, of the shop and of its customers, can hardly be made out
    wordless   the products of one price band lose title and description
    swapped    the photos of one department go around among its products
    shortened  the reviews that users with few (or many) training rows wrote on one floor keep their first two words
A floor, a department and a category are the levels of a category's path. Groups are drawn among those with 200 held-out
questions about 10 products or more. Attributes are those of the undamaged data, so no slice can be called "text
missing". A weakness is recovered when a slice that is found (Holm's corrected p below 5 %) to do worse shares at least
half of its cases with it both ways; one that was found without damage as well is told so and does not count.

Undamaged copies: the outcomes of the undamaged cases are dealt out again, over all cases or as whole products. Whatever
is found then is false, so the false-discovery rate is the share of copies in which anything is found.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.config import home_folder
from core.domain import Catalogue, Item, with_interval
from core.evaluate.casebook import WORSE, CaseBook, book_of
from core.evaluate.cases import Cases
from core.evaluate.judge import query_cases
from core.evaluate.measure import HELD
from core.evaluate.protocols import split_by
from core.evaluate.slices import Condition, Search, search_slices
from core.evaluate.splits import Split
from core.features import catalogue_features
from core.files import digest_bytes, write_atomic
from core.pipeline import load_run
from core.workspace import Workspace

KEPT_WORDS = 2
FEWEST_QUESTIONS, FEWEST_ASKED = 200, 10
BLUR = 6  # the side of a photo over the radius of its blur
SHARED = 0.5
NULLS = ("cases", "products")
Mask = NDArray[np.bool_]
Answer = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Weakness:
    """name; told: what was done to what, in words; items, rows: ids of products and of interactions that it touches."""

    name: str
    told: str
    items: frozenset[str] = frozenset()
    rows: frozenset[int] = frozenset()

    def touches(self, cases: Cases) -> Mask:
        return np.isin(cases.item, list(self.items)) | np.isin(cases.row, list(self.rows))


# ---- damage


def draw_weaknesses(book: CaseBook, seed: int) -> tuple[Weakness, ...]:
    """Four, each over groups of its own choosing. book: all held-out questions about the undamaged data."""
    rng = np.random.default_rng(seed)
    items, rows = book.catalogue.items, book.catalogue.interactions
    category, department = (_one_of(book, f"category, level {level}", rng) for level in (3, 2))
    band = _one_of(book, "price", rng)
    asked = set(book.cases.item[book.members([band])].tolist())
    prices = [item.price for item in items if item.item_id in asked and item.price]
    low, high = min(prices), max(prices)
    floor, segment = _one_of(book, "category, level 1", rng), _one_of(book, "training rows of the user", rng)
    both = frozenset(book.cases.row[book.members([floor, segment])].tolist())
    return (
        Weakness(name="blurred", told=f"photos of {category.value}", items=_below(items, category.value)),
        Weakness(name="wordless", told=f"products of {low:.2f} to {high:.2f}",
                 items=frozenset(item.item_id for item in items if item.price and low <= item.price <= high)),
        Weakness(name="swapped", told=f"photos within {department.value}", items=_below(items, department.value)),
        Weakness(name="shortened", told=f"{len(both):,} of {len(rows):,} reviews: {floor.value}, users with "
                 f"{segment.value}", rows=both),
    )  # fmt: skip


def _one_of(book: CaseBook, attribute: str, rng: np.random.Generator) -> Condition:
    """A value of an attribute that enough questions about enough products have."""
    its = next(one for one in book.attributes if one.name == attribute)
    large = [
        value for value, mask in zip(its.values, its.masks, strict=True)
        if value != "unknown" and mask.sum() >= FEWEST_QUESTIONS and len(set(book.cases.item[mask])) >= FEWEST_ASKED
    ]  # fmt: skip
    return Condition(attribute=attribute, value=str(rng.choice(large)))


def _below(items: Sequence[Item], path: str) -> frozenset[str]:
    return frozenset(item.item_id for item in items if f"{item.category} > ".startswith(f"{path} > "))


@contextmanager
def damaged(catalogue: Catalogue, weaknesses: tuple[Weakness, ...], seed: int) -> Iterator[Catalogue]:
    """A copy of the catalogue in a folder of its own that points to the files of the first one."""
    by_name = {one.name: one for one in weaknesses}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for file in catalogue.root.iterdir():
            (root / file.name).symlink_to(file.resolve(), target_is_directory=file.is_dir())
        (root / "blurred").mkdir()
        copy = replace(catalogue, root=root, version=digest_bytes(f"{catalogue.version} {seed}".encode()))
        if "blurred" in by_name:
            copy = _blurred(copy, by_name["blurred"].items)
        if "swapped" in by_name:
            copy = _swapped(copy, by_name["swapped"].items, seed)
        if "wordless" in by_name:
            copy = replace(copy, items=tuple(
                replace(item, title="", description="") if item.item_id in by_name["wordless"].items else item
                for item in copy.items
            ))  # fmt: skip
        if "shortened" in by_name:
            copy = _shortened(copy, by_name["shortened"].rows)
        yield copy


def _blurred(catalogue: Catalogue, chosen: frozenset[str]) -> Catalogue:
    def change(thing: Any) -> Any:
        if thing.item_id not in chosen or not thing.media.get("image"):
            return thing
        return replace(thing, media={
            **thing.media, "image": tuple(_blur(catalogue.root, path) for path in thing.media["image"]),
        })  # fmt: skip

    return replace(
        catalogue,
        items=tuple(change(item) for item in catalogue.items),
        interactions=tuple(change(row) for row in catalogue.interactions),
    )


def _blur(root: Path, path: str) -> str:
    from PIL import Image, ImageFilter

    made = f"blurred/{digest_bytes(path.encode())[:16]}.png"
    if (root / path).is_file() and not (root / made).exists():
        photo = Image.open(root / path).convert("RGB")
        sink = io.BytesIO()
        photo.filter(ImageFilter.GaussianBlur(max(photo.size) / BLUR)).save(sink, "PNG")
        (root / made).write_bytes(sink.getvalue())
    return made


def _swapped(catalogue: Catalogue, chosen: frozenset[str], seed: int) -> Catalogue:
    """The photos of the chosen products go one place on, in an order of their own."""
    there = [item for item in catalogue.items if item.item_id in chosen and item.media.get("image")]
    order = np.random.default_rng(seed).permutation(len(there))
    gets = {there[at].item_id: there[then].media["image"] for at, then in zip(order, np.roll(order, 1), strict=True)}
    return replace(catalogue, items=tuple(
        replace(item, media={**item.media, "image": gets[item.item_id]}) if item.item_id in gets else item
        for item in catalogue.items
    ))  # fmt: skip


def _shortened(catalogue: Catalogue, rows: frozenset[int]) -> Catalogue:
    return replace(catalogue, interactions=tuple(
        replace(row, review_title="", review_text=" ".join(row.text.split()[:KEPT_WORDS])) if number in rows else row
        for number, row in enumerate(catalogue.interactions)
    ))  # fmt: skip


# ---- judged and searched


def judged(
    workspace: Workspace, run: str, catalogue: Catalogue, split: Split, kinds: tuple[str, ...]
) -> dict[str, Cases]:
    """Kind -> the held-out questions about this copy of the catalogue; media are encoded into the workspace's store."""
    folder = workspace.run_folder(run)
    settings = load_run(folder, workspace.catalogue(catalogue.name), vectors=workspace.vectors).settings
    held = split.rows(*HELD["test"])
    asked = replace(catalogue, interactions=tuple(catalogue.interactions[row] for row in held))
    told = json.loads((folder / "run.json").read_text("utf-8"))
    features = catalogue_features(asked, settings, workspace.vectors, modalities=tuple(told["widths"]))
    pipeline = load_run(folder, catalogue, features=features)
    return {kind: query_cases(pipeline, features, split, kind, encoded=held.tolist()) for kind in kinds}


def best_match(search: Search, book: CaseBook, planted: Mask) -> Answer:
    """Of the slices found to do worse, the one that shares most with what was planted, and its place in the list."""
    found = [one for one in search.slices if one.found and search.worse * one.difference > 0]
    best: Answer = {"place": 0, "name": "", "precision": 0.0, "recall": 0.0, "recovered": False}
    for place, one in enumerate(found, start=1):
        inside = book.members(one.conditions)
        both = float((inside & planted).sum())
        precision, recall = both / float(inside.sum()), both / max(1.0, float(planted.sum()))
        if min(precision, recall) > min(best["precision"], best["recall"]):
            best = {"place": place, "name": one.name, "precision": precision, "recall": recall,
                    "recovered": min(precision, recall) >= SHARED}  # fmt: skip
    return best


def one_draw(
    workspace: Workspace, run: str, split: Split, plain: dict[str, CaseBook], metric: str, seed: int
) -> Iterator[Answer]:
    largest = max(plain.values(), key=lambda book: len(book.cases))
    for weakness in draw_weaknesses(largest, seed):
        with damaged(largest.catalogue, (weakness,), seed) as copy:
            cases = judged(workspace, run, copy, split, tuple(plain))
        row: Answer = {"draw": seed, "weakness": weakness.name, "told": weakness.told}
        for kind, book in plain.items():
            values, before = _same_cases(cases[kind], book.cases).values(metric), book.cases.values(metric)
            planted = weakness.touches(book.cases)
            search = search_slices(
                values, book.codes, book.attributes, metric=metric, worse=WORSE.get(metric, -1), show=0
            )
            undamaged = best_match(book.searches[metric], book, planted)["recovered"]
            found = best_match(search, book, planted)
            row[kind] = {
                "cases": int(planted.sum()), "before": float(before[planted].mean()),
                "after": float(values[planted].mean()), "rest": float(values[~planted].mean()), "undamaged": undamaged,
                **found, "recovered": bool(found["recovered"] and not undamaged),
            }  # fmt: skip
        yield row


def _same_cases(cases: Cases, wanted: Cases) -> Cases:
    if cases.row.tolist() != wanted.row.tolist():
        raise ValueError(f"{len(cases)} damaged cases and {len(wanted)} undamaged ones; the same rows were expected")
    return cases


# ---- nothing is there


def dealt_again(book: CaseBook, metric: str, how: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """(Q,) the outcomes in another order: of single cases, or every product with those of another product as a whole.

    As products differ in their number of cases, a product draws its cases' outcomes from those of its donor.
    """
    values = book.cases.values(metric)
    if how == "cases":
        return values[rng.permutation(len(values))]
    own = [np.flatnonzero(book.codes == at) for at in range(book.codes.max() + 1)]
    made = np.empty(len(values))
    for at, donor in enumerate(rng.permutation(len(own))):
        made[own[at]] = values[rng.choice(own[donor], len(own[at]), replace=len(own[at]) > len(own[donor]))]
    return made


def false_discoveries(book: CaseBook, metric: str, how: str, copies: int, seed: int = 0) -> Answer:
    """Share of undamaged copies in which any slice is found, with its exact 95 % interval."""
    from scipy.stats import binomtest

    rng = np.random.default_rng(seed)
    hits, most = 0, 0
    for _ in range(copies):
        values = dealt_again(book, metric, how, rng)
        search = search_slices(values, book.codes, book.attributes, metric=metric, show=0)
        hits, most = hits + (search.found > 0), max(most, search.found)
    low, high = binomtest(hits, copies).proportion_ci()
    return {"dealt again": how, "copies": copies, "with a find": hits, "rate": hits / copies, "low": low,
            "high": high, "most found": most}  # fmt: skip


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.weaknesses", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--run", default="studio-default")
    parser.add_argument("--home", type=Path, default=home_folder())
    parser.add_argument("--metric", default="loss")
    parser.add_argument("--kinds", default="anything")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    options = parser.parse_args(words)
    workspace = Workspace.open(options.home)
    catalogue = workspace.catalogue(workspace.run(options.run).catalogue)
    told = json.loads((workspace.run_folder(options.run) / "run.json").read_text("utf-8"))
    split = split_by(told["settings"]["protocol"], catalogue)
    kinds = tuple(options.kinds.split(","))
    plain = {
        kind: book_of(cases, catalogue, split)
        for kind, cases in judged(workspace, options.run, catalogue, split, kinds).items()
    }
    answer: Answer = {"run": options.run, "metric": options.metric, "weaknesses": [], "undamaged": []}
    for kind, book in plain.items():
        tested = book.searches[options.metric].tested
        print(f"{kind}: {len(book.cases):,} cases, {tested:,} slices looked at", flush=True)
    for draw in range(options.draws):
        for row in one_draw(workspace, options.run, split, plain, options.metric, draw):
            answer["weaknesses"].append(row)
            print(*lines_of(row, kinds), sep="\n", flush=True)
    for kind in kinds:
        rows = [row[kind] for row in answer["weaknesses"]]
        print(f"{kind}: {sum(one['recovered'] for one in rows)} of {len(rows)} recovered", flush=True)
        for how in NULLS if options.copies else ():
            one = {"kind": kind, **false_discoveries(plain[kind], options.metric, how, options.copies)}
            answer["undamaged"].append(one)
            print(f"{kind}, {how} dealt again: a find in {one['with a find']} of {one['copies']} undamaged copies "
                  f"({with_interval(one, value='rate')})", flush=True)  # fmt: skip
    if options.json:
        write_atomic(options.json, (json.dumps(answer, indent=1) + "\n").encode())
    return 0


def lines_of(row: Answer, kinds: tuple[str, ...]) -> list[str]:
    """One line a kind of cases."""
    return [
        f"draw {row['draw']} {row['weakness']:<9} {kind:<12} {one['before']:.3f} -> {one['after']:.3f} in "
        f"{one['cases']:>4} cases, rest {one['rest']:.3f}: "
        + (f"recovered, number {one['place']} of the list, {one['name']}" if one["recovered"] else "not recovered")
        + (" (found without damage as well)" if one["undamaged"] else "")
        + f" [{row['told']}; precision {one['precision']:.2f}, recall {one['recall']:.2f}]"
        for kind in kinds
        for one in [row[kind]]
    ]


if __name__ == "__main__":
    raise SystemExit(main())
