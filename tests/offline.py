"""One walk from a question to an export where nothing outside can be reached; run once for everybody who asks."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "sample_data" / "runs" / "studio-default" / "run.json"
WALK = """
import sys
from core.__main__ import main
class NoNetwork(Exception): pass
def look(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo") and not str(arguments[-1]).startswith("/"):
        raise NoNetwork(f"{event} {arguments[1:]}")
sys.addaudithook(look)
home, out = sys.argv[1:]
asked = ["--home", home, "--run", "studio-default"]
assert main(["recommend", *asked, "--text", "a blue mug", "--top", "3", "--json"]) == 0
assert main(["export", *asked, "--to", "recbole", "--out", out, "--json"]) == 0
"""


@dataclass(frozen=True, kw_only=True)
class Walk:
    status: int
    output: str
    errors: str
    files: tuple[str, ...]
    namespace: bool


@cache
def walk() -> Walk:
    """In a network namespace without a route where the system gives one; every attempt to connect is an error."""
    alone = ["unshare", "-rn"]
    namespace = subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", WALK, f"{place}/home", f"{place}/out"]
        done = subprocess.run(
            [*(alone if namespace else []), *command], cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        files = tuple(path.name for path in Path(place, "out").rglob("*"))
    return Walk(status=done.returncode, output=done.stdout, errors=done.stderr, files=files, namespace=namespace)
