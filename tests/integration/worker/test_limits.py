"""C19, C22: time limits of jobs in Python code, in C code, and on the event loop."""

from __future__ import annotations

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import JobState


@pytest.mark.parametrize("task", ["spin", "hold", "ahold"])
def test_hard_limit_ends_the_job_and_nothing_else_c19(plant: Plant, task: str) -> None:
    worker = plant.start(concurrency=2)
    (before,) = worker.children()
    neighbour = plant.send("hold", "neighbour")
    job = plant.send(task, "stuck", time_limit=2.0)
    status = plant.ended(job)
    assert status.state is JobState.FAILED
    assert "TimeLimitExceeded" in (status.error or "")
    plant.open("neighbour")
    assert plant.ended(neighbour).state is JobState.SUCCEEDED
    assert len(plant.lines("hold", "neighbour")) == 1
    if task != "hold":
        plant.until_told("finally", "stuck")
    plant.send("say", "after")
    (line,) = plant.until_told("say", "after")
    assert line.pid == before.pid
    assert len(plant.lines("hold", "stuck")) == 1


def test_hard_limit_in_c_code_replaces_the_process_after_its_other_jobs_c19(plant: Plant) -> None:
    worker = plant.start(concurrency=3)
    (before,) = worker.children()
    neighbours = [plant.send("hold", "neighbour"), plant.send("ahold", "aneighbour")]
    plant.until_told("hold", times=2)
    job = plant.send("sleep", "stuck", 1000.0, time_limit=1.0)
    status = plant.ended(job)
    assert status.state is JobState.FAILED
    assert "TimeLimitExceeded" in (status.error or "")
    until(lambda: "cannot be stopped" in worker.text(), "the process given up")
    assert before.is_running()
    plant.open("neighbour", "aneighbour")
    for neighbour in neighbours:
        assert plant.ended(neighbour).state is JobState.SUCCEEDED
    until(lambda: before.pid not in {child.pid for child in worker.children()}, "a fresh process")
    plant.send("say", "after")
    (line,) = plant.until_told("say", "after")
    assert line.pid != before.pid
    assert len(plant.lines("hold", "neighbour")) == len(plant.lines("hold", "stuck")) == 1


def test_hard_limit_interpreter_lock_c19(plant: Plant) -> None:
    """C19: a call into C that holds the interpreter lock (a regular expression) silences all threads of a process."""
    worker = plant.start(concurrency=2)
    (before,) = worker.children()
    job = plant.send("grip", "stuck", time_limit=1.0)
    plant.until_told("hold", "stuck")
    status = plant.ended(job)
    assert status.state is JobState.FAILED
    assert "TimeLimitExceeded" in (status.error or "")
    plant.send("say", "after")
    (line,) = plant.until_told("say", "after")
    assert line.pid != before.pid
    assert len(plant.lines("hold", "stuck")) == 1


def test_hard_limit_interpreter_lock_of_a_job_that_waited_for_the_worker_c19(plant: Plant) -> None:
    """It begins before the process has said that it is ready."""
    job = plant.send("grip", "stuck", time_limit=1.0)
    plant.start()
    status = plant.ended(job)
    assert status.state is JobState.FAILED
    assert "TimeLimitExceeded" in (status.error or "")
    assert len(plant.lines("hold", "stuck")) == 1


def test_a_failure_handler_that_hangs_holds_up_no_limit_of_another_job_c19(plant: Plant) -> None:
    worker = plant.start(concurrency=3)
    (before,) = worker.children()
    hung = plant.send("dawdle", "late")
    plant.until_told("lingers", "late")
    assert plant.ended(plant.send("spin", "stuck", time_limit=0.5)).state is JobState.FAILED
    plant.open("late")
    status = plant.ended(hung)
    assert status.state is JobState.FAILED
    assert "TimeLimitExceeded" in (status.error or "")
    # The supervisor would have ended a process that does not hold its limits.
    assert before.is_running()
    assert len(plant.lines("lingers", "late")) == 1


def test_worker_ends_although_a_job_holds_the_interpreter_lock_c19(plant: Plant) -> None:
    """C19: SIGTERM ends within the grace period and a bounded margin; the job goes back."""
    worker = plant.start("--grace", "1s")
    job = plant.send("grip", "stuck")
    plant.until_told("hold", "stuck")
    worker.stop()
    assert not plant.processes()
    location = plant.engine.locate(job)
    assert location is not None
    assert (location.lease, location.crashes) == (None, 0)


@pytest.mark.parametrize("task", ["soft", "asoft"])
def test_soft_limit_can_be_caught_c19(plant: Plant, task: str) -> None:
    plant.start()
    job = plant.send(task, "tidy", soft_time_limit=0.5, time_limit=60.0)
    status = plant.ended(job)
    assert (status.state, status.result) == (JobState.SUCCEEDED, "tidied up")
    assert len(plant.lines("soft", "tidy")) == 1


@pytest.mark.parametrize("task", ["spin", "ahold"])
def test_soft_limit_that_is_not_caught_fails_the_job_c19(plant: Plant, task: str) -> None:
    plant.start()
    job = plant.send(task, "stuck", soft_time_limit=0.5, time_limit=60.0)
    status = plant.ended(job)
    assert status.state is JobState.FAILED
    assert "SoftTimeLimitExceeded" in (status.error or "")


def test_time_limit_of_the_command_line_holds_for_every_task(plant: Plant) -> None:
    """``--time-limit`` is there for the tasks that have none of their own."""
    plant.start("--time-limit", "1.5", "--soft-time-limit", "1")
    status = plant.ended(plant.send("spin", "stuck"))
    assert "SoftTimeLimitExceeded" in (status.error or "")


def test_prefork_hard_limit_c19(plant: Plant) -> None:
    plant.start("--pool", "prefork")
    job = plant.send("sleep", "stuck", 1000.0, time_limit=1.0)
    status = plant.ended(job)
    assert status.state is JobState.FAILED
    assert "TimeLimitExceeded" in (status.error or "")
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED


def test_soft_limit_ends_the_children_of_a_task_group_c19(plant: Plant) -> None:
    """Nothing of a job that has failed goes on running."""
    plant.start("--loglevel", "WARNING")
    status = plant.ended(plant.send("family", "one"))
    assert status.state is JobState.FAILED
    assert str(status.error).startswith("SoftTimeLimitExceeded")
    assert len(plant.lines("child", "ended", "one")) == 2
