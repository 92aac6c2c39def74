"""Security checks that need a running server (S9, S10, S13), and what arrives by socket: cases 904 to 906, 909, 910."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from bench.visitor import WORDS, Visitor
from pages.shared.served import HEADERS
from tests.app_server import ROOT, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server") / "home") as running:
        yield running


def in_own_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Browser tests that ran before may have left their event loop running in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


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


def test_909_a_file_of_60_mb_is_refused_by_the_server_itself(server):
    """By its announced length, so what follows need not be read; who sends on finds the connection closed."""
    told = []

    class Large(Visitor):
        def _put(self, url, name, data):
            edge = "a" * 32
            head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
            lines = (
                f"PUT {url if url.startswith('/') else '/' + url} HTTP/1.1", f"Host: 127.0.0.1:{self.port}",
                f"Content-Type: multipart/form-data; boundary={edge}", f"X-Xsrftoken: {self.token}",
                f"Cookie: {self._cookie()}", "Content-Length: 60000000", "", head,
            )  # fmt: skip
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
                line.sendall("\r\n".join(lines).encode())
                told.append(int(line.recv(4096).split()[1]))

    async def send():
        visitor = Large(port=server.port)
        assert not (await visitor.open()).failed
        await visitor.upload(BackMsg().rerun_script.widget_states.widgets.add(), (("big.jpg", b""),))
        await visitor.close()

    in_own_loop(send())
    assert told == [413] and server.get("/_stcore/health")[0] == 200


def test_905_a_choice_that_was_never_offered_is_not_taken_and_the_page_stands(server):
    """A client of its own names a run that is not there."""

    async def choose():
        visitor = Visitor(port=server.port)
        await visitor.open()
        message = BackMsg()
        told = message.rerun_script
        told.query_string, told.page_script_hash = visitor.query, visitor.page
        for label, value in ((WORDS, "a red mug"), ("Run", "no-such-run")):
            one = told.widget_states.widgets.add()
            one.id, one.string_value = visitor.widgets[label], value
        seen = await visitor._act(message, 120)
        later = await visitor.ask("a red mug")
        await visitor.close()
        return seen, later

    seen, later = in_own_loop(choose())
    assert not seen.failed and b"no-such-run" not in seen.content.replace(b"no-such-run is not", b"")
    assert not later.failed and b"products" in later.content


def test_906_a_tab_that_is_older_than_its_session_is_told_so_until_it_asks(server):
    """As after a restart: the tab names a session that this server never had. One that comes back to its own is not."""

    async def come_back():
        stale = Visitor(port=server.port, before="4f8e5a9c-gone-with-the-old-server")
        first = await stale.open()
        await stale.ask("a red mug")
        later = await stale.ask("a blue mug")
        fresh = Visitor(port=server.port)
        opened = await fresh.open()
        await stale.close()
        await fresh.close()
        again = Visitor(port=server.port, before=fresh.session)
        resumed = await again.open()
        await again.close()
        return first, later, opened, resumed, (fresh.session, again.session)

    first, later, opened, resumed, sessions = in_own_loop(come_back())
    assert not any(one.failed for one in (first, later, opened, resumed)) and sessions[0] == sessions[1]
    told = [b"this tab is older" in one.content for one in (first, later, opened, resumed)]
    assert told == [True, False, False, False] and b"N\\-SESSION\\-NEW" in first.content


def test_910_25_mb_of_text_by_socket_harm_nobody(server):
    async def flood():
        quiet, loud = Visitor(port=server.port), Visitor(port=server.port)
        await quiet.open()
        await loud.open()
        flooded = await loud.ask("a" * 25_000_000, patience=60)
        other = await quiet.ask("a red mug")
        await quiet.close()
        with contextlib.suppress(Exception):
            await loud.close()
        return flooded, other

    flooded, other = in_own_loop(flood())
    assert flooded.failed.startswith("ConnectionClosed") or b"N-TXT-CUT" in flooded.content
    assert not other.failed and b"products" in other.content


def test_904_a_query_string_of_600_kb_leaves_the_app_standing(server):
    with contextlib.suppress(OSError):  # the server may close such a connection
        server.get(f"/recommend?recommend_query={'a' * 600_000}")
    assert server.get("/_stcore/health")[0] == 200
