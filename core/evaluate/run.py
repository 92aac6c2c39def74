"""`evaluate`: one run under one protocol, every number with its 95 % interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluate.measure import KINDS, held_queries, next_item, query_metrics
from core.evaluate.protocols import split_by
from core.evaluate.significance import bootstrap, paired
from core.features import catalogue_features
from core.pipeline import open_pipeline

if TYPE_CHECKING:
    from core.pipeline import Pipeline
    from core.workspace import Workspace


def evaluate_run(
    workspace: Workspace,
    run: str,
    *,
    catalogue: str | None = None,
    protocol: str | None = None,
    split: str = "test",
    query: str = "review+photo",
    products: str = "all",
) -> dict[str, Any]:
    """Held-out queries -> their product (intervals over products), and the next item of known users (over users).

    `single` asks the very same queries with one modality alone; `gain` is the paired difference fused - single.
    `oracle` and `popularity` stand beside the users' figures. Raises UnknownNameError, SettingsError, ModelError.
    """
    pipeline = open_pipeline(workspace, run, catalogue)
    parts = split_by(protocol or pipeline.settings.protocol, pipeline.catalogue)
    answer: dict[str, Any] = {
        "run": run, "catalogue": pipeline.catalogue.name, "protocol": protocol or pipeline.settings.protocol,
        "split": split, "products": products, "fingerprint": asdict(parts.fingerprint), "metrics": {}, "chance": {},
        "single": {}, "gain": {},
    }  # fmt: skip
    if "query" in pipeline.model.ranker.cases:
        answer |= asked(workspace, pipeline, parts, query, products, split)
    users = next_item(pipeline, pipeline.catalogue, parts, split) if pipeline.at_home and products != "cold" else None
    if users:
        answer["users"] = len(users.users)
        answer["metrics"] |= {f"users {name}": told(v) for name, v in users.ours.items() if name in SHOWN}
        answer["popularity"] = {f"users {name}": told(v) for name, v in users.popularity.items() if name in SHOWN}
        if users.oracle:
            answer["oracle"] = {f"users {name}": told(v) for name, v in users.oracle.items() if name in SHOWN}
            ours, low, high = (float(np.nanmean(v["ndcg@10"])) for v in (users.ours, users.popularity, users.oracle))
            answer["gap_closed"] = (ours - low) / (high - low)
    return answer


SHOWN = ("ndcg@10", "recall@10", "ndcg@20", "recall@20")


def asked(
    workspace: Workspace, pipeline: Pipeline, parts: Any, query: str, products: str, split: str
) -> dict[str, Any]:
    """The part of the answer about queries; empty tables where no held-out row has what `query` asks for."""
    features = catalogue_features(pipeline.catalogue, pipeline.settings, workspace.vectors)
    queries = held_queries(pipeline.catalogue, features, parts, query, products, split)
    count, items = len(queries.answers), len(pipeline.catalogue.items)
    if not count:
        return {"queries": 0}
    whole = query_metrics(pipeline, features, queries, KINDS[query])
    alone = {m: query_metrics(pipeline, features, queries, (m,)) for m in KINDS[query]} if len(KINDS[query]) > 1 else {}
    chance = {f"recall@{k}": k / items for k in (1, 5, 10)} | {"mrr": float((1 / np.arange(1, items + 1)).mean())}
    return {
        "queries": count,
        "asked_products": len(set(queries.products)),
        "metrics": {name: told(values, queries.products) for name, values in whole.items()},
        "chance": chance,
        "single": {m: {name: told(v, queries.products) for name, v in own.items()} for m, own in alone.items()},
        "gain": {m: gains(whole, own, queries.products) for m, own in alone.items()},
    }


def told(values: NDArray[np.float64], groups: Sequence[str] | None = None) -> dict[str, float]:
    return asdict(bootstrap(values, groups))


def gains(
    whole: Mapping[str, NDArray[np.float64]], alone: Mapping[str, NDArray[np.float64]], groups: Sequence[str]
) -> dict[str, Any]:
    """Per metric: mean of fused - single with its interval over products, and p."""
    tests = {name: paired(whole[name], alone[name], groups) for name in whole}
    return {name: {**asdict(test.difference), "p": test.p} for name, test in tests.items()}
