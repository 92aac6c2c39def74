"""`evaluate`: one run under one protocol, every number with its 95 % interval."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.domain import Notice
from core.errors import SettingsError
from core.evaluate.measure import HELD, KINDS, PRODUCTS, chance, held_queries, measure, next_item, query_metrics
from core.evaluate.new_items import NAMES, new_items
from core.evaluate.protocols import split_of
from core.evaluate.ratings import only_likes, rating_report
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import TRAIN, Split, check_leaks, new_rows
from core.features import Features, catalogue_features, without_media
from core.files import write_atomic
from core.pipeline import open_pipeline
from core.prepare.faults import cleaned
from core.rank.rating import Rating

if TYPE_CHECKING:
    from core.pipeline import Pipeline
    from core.workspace import Workspace


OnStep = Callable[[str, float], None]
SHOWN = ("ndcg@10", "recall@10", "ndcg@20", "recall@20")


def evaluate_run(
    workspace: Workspace,
    run: str,
    *,
    catalogue: str | None = None,
    protocol: str | None = None,
    split: str = "test",
    query: str = "review+photo",
    products: str = "all",
    out: Path | None = None,
    keep: bool = False,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """Held-out queries -> their product (intervals over products), and the next item of known users (over users).

    `single` asks the very same queries with one modality alone; `gain` is the paired difference fused - single.
    `oracle` and `popularity` stand beside the users' figures; `lists` says what the users' lists do to the shop.
    out: where every case is written as Parquet, the rank of the truth under each modality alone and fused. keep: keep
    every value in the workspace for the leaderboard, where the run came without them.
    Raises UnknownNameError, SettingsError (also where rows would be tested that the run was trained on), ModelError.
    """
    tell = on_step or (lambda label, fraction: None)
    pipeline = open_pipeline(workspace, run, catalogue)
    if pipeline.at_home:  # a run that was trained on cleaned data is asked what it was trained for
        pipeline.catalogue = cleaned(pipeline.catalogue, pipeline.settings.clean, workspace.vectors)
    chosen = protocol or pipeline.settings.protocol
    parts = split_of(pipeline, chosen)
    answer: dict[str, Any] = {
        "run": run, "catalogue": pipeline.catalogue.name, "protocol": chosen,
        "split": split, "products": products, "fingerprint": asdict(parts.fingerprint), "metrics": {}, "chance": {},
        "single": {}, "gain": {}, "caution": "", "notices": [asdict(one) for one in leaks(pipeline, parts, split)],
    }  # fmt: skip
    features = None
    if "query" in pipeline.model.ranker.cases:
        features = catalogue_features(
            pipeline.catalogue, pipeline.settings, workspace.vectors,
            on_step=lambda label, fraction: tell(label, 0.6 * fraction),
        )  # fmt: skip
        answer |= asked(pipeline, features, parts, query, products, split)
    if isinstance(pipeline.model.ranker, Rating):
        features = catalogue_features(pipeline.catalogue, pipeline.settings, workspace.vectors)
        answer["ratings"] = rating_report(pipeline, features, parts, split)
        answer["caution"] = only_likes(pipeline.catalogue, parts, split)
    tell("asking for users", 0.7)
    users = next_item(pipeline, pipeline.catalogue, parts, split) if pipeline.at_home and products != "cold" else None
    if users:
        answer["users"] = len(users.users)
        answer["metrics"] |= {f"users {name}": told(v) for name, v in users.ours.items() if name in SHOWN}
        answer["popularity"] = {f"users {name}": told(v) for name, v in users.popularity.items() if name in SHOWN}
        answer["chance"] |= {f"users {name}": float(v.mean()) for name, v in users.chance.items()}
        answer["lists"] = dict(users.lists)
        if users.oracle:
            answer["oracle"] = {f"users {name}": told(v) for name, v in users.oracle.items() if name in SHOWN}
            ours, low, high = (float(np.nanmean(v["ndcg@10"])) for v in (users.ours, users.popularity, users.oracle))
            answer["gap_closed"] = (ours - low) / (high - low)
    if pipeline.at_home and products != "warm" and split == "test":
        answer["new_items"] = of_new_items(pipeline, parts)
        if "new item" not in pipeline.model.ranker.cases and len(new_rows(pipeline.catalogue, parts)):
            answer["new_items_why"] = f"{pipeline.settings.rank} cannot rank items that it was not trained on"
    if users and not answer["caution"]:
        answer["caution"] = parts.fingerprint.caution
    if out is not None:
        tell("judging cases", 0.8)
        answer["out"], answer["cases"] = str(out), write_cases(pipeline, features, parts, query, split, out)
    if keep:
        tell("keeping values", 0.9)
        keep_values(workspace, pipeline, features)
    tell("done", 1.0)
    return answer


def leaks(pipeline: Pipeline, parts: Split, split: str) -> tuple[Notice, ...]:
    """Refuses to test rows that the run was trained on, and a catalogue that is no longer split as it was then.

    Raises SettingsError. Returns what is only worth a warning: media that trained and held-out products share.
    """
    if not pipeline.at_home:
        return ()
    catalogue, run, data = pipeline.catalogue, pipeline.run, pipeline.told["data"]
    own = split_of(pipeline)
    if own.fingerprint.sha != data["split"]["sha"] and not catalogue.gone:  # what was forgotten is in no split any more
        raise SettingsError(
            f"run {run} was trained on split {data['split']['sha']}, and {catalogue.name} is now split as "
            f"{own.fingerprint.sha}: what is tested may have been trained on. Train the run again"
        )
    pairs = zip(own.labels, parts.labels, strict=True)
    seen = sum(mine == TRAIN and asked in HELD[split] for mine, asked in pairs)
    if seen:
        raise SettingsError(
            f"run {run} was trained on {seen} of the rows that protocol {parts.name} tests. "
            f"Evaluate it under its own protocol, {pipeline.settings.protocol}, or train it under the other one"
        )
    fitted = pipeline.told["items"] if parts.fingerprint.sha == own.fingerprint.sha else ()
    return check_leaks(catalogue, parts, fitted_items=fitted)


def write_cases(
    pipeline: Pipeline, features: Features | None, parts: Split, query: str, split: str, out: Path
) -> int:  # fmt: skip
    """Queries (kind as asked) and users in one table, see `core.evaluate.cases.Cases`; returns how many rows.

    Raises SettingsError where the run can be asked neither.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from core.evaluate.judge import query_cases, user_cases

    tables = []
    for kind in (query, "users"):
        try:
            if kind == "users":
                cases = user_cases(pipeline, parts, split)
            elif features is not None:
                cases = query_cases(pipeline, features, parts, kind, split)
            else:
                continue
        except SettingsError:  # nothing of this kind is held out
            continue
        table = pq.read_table(io.BytesIO(cases.to_bytes()))
        about = table.schema.metadata
        tables.append(table.append_column("kind", pa.array([kind] * len(cases))).replace_schema_metadata(None))
    if not tables:
        raise SettingsError(f"run {pipeline.run} has no held-out case in {split}; choose another protocol or query")
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables(tables).replace_schema_metadata(about), sink, compression="zstd")
    write_atomic(out, sink.getvalue())
    return sum(len(table) for table in tables)


def keep_values(workspace: Workspace, pipeline: Pipeline, features: Features | None) -> None:
    """Measures a run that came without its values, under its own protocol, for the leaderboard."""
    from core.evaluate.leaderboard import measured_later
    from core.evaluate.vectors import pack

    if not pipeline.at_home:
        raise SettingsError(f"values of {pipeline.run} are kept for its own catalogue only. Leave --catalogue out")
    own = split_of(pipeline)
    whole = features or without_media(pipeline.catalogue)
    write_atomic(measured_later(workspace, pipeline.told), pack(measure(pipeline, whole, own)[1]))


def asked(
    pipeline: Pipeline, features: Features, parts: Split, query: str, products: str, split: str
) -> dict[str, Any]:  # fmt: skip
    """The part of the answer about queries; empty tables where no held-out row has what `query` asks for."""
    queries = held_queries(pipeline.catalogue, features, parts, query, products, split)
    count = len(queries.answers)
    if not count:
        return {"queries": 0, "why": _none_held(pipeline, features, parts, query, products, split)}
    whole = query_metrics(pipeline, features, queries, KINDS[query])
    alone = {m: query_metrics(pipeline, features, queries, (m,)) for m in KINDS[query]} if len(KINDS[query]) > 1 else {}
    return {
        "queries": count,
        "asked_products": len(set(queries.products)),
        "metrics": {name: told(values, queries.products) for name, values in whole.items()},
        "chance": chance(len(pipeline.catalogue.items)),
        "single": {m: {name: told(v, queries.products) for name, v in own.items()} for m, own in alone.items()},
        "gain": {m: gains(whole, own, queries.products) for m, own in alone.items()},
    }


def _none_held(
    pipeline: Pipeline, features: Features, parts: Split, query: str, products: str, split: str
) -> str:  # fmt: skip
    """Why no question was asked, and which ones could be."""
    lines = [
        f"{len(found.answers)} with --query {kind} --products {which}"
        for kind in KINDS for which in PRODUCTS
        if len((found := held_queries(pipeline.catalogue, features, parts, kind, which, split)).answers)
    ]  # fmt: skip
    held = f"held out are {', '.join(lines)}" if lines else f"protocol {parts.name} holds out no question at all"
    return f"no held-out question of {products} products in {split} is a {query}; {held}"


def of_new_items(pipeline: Pipeline, parts: Split) -> dict[str, Any]:
    """Known users before items that were never trained on: candidate set -> users, metrics with intervals, chance."""
    return {
        name: {
            "users": len(ours["recall@10"]),
            "metrics": {metric: told(ours[metric]) for metric in NAMES},
            "chance": {metric: float(random[metric].mean()) for metric in NAMES},
        }
        for name, (ours, random) in new_items(pipeline, pipeline.catalogue, parts).items()
    }


def told(values: NDArray[np.float64], groups: Sequence[str] | None = None) -> dict[str, float]:
    return asdict(bootstrap(values, groups))


def gains(
    whole: Mapping[str, NDArray[np.float64]], alone: Mapping[str, NDArray[np.float64]], groups: Sequence[str]
) -> dict[str, Any]:
    """Per metric: mean of fused - single with its interval over products, and p."""
    tests = {name: paired(whole[name], alone[name], groups) for name in whole}
    return {name: {**asdict(test.difference), "p": test.p} for name, test in tests.items()}
