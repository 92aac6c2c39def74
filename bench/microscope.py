"""python -m bench.microscope WHAT ... [--home DIR] [--json FILE]: the numbers behind Explain and Map.

oracle --run RUN [--pairs 500]   base + contributions = printed score; every coalition = `recommend --without ...`; of a
                                 vbpr run also contributions = the closed form, on every pair
faith --run RUN [--cases 500]    deletion and insertion against chance, per method, masking token states;
                                 with --minutes M --json FILE it stops then, and goes on when it is asked again
table FILE...                    what `faith` and `audit` wrote of several runs, as one table: method x data set
truth --run RUN [--part train]   shares, words and pointing against what was planted, per method
swaps FOLDER                     10 % of a folder's photos given to other items: are they found?
times --run RUN                  one item explained, a page of twenty with and without its split
Every draw is seeded; cases of one product or user are one unit of every interval.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.account import explain
from core.catalog.folder import read_folder
from core.config import RunSettings, home_folder
from core.domain import Query, with_interval
from core.errors import InputError
from core.evaluate.alignment import area_under_curve
from core.evaluate.protocols import split_by
from core.evaluate.splits import TRAIN
from core.evaluate.trust import Case, Faithfulness, Tried, contents_of, draw_cases, scorer_of, tried, verdicts
from core.explain.attribution import METHODS
from core.explaining import Microscope
from core.features import Features, catalogue_features, mean_states
from core.files import write_atomic
from core.pipeline import Pipeline, open_pipeline
from core.prepare.mismatch import doubt, media_rows, misfit
from core.workspace import Workspace

PAGE = 20
QUICK = tuple(name for name, method in METHODS.items() if not method.slow)
Options = argparse.Namespace
Answer = dict[str, Any]


def opened(options: Options, interactions: bool = True) -> tuple[Pipeline, Features]:
    workspace = Workspace.open(options.home)
    pipeline = open_pipeline(workspace, options.run)
    return pipeline, catalogue_features(
        pipeline.catalogue, pipeline.settings, workspace.vectors, interactions=interactions,
        modalities=pipeline.model.modalities,
    )  # fmt: skip


# ---- known answers


def oracle(options: Options) -> Answer:
    pipeline, features = opened(options, interactions=False)
    drawn = np.random.default_rng(0)
    users = [str(user) for user in drawn.choice(list(pipeline.user_rows), options.pairs)]
    items = drawn.integers(0, len(pipeline.item_ids), options.pairs)
    worst = dict.fromkeys(("sum", "coalition", "closed form"), 0.0)
    for number, (user, item) in enumerate(zip(users, items, strict=True)):
        query = Query(user=user)
        answer = pipeline.recommend(query, top=0)
        case = Case(scope="item", user=user, target=int(item), media=features.items[item], contents={}, group=user)
        scorer = scorer_of(pipeline, features, case)
        scope = Microscope(pipeline, query, pipeline.item_ids[item], answer, options.home / "vectors", scorer)
        found = scope.contributions()["score"]
        told(worst, "sum", found.base + sum(found.phi.values()) - float(answer.coalitions[-1, item]))
        if number < 50:
            for row, value in enumerate(scorer.coalitions()[:, item]):
                out = tuple(m for bit, m in enumerate(scope.players) if not row >> bit & 1)
                printed = pipeline.recommend(query, top=len(pipeline.item_ids), without=out).items
                told(worst, "coalition", value - next(o.score for o in printed if o.item_id == scope.item_id))
        if pipeline.settings.rank == "vbpr":
            for m, value in closed_form(pipeline, user, int(item)).items():
                told(worst, "closed form", found.phi.get(m, 0.0) - (value if m in scope.players else 0.0))
    kept = worst if pipeline.settings.rank == "vbpr" else {k: v for k, v in worst.items() if k != "closed form"}
    return {"run": options.run, "rank": pipeline.settings.rank, "pairs": options.pairs, "largest difference": kept}


def told(worst: dict[str, float], name: str, difference: float) -> None:
    worst[name] = max(worst[name], abs(difference))


def closed_form(pipeline: Pipeline, user: str, item: int) -> dict[str, float]:
    """u_c . W_m x_m in float64, x as the ranker sees the item."""
    ranker: Any = pipeline.model.ranker
    spaces: Any = pipeline.model.space
    found: dict[str, float] = {}
    at = 0
    summands = (ranker.tastes[pipeline.user_row(user)] @ ranker.look).double() * pipeline.items.vectors[-1, item]
    for m in pipeline.model.modalities:
        width = spaces[m].kept
        found[m], at = float(summands[at : at + width].sum()), at + width
    return found


# ---- faithful, and true to what was planted


def faith(options: Options) -> Answer:
    """Every case is kept under `trials`; those that are kept already, of the same weights and methods, are not made
    again."""
    pipeline, features = opened(options)
    cases, scope = shop_cases(pipeline, features, options.cases)
    methods, digest = list(options.methods or QUICK), pipeline.told["digests"]["model.safetensors"]
    kept = json.loads(options.json.read_text("utf-8")) if options.json and options.json.is_file() else {}
    same = (kept.get("digest"), kept.get("asked")) == (digest, methods) and kept.get("wanted") == len(cases)
    trials = [known_trial(case) for case in kept["trials"]] if same else []
    begun, minutes = time.perf_counter(), np.inf if options.minutes is None else options.minutes
    for number in range(len(trials), len(cases)):
        if (time.perf_counter() - begun) / 60 > minutes:
            break
        if number % 50 == 0:
            tell(f"case {number + 1} of {len(cases)}")
        trials.append(tried(pipeline, features, cases[number], draws=20, level="states", seed=number, methods=methods))
    done = cases[: len(trials)]
    return {
        "run": options.run, "catalogue": pipeline.catalogue.name, "scope": scope, "level": "states", "seed": 0,
        "cases": len(done), "wanted": len(cases), "groups": len({case.group for case in done}),
        "methods": verdicts(trials), "digest": digest, "asked": methods, "trials": trials,
    }  # fmt: skip


def known_trial(case: dict[str, dict[str, Any]]) -> Tried:
    return {name: {m: Faithfulness(**one) for m, one in by_modality.items()} for name, by_modality in case.items()}


def table(options: Options) -> Answer:
    """Differences of the deletion area to that of random orders: below 0 is good."""
    found = [json.loads(Path(path).read_text("utf-8")) for path in options.folders]
    titles = [f"{one['catalogue']} ({one['cases']}, {one['level']})" for one in found]
    rows = sorted({(m, name) for one in found for name, methods in one["methods"].items() for m in methods})
    lines = [f"| modality | method | {' | '.join(titles)} |", "|---" * (2 + len(found)) + "|"]
    for m, name in rows:
        cells = [told_cell(one["methods"].get(name, {}).get(m)) for one in found]
        lines.append(f"| {m} | {METHODS[name].title} | {' | '.join(cells)} |")
    tell("\n".join(lines))
    return {"table": lines}


def told_cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "-"
    told = one["deletion"]
    area = with_interval(told, "+.3f")
    return f"**{area}**" if one["passed"] else f"{area}; {one['reason']}"


def shop_cases(pipeline: Pipeline, features: Features, count: int) -> tuple[list[Case], str]:
    """Held-out queries, or known users before their first items; where reviews have no photo of their own, every
    review with another photo of its product, in turn."""
    rows = list(zip(pipeline.catalogue.interactions, features.interactions, strict=True))
    ranker: Any = pipeline.model.ranker
    words_alone = any(media.get("text") for _, media in rows) and not any(media.get("image") for _, media in rows)
    if "query" not in ranker.cases or not words_alone:
        split = split_by(pipeline.settings.protocol, pipeline.catalogue)
        return draw_cases(pipeline, features, split, count, seed=0)
    position, found, drawn = pipeline.catalogue.position(), [], np.random.default_rng(0)
    for number, (row, media) in enumerate(rows):
        others = features.items[position[row.item_id]].get("image", ())[1:]
        if media.get("text") and others:
            case = Case(
                scope="query", user=None, target=-1, group=row.item_id,
                media={"text": media["text"], "image": (others[number % len(others)],)},
                contents=contents_of(pipeline, row, {"text": media["text"]}),
            )  # fmt: skip
            scores = scorer_of(pipeline, features, case).whole_scores()[0]
            target = int(scores.argsort(descending=True)[drawn.integers(10)])
            found.append(replace(case, target=target))
    return found[:count], "query"


def truth(options: Options) -> Answer:
    """Methods may be chosen by what they reach on the part "train"; the part "test" is for the figures."""
    from core.evaluate.measure import HELD
    from core.evaluate.truth import planted_truth
    from core.evaluate.truth_shares import pointing, share_agreement, words_named

    pipeline, features = opened(options)
    known, split = planted_truth(pipeline.catalogue), split_by(pipeline.settings.protocol, pipeline.catalogue)
    if known is None:
        raise InputError("E-INPUT-VALUE", f"no truth ships with catalogue {pipeline.catalogue.name}; name another run.")
    labels = (TRAIN,) if options.part == "train" else HELD[options.part]
    answer: Answer = {"run": options.run, "part": options.part, "words": {}, "words of product": {}, "pointing": {}}
    if options.part == "test":
        answer["shares"] = share_agreement(pipeline, features, split, known)
        tell(json.dumps(answer["shares"]))
    for name in options.methods or QUICK:
        for part, scope in (("words", "query"), ("words of product", "item")):
            found = words_named(
                pipeline, features, split, known, options.cases, 0, name, labels, scope, another=scope == "item"
            )
            answer[part][name] = found
        answer["pointing"][name] = pointing(pipeline, features, split, known, name, labels)
        tell(f"{name}: {json.dumps([answer[part][name] for part in ('words', 'words of product', 'pointing')])}")
    return answer


# ---- wrong photos


def swaps(options: Options) -> Answer:
    """Photos of a tenth of the media change places among themselves, never within one item; judged as the worst pairs
    of the map are, and by the words alone, as cleaning does."""
    [folder] = options.folders
    catalogue, _ = read_folder(folder, folder.name)
    features = catalogue_features(catalogue, RunSettings(), options.home / "vectors", interactions=False)
    owner, row, _ = media_rows(catalogue, features, "image")
    photos = mean_states(features.states["image"], [(at,) for at in row])
    worded = sorted(set(owner))
    words = mean_states(features.states["text"], [features.items[at]["text"] for at in worded])
    own, keys = np.searchsorted(worded, owner), [catalogue.items[at].item_id for at in worded]
    areas: dict[str, list[float | None]] = {"worst pairs": [], "words alone": []}
    for seed in range(options.seeds):
        generator = np.random.default_rng(seed)
        chosen = generator.permutation(len(owner))[: max(2, len(owner) // 10)]
        swapped = photos.copy()
        swapped[chosen] = photos[chosen[apart(generator, [owner[at] for at in chosen])]]
        wrong = np.isin(np.arange(len(owner)), chosen)
        areas["worst pairs"].append(area_under_curve(doubt(swapped, words, own, keys), wrong))
        areas["words alone"].append(area_under_curve(misfit(swapped, words, own, keys)[0], wrong))
    mean = {name: float(np.mean([one for one in found if one is not None])) for name, found in areas.items()}
    return {"folder": folder.name, "photos": len(owner), "swapped": len(chosen), "auc": areas, "mean": mean}


def apart(generator: np.random.Generator, owners: list[int]) -> np.ndarray:
    """A seeded permutation that gives nobody anything of the same owner."""
    while True:
        given = generator.permutation(len(owners))
        if all(owners[at] != owners[other] for at, other in enumerate(given)):
            return given


# ---- times


def times(options: Options) -> Answer:
    """Medians of wall and CPU seconds; the machine may be busy, the CPU time then says more."""
    workspace = Workspace.open(options.home)
    pipeline = open_pipeline(workspace, options.run)
    row = next(row for row in pipeline.catalogue.interactions if row.media.get("image") and row.text)
    photo = (pipeline.catalogue.root / row.media["image"][0]).read_bytes()
    query = Query.of(text=row.text, images=(photo,))
    answer = pipeline.recommend(query, top=len(pipeline.item_ids))
    first, vectors = answer.items[0].item_id, workspace.vectors

    def item() -> None:
        scope = Microscope(pipeline, query, first, answer, vectors)
        scope.contributions(), scope.weights(), scope.maps, scope.verdicts(*options.methods or ("integrated",))

    return {
        "one item": timed(item, 5),
        "one item, all methods and baselines": timed(lambda: explain(pipeline, query, first, vectors), 2),
        **page_times(pipeline, query),
    }


def page_times(pipeline: Pipeline, query: Query) -> Answer:
    """A page of twenty: with its split over the modalities, the question itself and nothing else, and all of it."""
    states = pipeline.encode(pipeline.read(query)[0])
    players = pipeline.players(query, states)

    def split() -> None:
        fused = pipeline.fuse(pipeline.align(states, players))
        pipeline.cards(pipeline.rank(query, fused.vectors), players, fused, PAGE)

    def plain() -> None:
        aligned = pipeline.align(states, players)
        whole = {m: replace(one, **{k: v[-1:] for k, v in vars(one).items() if hasattr(v, "shape")})
                 for m, one in aligned.items()}  # fmt: skip
        scores = pipeline.rank(query, pipeline.fuse(whole).vectors)
        np.argsort(-scores[-1], kind="stable")[:PAGE]

    return {
        "page of 20 with its split": timed(split, 30),
        "page of 20 without (fusing and ranking the question alone)": timed(plain, 30),
        "page of 20 with reading and encoding": timed(lambda: pipeline.recommend(query, top=PAGE), 7),
    }


def timed(run: Callable[[], Any], times: int) -> dict[str, float]:
    run()
    walls, spent = [], []
    for _ in range(times):
        begun, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - begun)
        spent.append(time.process_time() - cpu)
    return {"wall": float(np.median(walls)), "cpu": float(np.median(spent))}


WHAT: dict[str, Callable[[Options], Answer]] = {
    "oracle": oracle, "faith": faith, "table": table, "truth": truth, "swaps": swaps, "times": times,
}  # fmt: skip


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--run", default="studio-default")
    parser.add_argument("--home", type=Path, default=home_folder(), help="the workspace")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--part", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=())
    parser.add_argument("--minutes", type=float, help="faith: begin no case later than that; then ask again")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    answer = WHAT[options.what](options)
    if options.json:
        write_atomic(options.json, json.dumps(answer, indent=1, default=asdict).encode())
    print(json.dumps({name: one for name, one in answer.items() if name != "trials"}, indent=1, default=asdict))


if __name__ == "__main__":
    main()
