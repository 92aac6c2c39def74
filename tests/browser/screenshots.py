"""Makes the pictures of the README: `python -m tests.browser.screenshots`. Studio pictures only, real answers only.

Pages at desktop (1440 x 900) and phone width (390 x 844), light and dark, into assets/; a palette of 256 colours
keeps them small.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from core.files import write_atomic
from tests.browser.conftest import FLAGS, ROOT, free_port, serve

PAGES = {
    "home": ("/", "heading"),
    "recommend": ("/recommend?recommend_story=same-words&recommend_step=1", "text=/of [0-9,]+ products/"),
    "explain": ("/explain?recommend_story=same-words&recommend_step=1", "text=Residual"),
    "map": ("/map", "text=Trustworthiness"),
    "side-by-side": ("/recommend?recommend_story=contradiction&recommend_step=1", "text=/of [0-9,]+ products/"),
}
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


def take() -> list[Path]:
    """Starts the app over the bundled shop, takes every picture, ends the app; returns the files."""
    from playwright.sync_api import sync_playwright

    made = []
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as home:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        port = free_port()
        options = ["--server.headless=true", f"--server.port={port}"]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
        for address in serve(command, port, Path(home), browser):
            for page, (path, landmark) in PAGES.items():
                for size, (width, height) in SIZES.items():
                    for scheme in ("light", "dark"):
                        context = browser.new_context(
                            viewport={"width": width, "height": height},
                            color_scheme=scheme,
                            device_scale_factor=2 if size == "phone" else 1,
                        )
                        tab = context.new_page()
                        tab.goto(address + path)
                        found = tab.get_by_role("heading") if landmark == "heading" else tab.locator(landmark)
                        found.first.wait_for(timeout=180_000)
                        tab.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
                        tab.wait_for_load_state("networkidle")
                        tab.wait_for_timeout(1500)  # pictures and fonts settle
                        file = ROOT / "assets" / f"{page}-{size}-{scheme}.png"
                        write_atomic(file, _small(tab.screenshot()))
                        made.append(file)
                        context.close()
        browser.close()
    return made


def _small(png: bytes) -> bytes:
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    for file in take():
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size // 1000} kB")
