"""S1 and S2: what a visitor waits for before the first page stands, and what `import core` costs."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import peers

ROOT = Path(__file__).resolve().parents[2]
EMPTY_APP = 'import streamlit as st\n\nst.title("Hello")\n'
HEAVY = ("libtorch", "sklearn", "llvmlite")  # shared libraries that tell of torch, scikit-learn and numba (UMAP)
QUIET = ("--server.headless=true", "--server.fileWatcherType=none", "--browser.gatherUsageStats=false")
PATIENCE = 60  # seconds


@dataclass
class Page:
    """Starts a server, opens its first page in a new browser tab, and ends both. Measured from before the start."""

    label: str
    script: Path
    browser: Any
    home: tempfile.TemporaryDirectory[str]

    def prepare(self, step: int) -> Any:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        return port, self.browser.new_context(viewport={"width": 1280, "height": 900})

    def run(self, given: Any) -> Any:
        """Ready when the script has finished, its first heading stands and every picture on the page is drawn."""
        port, context = given
        command = [sys.executable, "-m", "streamlit", "run", str(self.script), f"--server.port={port}", *QUIET]
        settings = dict(os.environ) | {"FUSESCOPE_HOME": self.home.name}
        server = subprocess.Popen(
            command, cwd=self.script.parent, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for_server(port, server)
            tab = context.new_page()
            tab.goto(f"http://127.0.0.1:{port}/", wait_until="domcontentloaded")
            tab.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']", timeout=PATIENCE * 1000)
            tab.wait_for_selector("[data-testid='stMain'] :is(h1, h2, h3)", timeout=PATIENCE * 1000)
            tab.wait_for_function("[...document.images].every(image => image.complete)", timeout=PATIENCE * 1000)
            text = tab.inner_text("[data-testid='stMain']")
            return {"heavy": loaded_libraries(server.pid), "words": len(text.split())}
        finally:
            context.close()
            server.terminate()
            server.wait(timeout=PATIENCE)

    def outcome(self, result: Any) -> Outcome:
        return {"heavy": np.asarray(result["heavy"], dtype=str), "words": np.asarray(result["words"])}


@cache
def chromium() -> Any:
    """The one browser of this process; it ends with it."""
    from playwright.sync_api import sync_playwright

    driver = sync_playwright().start()
    browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
    atexit.register(driver.stop)
    atexit.register(browser.close)
    return browser


def wait_for_server(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise RuntimeError(f"the server did not answer within {PATIENCE} s")


def loaded_libraries(pid: int) -> list[str]:
    """Which heavy libraries a process has mapped; empty where the system does not tell."""
    maps = Path(f"/proc/{pid}/maps")
    text = maps.read_text() if maps.is_file() else ""
    return [name for name in HEAVY if name in text]


@dataclass
class FirstPageCase:
    size: Size = field(default_factory=Size)
    id: str = "S1"
    title: str = "server start to first meaningful page, against an empty Streamlit app"
    kind: str = "cost"
    items: int = 1
    floor: float = 1.5
    target: float = 1.3
    threads_used: bool = False
    limit_ms: float | None = None

    def missing(self) -> str:
        if not (ROOT / "app.py").is_file():
            return "app.py is not there yet"
        if not shutil.which("chromium"):
            return "no chromium on this machine"
        return peers.lacking("playwright")

    def arm(self, name: str) -> Arm:
        browser, home = chromium(), tempfile.TemporaryDirectory()
        if name == "ours":
            return Page("app.py", ROOT / "app.py", browser, home)
        script = Path(home.name) / "empty_app.py"
        script.write_text(EMPTY_APP, encoding="utf-8")
        return Page("empty Streamlit app", script, browser, home)

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """The page says something and no heavy library was loaded for it."""
        heavy = ", ".join(str(name) for name in ours["heavy"])
        ok = not heavy and int(ours["words"]) > int(peer["words"])
        return Sameness(ok=ok, detail=f"loaded: {heavy or 'nothing heavy'}; {int(ours['words'])} words on the page")


@dataclass
class Interpreter:
    """Starts a Python that imports one thing and ends."""

    label: str
    statement: str

    def prepare(self, step: int) -> Any:
        return [sys.executable, "-c", self.statement + "; import sys; print(*sys.modules)"]

    def run(self, given: Any) -> Any:
        return subprocess.run(given, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    def outcome(self, result: Any) -> Outcome:
        return {"modules": np.asarray(sorted({name.split(".")[0] for name in result.split()}))}


@dataclass
class ImportCase:
    size: Size = field(default_factory=Size)
    id: str = "S2"
    title: str = "import core in a new Python, seconds more than import numpy"
    kind: str = "extra"
    items: int = 1
    floor: float = 0.5
    target: float = 0.1
    threads_used: bool = False
    limit_ms: float | None = None

    def missing(self) -> str:
        return ""

    def arm(self, name: str) -> Arm:
        if name == "ours":
            return Interpreter("import core, core.domain, core.errors", "import core, core.domain, core.errors")
        return Interpreter("import numpy", "import numpy")

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        heavy = {"torch", "streamlit", "transformers", "umap", "timm", "sklearn", "pandas"} & set(ours["modules"])
        return Sameness(ok=not heavy, detail=f"loaded: {', '.join(sorted(heavy)) or 'nothing heavy'}")
