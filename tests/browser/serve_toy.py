"""Serves the real app.py over the toy shop: `python -m tests.browser.serve_toy PORT`. For tests and for drawing pages.

The services' doors to the workspace and to the model are replaced in this process before Streamlit starts; every
page runs unchanged.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from pages.shared import map_colours, map_services, services
from tests.toy_map import toy_asked, toy_drawing
from tests.toys import ToyPipeline, ToyWorkspace, toy_stories

ROOT = Path(__file__).resolve().parents[2]


def serve(port: int) -> None:
    """Runs until it is ended."""
    from streamlit.web import bootstrap

    world, pipeline = ToyWorkspace(), ToyPipeline()
    opened = services.Engine(pipeline=pipeline, turn=threading.Semaphore(1))
    services.workspace = lambda: world
    services.engine = lambda run: opened
    services.stories = toy_stories
    drawn = toy_drawing()
    map_services.drawing = lambda run: drawn
    map_services.placed = lambda shown, run, query: toy_asked(shown)
    map_colours.error_ranks = lambda run: {}
    options = {
        "server_port": port,
        "server_headless": True,
        "server_allowedHosts": ["127.0.0.1", "localhost"],
    }
    bootstrap.load_config_options(options)
    bootstrap.run(str(ROOT / "app.py"), False, [], options)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
