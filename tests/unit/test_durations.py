"""Durations as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.durations import duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("7d", 604_800),
        (" 2M ", 120),
        ("0.5h", 1800),
        (timedelta(minutes=2), 120),
    ],
)
def test_what_people_write(value: object, seconds: float) -> None:
    assert duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", "soon", "m", "10 minutes", "10mm", "-1", "-5s", "1h-", "inf", "nan", "1e400", "4000d", True, None, [], -1]
    + [float("nan"), float("inf"), timedelta(days=-1), timedelta(days=4000)],
)
def test_what_is_none(value: object) -> None:
    with pytest.raises(ValueError, match="duration|between"):
        duration(value)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        found = duration(text)
    except ValueError:
        return
    assert timedelta(0) <= found <= timedelta(days=3650)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_parts_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert duration(f"{hours}h{minutes}m{seconds}s") == timedelta(hours=hours, minutes=minutes, seconds=seconds)
