"""Loads L1 to L10 against the app itself, on this machine only: python -m bench.load [--short] [--out FILE].

Every visitor is a WebSocket of its own, waits between two actions, and asks with a word and a photo's name that nobody
else knows, and at the end opens its own link: a foreign one in what it receives is cross-talk. Nothing is sent anywhere
but to 127.0.0.1, and every part is bounded. L9 and L10 have servers of their own, over made-up products and cases
(bench.large); a lasso is drawn in Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from bench.large import selection_bytes
from bench.visitor import Seen, Visitor
from tests.app_server import AppServer, running, serving

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("mug", "lamp", "bowl", "vase", "chair", "kettle", "clock", "stool", "plate", "jug")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of each load: visitors, actions each, seconds of thought."""

    l1: tuple[int, int, float] = (10, 20, 3.0)
    l2: tuple[int, int, float] = (25, 10, 5.0)
    idle: float = 60.0
    soak: float = 1800.0
    together: float = 120.0
    big_files: int = 30
    products: int = 100_000
    cases: int = 1_000_000


SHORT = Plan(l1=(10, 4, 3.0), l2=(25, 2, 5.0), idle=10.0, soak=120.0, together=30.0, big_files=12,
             cases=20_000)  # fmt: skip


@dataclass(kw_only=True)
class Row:
    """One load: what was found, what was wanted, and whether it holds."""

    id: str
    title: str
    wanted: str
    passed: bool
    found: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        told = ", ".join(f"{name} {value:g}" for name, value in self.found.items())
        return f"{self.id} {'ok  ' if self.passed else 'MISS'} {self.title}: {told} (wanted: {self.wanted})"


def photo(number: int) -> bytes:
    """A photo of a colour of its own, with a grain, so that no two have the same bytes."""
    draw = np.random.default_rng(number)
    base = draw.integers(30, 226, 3)
    pixels = np.clip(base + draw.integers(-20, 20, (120, 160, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def token(group: str, number: int) -> str:
    return f"tok{group}q{number:03d}z"


async def visit(port: int, group: str, number: int, actions: int, thought: float, until: float = 0.0) -> list[Seen]:
    """One visitor's answers; `until` on the monotonic clock ends it in place of a count of actions."""
    draw, mine, seen = random.Random(number), token(group, number), []
    visitor = Visitor(port=port)
    await asyncio.sleep(draw.uniform(0, thought))
    first = await visitor.open()
    if first.failed:
        return [first]
    step = 0
    while time.monotonic() < until if until else step < actions:
        await asyncio.sleep(draw.uniform(0.5, 1.5) * thought)
        words = f"{mine} {step} a {draw.choice(WORDS)} that is {draw.choice(('red', 'blue', 'light', 'heavy'))}"
        files = ((f"{mine}-{step}.jpg", photo(1000 * number + step)),) if step % 3 == 0 else ()
        one = await visitor.ask(words, files)
        if not one.failed and files and files[0][0].encode() not in one.content:
            one.failed = "the answer does not show its own photo"
        seen.append(one)
        step += 1
    await visitor.close()
    if seen and not seen[-1].failed:
        again = Visitor(port=port, query=visitor.query)  # another tab with the link: it shows the words
        one = await again.open()
        if mine.encode() not in one.content:
            one.failed = one.failed or "the link does not bring back its own words"
        await again.close()
        seen.append(one)
    return seen


async def crowd(port: int, group: str, visitors: int, actions: int, thought: float, until: float = 0.0):
    return await asyncio.gather(*(visit(port, group, n, actions, thought, until) for n in range(visitors)))


def foreign(group: str, answers: Sequence[list[Seen]]) -> int:
    """Answers that hold what another visitor of the group planted."""
    marks = [token(group, number).encode() for number in range(len(answers))]
    return sum(
        any(mark in one.content for other, mark in enumerate(marks) if other != number)
        for number, own in enumerate(answers)
        for one in own
    )


def figures(answers: Sequence[list[Seen]]) -> tuple[dict[str, float], list[str]]:
    flat = [one for own in answers for one in own]
    times = np.array([one.seconds for one in flat if not one.failed] or [np.inf])
    failed = [one.failed for one in flat if one.failed]
    p50, p95 = (round(float(np.percentile(times, q)), 2) for q in (50, 95))
    return {"actions": len(flat), "errors": len(failed), "p50": p50, "p95": p95}, failed


def memory(server: AppServer) -> float:
    """MB of the server and its workers."""
    process = psutil.Process(server.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 1e6


def l1(server: AppServer, plan: Plan) -> Row:
    answers = asyncio.run(crowd(server.port, "a", *plan.l1))
    found, errors = figures(answers)
    found["foreign"] = foreign("a", answers)
    passed = not errors and found["p95"] <= 1.5 and not found["foreign"]
    title = f"{plan.l1[0]} visitors, {plan.l1[2]:g} s of thought, {plan.l1[1]} actions"
    return Row(id="L1", title=title, wanted="0 errors, p95 1.5 s", passed=passed, found=found, errors=errors[:5])


def l2_l4(server: AppServer, plan: Plan) -> list[Row]:
    answers = asyncio.run(crowd(server.port, "b", *plan.l2))
    found, errors = figures(answers)
    title = f"{plan.l2[0]} visitors, {plan.l2[2]:g} s of thought, {plan.l2[1]} actions"
    passed = not errors and found["p95"] <= 5
    second = Row(id="L2", title=title, wanted="0 errors, p95 5 s", passed=passed, found=found, errors=errors[:5])
    mixed = foreign("b", answers)
    told = {"answers": found["actions"], "foreign": float(mixed)}
    fourth = Row(
        id="L4", title="unique words and photos", wanted="0 foreign", passed=not mixed and not errors, found=told
    )
    return [second, fourth]


async def fifty(port: int, idle: float) -> tuple[int, float]:
    begun = time.monotonic()
    visitors = [Visitor(port=port) for _ in range(50)]
    opened = await asyncio.gather(*(one.open(page="", patience=60) for one in visitors))
    took = time.monotonic() - begun
    await asyncio.sleep(idle)
    for one in visitors:
        await one.close()
    return sum(not one.failed for one in opened), took


def l3(server: AppServer, plan: Plan) -> Row:
    before = memory(server)
    connected, took = asyncio.run(fifty(server.port, plan.idle))
    each = (memory(server) - before) / 50
    found = {"connected": connected, "seconds": round(took, 1), "MB each": round(each, 2)}
    return Row(id="L3", title=f"50 sockets at once, idle {plan.idle:g} s", wanted="50, at most 5 MB each",
               passed=connected == 50 and each <= 5, found=found)  # fmt: skip


def l5(server: AppServer, plan: Plan) -> Row:
    """The first fifth warms up; memory is compared between then and the end."""
    process = psutil.Process(server.process.pid)
    asyncio.run(crowd(server.port, "w", 10, 0, 2.0, until=time.monotonic() + plan.soak / 5))
    time.sleep(2)
    before, handles = memory(server), process.num_fds()
    answers = asyncio.run(crowd(server.port, "s", 10, 0, 2.0, until=time.monotonic() + plan.soak * 4 / 5))
    time.sleep(5)
    found, errors = figures(answers)
    growth = memory(server) / before - 1
    left = len(list(server.home.rglob("*.part"))) + len(list(server.home.glob("incoming/*")))
    found |= {"MB before": round(before), "growth %": round(100 * growth, 1), "handles": process.num_fds() - handles,
              "temporary files": left, "foreign": foreign("s", answers)}  # fmt: skip
    passed = not errors and growth < 0.1 and found["handles"] <= 20 and not left and not found["foreign"]
    return Row(id="L5", title=f"10 visitors for {plan.soak:g} s", wanted="memory grows under 10 %, handles flat",
               passed=passed, found=found, errors=errors[:5])  # fmt: skip


def l6(server: AppServer, plan: Plan, quiet: float) -> Row:
    """Five visitors beside a training."""
    command = [sys.executable, "-m", "core", "train", "--home", str(server.home), "--catalogue", "studio", "--rank",
               "popularity", "--name", "beside"]  # fmt: skip
    end = time.monotonic() + plan.together
    with tempfile.TemporaryFile() as log:
        training = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        answers = asyncio.run(crowd(server.port, "t", 5, 0, 3.0, until=end))
        training.terminate()
        training.wait(60)
    found, errors = figures(answers)
    passed = not errors and found["p95"] <= 2 * max(quiet, 0.5)
    return Row(id="L6", title="a training beside 5 visitors (no map)",
               wanted=f"p95 at most {2 * quiet:g} s",
               passed=passed, found=found, errors=errors[:5])  # fmt: skip


LABELS = """
import sys, threading, time
from pathlib import Path
from core.people import put_label
from core.store.values import CaseRef
from core.workspace import Workspace
workspace, process, seconds = Workspace.open(Path(sys.argv[1])), sys.argv[2], []
def write(thread):
    for n in range(50):
        begun = time.perf_counter()
        put_label(workspace, "toys", [CaseRef(key=f"{n:016x}", user="u", item="i")], f"{process}-{thread}", "duplicate")
        seconds.append(time.perf_counter() - begun)
threads = [threading.Thread(target=write, args=(n,)) for n in range(20)]
[one.start() for one in threads]; [one.join() for one in threads]
print(sorted(seconds)[int(0.95 * len(seconds))])
"""


def l7(home: Path) -> Row:
    """Two processes of 20 threads, 50 labels each: none may be lost."""
    from core.people import annotations_of, put_seen
    from core.store.values import CaseRef
    from core.workspace import Workspace

    workspace = Workspace.open(home)
    put_seen(workspace, "toys", CaseRef(key="f" * 16, user="u", item="i"), "Dora")
    command = [sys.executable, "-c", LABELS, str(home)]
    both = [subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for name in ("a", "b")]  # fmt: skip
    told = [one.communicate(timeout=600) for one in both]
    errors = [err[-200:] for _, err in told if err]
    kept = [one for one in annotations_of(workspace, "toys") if one.labels == ("duplicate",)]
    lost = 2 * 20 * 50 - len({(one.case.key, one.author) for one in kept})
    p95 = max((float(out) for out, _ in told if out.strip()), default=float("inf"))
    found = {"lost": lost, "errors": len(errors), "p95 ms": round(1000 * p95, 1)}
    return Row(id="L7", title="2 processes x 20 threads x 50 labels", wanted="0 lost, 0 errors, p95 50 ms",
               passed=not lost and not errors and p95 <= 0.05, found=found, errors=errors)  # fmt: skip


async def heap(port: int, files: int) -> Seen:
    visitor = Visitor(port=port)
    await visitor.open()
    big = [(f"big{n}.png", os.urandom(10_000_000)) for n in range(files)]
    return await visitor.ask("tokheap a mug", tuple(big), patience=300)


def l8(server: AppServer, plan: Plan) -> Row:
    """One visit is given more than it may hold."""
    before = memory(server)
    seen = asyncio.run(heap(server.port, plan.big_files))
    told = b"E-FILE-COUNT" in seen.content or b"E-FILE-TOTAL" in seen.content
    end = time.monotonic() + 60
    while (growth := memory(server) / before - 1) > 0.1 and time.monotonic() < end:
        time.sleep(2)
    found = {"told": float(told), "growth % after 60 s": round(100 * growth, 1)}
    return Row(id="L8", title=f"{plan.big_files} x 10 MB in one visit", wanted="refused in words, memory back",
               passed=told and growth <= 0.1, found=found, errors=[seen.failed] if seen.failed else [])  # fmt: skip


async def looks(port: int, page: str) -> list[Seen]:
    """A page cold, then warm by another visitor."""
    seen = []
    for _ in range(2):
        visitor = Visitor(port=port)
        seen.append(await visitor.open(page=page, patience=300))
        await visitor.close()
    return seen


def l9(place: Path, products: int, selection: Callable[[str], int]) -> Row:
    """selection: bytes that a browser sends when everything on the map of an address is selected."""
    with running(place, "bench.large", "{port}", "map", str(products), patience=600) as server:
        cold, warm = asyncio.run(looks(server.port, "map"))
        errors = [one.failed for one in (cold, warm) if one.failed]
        try:
            chosen = selection(server.url)
        except Exception as error:  # no browser here, or none that selects
            chosen = 0
            errors.append(f"no selection: {type(error).__name__} {error}"[:200])
    found = {"s warm": round(warm.seconds, 2), "s cold": round(cold.seconds, 2),
             "MB largest message": round(warm.largest / 1e6, 2), "MB selection": round(chosen / 1e6, 2)}  # fmt: skip
    passed = not errors and warm.seconds <= 3 and max(warm.largest, chosen) <= 3_000_000
    return Row(id="L9", title=f"the map of {products:,} products, 20,000 points",
               wanted="3 s warm, chart and selection 3 MB each", passed=passed, found=found, errors=errors)  # fmt: skip


def l10(place: Path, cases: int) -> Row:
    with running(place, "bench.large", "{port}", "errors", str(cases), patience=1800) as server:
        cold, warm = asyncio.run(looks(server.port, "errors"))
    found = {"s warm": round(warm.seconds, 2), "MB largest message": round(warm.largest / 1e6, 2),
             "MB page": round(warm.size / 1e6, 2)}  # fmt: skip
    errors = [one.failed for one in (cold, warm) if one.failed]
    told = f"{cases:,}".encode() in warm.content
    return Row(id="L10", title=f"{cases:,} cases on Errors", wanted="a paged table, no message over 10 MB",
               passed=not errors and told and max(cold.largest, warm.largest) <= 10_000_000, found=found,
               errors=errors)  # fmt: skip


def run(plan: Plan, only: Sequence[str] = ()) -> list[Row]:
    """The loads in order, each on the same server after one warm question."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place, serving(Path(place) / "home") as server:
        asyncio.run(crowd(server.port, "x", 1, 2, 0.5))

        def add(ids: str, work) -> None:
            if not only or set(ids.split()) & set(only):
                made = work()
                rows.extend(made if isinstance(made, list) else [made])
                print(*(one.line for one in (made if isinstance(made, list) else [made])), sep="\n", flush=True)

        add("L1", lambda: l1(server, plan))
        quiet = rows[0].found["p95"] if rows else 1.0
        add("L2 L4", lambda: l2_l4(server, plan))
        add("L3", lambda: l3(server, plan))
        add("L5", lambda: l5(server, plan))
        add("L6", lambda: l6(server, plan, quiet))
        add("L7", lambda: l7(Path(place) / "labels"))
        add("L8", lambda: l8(server, plan))
        add("L9", lambda: l9(Path(place) / "map", plan.products, selection_bytes))
        add("L10", lambda: l10(Path(place) / "errors", plan.cases))
    return rows


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__.splitlines()[0])
    options.add_argument("--short", action="store_true", help="minutes in place of an hour")
    options.add_argument("--ids", default="", help="only these, with commas")
    options.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "load.json")
    given = options.parse_args()
    before = os.getloadavg()[0]
    rows = run(SHORT if given.short else Plan(), [one for one in given.ids.split(",") if one])
    told = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(("python -m bench.load", *sys.argv[1:])),
       
        "cores": os.cpu_count(), "load before": before, "load after": os.getloadavg()[0],
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
