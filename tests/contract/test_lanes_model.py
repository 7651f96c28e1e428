"""C34: both state stores give lanes out by one rule, that of ``LaneCounts``."""

from __future__ import annotations

import random

import pytest

from umbel.engine.lanes import LANES, LaneCounts
from umbel.engine.registry import open_state

STEPS = 150


@pytest.mark.parametrize("store", ["redis_url", "postgres_state_url"])
@pytest.mark.parametrize("seed", range(2))
def test_c34_lanes_are_given_out_by_one_rule(store: str, seed: int, request: pytest.FixtureRequest) -> None:
    state, chance = open_state(request.getfixturevalue(store)), random.Random(seed)
    state.lanes.look_seconds = 0.0  # each step looks
    model, known = LaneCounts(), dict[str, tuple[int, int]]()
    sizes = [0] * LANES
    try:
        for step in range(STEPS):
            sizes = [max(0, size - chance.choice((0, 0, 1, 30, 3000))) for size in sizes]
            shares = {f"{chance.randrange(40)}": chance.choice((1, 1, 5, 500)) for _ in range(chance.randrange(6))}
            model.look(sizes, 0.0)
            known.update({share: model.put(known.get(share), count) for share, count in shares.items()})
            found = state.lanes.place("q", shares, sizes)
            assert found == [known[share][0] for share in shares], f"step {step}"
            for lane, count in zip(found, shares.values(), strict=True):
                sizes[lane] += count
            if chance.random() < 0.1:
                state.lanes.sweep("q")
                known = {share: place for share, place in known.items() if model.waits(*place)}
    finally:
        state.close()
