"""A lone job of a quick task runs on the thread that fetched it; one that is slow after all holds nothing up."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.worker.plant import Plant, Worker, until
from umbel import JobState

_MOST = 200


@pytest.fixture
def worker(plant: Plant) -> Worker:
    """A worker, and an open gate."""
    plant.open("open")
    return plant.start(concurrency=4)


def _held(plant: Plant) -> tuple[str, str]:
    """Have a job held on the thread that fetches, once its task has proved quick; return it and its gate."""
    for number in range(_MOST):
        for _ in range(3):
            assert plant.ended(plant.send("hold", "open")).state is JobState.SUCCEEDED
        gate = f"gate-{number}"
        job = plant.send("hold", gate)
        (line,) = plant.until_told("hold", gate)
        if line.words[2] == "umbel-fetch":
            return job, gate
        # On a machine that has a lot to do even this takes its time.
        plant.open(gate)
        assert plant.ended(job).state is JobState.SUCCEEDED
    pytest.fail(f"{_MOST} times none of the jobs before was quick enough", pytrace=False)


@pytest.mark.usefixtures("worker")
def test_c14_a_lone_job_that_is_slow_after_all_keeps_no_other_from_starting(plant: Plant) -> None:
    slow, gate = _held(plant)
    # Whoever fetches now does so as well as the first one did, and with no more trust.
    for _ in range(5):
        assert plant.ended(plant.send("hold", "open")).state is JobState.SUCCEEDED
    assert plant.state(slow) is JobState.RUNNING
    plant.open(gate)
    assert plant.ended(slow).state is JobState.SUCCEEDED
    assert plant.ended(plant.send("hold", "open")).state is JobState.SUCCEEDED


def test_c19_a_worker_that_drains_lets_a_lone_job_come_to_its_end(plant: Plant, worker: Worker) -> None:
    slow, gate = _held(plant)
    worker.send(signal.SIGTERM)
    plant.open(gate)
    assert plant.ended(slow).state is JobState.SUCCEEDED
    assert worker.wait() == 0
    assert plant.empty()


@pytest.mark.usefixtures("worker")
def test_c22_a_lone_job_is_cancelled_like_any_other(plant: Plant) -> None:
    slow, _ = _held(plant)
    # Whoever looks after it reminds of what nobody was woken for.
    until(lambda: plant.state(slow) is JobState.RUNNING, "it is seen to run")
    plant.app.cancel(slow)
    assert plant.ended(slow).state is JobState.CANCELLED
    assert plant.ended(plant.send("hold", "open")).state is JobState.SUCCEEDED


@pytest.mark.usefixtures("worker")
def test_c14_a_lone_job_that_its_process_dies_of_runs_again(plant: Plant) -> None:
    slow, gate = _held(plant)
    (line,) = plant.lines("hold", gate)
    os.kill(line.pid, signal.SIGKILL)
    plant.open(gate)
    assert plant.ended(slow).state is JobState.SUCCEEDED
