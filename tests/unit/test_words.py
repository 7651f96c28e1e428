"""Figures and times as the dashboard writes them."""

from __future__ import annotations

import pytest

from umbel.web.words import ago, iso, number, plural, span, stamp


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 ms"),
        (0.00042, "0.4 ms"),
        (0.0123, "12 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (185.2, "3 min 5 s"),
        (3599.6, "1 h"),
        (7800, "2 h 10 min"),
        (86_399, "1 d"),
        (273_600, "3 d 4 h"),
        (8_640_000, "100 d"),
    ],
)
def test_how_long_it_took(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_figures_and_times() -> None:
    assert (number(1234567), plural(1, "queue"), plural(1200, "match", "matches")) == (
        "1,234,567",
        "1 queue",
        "1,200 matches",
    )
    assert (iso(1_790_000_000), stamp(1_790_000_000)) == ("2026-09-21 14:13:20 UTC", "2026-09-21T14:13:20Z")
    assert [ago(0, now) for now in (-5, 59, 60, 7_199, 86_400)] == ["0 s", "59 s", "1 min", "1 h", "1 d"]
