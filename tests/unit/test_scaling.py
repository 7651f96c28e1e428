"""How many workers would do: enough, no more than asked for, and without a step back a minute later."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from umbel.monitor.metrics.scaling import Bounds, Load, wanted

QUIET = Load(ready=0, running=0, oldest=None, arrivals=(), run=1.0, replicas=1, slots=10)
ANY = Bounds(least=0, most=1000)

loads = st.builds(
    Load,
    ready=st.integers(0, 100_000),
    running=st.integers(0, 1000),
    oldest=st.none(),
    arrivals=st.lists(st.floats(0, 1000), max_size=5),
    run=st.none() | st.floats(0.001, 100),
    replicas=st.integers(0, 50),
    slots=st.integers(1, 100),
)


def test_littles_law() -> None:
    """16 a second, half a second each, are 8 busy slots: one replica of 10, at four fifths."""
    assert wanted(replace(QUIET, arrivals=(3.0, 16.0, 1.0), run=0.5), ANY).slots == 8
    assert wanted(replace(QUIET, arrivals=(16.0,), run=0.5), ANY).replicas == 1
    assert wanted(replace(QUIET, arrivals=(17.0,), run=0.5), ANY).replicas == 2


def test_a_backlog_is_worked_off_in_its_time() -> None:
    """600 jobs of two seconds within a minute are 20 slots more."""
    behind = replace(QUIET, ready=600, run=2.0)
    assert wanted(behind, ANY).slots == 20
    assert wanted(behind, replace(ANY, drain=30.0)).slots == 40


def test_nothing_to_do_needs_nobody_and_something_needs_somebody() -> None:
    assert wanted(QUIET, ANY).replicas == 0
    assert wanted(replace(QUIET, ready=1, run=0.001), ANY).replicas == 1
    assert wanted(replace(QUIET, running=1), ANY).replicas == 1
    assert wanted(QUIET, Bounds(least=2)).replicas == 2
    assert wanted(replace(QUIET, ready=100_000), Bounds(most=7)).replicas == 7


def test_what_runs_keeps_its_slots() -> None:
    assert wanted(replace(QUIET, replicas=3, running=30), ANY).replicas == 3


def test_a_replica_goes_only_when_the_rest_has_room_to_spare() -> None:
    """Two replicas with 7.5 busy slots: one would do at four fifths, and be too full a moment later."""
    assert wanted(replace(QUIET, arrivals=(7.5,)), ANY).replicas == 1
    assert wanted(replace(QUIET, arrivals=(7.5,), replicas=2), ANY).replicas == 2
    assert wanted(replace(QUIET, arrivals=(7.0,), replicas=2), ANY).replicas == 1


@given(loads, st.integers(0, 5), st.integers(5, 40))
def test_within_bounds_and_enough(load: Load, least: int, most: int) -> None:
    found = wanted(load, Bounds(least=least, most=most))
    assert least <= found.replicas <= most
    assert found.replicas == most or found.replicas * load.slots >= min(found.slots, most * load.slots) - 1e-6


@given(loads)
def test_who_follows_it_is_told_the_same_again(load: Load) -> None:
    """No flapping: with as many replicas as were wanted, as many are wanted."""
    found = wanted(load, ANY)
    again = wanted(replace(load, replicas=found.replicas), ANY)
    assert again.replicas == found.replicas or math.isclose(found.slots, 0)


@given(loads, st.floats(1.0, 2.0))
def test_more_to_do_never_wants_fewer(load: Load, factor: float) -> None:
    more = replace(load, ready=math.ceil(load.ready * factor), arrivals=tuple(one * factor for one in load.arrivals))
    assert wanted(more, ANY).replicas >= wanted(load, ANY).replicas
