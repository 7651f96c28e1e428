"""C15: while its process lives a job has one execution, however long it runs and whoever dies beside it."""

from __future__ import annotations

import signal
import time

from tests.integration.worker.plant import Plant, until
from umbel import JobState
from umbel.engine import fetcher


def pass_time(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    until(lambda: time.monotonic() > deadline, "time to pass")


def test_long_job_runs_once_while_others_are_killed_c15(plant: Plant) -> None:
    """C14, C15: longer than several looks for the dead; beside it three processes die."""
    worker = plant.start(processes=2, concurrency=1)
    long = plant.send("hold", "long")
    (holder,) = {line.pid for line in plant.until_told("hold", "long")}
    began = time.monotonic()
    for number in range(3):
        short = plant.send("hold", f"short{number}")
        (line,) = plant.until_told("hold", f"short{number}")
        next(child for child in worker.children() if child.pid == line.pid).kill()
        plant.until_told("hold", f"short{number}", times=2)
        plant.open(f"short{number}")
        assert plant.ended(short).state is JobState.SUCCEEDED
    pass_time(max(0.0, began + 2.5 * fetcher._REAP_SECONDS - time.monotonic()))
    plant.open("long")
    assert plant.ended(long).state is JobState.SUCCEEDED
    assert [line.pid for line in plant.lines("hold", "long")] == [holder]


def test_stopped_process_keeps_its_jobs_c15(plant: Plant) -> None:
    """C15: a process that is stopped for longer than any look for the dead comes back to its jobs."""
    worker = plant.start(processes=2, concurrency=2)
    jobs = [plant.send("hold", name) for name in "ab"]
    stopped = plant.until_told("hold", "a")[0].pid
    plant.until_told("hold", "b")
    process = next(child for child in worker.children() if child.pid == stopped)
    process.send_signal(signal.SIGSTOP)
    try:
        pass_time(1.6 * fetcher._REAP_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)
    plant.open("a", "b")
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
    assert [len(plant.lines("hold", name)) for name in "ab"] == [1, 1]
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED


def test_killed_job_restarts_within_30_s_c14(plant: Plant) -> None:
    worker = plant.start(processes=2, concurrency=2)
    job = plant.send("hold", "long")
    (line,) = plant.until_told("hold", "long")
    next(child for child in worker.children() if child.pid == line.pid).kill()
    killed = time.time()
    again = plant.until_told("hold", "long", times=2, seconds=30)[1]
    assert again.pid != line.pid
    assert again.at - killed < 30
    plant.open("long")
    status = plant.ended(job)
    assert (status.state, status.retries) == (JobState.SUCCEEDED, 0)
