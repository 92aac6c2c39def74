"""S3: a rerun of the page of a shop with 100,000 products, beside an empty app, through a client without a browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.case import Arm, Outcome, Sameness, Size
from bench.cases import peers
from bench.cases.start import EMPTY_APP, QUIET, ROOT, wait_for_server

PRODUCTS, FEW = 100_000, 200  # in the shop; few in a smoke run
THINK = 0.4  # seconds between reruns; back to back they show a delayed acknowledgement, not the server
PATIENCE = 120.0


class Session:
    """One visitor: speaks the messages of the app's own front end over its WebSocket."""

    def __init__(self, port: int, page: str) -> None:
        from websockets.sync.client import connect

        self.page = page
        self.socket = connect(f"ws://127.0.0.1:{port}/_stcore/stream", max_size=None, subprotocols=["streamlit"])  # type: ignore[list-item]

    def rerun(self) -> dict[str, int]:
        """Runs the page once; bytes and elements that came, and exceptions among them."""
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        asked: Any = BackMsg()
        asked.rerun_script.page_name = self.page
        self.socket.send(asked.SerializeToString())
        told = {"bytes": 0, "elements": 0, "exceptions": 0}
        while True:
            raw = self.socket.recv(timeout=PATIENCE)
            message: Any = ForwardMsg.FromString(raw if isinstance(raw, bytes) else raw.encode())
            told["bytes"] += len(raw)
            told["elements"] += message.HasField("delta")
            told["exceptions"] += b"exception" in raw and message.delta.new_element.HasField("exception")
            if message.HasField("script_finished"):
                return told


@dataclass
class Reruns:
    """A server that stays, and a session in it."""

    label: str
    script: Path
    home: str
    page: str
    session: Session | None = None
    server: subprocess.Popen[bytes] | None = None
    place: tempfile.TemporaryDirectory[str] | None = None  # of `home`, gone with it

    def prepare(self, step: int) -> Any:
        if self.session is None:
            with socket.socket() as held:
                held.bind(("127.0.0.1", 0))
                port = held.getsockname()[1]
            command = [sys.executable, "-m", "streamlit", "run", str(self.script), f"--server.port={port}", *QUIET]
            settings = dict(os.environ) | ({"FUSESCOPE_HOME": self.home} if self.home else {})
            quiet = subprocess.DEVNULL
            self.server = subprocess.Popen(command, cwd=self.script.parent, env=settings, stdout=quiet, stderr=quiet)
            wait_for_server(port, self.server)
            self.session = Session(port, self.page)
            self.session.rerun()
        time.sleep(THINK)
        return self.session

    def run(self, given: Any) -> Any:
        return given.rerun()

    def outcome(self, result: Any) -> Outcome:
        return {name: np.asarray(value) for name, value in result.items()}

    def __del__(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()


@dataclass
class RerunCase:
    size: Size = field(default_factory=Size)
    id: str = "S3"
    title: str = "rerun of the page of a shop with 100,000 products"
    kind: str = "cost"
    items: int = 1
    floor: float = 15.0
    target: float = 4.0
    threads_used: bool = False
    limit_ms: float | None = None

    def missing(self) -> str:
        return peers.lacking("websockets")

    def arm(self, name: str) -> Arm:
        if name == "ours":
            from bench.growth import measure_import

            place = tempfile.TemporaryDirectory()  # generated rows and vectors, imported as a person's would be
            measure_import(FEW if self.size.smoke else PRODUCTS, Path(place.name))
            home = str(Path(place.name) / "home")
            return Reruns("the data page", ROOT / "app.py", home, "data", place=place)
        script = Path(tempfile.mkdtemp()) / "empty_app.py"
        script.write_text(EMPTY_APP, encoding="utf-8")
        return Reruns("empty Streamlit app", script, "", "")

    def same(self, ours: Outcome, peer: Outcome) -> Sameness:
        """The page says something, no error among it, and sends no more than a page may."""
        sent, failed = int(ours["bytes"]), int(ours["exceptions"])
        ok = not failed and int(ours["elements"]) > int(peer["elements"]) and sent <= 600_000
        return Sameness(ok=ok, detail=f"{int(ours['elements'])} elements, {sent / 1000:.0f} kB, {failed} exceptions")
