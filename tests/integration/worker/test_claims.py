"""P9, C28, C31, C34: what jobs need is asked for a batch at a time, and is held by none that does not run."""

from __future__ import annotations

from collections import Counter

from tests.integration.worker.plant import Plant
from umbel import JobState

APP = "tests.integration.worker.counted_jobs:app"
JOBS = 200


def test_p9_round_trips_grow_with_batches_and_not_with_jobs(plant: Plant) -> None:
    names = ("lock", "slot", "breaker", "all")
    sent = [str(plant.app.send_task(f"counted.{name}", (number,)).id) for number in range(JOBS // 4) for name in names]
    worker = plant.start(app=APP, concurrency=2)
    for one in sent:
        assert plant.ended(one).state is JobState.SUCCEEDED
    worker.stop()
    lines = [line.words[1:] for line in plant.lines("asked")]
    asked = Counter(words[:2] for words in lines)
    most = {kind: max(int(words[2]) for words in lines if words[:2] == kind) for kind in asked}
    batches, flushes = asked.pop(("batch", "fetch")), asked.pop(("flush", "settle"))
    # A start that comes late for its grant asks again, so that a slow machine asks more often for those.
    assert asked.pop(("limit", "reserve"))
    for kind in (("lock", "acquire_many"), ("slot", "acquire_many"), ("breaker", "look")):
        assert 0 < asked.pop(kind) <= batches
    for kind in (("lock", "release_many"), ("slot", "release_many")):
        assert 0 < asked.pop(kind) <= batches + flushes
        assert most[kind] > 1
    assert not asked, "nothing else, for a failure or a probe"
