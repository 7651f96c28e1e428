"""A chart with all that belongs to it: its drawing, what its colours mean, and the same as a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element

__all__ = ("HEAD", "Figure", "Tone", "drawing")

#: Of the room above and below what is drawn, in pixels, where texts stand.
HEAD: Final = 16
_FOOT: Final = 20


class Tone(StrEnum):
    """What a colour means; each has a stroke of its own as well."""

    GOOD = "good"
    BAD = "bad"
    WAIT = "wait"
    MORE = "more"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart. ``drawing`` tells its title and what there is to see to those who cannot see it."""

    #: Unlike any other one's of the page.
    id: str
    title: str
    drawing: Markup
    #: Of each colour, what it stands for.
    legend: tuple[tuple[Tone, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def drawing(id_: str, title: str, said: str, *parts: Markup, height: int) -> Markup:
    """Return the SVG of a chart as wide as its place; ``parts`` are drawn one over the other."""
    return element(
        "svg",
        element("title", title, id=f"{id_}-title"),
        element("desc", said, id=f"{id_}-desc"),
        *parts,
        class_="chart",
        role="img",
        aria_labelledby=f"{id_}-title",
        aria_describedby=f"{id_}-desc",
        width="100%",
        height=height + HEAD + _FOOT,
    )
