"""P9, C28, C31, C34: what jobs need is asked for a batch at a time, and is held by none that does not run."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.worker.plant import Plant
from umbel import JobState

APP = "tests.integration.worker.counted_jobs:app"
JOBS = 200
FETCH, SETTLE = "umbel-fetch", "umbel-settle"


def test_p9_round_trips_grow_with_batches_and_not_with_jobs(plant: Plant) -> None:
    names = ("lock", "slot", "breaker", "repeat", "all")
    sent = [str(plant.app.send_task(f"counted.{name}", (number,)).id) for number in range(JOBS // 5) for name in names]
    worker = plant.start(app=APP, concurrency=2)
    for one in sent:
        assert plant.ended(one).state is JobState.SUCCEEDED
    worker.stop()
    asked = Counter(line.words[1:] for line in plant.lines("asked"))
    batches, flushes = asked["batch", "fetch", FETCH], asked["flush", "settle", SETTLE]
    for kind in (("lock", "acquire_many"), ("slot", "acquire_many"), ("breaker", "look"), ("effect", "claim_many")):
        assert 0 < asked[*kind, FETCH] <= batches
    for kind in (("lock", "release_many"), ("slot", "release_many"), ("effect", "end_many")):
        assert 0 < asked[*kind, SETTLE] <= flushes
        assert asked[*kind, FETCH] <= batches
    # None by a job: but a start that comes late for its grant asks again, so that a slow machine asks more often.
    assert {kind[:2] for kind in asked if kind[2] not in (FETCH, SETTLE)} <= {("limit", "reserve")}


def test_p9_c32_an_effect_that_may_not_be_repeated_is_claimed_by_its_job_and_ended_with_others(plant: Plant) -> None:
    sent = [str(plant.app.send_task("counted.effect", (number,)).id) for number in range(JOBS // 4)]
    worker = plant.start(app=APP, concurrency=2)
    for one in sent:
        assert plant.ended(one).state is JobState.SUCCEEDED
    worker.stop()
    asked = Counter(line.words[1:] for line in plant.lines("asked"))
    assert 0 < asked["effect", "end_many", SETTLE] <= asked["flush", "settle", SETTLE]
    # On the thread that fetches, for a job that runs there.
    by_jobs = Counter({kind: count for kind, count in asked.items() if kind[0] == "effect" and kind[2] != SETTLE})
    assert by_jobs.total() == len(sent)
    assert {kind[:2] for kind in by_jobs} == {("effect", "claim_many")}


@pytest.mark.parametrize("name", ["effect", "repeat", "lock"])
def test_c31_c32_jobs_of_one_key_that_were_fetched_together_are_not_put_off(plant: Plant, name: str) -> None:
    sent = [str(plant.app.send_task(f"counted.{name}", (number // 10,)).id) for number in range(50)]
    plant.start(app=APP, concurrency=1)
    for one in sent:
        assert plant.ended(one).state is JobState.SUCCEEDED
    assert {plant.app.AsyncResult(one).result for one in sent} == set(range(5))
    assert not plant.lines("asked", "put-off")
    assert len(plant.lines(name)) == (0 if name == "lock" else 5)
