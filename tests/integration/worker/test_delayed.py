"""C16: jobs for the future live in the store: workers do not grow with them, and no restart forgets them."""

from __future__ import annotations

import time

from tests.integration.worker.plant import Plant, until
from umbel import JobState

_MANY = 100_000
#: What a worker may grow by for any reason while they come in, in bytes; in memory they would take ten times that.
_SLACK = 12 << 20


def test_a_hundred_thousand_delayed_jobs_leave_memory_flat_c16(plant: Plant) -> None:
    worker = plant.start()
    for number in range(50):
        plant.send("say", f"warm{number}")
    plant.until_told("say", times=50)
    (process,) = worker.children()
    before = process.memory_info().rss
    plant.send_many("say", (f"late{number}" for number in range(_MANY)), countdown=3600)
    soon = plant.send("say", "soon", countdown=0.5)
    due = time.time() + 0.5
    assert plant.ended(soon).state is JobState.SUCCEEDED
    (line,) = plant.lines("say", "soon")
    assert line.at >= due - 0.05
    assert process.memory_info().rss - before < _SLACK
    (queue,) = [queue for queue in plant.engine.queues() if queue.delayed]
    assert queue.delayed == _MANY
    assert worker.stop() == 0
    plant.start()
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    (queue,) = [queue for queue in plant.engine.queues() if queue.delayed]
    assert (queue.delayed, queue.leased) == (_MANY, 0)
    assert not plant.lines("say", "late0")


def test_delayed_jobs_survive_a_kill_and_run_when_due_c14_c16(plant: Plant) -> None:
    worker = plant.start()
    due = time.time() + 3.0
    jobs = [plant.send("say", f"w{number}", countdown=3.0) for number in range(20)]
    worker.destroy()
    plant.start()
    assert {plant.ended(job).state for job in jobs} == {JobState.SUCCEEDED}
    assert len(plant.lines("say")) == 20
    assert min(line.at for line in plant.lines("say")) >= due - 0.05


def test_due_while_no_worker_is_up_runs_at_the_next_start_c16(plant: Plant) -> None:
    job = plant.send("say", "w", countdown=0.2)
    deadline = time.time() + 0.4
    until(lambda: time.time() > deadline, "the due time")
    plant.start()
    assert plant.ended(job).state is JobState.SUCCEEDED
