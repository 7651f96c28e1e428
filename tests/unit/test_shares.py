"""How a fetch is divided among queues (C9)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel.engine.shares import Shares

names = st.sampled_from(["a", "b", "c", "d"])


def fetch(shares: Shares, weights: dict[str, int], waiting: dict[str, int], limit: int) -> Counter[str]:
    """Fetch once as the engine does, from queues that have so many waiting."""
    got: Counter[str] = Counter()
    for name, share in shares.split(weights, limit):
        taken = min(share, limit - sum(got.values()), waiting[name] - got[name])
        if taken > 0:
            got[name] += taken
            shares.spent(name, taken)
    return got


@given(st.dictionaries(names, st.integers(0, 9), min_size=1), st.integers(1, 30))
def test_a_fetch_is_filled_whenever_enough_waits(weights: dict[str, int], limit: int) -> None:
    for name in weights:
        waiting = dict.fromkeys(weights, 0) | {name: limit}
        assert fetch(Shares(), weights, waiting, limit) == {name: limit}


@given(st.permutations(["a", "b", "c"]), st.integers(1, 9), st.data())
def test_c9_without_weights_the_order_is_strict(order: list[str], limit: int, data: st.DataObject) -> None:
    waiting = {name: data.draw(st.integers(0, 9)) for name in order}
    got = fetch(Shares(), dict.fromkeys(order, 0), waiting, limit)
    left = limit
    for name in order:
        assert got[name] == min(left, waiting[name])
        left -= got[name]


@given(st.dictionaries(names, st.integers(1, 9), min_size=2), st.integers(1, 20))
def test_c9_over_time_everyone_gets_its_part(weights: dict[str, int], limit: int) -> None:
    """All full, for every width of a fetch: nobody is off by more than two fetches' worth."""
    shares, got, rounds = Shares(), Counter[str](), 200
    for _ in range(rounds):
        got += fetch(shares, weights, dict.fromkeys(weights, 10**6), limit)
    assert sum(got.values()) == rounds * limit
    for name, weight in weights.items():
        expected = rounds * limit * weight / sum(weights.values())
        assert abs(got[name] - expected) <= 2 * limit + len(weights)


@pytest.mark.parametrize("limit", [1, 10])
def test_c9_an_empty_queue_saves_nothing_up_that_starves_the_others(limit: int) -> None:
    """The heavy queue was empty for long; when it fills, the light one still gets its part soon."""
    shares, weights = Shares(), {"heavy": 9, "light": 1}
    for _ in range(5000):
        fetch(shares, weights, {"heavy": 0, "light": 10**6}, limit)
    got: Counter[str] = Counter()
    for _ in range(400):
        got += fetch(shares, weights, {"heavy": 10**6, "light": 10**6}, limit)
    assert got["light"] >= 0.05 * sum(got.values())
    assert got["heavy"] >= 0.8 * sum(got.values())
