"""Histograms of lengths of time: what they count, add and say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.monitor.histograms import BOUNDS, Histogram

lengths = st.lists(st.floats(0, 1_000_000), max_size=50)


def histogram(seconds: list[float]) -> Histogram:
    one = Histogram()
    for length in seconds:
        one.count(length)
    return one


@given(lengths, lengths)
def test_two_that_are_added_are_one_of_both(one: list[float], other: list[float]) -> None:
    added = histogram(one)
    added.add(histogram(other))
    assert added.counts == histogram(one + other).counts
    assert Histogram.of(added.as_text()).counts == added.counts


@given(st.lists(st.floats(0.001, BOUNDS[-1]), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_in_the_bucket_of_the_right_one(seconds: list[float], share: float) -> None:
    right = sorted(seconds)[max(0, -(-int(share * 1000) * len(seconds) // 1000) - 1)]
    found = histogram(seconds).quantile(share)
    assert found is not None
    assert right / 1.42 <= max(found, BOUNDS[0]) <= right * 1.42


def test_none_says_nothing() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().as_text() == "[]"


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_what_is_beyond_the_bounds_is_counted(seconds: float) -> None:
    assert histogram([seconds]).total == 1
    assert histogram([seconds]).quantile(0.5) is not None
