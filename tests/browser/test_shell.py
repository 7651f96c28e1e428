"""Coming in, looking around, going out: the frame of the dashboard as a person uses it (C44)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitor import DESKTOP, LOOKS, Look, Visitor
from tests.integration.web.stub_app import serving
from umbel import Settings, Umbel
from umbel.monitor.actors import Actor, Role

pytestmark = pytest.mark.slow
TOKEN = "correct-horse-battery-staple"
# Milliseconds: a page follows within a second or two, on a machine that has the time.
expect.set_options(timeout=60_000)
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Umbel]:
    """An application without a worker; somebody has done something before."""
    folder: Path = tmp_path_factory.mktemp("shell")
    app = Umbel("shop", settings=Settings(data_dir=folder, web_token=TOKEN, web_viewer_token="only-looking-around"))
    bob = Actor("bob@example.org", Role.VIEWER, "openid")
    app.history.audit.write(bob, "queue.pause", "mail", {"why": "SMTP"}, "bob may look and not act.")
    for number in range(60):
        app.history.audit.write(Actor("robot", Role.OPERATOR, "token"), "job.cancel", f"id-{number}")
    yield app
    app.close_databases()
    app.engine.close()


@pytest.fixture(scope="module")
def root(shop: Umbel) -> Iterator[str]:
    with serving(shop.web()) as address:
        yield address


@pytest.fixture
def come(browser: Browser, root: str) -> Iterator[Visit]:
    """Open windows on it; what went wrong in one fails the test."""
    visitors: list[Visitor] = []

    def open_window(look: Look = DESKTOP, **options: Any) -> Visitor:
        visitors.append(Visitor(browser, root, look, **options))
        return visitors[-1]

    yield open_window
    for visitor in visitors:
        visitor.close()


def sign_in(page: Page, token: str = TOKEN, name: str = "Ann") -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_c44_pages_are_fit_for_all_who_look(come: Visit, look: Look) -> None:
    """Light and dark, on a desk and on a phone: no violation, nothing forbidden, nothing outside of the window."""
    visitor = come(look)
    visitor.expected |= {403, 404, 422}
    page = visitor.open("audit?failed=1")
    expect(page.get_by_role("heading", name="Sign in to shop")).to_be_visible()
    sign_in(page, "no-token-of-this-one")
    expect(page.get_by_role("alert")).to_contain_text("not a token of this dashboard")
    visitor.check()
    sign_in(page)
    expect(page).to_have_url(f"{visitor.root}/audit?failed=1")
    expect(page.get_by_role("cell", name="bob may look and not act.")).to_be_visible()
    visitor.check()
    for path in ("audit", "audit?target=nothing", "nothing", "audit?since=yesterday"):
        visitor.open(path)


def test_c44_the_audit_log_is_filtered_by_hand(come: Visit) -> None:
    visitor = come()
    page = visitor.open("audit")
    sign_in(page)
    page.get_by_label("Who").fill("bob@example.org")
    page.get_by_label("Only what failed").check()
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#entries tbody tr")).to_have_count(1)
    expect(page.get_by_label("Who")).to_have_value("bob@example.org")
    page.get_by_role("link", name="All", exact=True).click()
    expect(page.locator("#entries tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    page.get_by_role("link", name="job.cancel").first.click()
    expect(page.get_by_label("Did what")).to_have_value("job.cancel")


def test_c44_by_keyboard_alone(come: Visit) -> None:
    """In, past the navigation, to a page, a theme, and out."""
    visitor = come()
    page = visitor.open()
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Kay")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Kay", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    to(page, page.get_by_role("button", name="Dark"), back=True)
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    to(page, page.get_by_role("link", name="Audit log"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()
    visitor.check()
    to(page, page.get_by_role("button", name="Sign out", exact=True))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in to shop")).to_be_visible()
    visitor.check()


def to(page: Page, target: Any, *, back: bool = False) -> None:
    """Go to something by Tab, and see where one is on the way."""
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        seen = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert seen != "none", page.evaluate("() => document.activeElement.outerHTML")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by Tab")


def test_c44_without_scripts(come: Visit) -> None:
    """Coming in, choosing, reading and going out need none."""
    page = come(java_script_enabled=False).page
    page.goto(come().root)
    sign_in(page)
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("link", name="Audit log").click()
    expect(page.locator("#entries tbody tr").first).to_contain_text("session.begin")
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", name="Sign in to shop")).to_be_visible()


def test_open_pages_follow_what_happens_unless_paused(come: Visit, shop: Umbel) -> None:
    page = come().open("audit")
    sign_in(page)
    first = page.locator("#entries tbody tr").first
    expect(first).to_contain_text("session.begin")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    robot = Actor("robot", Role.OPERATOR, "token")

    def happen(target: str) -> None:
        shop.history.audit.write(robot, "queue.pause", target)
        shop.send_task("shop.nothing")

    happen("while-live")
    expect(first).to_contain_text("while-live")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_text("Paused", exact=True)).to_be_visible()
    happen("while-paused")
    page.get_by_label("Text").fill("somebody is typing")
    page.get_by_role("button", name="Go on").click()
    expect(first).to_contain_text("while-paused")
    expect(page.get_by_label("Text")).to_have_value("somebody is typing")


def test_what_somebody_is_at_is_not_taken_away(come: Visit, shop: Umbel) -> None:
    """A region with a changed field or an open question waits; what was opened or scrolled stays as it is."""
    page = come().open("audit")
    sign_in(page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.locator("#entries").evaluate(
        # In one step: what comes in between would take it away.
        "one => { one.insertAdjacentHTML('afterbegin', '<input id=mine value=old><p id=stale>stale</p>');"
        " document.getElementById('mine').value = 'new' }"
    )
    page.locator("main").focus()
    with page.expect_response(lambda answer: answer.url.endswith("/audit")):
        shop.history.audit.write(Actor("robot", Role.OPERATOR, "token"), "queue.pause", "meanwhile")
        shop.send_task("shop.nothing")
    # The page was fetched, and the region is left alone all the same.
    expect(page.locator("#stale")).to_be_visible()
    page.locator("#mine").fill("old")
    page.locator("main").focus()
    shop.send_task("shop.nothing")
    expect(page.locator("#stale")).to_have_count(0)
    expect(page.locator("#entries tbody tr").first).to_contain_text("meanwhile")


def test_c44_a_page_of_somebody_else_is_not_filled_with_ours(come: Visit) -> None:
    """Two tabs: who signs in anew goes on in both; when it is somebody else, the old page stops."""
    visitor = come()
    first = visitor.open("audit")
    sign_in(first)
    expect(first.get_by_text("Live", exact=True)).to_be_visible()
    token = first.locator("meta[name=csrf-token]").get_attribute("content") or ""
    second = visitor.context.new_page()
    second.goto(f"{visitor.root}/signin")
    sign_in(second)
    first.bring_to_front()
    expect(first.locator("meta[name=csrf-token]")).not_to_have_attribute("content", token)
    first.get_by_role("button", name="Dark").click()
    expect(first.locator("html")).to_have_attribute("data-theme", "dark")
    second.goto(f"{visitor.root}/signin")
    sign_in(second, name="Bob")
    first.bring_to_front()
    expect(first.get_by_text("Somebody else is signed in now: load this page again")).to_be_visible()
    visitor.expected.add(403)
    first.get_by_role("button", name="Light").click()
    expect(first.get_by_role("alert")).to_contain_text("too old to act on")
