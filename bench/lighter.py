"""python -m bench.lighter [--run studio-default] [--queries 120] [--json FILE]: what smaller networks cost in quality.

Encoders and heads (aligner, fuser, ranker) of a run in lighter versions, asked the run's own held-out queries of words
and photo; the items keep the vectors of the full network, as a server keeps them. Measured beside the full network:
bytes, milliseconds of a query, recall@10 and MRR with intervals over products, the share of the ten best that stays,
and how far the shares of the modalities move. Nothing here can be switched on in the app.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import machine
from core.domain import Query, Recommendation, with_interval
from core.evaluate.protocols import split_by
from core.evaluate.significance import bootstrap, paired
from core.evaluate.splits import COLD, TEST
from core.files import write_atomic
from core.pipeline import Pipeline, open_pipeline
from core.workspace import Workspace

Lighten = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A held-out query, the row of the item that answers it, and that item's id."""

    query: Query
    answer: int
    product: str


def int8(network: nn.Module) -> nn.Module:
    """Linear layers with int8 weights and int8 products (activations scaled as they come)."""
    from torch.ao.quantization import quantize_dynamic

    return quantize_dynamic(copy.deepcopy(network), {nn.Linear})


def int8_weights(network: nn.Module) -> nn.Module:
    """Every weight matrix and filter rounded to int8, a scale an output; computed in fp32, so smaller but no faster."""
    lighter = copy.deepcopy(network)
    with torch.no_grad():
        for layer in layers_of(lighter):
            flat = layer.weight.flatten(1)
            scale = flat.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            layer.weight.copy_(((flat / scale).round() * scale).view_as(layer.weight))
    return lighter


def pruned(share: float) -> Lighten:
    """The smallest weights of every layer set to zero; no fine-tuning after it."""

    def prune(network: nn.Module) -> nn.Module:
        lighter = copy.deepcopy(network)
        with torch.no_grad():
            for layer in layers_of(lighter):
                size = layer.weight.abs()
                border = size.flatten().kthvalue(max(1, int(share * size.numel()))).values
                layer.weight.mul_(size > border)
        return lighter

    return prune


def layers_of(network: nn.Module) -> list[Any]:
    return [one for one in network.modules() if isinstance(one, (nn.Linear, nn.Conv2d)) and one.weight.numel() > 1024]


def stored_bytes(network: nn.Module, how: str) -> int:
    """Bytes on a disk: int8 at one byte a weight; a pruned weight that is left at four and two for its place."""
    inside = {id(layer.weight) for layer in layers_of(network)}
    total = 0
    for value in network.parameters():
        if id(value) not in inside:
            total += 4 * value.numel()
        elif how.startswith("int8"):
            total += value.numel() + 4 * len(value)
        elif how.startswith("pruned"):
            total += min(6 * int((value != 0).sum()), 4 * value.numel())
        else:
            total += 4 * value.numel()
    return total


WAYS: dict[str, Lighten] = {
    "int8": int8, "int8 weights": int8_weights, "pruned 30 %": pruned(0.3), "pruned 60 %": pruned(0.6)
}  # fmt: skip


def queries_of(pipeline: Pipeline, count: int) -> list[Asked]:
    """A seeded sample of held-out rows that have both a text and a photo."""
    catalogue = pipeline.catalogue
    labels, position = split_by(pipeline.settings.protocol, catalogue).labels, catalogue.position()
    rows = [
        row for row, label in zip(catalogue.interactions, labels, strict=True)
        if label in (TEST, COLD) and row.text and row.media.get("image")
    ]  # fmt: skip
    drawn = np.random.default_rng(0).permutation(len(rows))[:count]
    return [
        Asked(
            query=Query.of(
                rows[at].text, tuple((catalogue.root / one).read_bytes() for one in rows[at].media["image"])),
            answer=position[rows[at].item_id], product=rows[at].item_id,
        )
        for at in drawn
    ]  # fmt: skip


def ask(pipeline: Pipeline, asked: list[Asked]) -> tuple[list[Recommendation], list[float]]:
    """All answers, and milliseconds of each."""
    pipeline.recommend(asked[0].query, top=10)  # warm
    answers, spent = [], []
    for one in asked:
        begin = time.process_time()
        answers.append(pipeline.recommend(one.query, top=10))
        spent.append(1000 * (time.process_time() - begin))
    return answers, spent


def ranks(answers: list[Recommendation], asked: list[Asked]) -> np.ndarray:
    """(Q,) rank of the right item; ties count against it."""
    return np.array([int((a.coalitions[-1] >= a.coalitions[-1][q.answer]).sum())
                     for a, q in zip(answers, asked, strict=True)])  # fmt: skip


def row_of(
    name: str, size: int, found: tuple[list[Recommendation], list[float]],
    full: tuple[list[Recommendation], list[float]], asked: list[Asked],
) -> dict[str, Any]:  # fmt: skip
    products, mine, other = [one.product for one in asked], ranks(found[0], asked), ranks(full[0], asked)
    same = [len({i.item_id for i in a.items} & {i.item_id for i in b.items}) / 10
            for a, b in zip(found[0], full[0], strict=True)]  # fmt: skip
    moved, agreed = [], []
    for a, b in zip(found[0], full[0], strict=True):
        shares = {item.item_id: item.shares for item in b.items}
        for item in a.items:
            if item.item_id in shares:
                before = shares[item.item_id]
                moved.append(max(abs(item.shares[m] - before[m]) for m in before))
                agreed.append(max(item.shares, key=item.shares.__getitem__) == max(before, key=before.__getitem__))
    lost = paired((1.0 / mine), (1.0 / other), products)
    return {
        "version": name, "megabytes": round(size / 1e6, 2), "ms": round(float(np.median(found[1])), 1),
        "speedup": round(float(np.median(np.array(full[1]) / np.array(found[1]))), 2),
        "recall@10": asdict(bootstrap(mine <= 10, products)), "mrr": asdict(bootstrap(1.0 / mine, products)),
        "mrr_change": asdict(lost.difference), "overlap@10": round(float(np.mean(same)), 4),
        "shares_moved": round(float(np.mean(moved)), 4) if moved else None,
        "same_leading_modality": round(float(np.mean(agreed)), 4) if agreed else None,
    }  # fmt: skip


def measure(pipeline: Pipeline, asked: list[Asked], wanted: str = "") -> list[dict[str, Any]]:
    """One row a version of one part, the others in full; the full network first."""
    text, image = pipeline.encoder("text"), pipeline.encoder("image")
    parts: dict[str, tuple[Any, str]] = {
        "text encoder": (text, "model"), "image encoder": (image, "network"), "heads": (pipeline, "model"),
    }  # fmt: skip
    full = ask(pipeline, asked)
    whole = sum(stored_bytes(getattr(owner, name), "full") for owner, name in parts.values())
    rows = [row_of("full, fp32 (all parts)", whole, full, full, asked)]
    for part, (owner, name) in parts.items():
        if wanted and part not in wanted.split(","):
            continue
        original = getattr(owner, name)
        for how, lighten in WAYS.items():
            if how == "int8" and part != "text encoder":
                continue  # the photos' network has no linear layer, the heads use their weights in sums of their own
            try:
                lighter = lighten(original)
                size = stored_bytes(original if how == "int8" else lighter, how)
                setattr(owner, name, lighter)
                rows.append(row_of(f"{part}, {how}", size, ask(pipeline, asked), full, asked))
            finally:
                setattr(owner, name, original)
            print(line(rows[-1]), flush=True)
    return rows


def line(row: dict[str, Any]) -> str:
    recall, change = row["recall@10"], row["mrr_change"]
    return (
        f"{row['version']:28} {row['megabytes']:7.2f} MB  {row['ms']:6.1f} CPU-ms (x{row['speedup']:.2f})  recall@10 "
        f"{with_interval(recall)}  MRR {row['mrr']['value']:.3f} (change {with_interval(change, '+.3f')})  "
        f"top-10 kept {row['overlap@10']:.3f}  "
        f"shares move {row['shares_moved']}  same leader {row['same_leading_modality']}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.lighter", description=__doc__)
    parser.add_argument("--run", default="studio-default")
    parser.add_argument("--queries", type=int, default=120)
    parser.add_argument("--parts", default="", help="with commas: text encoder, image encoder, heads; default all")
    parser.add_argument("--json", default="")
    words = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = open_pipeline(Workspace.open(), words.run)
    asked = queries_of(pipeline, words.queries)
    rows = measure(pipeline, asked, words.parts)
    print(line(rows[0]))
    report = {"command": " ".join(("python -m bench.lighter", *sys.argv[1:])), "machine": machine.describe(1),
              "queries": len(asked), "rows": rows}  # fmt: skip
    if words.json:
        write_atomic(Path(words.json), (json.dumps(report, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
