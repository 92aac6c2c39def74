"""A real server on a free port of 127.0.0.1 and a real Chromium, both started and ended here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _open_once(browser, address: str) -> None:
    """The first visit after a start must be the first page: a deep link would bring a one-off "Page not found"."""
    first = browser.new_page()
    first.goto(address)
    first.get_by_role("heading").first.wait_for(timeout=60_000)
    first.close()


def serve(command: list[str], port: int, home: Path, browser) -> Iterator[str]:
    """Starts a server, waits until it is healthy, yields its address, ends it."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"FUSESCOPE_HOME": str(home), "PYTHONPATH": path}
    log = home / "server.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            if server.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as reply:
                    if reply.status == 200:
                        break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"the server did not become healthy: {log.read_text(errors='replace')[-2000:]}")
        if server.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text(errors='replace')[-2000:]}")
        _open_once(browser, address)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


@pytest.fixture(scope="session")
def toy_address(tmp_path_factory, chromium) -> Iterator[str]:
    """The real pages over the toy shop."""
    port = free_port()
    command = [sys.executable, "-m", "tests.browser.serve_toy", str(port)]
    yield from serve(command, port, tmp_path_factory.mktemp("toy"), chromium)


@pytest.fixture(scope="session")
def address(tmp_path_factory, chromium) -> Iterator[str]:
    """The app as a person starts it, over the bundled shop and its trained run."""
    if not (ROOT / "sample_data" / "runs" / "studio-default" / "run.json").is_file():
        pytest.skip("the bundled run is not there")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    yield from serve(command, port, tmp_path_factory.mktemp("app"), chromium)


@pytest.fixture(scope="session")
def chromium():
    """One browser for all journeys; skipped where none is installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    """A fresh visitor at desktop width, who fails the test when a dialog opens or another host is asked."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    opened.surprises = []
    opened.on("dialog", lambda dialog: (opened.surprises.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda request: opened.surprises.append(request.url) if _is_outside(request.url) else None)
    yield opened
    context.close()
    assert not opened.surprises


def _is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))
