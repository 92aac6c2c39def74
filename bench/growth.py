"""python -m bench.growth [--sizes 1000,3000,...] [--stages import,query,...] [--minutes 20] [--out FOLDER] [--redraw]

How time and memory grow with the catalogue, from 1,000 to 1,000,000 items (generated vectors and rows; the real text
encoder up to 10,000): each stage and size in a process of its own, kept in growth.json, so that a run that was cut or
has used up its --minutes goes on where it stopped. In the end the log-log slopes beside those that are allowed, as
growth.md and growth.svg.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from bench import machine
from core.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
WIDTH, USERS, ASKED = 192, 1000, 9
SLACK = 0.10  # above an allowed slope
Figures = dict[str, float]


# ---- the stages: each gives the seconds that count, and what else a reader wants


def measure_import(items: int, place: Path) -> Figures:
    """A table of products, one of ratings (one a product) and a matrix of vectors: read, kept, stored. No training."""
    import core.importing
    from core.workspace import Workspace
    from tests.test_workspace import write_run

    shop, home = place / "shop", place / "home"
    shop.mkdir()
    with (shop / "items.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("item_id", "title", "category", "price"))
        table.writerows((f"p{row}", f"product {row}", f"group {row % 20}", 5 + row % 95) for row in range(items))
    with (shop / "interactions.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("user_id", "item_id", "rating", "timestamp"))
        for row in range(items):
            day = f"2024-01-{1 + row % 28:02d}T00:00:00Z"
            table.writerow((f"u{row % max(1, items // 10)}", f"p{row * 7919 % items}", 1 + row % 5, day))
    np.save(place / "text.npy", unit(items, 64))
    core.importing._trained = lambda workspace, catalogue, folder, tell: write_run(folder, catalogue.name)  # type: ignore
    begun = time.perf_counter()
    told = core.importing.import_source(
        Workspace.open(home), shop, "grown", layout="folder", features={"text": place / "text.npy"}
    )
    spent = time.perf_counter() - begun
    assert told.items == items
    kept = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    return {"seconds": spent, "disk bytes an item": kept / items}


def measure_page(items: int, place: Path) -> Figures:
    """A rerun of the Data page over that catalogue, by a client without a browser."""
    from bench.cases.pages import Reruns

    measure_import(items, place)
    page = Reruns("data", ROOT / "app.py", str(place / "home"), "data")
    spent, told = [], {}
    for step in range(ASKED):
        session = page.prepare(step)
        begun = time.perf_counter()
        told = page.run(session)
        spent.append(time.perf_counter() - begun)
    assert not told["exceptions"], "the page shows an exception"
    assert page.server is not None
    import psutil

    memory = psutil.Process(page.server.pid).memory_info().rss
    return {"seconds": float(np.median(spent)), "kB": told["bytes"] / 1000, "elements": told["elements"],
            "server MiB": memory / 2**20}  # fmt: skip


def measure_encode(items: int, place: Path) -> Figures:
    """Texts of realistic length through the bundled encoder, fp32, without a store."""
    from bench.cases import material
    from core.encode.text import TextEncoder

    encoder, texts = TextEncoder(), material.texts(items, 0)
    encoder.encode(texts[:8])
    begun = time.perf_counter()
    for start in range(0, items, 64):
        encoder.encode(texts[start : start + 64])
    return {"seconds": time.perf_counter() - begun}


def measure_store(items: int, place: Path) -> Figures:
    """The content-addressed store with an encoder that costs nothing: kept, and read again."""
    from core.encode.cache import VectorStore, encode_cached
    from core.encode.states import States

    values = unit(256, 64).astype(np.float16)
    contents = {f"{row:064x}": row for row in range(items)}

    def encode(rows: list[int]) -> list[States]:
        return [States(tokens=values[row % 256][None], pooled=values[row % 256]) for row in rows]

    begun = time.perf_counter()
    _, fresh = encode_cached(VectorStore(place, "grown"), contents, encode)
    kept = time.perf_counter() - begun
    begun = time.perf_counter()
    _, again = encode_cached(VectorStore(place, "grown"), contents, encode)
    assert (fresh, again) == (items, 0)
    return {"seconds": kept, "read again, s": time.perf_counter() - begun}


def measure_query(items: int, place: Path) -> Figures:
    """One question of words to ranked cards with exact shares, every item compared, the encoding left out."""
    import torch

    from core.config import RunSettings
    from core.domain import Catalogue, Item, Query
    from core.model import Coalitions, Model
    from core.pipeline import Pipeline

    settings = RunSettings(catalogue="grown", rank="content", width=WIDTH)
    shop = Catalogue(name="grown", version="1", root=place,
                     items=tuple(Item(item_id=f"p{row}", title=f"product {row}") for row in range(items)))  # fmt: skip
    widths = {"text": 384, "image": 1280}
    model = Model(settings, widths, 0, 1).eval().requires_grad_(False)
    told = {"run": "grown", "settings": settings.__dict__, "widths": widths, "items": [], "users": [],
            "data": {"catalogue": "another"}, "distances": {}}  # fmt: skip
    vectors = torch.from_numpy(unit(items, WIDTH)).repeat(4, 1, 1)  # a copy a coalition, as a run holds them
    pipeline = Pipeline(told, model, shop, Coalitions(vectors=vectors, gates=torch.zeros(4, 1, 2)), "cpu")
    spent = []
    for step in range(ASKED):
        laps = pipeline.recommend(Query.of(f"a red mug, light and cheap, the {step}th"), top=24).timing_ms
        spent.append((laps["total"] - laps["read"] - laps["encode"]) / 1000)
    return {"seconds": float(np.median(spent[1:])), "worst, s": max(spent[1:])}


def measure_scan(items: int, place: Path) -> Figures:
    """One exact question to `core.nearest.Index`, 384 wide, 20 best."""
    from bench.cases.search import clustered, questions
    from core.nearest import Index

    vectors = clustered(items)
    begun = time.perf_counter()
    index = Index(vectors)
    built, spent, looked = time.perf_counter() - begun, [], 0
    for query in questions(vectors, 1):
        begun = time.perf_counter()
        looked = max(looked, index.top(query, 20).rescored)
        spent.append(time.perf_counter() - begun)
    return {"seconds": float(np.median(spent)), "built, s": built, "rescored": looked}


def measure_map(items: int, place: Path) -> Figures:
    """Neighbours, PCA and UMAP in two dimensions of the points that a map of so many items draws."""
    from core.explain.map import nearest, pca_places, umap_places
    from core.mapping.make import drawn_rows

    vectors = unit(items, WIDTH)[drawn_rows(items, 1)]
    warm = unit(64, WIDTH)
    umap_places(nearest(warm), 2, 0, pca_places(warm, 2))  # compiled before the clock starts
    begun = time.perf_counter()
    umap_places(nearest(vectors), 2, 0, pca_places(vectors, 2))
    return {"seconds": time.perf_counter() - begun, "points drawn": len(vectors)}


def measure_errors(items: int, place: Path) -> Figures:
    """1,000 users, all items ranked for each, metrics, slices, and the look-alikes and groups of all products."""
    import torch

    from core.evaluate import judge
    from core.evaluate.attributes import Attribute
    from core.evaluate.slices import search_slices
    from core.rank.likes import Likes
    from core.train.collaborative import held_metrics

    draw = np.random.default_rng(0)
    user, tables = torch.arange(USERS), torch.from_numpy(unit(USERS + items, 64))

    def likes(each: int) -> Likes:
        return Likes(user=user.repeat_interleave(each), users=USERS, items=items,
                     item=torch.from_numpy(draw.integers(0, items, USERS * each)))  # fmt: skip

    train, held = likes(20), likes(5)
    begun = time.perf_counter()
    found = held_metrics(lambda part: tables[part] @ tables[USERS:].T, train, held, user, block=64)
    groups = np.array([f"u{row}" for row in range(USERS)])
    marks = [draw.integers(0, 4, USERS) for _ in range(6)]
    known = [
        Attribute(name=f"a{at}", values=tuple("0123"), masks=np.stack([mark == value for value in range(4)]))
        for at, mark in enumerate(marks)
    ]
    search_slices(found["ndcg@20"].numpy().astype(np.float64), groups, known, metric="ndcg@20")
    listed, shop = time.perf_counter(), cast(Any, SimpleNamespace(items=SimpleNamespace(vectors=tables[None, USERS:])))
    judge._twins(shop)
    judge._clusters(shop)
    ended = time.perf_counter()
    return {"seconds": ended - begun, "look-alikes and groups, s": ended - listed}


# stage -> how it is measured, what it is, the slope allowed, the sizes beyond which it is not run
STAGES: Mapping[str, tuple[Callable[[int, Path], Figures], str, float, int]] = {
    "import": (measure_import, "import of two tables and a matrix (64 wide)", 1.0, 10**6),
    "encode": (measure_encode, "texts encoded, fp32", 1.0, 10_000),
    "store": (measure_store, "vectors kept by content", 1.0, 10**6),
    "query": (measure_query, f"a question, all items compared ({WIDTH} wide), encoding left out", 1.0, 10**6),
    "scan": (measure_scan, "exact search (384 wide), 20 best", 1.0, 10**6),
    "page": (measure_page, "rerun of the Data page", 0.05, 10**6),
    "map": (measure_map, "map, UMAP warm", 1.15, 10**6),
    "errors": (measure_errors, f"error analysis, {USERS:,} sampled users", 1.0, 300_000),
}


def unit(rows: int, width: int) -> Any:
    values = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values


# ---- running, fitting, drawing


def run_one(stage: str, items: int) -> Figures:
    """Measured in a new process; its peak memory beside the time."""
    command = [sys.executable, "-m", "bench.growth", "--one", stage, str(items)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{stage} at {items} failed:\n{done.stderr[-2000:]}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def one(stage: str, items: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        found = STAGES[stage][0](items, Path(place))
    found["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({name: round(value, 6) for name, value in found.items()}))


def slope(sizes: list[int], values: list[float]) -> float:
    """s of t = a + b N^s, a >= 0: least squares of relative errors over a grid of s. nan below three sizes."""
    if len(sizes) < 3:
        return math.nan
    n, t = np.array(sizes) / min(sizes), np.array(values)
    best, found = np.inf, math.nan
    for s in np.arange(0.0, 3.001, 0.01):
        powers = n**s
        left = np.stack([np.ones_like(powers), powers], 1) / t[:, None]
        for columns in ([0, 1], [1]):
            held, *_ = np.linalg.lstsq(left[:, columns], np.ones(len(t)), rcond=None)
            if (held >= 0).all() and (error := float(((left[:, columns] @ held - 1) ** 2).sum())) < best - 1e-12:
                best, found = error, float(s)
    return found


def verdict(stage: str, sizes: list[int], values: list[float]) -> tuple[float, str]:
    allowed, s = STAGES[stage][2], slope(sizes, values)
    if math.isnan(s):
        return s, "too few sizes"
    return s, "within" if s <= allowed + SLACK else "OVER"


def table(found: Mapping[str, Mapping[str, Figures]]) -> list[str]:
    known = sorted({int(size) for rows in found.values() for size in rows})
    lines = ["| stage | " + " | ".join(f"{size:,}" for size in known) + " | slope | allowed | |",
             "|---|" + "---|" * (len(known) + 3)]  # fmt: skip
    for stage, rows in found.items():
        sizes = sorted(map(int, rows))
        s, said = verdict(stage, sizes, [rows[str(size)]["seconds"] for size in sizes])
        cells = [told(rows[str(size)]["seconds"]) if str(size) in rows else "" for size in known]
        lines.append(f"| {STAGES[stage][1]} | {' | '.join(cells)} | {s:.2f} | {STAGES[stage][2]:.2f} | {said} |")
    lines += ["", "Peak memory of the process, MiB:", ""]
    lines += ["| stage | " + " | ".join(f"{size:,}" for size in known) + " |", "|---|" + "---|" * len(known)]
    for stage, rows in found.items():
        name = "server MiB" if stage == "page" else "peak MiB"
        cells = [f"{rows[str(size)][name]:,.0f}" if str(size) in rows else "" for size in known]
        lines.append(f"| {STAGES[stage][1]} | {' | '.join(cells)} |")
    return lines


def told(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def figure(found: Mapping[str, Mapping[str, Figures]]) -> str:
    """Seconds over items, both on a logarithmic scale, as SVG; a dash-dotted line is linear growth."""
    wide, high, left, low = 760, 440, 70, 40
    colours = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#7f7f7f")

    def at(items: float, seconds: float) -> tuple[float, float]:
        x = left + (math.log10(items) - 3) / 3 * (wide - left - 150)
        return round(x, 1), round(high - low - (math.log10(seconds) + 4) / 8 * (high - low - 20), 1)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
             'font-size="12"><title>Seconds by number of items</title>'
             '<rect width="100%" height="100%" fill="#fff"/>']  # fmt: skip
    for power in range(-4, 5):
        x, y = at(1e3, 10.0**power)
        parts.append(f'<path d="M{x} {y}H{wide - 150}" stroke="#ddd"/><text x="8" y="{y + 4}">{10.0**power:g} s</text>')
    for power in range(3, 7):
        x, y = at(10.0**power, 1e-4)
        parts.append(f'<text x="{x - 20}" y="{y + 20}">{10**power:,}</text>')
    (x, y), (x2, y2) = at(1e3, 1e-2), at(1e6, 10)
    parts.append(f'<path d="M{x} {y}L{x2} {y2}" stroke="#999" stroke-dasharray="8 3 2 3"/>')
    for colour, (stage, rows) in zip(colours, found.items(), strict=False):
        points = [at(size, max(1e-4, rows[str(size)]["seconds"])) for size in sorted(map(int, rows))]
        path, end = "L".join(f"{x} {y}" for x, y in points), points[-1]
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'
                     f'<text x="{end[0] + 8}" y="{end[1] + 4}" fill="{colour}">{stage}</text>')  # fmt: skip
    return "\n".join(parts) + "</svg>\n"


def write(out: Path, kept: Mapping[str, Any]) -> None:
    found = kept["found"]
    about = kept["machine"]
    lines = [
        "# Growth from 1,000 to 1,000,000 items", "",
        f"`python -m bench.growth`, {about['cpu']}, {about['cores']} cores, {about['threads']} threads, Python "
        f"{about['python']}; others used {kept['busy']} of the machine when it began. Generated vectors and rows; "
        "each number from a process of its own. The slope is s of t = a + b N^s; up to "
        f"{SLACK:.2f} above the allowed one is within. Error analysis ranks all items for {USERS:,} users; maps "
        "of more than 20,000 points draw a sample, so they stop growing there.", "",
        "![Seconds by number of items](growth.svg)", "", *table(found), "",
    ]  # fmt: skip
    write_atomic(out / "growth.md", "\n".join(lines).encode())
    write_atomic(out / "growth.svg", figure(found).encode())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--minutes", type=float, default=0.0, help="begin nothing later than that; then go on again")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--redraw", action="store_true", help="only table and figure of what is there")
    parser.add_argument("--one", nargs=2, metavar=("STAGE", "ITEMS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], int(given.one[1]))
        return 0
    file = given.out / "growth.json"
    kept = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if not kept:
        threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
        kept = {"machine": machine.describe(threads), "busy": f"{machine.busy()[0]:.0%}", "found": {}}
    begun = time.monotonic()
    for size in [] if given.redraw else map(int, given.sizes.split(",")):
        for stage in given.stages.split(","):
            rows = kept["found"].setdefault(stage, {})
            late = given.minutes and time.monotonic() - begun > 60 * given.minutes
            if str(size) in rows or size > STAGES[stage][3] or late:
                continue
            rows[str(size)] = run_one(stage, size)
            print(f"{stage} {size:,}: {rows[str(size)]}", flush=True)
            kept["found"] = {name: kept["found"][name] for name in STAGES if kept["found"].get(name)}
            write_atomic(file, (json.dumps(kept, indent=1) + "\n").encode())
    kept["found"] = {name: rows for name, rows in kept["found"].items() if rows}
    write(given.out, kept)
    print("\n".join(table(kept["found"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
