"""python -m bench.errors_page [--cases 100000] [--said 5000] [--times 3] [--json FILE]: what a click costs on Errors.

The real page over a made-up shop, in this process and without a browser: how long the server works for each click, how
many elements the page then has, and how many bytes all of them are together (a browser gets no more than that, and less
where only a part changed). The cases are drawn with seed 0; a fifth as many products, a third as many users.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from core.domain import Catalogue, Interaction, Item
from core.evaluate.attributes import attributes
from core.evaluate.casebook import WORSE, CaseBook
from core.evaluate.cases import METRICS, SHOWN, Cases, case_key
from core.evaluate.slices import search_slices, slice_id
from core.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
MOST_MS, MOST_BYTES = 500, 500_000
WORDS = ("red", "round", "mug", "lamp", "light", "broken", "late", "heavy", "lovely", "glass", "oak", "quiet")
MODALITIES = ("text", "image", "audio", "video")


@dataclass(frozen=True, kw_only=True)
class Click:
    """ms: the server's wall time, the least of all times; cpu_ms: of its processor; elements, bytes: the whole page."""

    name: str
    ms: float
    cpu_ms: float
    elements: int
    bytes: int

    @property
    def good(self) -> bool:
        return self.ms < MOST_MS and self.bytes < MOST_BYTES


# ---- a large book


def made_items(rng: np.random.Generator, count: int) -> tuple[Item, ...]:
    words = np.array(WORDS)
    return tuple(
        Item(
            item_id=f"i{n:06d}", title=" ".join(words[rng.integers(0, len(words), 4)]), price=float(5 + n % 90),
            category=f"Room {n % 5} > Kind {n % 30}", description="a thing of some use",
            media={"image": ("mug_red.png",)}, attributes={"colour": WORDS[n % 12]},
        )
        for n in range(count)
    )  # fmt: skip


def large_book(count: int, *, searched: bool = True) -> CaseBook:
    """`count` cases of four modalities; the dearest products do worse, and so do silent ones."""
    rng = np.random.default_rng(0)
    products, users = max(40, count // 5), max(20, count // 3)
    words, items = np.array(WORDS), made_items(rng, products)
    who, what = rng.integers(0, users, count), rng.integers(0, products, count)
    met = tuple(
        Interaction(
            user_id=f"u{who[n]:06d}", item_id=items[what[n]].item_id, rating=float(1 + n % 5), timestamp=n,
            review_text=" ".join(words[rng.integers(0, len(words), 3 + n % 20)]),
        )
        for n in range(count)
    )  # fmt: skip
    shop = Catalogue(name="toy", version="large", root=Path("toy"), items=items, interactions=met)
    hard = 1.0 + (what % 90 > 67) + rng.normal(size=products)[what]
    rank = np.clip(np.exp(hard + rng.normal(size=count)), 1, products).astype(np.int32)
    present = rng.random((count, 4)) < 0.7
    present[:, 0] = True
    ids = np.array([item.item_id for item in items])
    about = {"run": "toy-transformer", "digest": "d", "catalogue": "toy", "version": "large", "protocol": "cold",
             "split": "s", "kind": "review+photo", "part": "test", "items": products}  # fmt: skip
    numbers = rng.normal(size=(3, count, 4)).astype(np.float32)
    cases = Cases(
        about=about, modalities=MODALITIES, row=np.arange(count), warm=what % 5 > 0,
        key=np.array([case_key("query", one.user_id, one.item_id, one.timestamp) for one in met]),
        user=np.array([one.user_id for one in met]), item=ids[what], cluster=(what % 12).astype(np.int16),
        twin=rng.random(count).astype(np.float32), rank=rank, present=present,
        alone=np.where(present, rng.integers(1, products, (count, 4)), 0).astype(np.int32),
        loss=np.log(rank).astype(np.float32), margin=-np.log(rank).astype(np.float32), blame=numbers[0],
        for_truth=numbers[1], for_shown=numbers[2], shown=ids[rng.integers(0, products, (count, SHOWN))],
    )  # fmt: skip
    known = attributes(cases, shop, {}, {})
    searches = {
        metric: search_slices(cases.values(metric), cases.item, known, metric=metric, worse=WORSE.get(metric, -1))
        for metric in (METRICS if searched else ())
    }
    book = CaseBook(cases=cases, catalogue=shop, attributes=known, searches=searches)
    book.prepare()  # as the page does when it reads a book
    return book


# ---- clicks


@contextmanager
def opened(book: CaseBook, said: int, home: Path) -> Iterator[Any]:
    """The page over this book and a second run that is a little better, with `said` annotations of three people."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    from core.workspace import Workspace
    from pages.shared import errors_services, services
    from tests.toys import ToyWorkspace

    toy: Any = ToyWorkspace(shop=book.catalogue, home=home)
    toy.store, toy.has_database = Workspace.open(home).store, True
    annotate(toy, book, said)
    its = book.cases
    rank = np.where(np.random.default_rng(1).random(len(its)) < 0.1, np.maximum(1, its.rank // 2), its.rank)
    better = replace(book, cases=replace(its, rank=rank.astype(np.int32), about={**its.about, "digest": "other"}))
    books = {"toy-transformer": book, "toy-better": better}
    runs = [SimpleNamespace(run=name, catalogue="toy") for name in books]
    st.cache_data.clear()
    st.cache_resource.clear()
    with (
        patch.object(services, "workspace", lambda: toy),
        patch.object(services, "runs", lambda: runs),
        patch.object(errors_services, "book", lambda wanted: books[wanted.run]),
    ):
        yield lambda: AppTest.from_file(ROOT / "pages" / "errors_page.py", default_timeout=600)


def annotate(workspace: Any, book: CaseBook, said: int) -> None:
    """Every third case of the first ones by each of three people."""
    from core.people import put_label
    from core.store.values import CaseRef

    its = book.cases
    for person, name in enumerate(("Dora", "Emil", "Fay")):
        places = range(person, min(said, len(its)), 3)
        refs = [CaseRef(key=str(its.key[at]), user=str(its.user[at]), item=str(its.item[at])) for at in places]
        for start in range(0, len(refs), 1000):
            put_label(workspace, "toy", refs[start : start + 1000], name, "duplicate")


def steps(book: CaseBook) -> dict[str, Callable[[Any], Any]]:
    """What a person does, by name; each continues where the one before ended."""
    from pages.shared import errors_visit as visit

    worst = book.searches["mrr"].slices[0] if book.searches["mrr"].slices else None
    ident = slice_id(worst.conditions) if worst else ""

    def view(name: str) -> Callable[[Any], Any]:
        return lambda at: at.segmented_control(key=visit.VIEW).set_value(name).run()

    def sliced(at: Any) -> Any:
        at.query_params[visit.SLICE_PARAMETER] = ident
        return at.run()

    return {
        "open the page": lambda at: at.run(),
        "sign": lambda at: at.text_input(key=visit.AUTHOR).set_value("Dora").run(),
        "next case": lambda at: at.button(key="errors_next").click().run(),
        "give a label": lambda at: at.button(key=visit.label_key("duplicate")).click().run(),
        "order: most surprising": lambda at: at.selectbox(key=visit.ORDER).set_value("surprising").run(),
        "order: near misses": lambda at: at.selectbox(key=visit.ORDER).set_value("near").run(),
        "search two words": lambda at: at.text_input(key=visit.SEARCH).set_value("broken lamp").run(),
        "search no more": lambda at: at.text_input(key=visit.SEARCH).set_value("").run(),
        "show: not in the first 10": lambda at: at.selectbox(key=visit.SHOW).set_value("not in the first 10").run(),
        "show: not seen yet": lambda at: at.selectbox(key=visit.SHOW).set_value("not seen yet").run(),
        "filter by label": lambda at: at.selectbox(key=visit.LABEL).set_value("duplicate").run(),
        "slices": view("Slices"),
        "slices by loss": lambda at: at.segmented_control(key=visit.METRIC).set_value("loss").run(),
        "one slice": sliced,
        "which modality misled": view("Which modality misled"),
        "two runs": view("Two runs"),
        "labels": view("Labels"),
        "cases of the slice": view("Cases"),
    }


def measure(book: CaseBook, said: int, times: int = 1) -> list[Click]:
    """Every step `times` times, each time by a new visitor; the first pass also fills the caches that all share."""
    seen: dict[str, list[Click]] = {}
    with tempfile.TemporaryDirectory() as home, opened(book, said, Path(home)) as visitor:
        for _ in range(times):
            at = visitor()
            for name, act in steps(book).items():
                wall, processor = time.perf_counter(), time.process_time()
                act(at)
                wall, processor = time.perf_counter() - wall, time.process_time() - processor
                if at.exception:
                    raise RuntimeError(f"{name}: {at.exception[0].value}")
                elements, size = weight(at)
                one = Click(name=name, ms=1000 * wall, cpu_ms=1000 * processor, elements=elements, bytes=size)
                seen.setdefault(name, []).append(one)
    return [
        replace(all_of[0], ms=min(one.ms for one in all_of), cpu_ms=min(one.cpu_ms for one in all_of))
        for all_of in seen.values()
    ]


def weight(at: Any) -> tuple[int, int]:
    """Elements of a page and the bytes of their messages."""

    def below(block: Any) -> tuple[int, int]:
        elements, size = 0, 0
        for child in block.children.values():
            if hasattr(child, "children"):
                inner = below(child)
                elements, size = elements + inner[0], size + inner[1]
            else:
                elements += 1
            proto = getattr(child, "proto", None)
            size += proto.ByteSize() if proto is not None else 0
        return elements, size

    return below(at._tree)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.errors_page", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--said", type=int, default=5_000, help="cases that somebody labelled before")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    options = parser.parse_args(words)
    begun = time.perf_counter()
    book = large_book(options.cases)
    seconds = time.perf_counter() - begun
    print(f"{len(book.cases):,} cases made and searched by {len(METRICS)} metrics in {seconds:.0f} s", flush=True)
    clicks = measure(book, options.said, options.times)
    for one in clicks:
        print(f"{'ok  ' if one.good else 'OVER'} {one.ms:>7.0f} ms  {one.cpu_ms:>7.0f} ms of processor  "
              f"{one.elements:>4} elements  {one.bytes / 1000:>7.1f} kB  {one.name}")  # fmt: skip
    if options.json:
        write_atomic(options.json, (json.dumps([asdict(one) for one in clicks], indent=1) + "\n").encode())
    return 0 if all(one.good for one in clicks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
