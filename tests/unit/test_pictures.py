"""The pictures of the dashboard in the documentation: each page of its navigation in four looks, and not too large."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from umbel.web.navigation import PAGES, Page

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "assets" / "dashboard"
MOST = 2 * 2**20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_is_there_light_and_dark_on_a_desktop_and_on_a_phone(page: Page) -> None:
    name = page.path.strip("/") or "overview"
    widths = {}
    for size in ("desktop", "phone"):
        for theme in ("light", "dark"):
            data = (FOLDER / f"{name}-{size}-{theme}.png").read_bytes()
            assert data.startswith(b"\x89PNG")
            widths[size, theme] = struct.unpack(">I", data[16:20])[0]
    assert widths["phone", "light"] == widths["phone", "dark"] < 500 < widths["desktop", "light"]


def test_together_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST
