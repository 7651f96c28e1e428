"""Curves over time, with the moments at which something began, such as a release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from umbel.web.charts.elements import element, percent
from umbel.web.charts.figure import HEAD, Figure, Tone, drawing
from umbel.web.charts.moments import Moments, clock_text, moment_text
from umbel.web.charts.plot import baseline_label, curve, curves, grid, known
from umbel.web.charts.units import Unit

__all__ = ("Mark", "Series", "over_time")

_HEIGHT: Final = 160
#: Marks closer together than this part of the whole have no room for their names.
_NAMES_APART: Final = 0.12
#: The labels of lines take this part of a narrow chart, and so many pixels of any.
_BESIDE_SCALE: Final = 0.1
_SCALE: Final = 38


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One value for each moment; None, or what is no number, where nothing is known."""

    name: str
    tone: Tone
    values: Sequence[float | None]
    #: Whether what is below the curve is coloured.
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that began at a moment, in unix seconds."""

    at: float
    name: str


def over_time(
    *,
    id: str,
    title: str,
    moments: Moments,
    series: Sequence[Series],
    unit: Unit = Unit.COUNT,
    marks: Sequence[Mark] = (),
    height: int = _HEIGHT,
) -> Figure:
    """Return a chart of ``series``, each as long as ``moments`` are many."""
    lines = unit.lines(max((value for one in series for value in _known(one)), default=0.0) or 1.0)
    shown = [mark for mark in marks if moments.first <= mark.at < moments.end]
    labels = enumerate(moments.labels())
    paths = [path for one in series for path in curve(one.values, lines[-1], one.tone, filled=one.filled)]
    parts = (
        *grid(lines, unit, height),
        *(baseline_label(place, text, number, height) for number, (place, text) in labels),
        curves(paths, moments.number, height),
        *_marked(shown, moments, height),
        *_looked_at(series, moments, unit, height),
    )
    return Figure(
        id=id,
        title=title,
        drawing=drawing(id, title, _said(series, moments, unit, shown), *parts, height=height),
        legend=tuple((one.tone, one.name) for one in series),
        columns=("from (UTC)", *(one.name for one in series), *(("began",) if shown else ())),
        rows=tuple(_rows(series, moments, unit, shown)),
    )


def _known(series: Series) -> Iterator[float]:
    for value in map(known, series.values):
        if value is not None:
            yield value


def _marked(marks: Sequence[Mark], moments: Moments, height: int) -> Iterator[Markup]:
    last = -1.0
    for mark in marks:
        place = moments.place(mark.at)
        x = percent(place)
        yield element("line", class_="mark", x1=x, x2=x, y1=HEAD, y2=HEAD + height)
        if place - last >= _NAMES_APART:
            name = mark.name if len(mark.name) <= 12 else f"{mark.name[:11]}…"
            anchor = "end" if place > 0.85 else "start"
            # The topmost line has its label there.
            aside = _SCALE if place < _BESIDE_SCALE else None
            yield element("text", name, class_="mark", x=x, dx=aside, y=HEAD - 5, text_anchor=anchor)
            last = place


def _looked_at(series: Sequence[Series], moments: Moments, unit: Unit, height: int) -> Iterator[Markup]:
    """Yield what tells, under a pointer, the values of its moment."""
    for at in range(moments.number):
        values = ", ".join(f"{one.name} {_text(one.values[at], unit)}" for one in series)
        told = element("title", f"{moments.text(at)}: {values}")
        x, width = percent(at / moments.number), percent(1 / moments.number)
        yield element("rect", told, class_="touch", x=x, width=width, y=HEAD, height=height)


def _text(value: float | None, unit: Unit) -> str:
    drawn = known(value)
    return "–" if drawn is None else unit.text(drawn)


def _said(series: Sequence[Series], moments: Moments, unit: Unit, marks: Sequence[Mark]) -> str:
    """Return what there is to see, in sentences."""
    words = [f"From {moment_text(moments.first)} to {moment_text(moments.end)} UTC."]
    for one in series:
        values = list(_known(one))
        if not values:
            words.append(f"{one.name}: nothing.")
            continue
        high = max(values)
        at = moments.text([known(value) for value in one.values].index(high))
        together = f"{unit.text(sum(values))} together, " if unit is Unit.COUNT else ""
        words.append(f"{one.name}: {together}{unit.text(high)} at most, at {at}.")
    words.extend(f"{mark.name} began at {clock_text(mark.at)}." for mark in marks)
    return " ".join(words)


def _rows(series: Sequence[Series], moments: Moments, unit: Unit, marks: Sequence[Mark]) -> Iterator[tuple[str, ...]]:
    """Yield the table, the newest first, without the moments at which there is nothing."""
    began: dict[int, list[str]] = {}
    for mark in marks:
        began.setdefault(int(mark.at - moments.first) // moments.step, []).append(mark.name)
    for at in reversed(range(moments.number)):
        values = [known(one.values[at]) for one in series]
        if any(values) or at in began:
            more = (", ".join(began.get(at, ())),) if marks else ()
            yield (moments.text(at), *(_exact(value, unit) for value in values), *more)


def _exact(value: float | None, unit: Unit) -> str:
    drawn = known(value)
    return f"{drawn:,.0f}" if drawn is not None and unit is Unit.COUNT else _text(value, unit)
