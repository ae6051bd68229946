"""The browser that the pictures of the documents are taken with: Chromium, as Debian installs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parent / "images"
PROGRAM = shutil.which("chromium")
# Without these, a browser in a closed network waits for hosts that it cannot reach.
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@contextmanager
def open_browser(program: str | None = PROGRAM) -> Iterator[Browser]:
    """Start a browser without a window, and the folder of the pictures; end it afterwards.

    Args:
        program: of the browser; None: playwright's own.
    """
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=QUIET)
        try:
            yield chromium
        finally:
            chromium.close()
