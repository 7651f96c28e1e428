"""The ground of a chart: lines across it with what they stand for, and the curves on it.

Everything is placed by parts of the whole, so that a chart is as wide as its place and its texts keep their size: the
curves are drawn in a box of their own, which is stretched, with strokes that are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element, percent
from umbel.web.charts.figure import HEAD, Tone
from umbel.web.charts.units import Unit

__all__ = ("FULL", "baseline_label", "curve", "curves", "grid", "known")

#: The height of the box of the curves; its width is two for each point.
FULL: Final = 1000
#: Between a line and the label on it.
_ABOVE: Final = 3


def known(value: float | None) -> float | None:
    """Return a value that can be drawn; None for a gap."""
    return value if value is not None and math.isfinite(value) else None


def grid(lines: Sequence[float], unit: Unit, height: int) -> Iterator[Markup]:
    """Yield a line with its label for each of ``lines``, the last one on top."""
    for value in lines:
        y = HEAD + height * (1 - value / lines[-1])
        yield element("line", class_="grid" if value else "ground", x1=0, x2="100%", y1=y, y2=y)
        if value:
            yield element("text", unit.text(value), class_="scale", x=0, y=y - _ABOVE)


def baseline_label(place: float, text: str, number: int, height: int) -> Markup:
    """Return a label below the ground; every second one gives way where there is little room."""
    anchor = "start" if place < 0.04 else "end" if place > 0.96 else "middle"
    class_ = "scale minor" if number % 2 else "scale"
    return element("text", text, class_=class_, x=percent(place), y=HEAD + height + 15, text_anchor=anchor)


def curves(parts: Sequence[Markup], points: int, height: int) -> Markup:
    """Return the box in which ``parts`` are drawn."""
    return element(
        "svg",
        *parts,
        y=HEAD,
        width="100%",
        height=height,
        viewBox=f"0 0 {2 * max(1, points)} {FULL}",
        preserveAspectRatio="none",
    )


def curve(values: Sequence[float | None], top: float, tone: Tone, *, filled: bool) -> Iterator[Markup]:
    """Yield the paths of a curve, which ends before each gap and begins anew behind it."""
    pieces = list(_pieces(values, top))
    if filled:
        ground = "".join(f"M{piece[0][0]} {FULL}L{_through(piece)} {piece[-1][0]} {FULL}Z" for piece in pieces)
        yield element("path", class_=f"area {tone}", d=ground or None)
    line = "".join(f"M{_through(piece)}" for piece in pieces if len(piece) > 1)
    yield element("path", class_=f"line {tone}", d=line or None, vector_effect="non-scaling-stroke")
    # A point alone is a line without a length, whose round ends show.
    dots = "".join(f"M{_through(piece)}h0" for piece in pieces if len(piece) == 1)
    yield element("path", class_=f"dot {tone}", d=dots or None, vector_effect="non-scaling-stroke")


def _pieces(values: Sequence[float | None], top: float) -> Iterator[list[tuple[int, int]]]:
    drawn = [known(value) for value in values]
    for is_gap, group in groupby(enumerate(drawn), key=lambda pair: pair[1] is None):
        if not is_gap:
            yield [(2 * at + 1, round(FULL * (1 - (value or 0.0) / top))) for at, value in group]


def _through(points: Sequence[tuple[int, int]]) -> str:
    return " ".join(f"{x} {y}" for x, y in points)
