"""Somebody who looks at the dashboard in a browser, and at once notices what is wrong with a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Response

from tests.browser.axe import violations

__all__ = ("DESKTOP", "LOOKS", "PHONE", "Look", "Visitor")

#: Milliseconds, as the library wants them.
_PATIENCE = 60_000
#: A browser tells a page of what its policy forbade, and the console too.
_LISTEN = """
window.forbidden = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.forbidden.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
"""
#: Whatever stands out of the page's own width, but for what is in a place that scrolls.
_TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True, slots=True)
class Look:
    """Through what somebody looks."""

    name: str
    width: int
    height: int
    scheme: Any = "light"

    @property
    def is_phone(self) -> bool:
        return self.width < 500


DESKTOP = Look("desktop", 1280, 900)
PHONE = Look("phone", 360, 740)
LOOKS = tuple(
    Look(f"{base.name}-{scheme}", base.width, base.height, scheme)
    for base in (DESKTOP, PHONE)
    for scheme in ("light", "dark")
)


class Visitor:
    """One window on the dashboard at ``root``."""

    def __init__(self, browser: Browser, root: str, look: Look = DESKTOP, **options: Any) -> None:
        self.root = root
        self.look = look
        self.context = browser.new_context(
            viewport={"width": look.width, "height": look.height},
            color_scheme=look.scheme,
            has_touch=look.is_phone,
            reduced_motion="reduce",
            **options,
        )
        self.context.set_default_timeout(_PATIENCE)
        self.context.add_init_script(_LISTEN)
        self.page: Page = self.context.new_page()
        #: What went wrong, in words.
        self.troubles: list[str] = []
        #: Answers that are meant to be errors.
        self.expected: set[int] = set()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        self.page.on("response", self._answered)

    def _hear(self, message: ConsoleMessage) -> None:
        # Answers that are errors are judged where they come in.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.troubles.append(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.troubles.append(f"{response.status} {response.request.method} {response.url}")

    def go(self, path: str = "") -> Page:
        """Go to a page of the dashboard."""
        self.page.goto(f"{self.root}/{path}")
        return self.page

    def open(self, path: str = "") -> Page:
        """Go to a page of the dashboard, and look whether all is well with it."""
        self.go(path)
        self.check()
        return self.page

    def check(self) -> None:
        """Fail on errors, on what the policy forbade, on what axe finds, and on what is wider than the window."""
        where = f"{self.page.url} ({self.look.name})"
        self.troubles += [f"policy: {one}" for one in self.page.evaluate("() => window.forbidden")]
        assert not self.troubles, f"{where}: {self.troubles}"
        found = violations(self.page)
        assert not found, f"{where}: " + "\n".join(f"{one['rule']}: {one['help']} {one['nodes']}" for one in found)
        wide = self.page.evaluate(_TOO_WIDE)
        assert wide <= 0, f"{where}: {wide} pixels stand out of the window"

    def unfold(self) -> None:
        """Open everything that can be opened in place, but for questions, which lie over what is below them."""
        self.page.evaluate(
            "() => document.querySelectorAll('main details:not(.confirm)').forEach((one) => { one.open = true; })"
        )

    def close(self) -> None:
        """Close the window; fail on what went wrong since the last look."""
        self.context.close()
        assert not self.troubles, self.troubles
