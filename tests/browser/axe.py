"""axe-core, which finds what keeps people from using a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.conftest import miss

__all__ = ("violations",)

#: Where scripts/install-axe puts it.
_PLACE = Path(__file__).resolve().parents[2] / ".venv/axe/node_modules/axe-core/axe.min.js"
_RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map((one) => ({
    rule: one.id,
    help: one.help,
    nodes: one.nodes.map((node) => node.html.slice(0, 200) + " | " + (node.any[0]?.message ?? "")),
  }));
}"""


@cache
def _source() -> str:
    return _PLACE.read_text(encoding="utf-8") if _PLACE.exists() else miss("axe-core")


def violations(page: Page) -> list[dict[str, Any]]:
    """Return what is wrong with a page as it is now, by all of axe's rules, those of WCAG AA among them."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN)
    return found
