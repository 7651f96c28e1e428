"""The dashboard's colours: what carries text is readable on its ground, in light and in dark (WCAG 2.2 AA)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "src/umbel/web/static"
CSS = (FOLDER / "base.css").read_text()
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS)
}
GROUNDS = ("ground", "card", "sunken", "calm-ground")
#: Text, and the grounds that it stands on.
TEXTS = {
    "ink": (*GROUNDS, "leaf-ground"),
    "soft": (*GROUNDS,),
    "leaf": ("ground", "card", "leaf-ground", "calm-ground"),
    "on-leaf": ("leaf",),
    "good": ("good-ground", "card"),
    "busy": ("busy-ground", "card"),
    "warn": ("warn-ground", "card"),
    "bad": ("bad-ground", "card", "calm-ground"),
    "on-bad": ("bad",),
    "calm": ("calm-ground", "card"),
}
#: What is seen and not read: borders of fields and buttons, lines and areas of charts.
SHAPES = ("edge", "chart-1", "chart-2", "chart-3", "chart-4", "chart-5")


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_are_readable(theme: int) -> None:
    weak = [
        f"{text} on {ground}: {ratio:.2f}"
        for text, grounds in TEXTS.items()
        for ground in grounds
        if (ratio := contrast(TOKENS[text][theme], TOKENS[ground][theme])) < 4.5
    ]
    assert weak == []


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_shapes_are_seen(theme: int) -> None:
    weak = [
        f"{shape} on {ground}: {ratio:.2f}"
        for shape in SHAPES
        for ground in ("ground", "card")
        if (ratio := contrast(TOKENS[shape][theme], TOKENS[ground][theme])) < 3
    ]
    assert weak == []


def test_no_colour_stands_outside_of_the_tokens() -> None:
    """So that light and dark are changed in one place; shadows are of no colour."""
    rules = CSS[CSS.index("*, ::before") :]
    others = [path.read_text() for path in FOLDER.glob("*.css") if path.name != "base.css"]
    for text in (rules, *others):
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b|hsl\(|oklch\(|light-dark\(", text) == []
