"""Signing in at an OIDC provider, there and back: who may write, who may look, who stays outside."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

import pytest

from tests.browser.conftest import ROOT, free_port, serve

pytest.importorskip("authlib", reason="requirements-signin.txt is not installed")
pytestmark = pytest.mark.browser

SECRETS = """
[auth]
redirect_uri = "http://127.0.0.1:{app}/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "fusescope"
client_secret = "a secret of both"
server_metadata_url = "http://127.0.0.1:{provider}/.well-known/openid-configuration"
[roles]
annotators = ["ann@shop.example"]
viewers = "*@shop.example"
"""


@pytest.fixture
def places(tmp_path, chromium):
    """Addresses of the app, which asks people to sign in, and of their provider."""
    app, provider = free_port(), free_port()
    settings = tmp_path / "secrets.toml"
    settings.write_text(SECRETS.format(app=app, provider=provider), "utf-8")
    door = subprocess.Popen([sys.executable, "-m", "tests.browser.sign_in_provider", str(provider)], cwd=ROOT)
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={app}",
               f"--secrets.files={settings}"]  # fmt: skip
    try:
        for address in serve(command, app, tmp_path, chromium):
            yield address, f"http://127.0.0.1:{provider}"
    finally:
        door.terminate()
        door.wait()


def test_an_annotator_a_viewer_and_a_stranger_sign_in_and_out(places, chromium):
    app, provider = places
    for mail, told in (
        ("ann@shop.example", "annotator"), ("bob@shop.example", "viewer"), ("eve@else.example", "is on no list"),
    ):  # fmt: skip
        urllib.request.urlopen(f"{provider}/who?mail={mail}").read()
        context = chromium.new_context()
        page = context.new_page()
        page.goto(app)
        page.get_by_role("button", name="Sign in").click(timeout=60_000)
        page.get_by_text(told).first.wait_for(timeout=60_000)
        assert mail in page.inner_text("body")
        assert page.get_by_text("Guided stories").is_visible() == (told != "is on no list")
        page.get_by_role("button", name="Sign out").first.click()
        page.get_by_role("button", name="Sign in").wait_for(timeout=60_000)
        context.close()
