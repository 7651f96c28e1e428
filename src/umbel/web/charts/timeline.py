"""The life of one job: when it waited and when it ran, an attempt a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element, percent
from umbel.web.charts.figure import HEAD, Figure, Tone, drawing
from umbel.web.charts.moments import moment_text
from umbel.web.charts.units import length_text

__all__ = ("Stretch", "timeline")

_ROW: Final = 18
_BAR: Final = 12
#: Of the whole, so that what took no time is seen.
_LEAST: Final = 0.004
_ROWS_MOST: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Something that went on from one moment to another, in unix seconds, in a row of the chart."""

    row: int
    name: str
    tone: Tone
    since: float
    until: float


def timeline(*, id: str, title: str, stretches: Sequence[Stretch]) -> Figure:
    """Return ``stretches`` over the time that they take together; rows above the fortieth are in the table alone."""
    first = min((one.since for one in stretches), default=0.0)
    whole = max((one.until for one in stretches), default=0.0) - first
    drawn = [one for one in stretches if one.row < _ROWS_MOST]
    height = _ROW * (max((one.row for one in drawn), default=0) + 1)
    parts = (*(_bar(one, first, whole) for one in drawn), *_ends(whole, height))
    said = ", then ".join(f"{one.name} {length_text(one.until - one.since)}" for one in stretches) or "Nothing yet."
    return Figure(
        id=id,
        title=title,
        drawing=drawing(id, title, said, *parts, height=height),
        legend=tuple(dict.fromkeys((one.tone, one.name) for one in stretches)),
        columns=("what", "from (UTC)", "for"),
        rows=tuple((one.name, moment_text(one.since, seconds=True), _length(one)) for one in stretches),
    )


def _bar(one: Stretch, first: float, whole: float) -> Markup:
    length = max(_LEAST, (one.until - one.since) / whole) if whole else 1.0
    place = min((one.since - first) / whole, 1 - length) if whole else 0.0
    return element(
        "rect",
        element("title", f"{one.name}: {_length(one)}"),
        class_=f"bar {one.tone}",
        x=percent(max(0.0, place)),
        width=percent(length),
        y=HEAD + _ROW * one.row + (_ROW - _BAR) / 2,
        height=_BAR,
    )


def _ends(whole: float, height: int) -> Iterator[Markup]:
    y = HEAD + height
    yield element("line", class_="ground", x1=0, x2="100%", y1=y, y2=y)
    yield element("text", "0", class_="scale", x=0, y=y + 15)
    yield element("text", length_text(whole), class_="scale", x="100%", y=y + 15, text_anchor="end")


def _length(one: Stretch) -> str:
    return length_text(one.until - one.since)
