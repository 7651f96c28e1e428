"""Who ends when somebody else has died, and that several workers share one file."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import JobState


@pytest.mark.parametrize("task", ["hold", "ahold"])
def test_children_drain_and_end_when_their_supervisor_is_killed_c14(plant: Plant, task: str) -> None:
    """C14, C19: nobody is left behind, and what ran goes on to its end."""
    worker = plant.start(processes=2)
    job = plant.send(task, "long")
    plant.until_told("hold", "long")
    worker.send(signal.SIGKILL)
    worker.wait()
    until(lambda: len(plant.processes()) == 1, "the end of the idle process")
    plant.open("long")
    until(lambda: not plant.processes(), "the end of the busy process")
    assert plant.state(job) is JobState.SUCCEEDED
    assert len(plant.lines("hold", "long")) == 1
    assert plant.engine.workers() == []


def test_children_that_are_killed_too_are_reaped_by_the_next_worker_c14(plant: Plant) -> None:
    """C14: supervisor and all killed at once: the next worker runs what they held, within its start."""
    worker = plant.start(processes=2, concurrency=3)
    jobs = [plant.send("hold", f"h{number}") for number in range(6)]
    plant.until_told("hold", times=6)
    children = worker.children()
    worker.send(signal.SIGKILL)
    for child in children:
        child.kill()
    worker.wait()
    plant.open(*(f"h{number}" for number in range(6)))
    plant.start(processes=2)
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert all(len(plant.lines("hold", f"h{number}")) == 2 for number in range(6))


def test_worker_ends_with_its_parent(plant: Plant) -> None:
    """A worker beside a web process ends when that has gone, however it went: the end of a pipe tells it (C14)."""
    reading, writing = os.pipe()
    worker = plant.start(pass_fds=(reading,), UMBEL_PARENT_FD=str(reading))
    os.close(reading)
    job = plant.send("hold", "long")
    plant.until_told("hold", "long")
    os.close(writing)
    until(lambda: "shutdown" in worker.text().lower(), "the shutdown's beginning")
    plant.open("long")
    assert worker.wait() == 0
    assert plant.state(job) is JobState.SUCCEEDED
    assert not plant.processes()


def test_two_workers_share_one_file_c15(plant: Plant) -> None:
    """C15: every job runs once, and both take part."""
    first, second = plant.start(concurrency=1), plant.start(concurrency=1)
    holds = [plant.send("hold", name) for name in "ab"]
    holders = {line.pid for line in plant.until_told("hold", times=2)}
    assert len(holders) == 2
    jobs = plant.send_many("say", [f"w{number}" for number in range(300)])
    plant.open("a", "b")
    for job in holds + jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert len(plant.lines("say")) == 300
    assert first.stop() == second.stop() == 0


def test_one_worker_takes_over_what_another_one_held_c14(plant: Plant) -> None:
    """C14: killed whole, its jobs restart under the other supervisor within 30 s."""
    first = plant.start(concurrency=2)
    jobs = [plant.send("hold", name) for name in "ab"]
    plant.until_told("hold", times=2)
    plant.start(concurrency=2)
    children = first.children()
    first.send(signal.SIGKILL)
    for child in children:
        child.kill()
    for name in "ab":
        plant.until_told("hold", name, times=2, seconds=30)
    plant.open("a", "b")
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
