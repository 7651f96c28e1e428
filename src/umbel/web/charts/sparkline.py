"""A curve of the height of a line of text, without scale: the number that it is about stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element
from umbel.web.charts.figure import Tone
from umbel.web.charts.plot import FULL, curve, known

__all__ = ("sparkline",)

_WIDTH: Final = 96
_HEIGHT: Final = 22


def sparkline(values: Sequence[float | None], said: str, *, tone: Tone = Tone.PLAIN) -> Markup:
    """Return the curve of ``values``; ``said`` is what it tells, for those who cannot see it."""
    top = max((drawn for value in values if (drawn := known(value))), default=0.0) or 1.0
    return element(
        "svg",
        *curve(values, top, tone, filled=True),
        class_="spark",
        role="img",
        aria_label=said,
        width=_WIDTH,
        height=_HEIGHT,
        # A little more than the curve, so that its highest and lowest strokes are whole.
        viewBox=f"0 -60 {2 * max(1, len(values))} {FULL + 120}",
        preserveAspectRatio="none",
    )
