"""Debian's Chromium, without a screen and without a word to the world; and a shop with a dashboard to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import Site, opened
from tests.browser.visitor import DESKTOP, Look, Visitor
from tests.conftest import need_program

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: Milliseconds, as the library wants them.
_PATIENCE = 60_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all; each test has windows of its own."""
    program = need_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=list(_QUIET), timeout=_PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a new window."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(_PATIENCE)
    yield page
    page.close()


@pytest.fixture(scope="package")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A shop with its dashboard, and a worker that has recorded jobs in all states."""
    with opened(tmp_path_factory.mktemp("shop")) as site:
        site.start_web()
        site.start_worker()
        site.fill()
        yield site


@pytest.fixture
def visit(browser: Browser, dashboard: Site) -> Iterator[Callable[..., Visitor]]:
    """Open windows on the dashboard; what went wrong in one fails the test."""
    visitors: list[Visitor] = []

    def open_window(look: Look = DESKTOP, **options: Any) -> Visitor:
        visitors.append(Visitor(browser, dashboard.root, look, **options))
        return visitors[-1]

    yield open_window
    for visitor in visitors:
        visitor.close()
