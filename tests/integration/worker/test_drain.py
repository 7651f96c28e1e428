"""C19: SIGTERM lets running jobs end within the grace period, and gives the rest back; a second one ends it now."""

from __future__ import annotations

import signal
import time

import pytest

from tests.integration.worker.plant import DEADLINE, Plant, until
from umbel import JobState
from umbel.engine.redis import RedisEngine


@pytest.mark.parametrize("task", ["hold", "ahold"])
def test_running_jobs_end_within_the_grace_period_c19(plant: Plant, task: str) -> None:
    """C19: what runs goes on to its end; what waits stays for the next worker."""
    worker = plant.start(concurrency=1)
    running = plant.send(task, "first")
    plant.until_told("hold", "first")
    waiting = plant.send("say", "later")
    worker.send(signal.SIGTERM)
    until(lambda: "Warm shutdown" in worker.text() or "shutdown" in worker.text().lower(), "the shutdown's beginning")
    plant.open("first")
    assert worker.wait() == 0
    assert plant.state(running) is JobState.SUCCEEDED
    assert not plant.lines("say")
    assert plant.state(waiting) is JobState.QUEUED
    plant.start()
    plant.until_told("say", "later")
    assert len(plant.lines("hold", "first")) == 1


@pytest.mark.parametrize("task", ["hold", "ahold", "sleep"])
def test_what_is_not_done_in_time_goes_back_as_interrupted_c19(plant: Plant, task: str) -> None:
    """C19, C17: interrupted is no attempt and no suspicion; the job runs again from its beginning."""
    worker = plant.start("--grace", "1s")
    job = plant.send(task, "long", *([1000.0] if task == "sleep" else []))
    plant.until_told("hold", "long")
    asked = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - asked < DEADLINE / 2
    location = plant.engine.locate(job)
    assert location is not None
    assert (location.lease, location.suspect, location.crashes, location.retries) == (None, False, 0, 0)
    assert not plant.lines("released")
    state = plant.state(job)
    assert state is not None
    assert not state.finished
    if task == "sleep":
        return
    plant.open("long")
    plant.start()
    assert plant.ended(job).state is JobState.SUCCEEDED
    assert plant.app.status(job).retries == 0
    assert len(plant.lines("hold", "long")) == 2


def test_second_sigterm_ends_it_now_c19(plant: Plant) -> None:
    """C19, C17: at once, and what ran is not to blame."""
    worker = plant.start("--grace", "1h", processes=2)
    jobs = [plant.send(task, name) for task, name in (("hold", "a"), ("ahold", "b"), ("hold", "c"))]
    for name in "abc":
        plant.until_told("hold", name)
    worker.send(signal.SIGTERM)
    until(lambda: "shutdown" in worker.text().lower(), "the shutdown's beginning")
    worker.send(signal.SIGTERM)
    worker.wait(DEADLINE / 2)
    assert not worker.children()
    for job in jobs:
        location = plant.engine.locate(job)
        assert location is not None
        assert (location.lease, location.suspect, location.crashes) == (None, False, 0)
    plant.open("a", "b", "c")
    plant.start()
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED


def test_fetched_but_not_started_jobs_go_back_c19(plant: Plant) -> None:
    """C19: nothing that a draining process had fetched ahead is lost or run by it."""
    worker = plant.start(concurrency=2)
    jobs = [plant.send("say", f"w{number}") for number in range(500)]
    jobs += [plant.send("hold", f"h{number}") for number in range(4)]
    plant.until_told("say", times=100)
    worker.send(signal.SIGTERM)
    plant.open("h0", "h1", "h2", "h3")
    assert worker.wait() == 0
    assert not [queue for queue in plant.engine.queues() if queue.leased or queue.suspect]
    plant.start()
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert sorted(line.words[1] for line in plant.lines("say")) == sorted(f"w{number}" for number in range(500))


def test_idle_worker_ends_promptly_and_leaves_no_lease_c19(plant: Plant) -> None:
    worker = plant.start(processes=2)
    assert worker.stop() == 0
    assert plant.engine.workers() == []
    assert not worker.children()
    # Processes that other tests killed leave theirs in the folder that all stores of a Redis share.
    plant.engine.sweep()
    run = plant.engine.run if isinstance(plant.engine, RedisEngine) else plant.store.with_name("plant.db.run")
    left = [path.name for path in run.iterdir() if path.suffix in (".lease", ".wake")]
    assert left == []


def test_fetched_ahead_goes_back_at_once_c19(plant: Plant) -> None:
    """C19: what a draining process had fetched and not started does not wait for its grace period."""
    first = plant.start("--grace", "10m", "--loglevel", "WARNING", concurrency=2)
    jobs = plant.send_many("say", [f"a{number}" for number in range(2000)])
    jobs += [plant.send("hold", "long1", priority=9), plant.send("hold", "long2", priority=9)]
    plant.until_told("hold", times=2)
    first.send(signal.SIGTERM)
    plant.start(concurrency=2, ready=False)
    plant.until_told("say", times=2000, seconds=DEADLINE)
    assert first.process.poll() is None
    plant.open("long1", "long2")
    assert first.wait() == 0
    assert {plant.ended(job).state for job in jobs} == {JobState.SUCCEEDED}
    assert len(plant.lines("say")) == 2000
