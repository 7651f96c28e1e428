"""C27: ``Retry-After`` in both of its forms, and never for longer than a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.jobs.retry_after import LONGEST, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def read(value: Any) -> timedelta | None:
    return retry_after(value, now=NOW.timestamp)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("1.5", 1.5),
        (b"30", 30),
        ("999999999", LONGEST.total_seconds()),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST.total_seconds()),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
    ],
)
def test_c27_what_servers_send(value: Any, seconds: float) -> None:
    found = read(value)
    assert found is not None
    assert found.total_seconds() == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1e3", "٣", "Sun, 99 Mar 2026", 30, "1" * 101, ["1"]])
def test_c27_what_says_nothing(value: Any) -> None:
    assert read(value) is None


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_c27_anything_is_a_bounded_wait_or_nothing(value: Any) -> None:
    found = read(value)
    assert found is None or timedelta(0) <= found <= LONGEST


@given(st.integers(-100_000, 100_000))
def test_c27_a_date_means_the_time_until_then(seconds: int) -> None:
    found = read(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True))
    assert found == timedelta(seconds=max(0, min(seconds, 86_400)))
