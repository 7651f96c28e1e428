"""What a figure's line says, and that a ratio is taken within its round."""

from __future__ import annotations

import pytest

from benchmarks.figure import Figure, ratio


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure("P1", "drain", 12.44, 10, 24), "P1 drain 12.4 first 10 goal 24 ok"),
        (Figure("P1", "drain", 9.99, 10, 24), "P1 drain 9.99 first 10 goal 24 short"),
        (Figure("P1", "drain", 4.2, 4, of="saq"), "P1 drain 4.2 first 4 ok (saq)"),
        (Figure("P1", "floor", 0.34, goal=0.35), "P1 floor 0.34 goal 0.35 info"),
        (Figure("P1", "floor", 0.35, goal=0.35), "P1 floor 0.35 goal 0.35 ok"),
        (Figure("P3", "p50_ms", 1.6, 1.5, 0.8, True), "P3 p50_ms 1.6 first 1.5 goal 0.8 short"),
        (Figure("P3", "p50_ms", 1.5, 1.5, 0.8, True), "P3 p50_ms 1.5 first 1.5 goal 0.8 ok"),
        (Figure("P2", "rate", 48619.4), "P2 rate 48619 info"),
        (Figure("P1", "drain", None, 10, note="no ruby"), "P1 drain missing (no ruby)"),
    ],
)
def test_a_line_says_the_figure_its_marks_and_its_verdict(figure: Figure, line: str) -> None:
    assert figure.line() == line


def test_a_ratio_is_taken_within_its_round() -> None:
    # A machine that was slow in the last round was slow for both: the ratio of the medians would be 5.
    assert ratio([100.0, 50.0, 10.0], [10.0, 5.0, 1.0]) == 10.0
    assert ratio([100.0, 100.0, 10.0], [20.0, 10.0, 1.0]) == 10.0
    assert ratio([], [1.0]) is None
