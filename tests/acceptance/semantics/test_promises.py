"""Where Umbel promises more than Celery, or something else: each with its line of the contract."""

from __future__ import annotations

from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError

from tests.acceptance.semantics.faults import Chosen
from tests.acceptance.semantics.jobs import Jobs, failure, outcome, reaches
from tests.acceptance.semantics.waiting import until

pytestmark = pytest.mark.worlds("umbel", "umbel-prefork", "umbel-rabbit")

#: What a store of ours orders. RabbitMQ does it as its queues do: quorum queues by arrival, each queue by itself.
_ORDERED = pytest.mark.worlds("umbel", "umbel-prefork")


def _app(jobs: Jobs) -> Any:
    return jobs.world.app


def _status(jobs: Jobs, task_id: str) -> str:
    return str(_app(jobs).status(task_id).state)


@_ORDERED
def test_higher_priority_starts_first(jobs: Jobs, key: str) -> None:
    """C8: 9 before 0, and first come first served within one priority."""
    for priority in (0, 5, 9, 3, 9, 0):
        jobs.mark.apply_async((key, str(priority)), queue="late", priority=priority)
    with jobs.world.worker(concurrency=1, queues=("late",)):
        until(lambda: len(jobs.trail.words(key)) == 6, "all have run")
    assert jobs.trail.words(key) == ["9", "9", "5", "3", "0", "0"]


@_ORDERED
def test_queues_drain_in_the_order_of_the_option(jobs: Jobs, key: str) -> None:
    """C9: ``-Q late,parked``."""
    for number in range(3):
        jobs.mark.apply_async((key, "parked"), queue="parked")
        jobs.mark.apply_async((key, "late"), queue="late", priority=number)
    with jobs.world.worker(concurrency=1, queues=("late", "parked")):
        until(lambda: len(jobs.trail.words(key)) == 6, "all have run")
    assert jobs.trail.words(key) == ["late"] * 3 + ["parked"] * 3


def test_expired_job_says_so(jobs: Jobs, key: str) -> None:
    """C10: not cancelled, expired."""
    result = jobs.mark.apply_async((key,), expires=-1)
    until(lambda: _status(jobs, result.id) == "expired", "the state is expired")
    assert jobs.trail.words(key) == []


def test_states_from_dispatch_to_end(jobs: Jobs, key: str) -> None:
    """C20: a job dispatched by Umbel is never taken for unknown."""
    result = jobs.custom_state.apply_async((key,), queue="late")
    assert _status(jobs, result.id) == "queued"
    later = jobs.mark.apply_async((key,), countdown=3600)
    assert _status(jobs, later.id) == "scheduled"
    with jobs.world.worker(queues=("late",)):
        jobs.trail.wait(key, "updated")
        until(lambda: _status(jobs, result.id) == "progress", "the job tells of its progress")
        jobs.trail.open_gate(key)
        outcome(result)
    assert _status(jobs, result.id) == "succeeded"
    _app(jobs).cancel(later.id)


def test_state_between_two_tries(jobs: Jobs, key: str) -> None:
    """C20, C26"""
    result = jobs.flaky.delay(key, 1, 2)
    until(lambda: _status(jobs, result.id) == "retrying", "the state is retrying")
    assert outcome(result) == "done"


def test_final_state_by_hand_is_ignored(jobs: Jobs) -> None:
    """C24: the real end is recorded."""
    result = jobs.final_state_then_fail.delay()
    error = failure(result)
    assert str(error) == "the truth"
    assert result.state == "FAILURE"


def test_soft_limit_is_not_swallowed_by_a_broad_retry(jobs: Jobs, key: str) -> None:
    """C28"""
    assert isinstance(failure(jobs.soft_and_broad_retry.delay(key)), SoftTimeLimitExceeded)
    assert jobs.trail.words(key) == ["try"]


def test_attribute_set_on_the_task_lives_per_execution(jobs: Jobs, key: str) -> None:
    """C5"""
    results = [jobs.set_and_read.delay(key, number) for number in range(4)]
    jobs.trail.wait(key, "set", 4)
    jobs.trail.open_gate(key)
    assert [outcome(result) for result in results] == [0, 1, 2, 3]


def test_cancel_before_any_worker_has_seen_it(jobs: Jobs, key: str) -> None:
    """C22: durable, so that a worker started later knows."""
    result = jobs.mark.apply_async((key,), queue="late")
    _app(jobs).cancel(result.id)
    with jobs.world.worker(queues=("late",)):
        probe = jobs.mark.apply_async((key, "probe"), queue="late")
        jobs.trail.wait(probe.id, "task_postrun")
    assert jobs.trail.words(key) == ["probe"]
    assert _status(jobs, result.id) == "cancelled"
    with pytest.raises(TaskRevokedError):
        outcome(result)


def test_cancel_a_job_for_later(jobs: Jobs, key: str) -> None:
    """C22, C16"""
    result = jobs.mark.apply_async((key,), countdown=0.7)
    _app(jobs).cancel(result.id)
    assert outcome(jobs.add.apply_async((1, 1), countdown=1)) == 2
    assert jobs.trail.words(key) == []
    assert _status(jobs, result.id) == "cancelled"


def test_cancel_a_running_job(jobs: Jobs, key: str) -> None:
    """C22: any pool, sync and async."""
    result = jobs.hold.delay(key)
    jobs.trail.wait(key, "started")
    _app(jobs).cancel(result.id)
    until(lambda: _status(jobs, result.id) == "cancelled", "the state is cancelled")
    reaches(result, "REVOKED")
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.notes(key, "ended") == []


def test_cancel_what_has_ended_or_never_was(jobs: Jobs, key: str) -> None:
    """C22: two errors, which the router makes 409 and 404."""
    from umbel.errors import JobFinished, JobNotFound

    result = jobs.add.delay(1, 1)
    outcome(result)
    with pytest.raises(JobFinished):
        _app(jobs).cancel(result.id)
    with pytest.raises(JobNotFound):
        _app(jobs).cancel(key)


def test_hard_limit_counts_no_attempt_of_its_neighbours(jobs: Jobs, key: str) -> None:
    """C17, C19: a neighbour that outlives the drain runs again, and that is no retry."""
    neighbour = jobs.whoami.delay()
    result = jobs.hard.delay(key)
    failure(result)
    assert outcome(neighbour)["retries"] == 0
    assert _status(jobs, result.id) == "failed"


def test_declared_retry(jobs: Jobs, key: str) -> None:
    """C26, C35: on RabbitMQ too, where a retry is published from an outbox."""
    assert outcome(jobs.tried.delay(key, 2)) == "done"
    assert [entry["retries"] for entry in jobs.trail.notes(key)] == [0, 1, 2]
    assert isinstance(failure(jobs.tried.delay(f"{key}-up", 9)), Chosen)
    assert [entry["retries"] for entry in jobs.trail.notes(f"{key}-up")] == [0, 1, 2]


def test_job_that_puts_itself_off(jobs: Jobs, key: str) -> None:
    """C28: no attempt is used."""
    assert outcome(jobs.put_off.delay(key, 5)) == "done"
    assert [entry["retries"] for entry in jobs.trail.notes(key)] == [0] * 6


def test_job_that_cancels_itself(jobs: Jobs, key: str) -> None:
    """C22: with the signal and the event of any other cancel."""
    result = jobs.cancel_itself.delay(key)
    until(lambda: _status(jobs, result.id) == "cancelled", "the state is cancelled")
    jobs.trail.wait(result.id, "task_revoked")
    with pytest.raises(TaskRevokedError):
        outcome(result)
    assert jobs.trail.words(key) == ["try"]


def test_get_without_a_timeout_has_one(jobs: Jobs) -> None:
    """C25: waiting inside a running event loop is refused."""
    import asyncio

    from umbel.errors import WaitRefused

    result = jobs.add.delay(1, 1)

    async def endpoint() -> None:
        with pytest.raises(WaitRefused):
            result.get()

    asyncio.run(endpoint())
    assert outcome(result) == 2


def test_enqueue_many(jobs: Jobs) -> None:
    """C7"""
    ids = list(jobs.add.enqueue_many(((number, 1) for number in range(50)), queue="side"))
    assert [outcome(_app(jobs).AsyncResult(task_id)) for task_id in ids] == list(range(1, 51))
