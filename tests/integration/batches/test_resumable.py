"""Checkpoints in real workers: a job goes on where it stopped, after a kill, a restart, a retry."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.batches.conftest import Client
from tests.integration.worker.plant import until
from umbel import JobState, resumable


def numbers(client: Client, name: str) -> list[int]:
    return [int(line.words[2]) for line in client.plant.lines("row", name)]


@pytest.mark.parametrize("task", ["rows", "rows_async"])
def test_checkpoint_a_killed_job_repeats_one_row(client: Client, task: str) -> None:
    killed_at_a_row(client, task)


@pytest.mark.stores("sqlite")
def test_checkpoint_a_killed_prefork_child_repeats_one_row(client: Client) -> None:
    killed_at_a_row(client, "rows", UMBEL_POOL="prefork")


def killed_at_a_row(client: Client, task: str, **how: str) -> None:
    client.plant.open("x-3.shut")
    client.start(concurrency=1, **how)
    job = client.sig(task, "x", 6).apply_async()
    (line,) = client.plant.until_told("row", "x", "3")
    os.kill(line.pid, signal.SIGKILL)
    client.plant.until_told("row", "x", "3", times=2)
    client.plant.open("x-3")
    assert client.plant.ended(job.id).state is JobState.SUCCEEDED
    assert numbers(client, "x") == [0, 1, 2, 3, 3, 4, 5]
    assert client.app.status(job.id).result == [3, 4, 5]
    assert client.app.engine.checkpoints.take(job.id, 0) == {}, "they went with the job's end"


@pytest.mark.parametrize("task", ["rows", "rows_async"])
def test_checkpoint_a_worker_that_stops_gives_the_job_back_with_its_row(client: Client, task: str) -> None:
    gives_back(client, task)


@pytest.mark.stores("sqlite")
@pytest.mark.parametrize("task", ["rows", "rows_async"])
def test_checkpoint_a_prefork_worker_that_stops_gives_the_job_back_with_its_row(client: Client, task: str) -> None:
    gives_back(client, task, UMBEL_POOL="prefork")


def gives_back(client: Client, task: str, **how: str) -> None:
    """However seldom it saves: what was done is not done again, and no attempt is used."""
    client.plant.open("x-3.shut")
    worker = client.start(concurrency=1, **how)
    job = client.sig(task, "x", 6, 1000).apply_async()
    client.plant.until_told("row", "x", "3")
    worker.send(signal.SIGTERM)
    until(lambda: not any(queue.consumers for queue in client.plant.engine.queues()), "it has heard")
    client.plant.open("x-3")
    assert worker.wait() == 0
    assert numbers(client, "x") == [0, 1, 2, 3]
    assert client.app.status(job.id).state is JobState.QUEUED
    client.start(concurrency=1, **how)
    status = client.plant.ended(job.id)
    assert (status.state, status.result, status.retries) == (JobState.SUCCEEDED, [4, 5], 0)
    assert numbers(client, "x") == [0, 1, 2, 3, 4, 5]


@pytest.mark.stores("sqlite")
def test_checkpoint_they_survive_retries_and_wait_for_a_replay(client: Client) -> None:
    client.start(concurrency=1)
    job = client.sig("rows_retried", "x").apply_async()
    assert client.plant.ended(job.id).state is JobState.FAILED
    assert numbers(client, "x") == [0, 0, 1, 1, 2, 2, 3]
    client.app.dead_letters.replay(job.id)
    client.plant.until_told("row", "x", "3", times=2)
    assert client.plant.ended(job.id).state is JobState.SUCCEEDED


@pytest.mark.stores("sqlite")
def test_checkpoint_loops_in_loops(client: Client) -> None:
    client.start(concurrency=1)
    job = client.sig("two_loops", "x").apply_async()
    assert client.plant.ended(job.id).state is JobState.SUCCEEDED
    pairs = [line.words[2] + line.words[3] for line in client.plant.lines("pair", "x")]
    assert pairs == ["0a", "0b", "0c", "1a", "1b", "1b", "1c", "2a", "2b", "2c"]


def test_checkpoint_outside_of_a_job_it_is_a_plain_loop() -> None:
    assert list(resumable(range(3))) == [0, 1, 2]
    assert list(resumable(lambda last: [last], cursor=lambda row: row)) == [None]
    with pytest.raises(ValueError, match="cursor="):
        resumable(lambda last: [last])
    with pytest.raises(ValueError, match="cursor="):
        resumable([1], cursor=lambda row: row)
    with pytest.raises(ValueError, match="every="):
        resumable([1], every=0)
