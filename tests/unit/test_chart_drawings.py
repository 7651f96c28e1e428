"""Charts: what is drawn is within its box, whatever the numbers are, and can be read without being seen."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.monitor.histograms import BOUNDS, Histogram
from umbel.web.charts.bars import Bar, bars, histogram, share_bar
from umbel.web.charts.elements import element
from umbel.web.charts.figure import Figure, Tone
from umbel.web.charts.moments import Moments
from umbel.web.charts.over_time import Mark, Series, over_time
from umbel.web.charts.sparkline import sparkline
from umbel.web.charts.timeline import Stretch, timeline
from umbel.web.charts.units import Unit, count_text, length_text

HOUR = Moments(1_769_860_800, 60, 60)
ANY_NUMBER = st.one_of(st.none(), st.floats(0, 1e300), st.sampled_from([0.0, 1e-12, math.nan, math.inf]))


def parsed(markup: str) -> ET.Element:
    """The drawing as XML, which it is: no name was taken for markup."""
    return ET.fromstring(markup)  # noqa: S314


def paths(markup: str, kind: str) -> list[str]:
    return [one.get("d", "") for one in parsed(markup).iter("path") if (one.get("class") or "").startswith(kind)]


def check(figure: Figure) -> None:
    """What holds for each chart: named, described, without a style of its own, and as a table too."""
    drawn = parsed(figure.drawing)
    title, described = drawn[0], drawn[1]
    assert (drawn.get("role"), title.tag, described.tag) == ("img", "title", "desc")
    assert (drawn.get("aria-labelledby"), drawn.get("aria-describedby")) == (title.get("id"), described.get("id"))
    assert title.text == figure.title
    assert described.text
    assert "style=" not in figure.drawing
    assert "nan" not in figure.drawing
    assert "inf" not in figure.drawing
    assert all(len(row) == len(figure.columns) for row in figure.rows)


@given(st.lists(ANY_NUMBER, max_size=70), st.sampled_from(Unit))
def test_curves_stay_in_their_box(values: list[float | None], unit: Unit) -> None:
    moments = Moments(1_769_860_800, 60, len(values))
    series = Series(name="ran", tone=Tone.GOOD, values=values, filled=True)
    figure = over_time(id="c", title="Ran", moments=moments, series=[series], unit=unit)
    check(figure)
    for path in [*paths(figure.drawing, "line"), *paths(figure.drawing, "dot")]:
        numbers = [int(one) for one in re.findall(r"\d+", path.replace("h0", ""))]
        assert all(0 <= x <= 2 * len(values) for x in numbers[::2])
        assert all(0 <= y <= 1000 for y in numbers[1::2])


def test_a_gap_ends_a_curve_and_a_point_alone_is_a_dot() -> None:
    series = Series(name="waited", tone=Tone.WAIT, values=[1.0, 2.0, None, 4.0, math.nan], filled=True)
    figure = over_time(id="c", title="Waited", moments=Moments(0, 60, 5), series=[series], unit=Unit.SECONDS)
    assert paths(figure.drawing, "line") == ["M1 750 3 500"]
    assert paths(figure.drawing, "dot") == ["M7 0h0"]
    assert paths(figure.drawing, "area") == ["M1 1000L1 750 3 500 3 1000ZM7 1000L7 0 7 1000Z"]
    assert [row[1] for row in figure.rows] == ["4 s", "2 s", "1 s"]


def test_an_empty_series_and_no_moments_are_drawn_as_nothing() -> None:
    empty = over_time(id="c", title="Jobs", moments=HOUR, series=[Series(name="a", tone=Tone.BAD, values=[None] * 60)])
    nothing = over_time(id="c", title="Jobs", moments=Moments(0, 60, 0), series=[])
    for figure in (empty, nothing, bars(id="c", title="Jobs", values=[]), timeline(id="c", title="Life", stretches=[])):
        check(figure)
        assert figure.rows == ()
        assert not any(paths(figure.drawing, "line") + paths(figure.drawing, "dot"))
    assert "a: nothing." in str(empty.drawing)


def test_names_are_text_and_never_markup() -> None:
    name = "<script>alert(1)</script> & \"'"
    series = Series(name=name, tone=Tone.GOOD, values=[1.0] * 60)
    figure = over_time(id="c", title=name, moments=HOUR, series=[series], marks=[Mark(HOUR.first + 60, name)])
    check(figure)
    assert "<script" not in figure.drawing
    assert "<script" not in sparkline([1.0], name)
    assert "<script" not in str(element("text", name, aria_label=name))


def test_marks_stand_where_they_began_and_are_in_the_table() -> None:
    marks = [Mark(HOUR.first - 1, "before"), Mark(HOUR.first + 1800, "v2"), Mark(HOUR.first + 1830, "v3")]
    series = Series(name="a", tone=Tone.GOOD, values=[0.0] * 60)
    figure = over_time(id="c", title="Jobs", moments=HOUR, series=[series], marks=marks)
    check(figure)
    lines = [one.get("x1") for one in parsed(figure.drawing).iter("line") if one.get("class") == "mark"]
    assert lines == ["50%", "50.83%"]
    # Two that are close have room for one name.
    assert [one.text for one in parsed(figure.drawing).iter("text") if one.get("class") == "mark"] == ["v2"]
    assert figure.rows == (("2026-01-31 12:30", "0", "v2, v3"),)


@given(st.floats(0, 1e300, exclude_min=True), st.sampled_from(Unit))
def test_lines_are_few_and_above_what_is_drawn(highest: float, unit: Unit) -> None:
    lines = unit.lines(highest)
    assert 2 <= len(lines) <= 6
    assert lines[0] == 0
    assert lines[-1] >= highest * (1 - 1e-9)
    assert list(lines) == sorted(lines)


@pytest.mark.parametrize(
    ("unit", "highest", "lines"),
    [
        (Unit.COUNT, 1, (0, 1)),
        (Unit.COUNT, 3, (0, 1, 2, 3)),
        (Unit.COUNT, 97, (0, 50, 100)),
        (Unit.SECONDS, 0.034, (0, 0.01, 0.02, 0.03, 0.04)),
        (Unit.SECONDS, 100, (0, 30, 60, 90, 120)),
        (Unit.SECONDS, 5 * 86_400, (0, 172_800, 345_600, 518_400)),
    ],
)
def test_lines_are_at_round_numbers(unit: Unit, highest: float, lines: tuple[float, ...]) -> None:
    assert unit.lines(highest) == pytest.approx(lines)


def test_numbers_are_short() -> None:
    counts = (0, 7, 999, 1000, 1250, 35_000_000, 1e12, 1e30)
    assert [count_text(one) for one in counts] == ["0", "7", "999", "1k", "1.2k", "35M", "1T", "1e+30"]
    lengths = (0.0, 0.0032, 0.34, 1.0, 12.0, 90.0, 5400.0, 200_000.0)
    said = ["0", "3.2 ms", "340 ms", "1 s", "12 s", "1.5 min", "1.5 h", "2.3 d"]
    assert [length_text(one) for one in lengths] == said


@pytest.mark.parametrize("step", [60, 3600, 86_400])
@pytest.mark.parametrize("number", [1, 7, 60, 400])
def test_labels_of_time_are_few_and_round(step: int, number: int) -> None:
    labels = list(Moments(1_769_860_800 + 120, step, number).labels())
    assert len(labels) <= 7
    assert all(0 <= place <= 1 for place, _ in labels)


def test_a_histogram_leaves_out_what_is_empty_at_both_ends() -> None:
    counted = Histogram()
    for seconds in (0.011, 0.012, 0.3, 10**9):
        counted.count(seconds)
    figure = histogram(id="h", title="Ran", bounds=BOUNDS, counts=counted.counts)
    check(figure)
    assert figure.rows[0] == ("≤ 11.3 ms", "1")
    assert figure.rows[-1][0].startswith(">")
    assert sum(int(row[1]) for row in figure.rows) == 4


def test_bars_show_the_little_that_there_is() -> None:
    figure = bars(id="b", title="Jobs", values=[Bar("a", 1_000_000), Bar("b", 1), Bar("c", 0), Bar("d", None)])
    check(figure)
    heights = [float(one.get("height", 0)) for one in parsed(figure.drawing).iter("rect")]
    assert heights[0] == 140
    assert heights[1:] == [1, 0, 0]
    assert figure.rows[0] == ("a", "1,000,000")


def test_a_share_stays_within_its_bar() -> None:
    shares = (-1.0, 0.0, 0.255, 2.0, math.nan)
    widths = [next(parsed(share_bar(share)).iter("rect")).get("width") for share in shares]
    assert widths == ["0%", "0%", "25.5%", "100%", "0%"]


def test_a_life_is_drawn_in_rows_and_what_took_no_time_is_seen() -> None:
    stretches = [
        Stretch(row=0, name="waited", tone=Tone.WAIT, since=100.0, until=100.0),
        Stretch(row=0, name="ran", tone=Tone.GOOD, since=100.0, until=200.0),
        Stretch(row=1, name="ran again", tone=Tone.BAD, since=200.0, until=200.0),
    ]
    figure = timeline(id="t", title="Life", stretches=stretches)
    check(figure)
    rects = list(parsed(figure.drawing).iter("rect"))
    assert [one.get("width") for one in rects] == ["0.4%", "100%", "0.4%"]
    assert [one.get("x") for one in rects] == ["0%", "0%", "99.6%"]
    assert figure.rows[1] == ("ran", "1970-01-01 00:01:40", "1.7 min")
