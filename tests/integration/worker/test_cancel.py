"""C22: cancel is durable, and stops what runs."""

from __future__ import annotations

import signal

import psutil
import pytest
from celery.result import AsyncResult

from tests.integration.worker.plant import Plant, until
from umbel import JobState
from umbel.errors import JobFinished, JobNotFound


def test_cancelled_with_no_worker_up_never_runs_c22(plant: Plant) -> None:
    cancelled, kept = plant.send("say", "cancelled"), plant.send("say", "kept")
    assert plant.app.cancel(cancelled) is JobState.CANCELLED
    assert plant.state(cancelled) is JobState.CANCELLED
    plant.start()
    assert plant.ended(kept).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    assert not plant.lines("say", "cancelled")
    assert plant.state(cancelled) is JobState.CANCELLED
    assert AsyncResult(cancelled, app=plant.app).state == "REVOKED"


def test_cancelled_behind_a_busy_worker_never_runs_c22(plant: Plant) -> None:
    plant.start(concurrency=1)
    plant.send("hold", "gate")
    plant.until_told("hold", "gate")
    cancelled, kept = plant.send("say", "cancelled"), plant.send("say", "kept")
    plant.app.cancel(cancelled)
    plant.open("gate")
    assert plant.ended(kept).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    assert not plant.lines("say", "cancelled")


def test_cancelled_delayed_job_never_runs_c22(plant: Plant) -> None:
    plant.start()
    cancelled = plant.send("say", "cancelled", countdown=1.0)
    kept = plant.send("say", "kept", countdown=1.2)
    assert plant.state(cancelled) is JobState.SCHEDULED
    assert plant.app.cancel(cancelled) is JobState.CANCELLED
    assert plant.ended(kept).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    assert not plant.lines("say", "cancelled")
    assert plant.state(cancelled) is JobState.CANCELLED


def test_cancel_outlives_every_process_c22(plant: Plant) -> None:
    """C22: cancelled while a worker held it busy, which is then killed: the next one knows."""
    worker = plant.start(concurrency=1)
    held = plant.send("hold", "gate")
    plant.until_told("hold", "gate")
    cancelled = plant.send("say", "cancelled")
    plant.app.cancel(cancelled)
    worker.destroy()
    plant.open("gate")
    plant.start()
    assert plant.ended(held).state is JobState.SUCCEEDED
    assert plant.ended(plant.send("say", "kept")).state is JobState.SUCCEEDED
    assert not plant.lines("say", "cancelled")


def test_running_coroutine_is_cancelled_at_its_await_c22(plant: Plant) -> None:
    worker = plant.start()
    (before,) = worker.children()
    job, other = plant.send("ahold", "stopped"), plant.send("ahold", "goes-on")
    plant.until_told("hold", times=2)
    assert plant.app.cancel(job) is JobState.CANCELLED
    plant.until_told("cancelled", "stopped")
    plant.until_told("finally", "stopped")
    plant.open("goes-on")
    assert plant.ended(other).state is JobState.SUCCEEDED
    assert plant.state(job) is JobState.CANCELLED
    until(plant.empty, "an empty queue")
    assert before.is_running()
    assert not plant.lines("cancelled", "goes-on")


@pytest.mark.parametrize("task", ["spin", "hold"])
def test_running_sync_job_is_interrupted_in_python_code_c22(plant: Plant, task: str) -> None:
    worker = plant.start()
    (before,) = worker.children()
    job = plant.send(task, "stopped")
    plant.until_told("hold", "stopped")
    assert plant.app.cancel(job) is JobState.CANCELLED
    if task == "spin":
        plant.until_told("finally", "stopped")
    until(plant.empty, "an empty queue")
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    plant.open("stopped")
    assert plant.state(job) is JobState.CANCELLED
    assert not plant.lines("released")
    assert before.is_running()


def test_running_c_code_costs_its_process_c22(plant: Plant) -> None:
    """C22: what cannot be interrupted is replaced with its process, after its neighbours have ended."""
    worker = plant.start()
    (before,) = worker.children()
    neighbour = plant.send("hold", "neighbour")
    job = plant.send("sleep", "stopped", 1000.0)
    plant.until_told("hold", times=2)
    assert plant.app.cancel(job) is JobState.CANCELLED
    until(lambda: "cannot be stopped" in worker.text(), "the process given up")
    plant.open("neighbour")
    assert plant.ended(neighbour).state is JobState.SUCCEEDED
    until(lambda: before.pid not in {child.pid for child in worker.children()}, "a fresh process")
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    assert plant.state(job) is JobState.CANCELLED
    assert len(plant.lines("hold", "stopped")) == 1


def test_cancel_in_a_prefork_pool_c22(plant: Plant) -> None:
    """C22: any pool."""
    plant.start("--pool", "prefork")
    running, waiting = plant.send("sleep", "stopped", 1000.0), plant.send("say", "waiting", countdown=2.0)
    plant.until_told("hold", "stopped")
    plant.app.cancel(running)
    plant.app.cancel(waiting)
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    assert {plant.state(running), plant.state(waiting)} == {JobState.CANCELLED}
    assert not plant.lines("say", "waiting")
    assert len(plant.lines("hold", "stopped")) == 1


def test_a_prefork_child_that_survives_its_cancel_tells_no_second_end_c22(plant: Plant) -> None:
    """Its body has caught what was to end it: it is no success for anybody, and the child ends with it."""
    plant.start("--pool", "prefork")
    job = plant.send("deaf", "deaf")
    (line,) = plant.until_told("hold", "deaf")
    plant.app.cancel(job)
    plant.until_told("caught", "deaf")
    plant.open("deaf")
    plant.until_told("released", "deaf")
    until(lambda: not psutil.pid_exists(line.pid) or psutil.Process(line.pid).status() == "zombie", "the child's end")
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    assert plant.state(job) is JobState.CANCELLED
    assert len(plant.lines("hold", "deaf")) == 1


def test_finished_and_unknown_jobs_cannot_be_cancelled_c22(plant: Plant) -> None:
    plant.start()
    job = plant.send("say", "done")
    failed = plant.send("fail", "broken")
    assert plant.ended(job).state is JobState.SUCCEEDED
    assert plant.ended(failed).state is JobState.FAILED
    for ended in (job, failed):
        with pytest.raises(JobFinished):
            plant.app.cancel(ended)
    with pytest.raises(JobNotFound):
        plant.app.cancel("no-such-job")
    assert plant.state(job) is JobState.SUCCEEDED


def test_cancelling_twice_says_the_same_c22(plant: Plant) -> None:
    job = plant.send("say", "cancelled")
    assert plant.app.cancel(job) is plant.app.cancel(job) is JobState.CANCELLED


def test_revoke_that_a_live_worker_heard_outlives_it_c22(plant: Plant) -> None:
    worker = plant.start(concurrency=1)
    held = plant.send("hold", "gate")
    plant.until_told("hold", "gate")
    revoked = plant.send("say", "revoked")
    plant.app.control.revoke(revoked)
    until(lambda: "revoked" in worker.text(), "the worker to have heard it")
    worker.send(signal.SIGKILL)
    worker.destroy()
    plant.open("gate")
    plant.start()
    assert plant.ended(held).state is JobState.SUCCEEDED
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    until(plant.empty, "an empty queue")
    assert not plant.lines("say", "revoked")
    assert plant.ended(revoked).state is JobState.CANCELLED


@pytest.mark.parametrize("task", ["ahold", "spin"])
def test_revoke_with_terminate_stops_what_runs_c22(plant: Plant, task: str) -> None:
    plant.start()
    job = plant.send(task, "stopped")
    plant.until_told("hold", "stopped")
    plant.app.control.revoke(job, terminate=True)
    plant.until_told("finally", "stopped")
    assert plant.ended(job).state is JobState.CANCELLED
    until(plant.empty, "an empty queue")


def test_revoke_without_terminate_lets_a_running_job_end_c22(plant: Plant) -> None:
    worker = plant.start()
    job = plant.send("hold", "gate")
    plant.until_told("hold", "gate")
    plant.app.control.revoke(job)
    until(lambda: "revoked" in worker.text(), "the worker to have heard it")
    plant.open("gate")
    plant.until_told("released", "gate")
    assert plant.ended(job).state is JobState.SUCCEEDED
