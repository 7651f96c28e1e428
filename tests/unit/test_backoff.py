"""C26: how long is waited before each next try."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import Retry, exponential
from umbel.errors import ConfigurationError
from umbel.jobs.backoff import Exponential, Steps, backoff_of

SECOND = timedelta(seconds=1)
spans = st.timedeltas(timedelta(milliseconds=1), timedelta(days=7))
exponentials = st.builds(
    lambda first, more, factor: Exponential(first=first, max=first + more, factor=factor),
    spans,
    st.timedeltas(timedelta(0), timedelta(days=30)),
    st.floats(1.0, 1e6),
)
steps = st.builds(lambda pauses: Steps(pauses=tuple(pauses)), st.lists(spans, min_size=1, max_size=8))
chances = st.floats(0.0, 1.0, exclude_max=True)


def test_c26_exponential_as_it_is_read() -> None:
    backoff = exponential("1m", max="10m")
    minutes = [backoff.step(number) / timedelta(minutes=1) for number in range(6)]
    assert minutes == [1, 2, 4, 8, 10, 10]


def test_c26_a_list_repeats_its_last_pause() -> None:
    backoff = backoff_of([10, "30s", timedelta(minutes=1)], "here")
    assert [backoff.step(number) / SECOND for number in range(5)] == [10, 30, 60, 60, 60]


def test_c26_one_pause_is_always_the_same() -> None:
    assert {backoff_of("5s", "here").step(number) for number in range(4)} == {5 * SECOND}


@given(exponentials, st.integers(0, 10_000))
def test_c26_exponential_is_bounded_and_never_shrinks(backoff: Exponential, number: int) -> None:
    assert backoff.first <= backoff.step(number) <= backoff.step(number + 1) <= backoff.max


@given(st.one_of(exponentials, steps), st.integers(0, 10_000), chances)
def test_c26_full_jitter_lies_between_nothing_and_the_pause(backoff: Any, number: int, chance: float) -> None:
    retry = Retry(3, backoff=backoff)
    assert timedelta(0) <= retry.delay(number, chance=lambda: chance) <= backoff.step(number)


@given(exponentials, st.integers(0, 200))
def test_c26_without_jitter_the_pause_is_what_is_declared(backoff: Exponential, number: int) -> None:
    assert Retry(3, backoff=backoff, jitter=False).delay(number) == backoff.step(number)


@given(exponentials, st.integers(0, 200), st.timedeltas(timedelta(0), timedelta(days=1)), st.booleans(), chances)
def test_c27_what_the_other_side_asked_for_is_never_undercut(
    backoff: Exponential, number: int, wait: timedelta, jitter: bool, chance: float
) -> None:
    """C27: and never stretched by more than the pause that would have been waited anyway."""
    delay = Retry(3, backoff=backoff, jitter=jitter).delay(number, wait=wait, chance=lambda: chance)
    assert wait <= delay <= wait + backoff.step(number)


def test_c26_jitter_spreads() -> None:
    retry = Retry(3, backoff="10s")
    assert len({retry.delay(0) for _ in range(50)}) > 40


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: exponential("0s"),
        lambda: exponential("10m", max="1m"),
        lambda: exponential("1s", factor=0.5),
        lambda: exponential("1s", factor=float("nan")),
        lambda: exponential("soon"),
        lambda: exponential("400d", max="500d"),
        lambda: backoff_of([], "here"),
        lambda: backoff_of(["10 minutes"], "here"),
        lambda: backoff_of(None, "here"),
    ],
)
def test_c26_what_makes_no_sense_is_refused_where_it_is_declared(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        wrong()
