"""Bars: how values of a few things compare, and how lengths of time are spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element, percent
from umbel.web.charts.figure import HEAD, Figure, Tone, drawing
from umbel.web.charts.plot import baseline_label, grid, known
from umbel.web.charts.units import Unit, length_text

__all__ = ("Bar", "bars", "histogram", "share_bar")

_HEIGHT: Final = 140
#: Of the room of a bar, how much it fills.
_FILLED: Final = 0.8
_LABELS_MOST: Final = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One value; None where nothing is known."""

    name: str
    value: float | None


def bars(
    *,
    id: str,
    title: str,
    values: Sequence[Bar],
    unit: Unit = Unit.COUNT,
    tone: Tone = Tone.PLAIN,
    column: str = "",
    height: int = _HEIGHT,
) -> Figure:
    """Return upright bars, in the order of ``values``; ``column`` is what their names are."""
    lines = unit.lines(max((drawn for one in values if (drawn := known(one.value))), default=0.0) or 1.0)
    every = -(-len(values) // _LABELS_MOST) or 1
    labels = ((at, one.name) for at, one in enumerate(values) if at % every == 0)
    parts = (
        *grid(lines, unit, height),
        *_drawn(values, lines[-1], unit, tone, height),
        *(baseline_label((at + 0.5) / len(values), name, at // every, height) for at, name in labels),
    )
    said = ", ".join(f"{one.name}: {_text(one.value, unit)}" for one in values) or "Nothing."
    return Figure(
        id=id,
        title=title,
        drawing=drawing(id, title, said, *parts, height=height),
        legend=(),
        columns=(column, str(unit)),
        rows=tuple((one.name, _text(one.value, unit)) for one in values),
    )


def histogram(
    *, id: str, title: str, bounds: Sequence[float], counts: Sequence[int], tone: Tone = Tone.PLAIN
) -> Figure:
    """Return how lengths of time are spread: ``counts`` of those up to each of ``bounds``, in seconds.

    There may be one count more than bounds, of what is above them. Two buckets are one bar; empty ones at both ends are
    left out.
    """
    pairs = [
        (bounds[min(at + 1, len(bounds) - 1)], sum(counts[at : at + 2]), at + 1 >= len(bounds))
        for at in range(0, len(counts), 2)
    ]
    full = [at for at, (_, number, _) in enumerate(pairs) if number]
    shown = pairs[full[0] : full[-1] + 1] if full else []
    values = [Bar(f"{'>' if above else '≤'} {length_text(bound)}", number) for bound, number, above in shown]
    return bars(id=id, title=title, values=values, tone=tone, column="length")


def share_bar(share: float, tone: Tone = Tone.PLAIN) -> Markup:
    """Return a small level bar, of how much of a whole something is; the number stands beside it."""
    full = min(1.0, max(0.0, share)) if share == share else 0.0
    inner = element("rect", class_=f"bar {tone}", width=percent(full), height="100%")
    return element("svg", inner, class_="share", aria_hidden="true", width="100%", height=6)


def _drawn(values: Sequence[Bar], top: float, unit: Unit, tone: Tone, height: int) -> Iterator[Markup]:
    for at, one in enumerate(values):
        drawn = known(one.value) or 0.0
        # What is there is seen, however little it is.
        tall = max(1.0, height * drawn / top) if drawn else 0.0
        yield element(
            "rect",
            element("title", f"{one.name}: {_text(one.value, unit)}"),
            class_=f"bar {tone}",
            x=percent((at + (1 - _FILLED) / 2) / len(values)),
            width=percent(_FILLED / len(values)),
            y=HEAD + height - tall,
            height=tall,
        )


def _text(value: float | None, unit: Unit) -> str:
    drawn = known(value)
    if drawn is None:
        return "–"
    return f"{drawn:,.0f}" if unit is Unit.COUNT else unit.text(drawn)
