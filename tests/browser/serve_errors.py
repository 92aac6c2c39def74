"""Serves the real app over a toy book of cases and a real database: `python -m tests.browser.serve_errors PORT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.config import home_folder
from core.files import write_atomic
from core.workspace import Workspace
from pages.shared import errors_services, services
from tests.test_errors_page import toy_book
from tests.toys import ToyWorkspace, toy_stories

ROOT = Path(__file__).resolve().parents[2]


class World(ToyWorkspace):
    """The toy shop; its runs have a record that a report can print."""

    def run_folder(self, run: str) -> Path:
        told = {"settings": {"rank": "multimodal"}, "digests": {"model.safetensors": "ab" * 32}, "metrics": {}}
        return write_atomic(self.home / run / "run.json", json.dumps(told).encode()).parent


def serve(port: int) -> None:
    """Runs until it is ended."""
    from streamlit.web import bootstrap

    book, home = toy_book(), home_folder()
    toy = World(shop=book.catalogue, home=home)
    toy.store, toy.has_database = Workspace.open(home).store, True  # type: ignore[attr-defined]
    services.workspace = lambda: toy
    services.stories = toy_stories
    errors_services.book = lambda wanted: book
    options = {"server_port": port, "server_headless": True, "server_allowedHosts": ["127.0.0.1", "localhost"]}
    bootstrap.load_config_options(options)
    bootstrap.run(str(ROOT / "app.py"), False, [], options)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
