"""Debian's Chromium, without a screen and without a word to the world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import need_program

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: Milliseconds, as the library wants them.
_PATIENCE = 60_000


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page of a new browser."""
    program = need_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=list(_QUIET), timeout=_PATIENCE
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(_PATIENCE)
        yield page
        browser.close()
