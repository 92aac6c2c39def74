"""Security checks that need a running server: S9, S10, S13, and what arrives by socket or is too large (904, 909)."""

import contextlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from pages.shared.served import HEADERS
from tests.app_server import ROOT, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server") / "home") as running:
        yield running


def test_s09_the_server_listens_on_this_machine_only(server):
    assert server.listening() == {"0100007F"}  # 127.0.0.1, byte by byte from the right


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_s09_a_start_for_strangers_is_refused_in_words(address):
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", "--server.port=18733",
               f"--server.address={address}"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "FUSESCOPE_NETWORK=1" in done.stderr


@pytest.mark.parametrize("path", ["/", "/recommend", "/_stcore/health", "/nothing-here"])
def test_s10_every_answer_carries_the_headers(server, path):
    _, headers, _ = server.get(path)
    assert {name: headers.get(name) for name in HEADERS} == dict(HEADERS)


def test_s13_no_agent_and_no_static_files_are_served(server):
    request = urllib.request.Request(f"{server.url}/_stcore/agent/interact", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code in (403, 404, 405, 501)
    for path in ("/app/static/app.py", "/app/static/../app.py", "/app/static/%2e%2e/app.py"):
        assert b"set_page_config" not in server.get(path)[2]


def test_904_a_query_string_of_600_kb_leaves_the_app_standing(server):
    with contextlib.suppress(OSError):  # the server may close such a connection
        server.get(f"/recommend?recommend_query={'a' * 600_000}")
    assert server.get("/_stcore/health")[0] == 200
