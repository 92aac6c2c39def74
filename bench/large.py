"""The real pages over what is large, for L9 and L10 of bench.load: python -m bench.large PORT {map,errors} COUNT.

map: COUNT made-up products, of which a map draws 20,000 points; errors: COUNT made-up cases. Served on this machine
only, without a model; nothing of a page is replaced but the doors to the workspace.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.errors_page import large_book, made_items
from core.config import home_folder
from core.domain import Catalogue
from core.mapping.make import drawn_rows
from core.workspace import Workspace
from pages.shared import errors_services, map_colours, map_services, services
from pages.shared.map_services import Drawing
from tests.browser.conftest import FLAGS
from tests.browser.serve_errors import World
from tests.toy_map import toy_drawing
from tests.toys import ToyWorkspace, toy_stories

ROOT = Path(__file__).resolve().parents[1]
PLACES = 12.0  # width of a map


def large_drawing(shop: Catalogue) -> Drawing:
    """As many points as a map draws of such a shop, words, photo and fused of each product drawn, anywhere."""
    toy, draw = toy_drawing().map, np.random.default_rng(0)
    rows = drawn_rows(len(shop.items), len(toy.slots))
    shape = (len(rows), len(toy.slots))
    frames = {}
    for dimensions in (2, 3):
        places = draw.uniform(0, PLACES, (*shape, dimensions)).astype(np.float32)
        before = places.copy()
        before[:, -1] = np.nan
        frames |= {f"after-{dimensions}": places, f"before-{dimensions}": before}
    drawn = replace(
        toy, version=shop.version, item_ids=tuple(shop.items[row].item_id for row in rows), of=len(shop.items),
        present=np.ones(shape, dtype=bool), frames=frames, clusters=(rows % 12).astype(np.int16),
        vectors=np.full((*shape, 12), 12**-0.5, np.float32), kept=np.full(shape, 0.8, np.float32),
    )  # fmt: skip
    return Drawing(key="large", map=drawn, row_of={item_id: row for row, item_id in enumerate(drawn.item_ids)})


def map_world(products: int) -> ToyWorkspace:
    items = made_items(np.random.default_rng(0), products)
    shop = Catalogue(name="toy", version="large", root=Path("toy"), items=items, interactions=())
    drawn = large_drawing(shop)
    map_services.drawing = lambda run: drawn
    map_colours.error_ranks = lambda run: {}
    return ToyWorkspace(shop=shop)


def errors_world(cases: int) -> ToyWorkspace:
    book, home = large_book(cases), home_folder()
    errors_services.book = lambda wanted: book
    world = World(shop=book.catalogue, home=home)
    world.store, world.has_database = Workspace.open(home).store, True  # type: ignore[attr-defined]
    return world


def serve(port: int, page: str, count: int) -> None:
    """Runs until it is ended."""
    from streamlit.web import bootstrap

    world = map_world(count) if page == "map" else errors_world(count)
    services.workspace = lambda: world  # type: ignore[assignment, return-value]
    services.stories = toy_stories
    options = {"server_port": port, "server_headless": True, "server_allowedHosts": ["127.0.0.1", "localhost"]}
    bootstrap.load_config_options(options)
    bootstrap.run(str(ROOT / "app.py"), False, [], options)


def selection_bytes(address: str) -> int:
    """Bytes of the largest message that Chromium sends when a lasso is drawn around a whole map."""
    from playwright.sync_api import sync_playwright

    sent: list[int] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.set_default_timeout(120_000)
        tab.on("websocket", lambda line: line.on("framesent", lambda data: sent.append(len(data))))
        tab.goto(address)
        tab.get_by_role("heading").first.wait_for()
        tab.goto(f"{address}/map")
        chart = tab.locator(".st-key-map_chart .nsewdrag").first
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.01)]
        places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
        sent.clear()
        tab.mouse.move(*places[0])
        tab.mouse.down()
        for place in places[1:]:
            tab.mouse.move(*place, steps=12)
        tab.mouse.up()
        tab.locator(".st-key-map_group_panel").wait_for()
        browser.close()
    return max(sent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("page", choices=("map", "errors"))
    parser.add_argument("count", type=int)
    given = parser.parse_args()
    serve(given.port, given.page, given.count)
