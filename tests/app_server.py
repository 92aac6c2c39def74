"""The app as a person starts it, on a free port of this machine, with a workspace of its own; ended afterwards."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120  # seconds


@dataclass(frozen=True, kw_only=True)
class AppServer:
    port: int
    home: Path
    log: Path
    process: subprocess.Popen

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str = "/") -> tuple[int, dict[str, str], bytes]:
        """Status, headers in small letters, body."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
                return answer.status, {n.lower(): v for n, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {n.lower(): v for n, v in error.headers.items()}, error.read()

    def listening(self) -> set[str]:
        """Addresses, as the kernel writes them in hex, on which this port is open."""
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
                local, state = line.split()[1], line.split()[3]
                address, _, port = local.partition(":")
                if state == "0A" and int(port, 16) == self.port:
                    found.add(address)
        return found


def serving(home: Path, script: Path = ROOT / "app.py", *options: str, **environment: str):
    """Streamlit's own command over a script."""
    words = ("streamlit", "run", str(script), "--server.port={port}", "--server.headless=true", *options)
    return running(home, *words, **environment)


@contextmanager
def running(home: Path, *words: str, patience: float = PATIENCE, **environment: str) -> Iterator[AppServer]:
    """A server as `python -m WORDS` starts it; "{port}" in a word is a free one. patience: seconds until it stands."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    command = [sys.executable, "-m", *(word.replace("{port}", str(port)) for word in words)]
    known = os.environ.get("PYTHONPATH", "")
    settings = {**os.environ, "FUSESCOPE_HOME": str(home), "PYTHONPATH": f"{ROOT}{os.pathsep}{known}", **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=output, stderr=output)
    server = AppServer(port=port, home=home, log=log, process=process)
    try:
        end = time.monotonic() + patience
        while True:
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            try:
                if server.get("/_stcore/health")[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
