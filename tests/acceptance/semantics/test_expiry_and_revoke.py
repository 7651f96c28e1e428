"""C5, C10, C22: jobs that must not run, or not run on."""

from __future__ import annotations

import datetime

import pytest
from celery import group
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from tests.acceptance.semantics.jobs import Jobs, outcome, reaches
from tests.acceptance.semantics.waiting import DEADLINE

#: Where a running body can be interrupted; a thread of plain Celery cannot.
_INTERRUPTING = pytest.mark.worlds("celery-prefork", "umbel", "umbel-prefork", "umbel-rabbit")


def _never_ran(jobs: Jobs, result: AsyncResult) -> None:
    reaches(result, "REVOKED")
    jobs.trail.wait(result.id, "task_revoked")
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.notes(result.id, "task_prerun") == []


def _now(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-60, -0.5])
def test_expired_before_it_was_sent(jobs: Jobs, key: str, seconds: float) -> None:
    """C10: never started, and its state is final."""
    result = jobs.mark.apply_async((key,), expires=_now(seconds))
    _never_ran(jobs, result)
    assert jobs.trail.words(key) == []
    assert jobs.trail.notes(result.id, "task_revoked")[0]["expired"] is True


def test_expired_while_it_waited_for_its_time(jobs: Jobs, key: str) -> None:
    """C10, C16"""
    result = jobs.mark.apply_async((key,), countdown=1.5, expires=0.5)
    _never_ran(jobs, result)
    assert jobs.trail.words(key) == []


def test_expired_while_nobody_consumed_its_queue(jobs: Jobs, key: str) -> None:
    """C10"""
    result = jobs.mark.apply_async((key,), queue="late", expires=_now(0.2))
    until_expired = jobs.add.apply_async((1, 1), countdown=0.5)
    outcome(until_expired)
    with jobs.world.worker(queues=("late",)):
        _never_ran(jobs, result)
    assert jobs.trail.words(key) == []


def test_waiting_for_an_expired_job_raises(jobs: Jobs, key: str) -> None:
    """C10"""
    result = jobs.mark.apply_async((key,), expires=_now(-60))
    with pytest.raises(TaskRevokedError):
        outcome(result)


def test_expiry_of_a_retry_is_that_of_the_job(jobs: Jobs, key: str) -> None:
    """C10, C26: a job that expires between two tries is not tried again."""
    result = jobs.flaky.apply_async((key, 1, 1.5), expires=_now(0.7))
    reaches(result, "REVOKED")
    assert jobs.trail.words(key) == ["try"]


def test_revoked_before_its_time(jobs: Jobs, key: str) -> None:
    """C22: a job for later never starts."""
    result = jobs.mark.apply_async((key,), countdown=1)
    result.revoke()
    _never_ran(jobs, result)
    assert jobs.trail.words(key) == []
    assert jobs.trail.notes(result.id, "task_revoked")[0]["terminated"] is False
    with pytest.raises(TaskRevokedError):
        outcome(result)


def test_revoked_while_it_waited_in_its_queue(jobs: Jobs, key: str) -> None:
    """C22: the worker that consumes it later must have heard of it."""
    result = jobs.mark.apply_async((key,), queue="late")
    jobs.world.app.control.revoke(result.id)
    reaches(result, "REVOKED")
    jobs.world.control("add_consumer", queue="late", exchange="late", routing_key="late")
    try:
        _never_ran(jobs, result)
    finally:
        jobs.world.control("cancel_consumer", queue="late")
    assert jobs.trail.words(key) == []


def test_several_revoked_at_once(jobs: Jobs, key: str) -> None:
    """C22"""
    results = [jobs.mark.apply_async((key,), countdown=1) for _ in range(3)]
    jobs.world.app.control.revoke([result.id for result in results])
    for result in results:
        _never_ran(jobs, result)
    assert jobs.trail.words(key) == []


def test_revoked_by_a_stamp(jobs: Jobs, key: str) -> None:
    """C5"""
    signature = jobs.mark.si(key)
    signature.stamp(tenant=key)
    result = signature.apply_async(countdown=1)
    other = jobs.mark.apply_async((key, "other"), countdown=1)
    jobs.world.app.control.revoke_by_stamped_headers({"tenant": [key]})
    outcome(other)
    _never_ran(jobs, result)
    assert jobs.trail.words(key) == ["other"]


def test_rest_of_a_chain_does_not_run_after_a_revoked_member(jobs: Jobs, key: str) -> None:
    """C22"""
    result = (jobs.mark.si(key, "first") | jobs.mark.si(key, "second")).apply_async(countdown=1)
    result.parent.revoke()
    reaches(result.parent, "REVOKED")
    jobs.trail.wait(result.parent.id, "task_revoked")
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.words(key) == []


def test_running_job_is_not_disturbed_by_a_plain_revoke(jobs: Jobs, key: str) -> None:
    """C5: without ``terminate``."""
    result = jobs.wait_at_gate.delay(key, "undisturbed")
    jobs.trail.wait(key, "started")
    result.revoke()
    jobs.world.inspect().ping()
    jobs.trail.open_gate(key)
    assert outcome(result) == "undisturbed"


@_INTERRUPTING
def test_running_job_is_terminated(jobs: Jobs, key: str) -> None:
    """C22: it ends revoked, its neighbours go on, and the worker takes new jobs."""
    neighbour = jobs.wait_at_gate.delay(key, "neighbour")
    jobs.trail.wait(key, "started")
    victim = jobs.hold.delay(f"{key}-victim")
    jobs.trail.wait(f"{key}-victim", "started")
    victim.revoke(terminate=True)
    reaches(victim, "REVOKED")
    with pytest.raises(TaskRevokedError):
        outcome(victim)
    jobs.trail.open_gate(key)
    assert outcome(neighbour) == "neighbour"
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.notes(f"{key}-victim", "ended") == []


@_INTERRUPTING
def test_terminated_job_is_announced(jobs: Jobs, key: str) -> None:
    """C22, C23"""
    result = jobs.hold.delay(key)
    jobs.trail.wait(key, "started")
    result.revoke(terminate=True, signal="SIGTERM")
    assert any(entry["terminated"] for entry in jobs.trail.wait(result.id, "task_revoked"))


@_INTERRUPTING
def test_terminated_before_it_started_never_starts(jobs: Jobs, key: str) -> None:
    """C22"""
    result = jobs.mark.apply_async((key,), countdown=1)
    result.revoke(terminate=True)
    reaches(result, "REVOKED")
    assert outcome(jobs.add.apply_async((1, 1), countdown=1.2)) == 2
    assert jobs.trail.words(key) == []


@_INTERRUPTING
def test_whole_group_is_terminated(jobs: Jobs, key: str) -> None:
    """C22"""
    result = group(jobs.hold.s(key), jobs.hold.s(key))()
    jobs.trail.wait(key, "started", 2)
    result.revoke(terminate=True)
    for member in result.results:
        reaches(member, "REVOKED")


def test_get_without_propagation_gives_the_error(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.mark.apply_async((key,), countdown=3600)
    result.revoke()
    reaches(result, "REVOKED")
    assert isinstance(result.get(timeout=DEADLINE, propagate=False), TaskRevokedError)
