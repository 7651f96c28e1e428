"""C5, C22: what only coroutines can do, in Umbel's two pools."""

from __future__ import annotations

import asyncio

import pytest
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError

from tests.acceptance.semantics.jobs import Jobs, failure, outcome, reaches
from tests.acceptance.semantics.waiting import DEADLINE

pytestmark = [pytest.mark.worlds("umbel", "umbel-prefork", "umbel-rabbit"), pytest.mark.flavours("async")]

#: Where coroutines of many jobs share one event loop.
_ON_THE_LOOP = pytest.mark.worlds("umbel", "umbel-rabbit")


def test_request_is_the_same_on_both_sides_of_an_await(jobs: Jobs, key: str) -> None:
    """C5: request, ``current_task`` and context variables, while another job runs in between."""
    results = [jobs.see_across_awaits.delay(key) for _ in range(4)]
    jobs.trail.wait(key, "waiting", 4)
    jobs.trail.open_gate(key)
    for result in results:
        before, after = outcome(result)
        assert before["id"] == after["id"] == result.id
        assert before["current_id"] == after["current_id"] == result.id
        assert before["from_prerun"] == after["from_prerun"] == result.id


def test_gathered_children_see_the_request(jobs: Jobs) -> None:
    """C5: id, ``current_task`` and context variables."""
    result = jobs.gather_children.delay(10)
    assert outcome(result) == [[result.id] * 3] * 10


def test_task_group_sees_the_request(jobs: Jobs) -> None:
    """C5"""
    result = jobs.task_group.delay(5)
    assert outcome(result) == [result.id] * 5


def test_retry_from_a_gathered_child(jobs: Jobs, key: str) -> None:
    """C26"""
    assert outcome(jobs.retry_in_child.delay(key)) == "third"
    assert [entry["retries"] for entry in jobs.trail.notes(key)] == [0, 1, 2]


def test_failing_child_cancels_its_siblings_only(jobs: Jobs, key: str) -> None:
    """C5: the job itself ends well."""
    result = jobs.failing_group.delay(key)
    assert outcome(result) is None
    assert jobs.trail.words(key) == ["sibling stopped", "group failed"]
    assert result.state == "SUCCESS"


def test_timeout_within_the_body(jobs: Jobs) -> None:
    """C5: ``asyncio.timeout`` is the body's own."""
    assert outcome(jobs.own_timeout.delay()) == "timed out"


def test_timeout_that_leaves_the_body_is_its_failure(jobs: Jobs) -> None:
    """C5"""
    assert isinstance(failure(jobs.leaking_timeout.delay()), TimeoutError)


def test_cancelled_error_that_nobody_asked_for_is_a_failure(jobs: Jobs) -> None:
    """C22: neither a lost worker nor a cancelled job; the worker lives."""
    result = jobs.cancel_oneself.delay()
    failure(result)
    assert result.state == "FAILURE"
    assert outcome(jobs.add.delay(1, 1)) == 2


def test_cancelling_a_child_is_the_bodys_own_business(jobs: Jobs) -> None:
    """C22"""
    assert outcome(jobs.cancel_a_child.delay()) == "child cancelled"


def test_thread_started_by_a_coroutine(jobs: Jobs) -> None:
    """C5: ``asyncio.to_thread`` takes the request along."""
    assert outcome(jobs.in_thread.delay(1)) == 2
    result = jobs.request_in_thread.delay()
    assert outcome(result) == result.id


def test_dispatch_from_within_a_coroutine(jobs: Jobs) -> None:
    """C5, C6: ``delay`` and ``await aapply_async``; both belong to the tree of the job."""
    result = jobs.dispatch_inside.delay(1)
    inner = outcome(result)
    assert outcome(jobs.world.app.AsyncResult(inner)) == 3
    assert inner in {child.id for child in jobs.world.app.AsyncResult(result.id).children}


def test_awaitable_dispatch(jobs: Jobs) -> None:
    """C6"""

    async def endpoint() -> list[str]:
        first = await jobs.add.adelay(1, 2)
        second = await jobs.add.aapply_async((2, 2), timeout=DEADLINE)
        return [first.id, second.id]

    ids = asyncio.run(endpoint())
    assert [outcome(jobs.world.app.AsyncResult(task_id)) for task_id in ids] == [3, 4]


def test_direct_call(jobs: Jobs) -> None:
    """C46: an ``async def`` task stays callable: awaitable in a running loop, and run to its end elsewhere."""

    async def endpoint() -> int:
        return int(await jobs.add(2, 3))

    assert asyncio.run(endpoint()) == 5
    assert jobs.add(2, 3) == 5


@_ON_THE_LOOP
def test_terminated_job_sees_a_cancelled_error(jobs: Jobs, key: str) -> None:
    """C22: at its next await, and ``finally`` blocks run."""
    result = jobs.hold.delay(key)
    jobs.trail.wait(key, "started")
    result.revoke(terminate=True)
    jobs.trail.wait(key, "finally")
    assert jobs.trail.notes(key, "interrupted")[0]["error"] == "CancelledError"
    with pytest.raises(TaskRevokedError):
        outcome(result)


@_ON_THE_LOOP
def test_terminated_job_leaves_its_contexts(jobs: Jobs, key: str) -> None:
    """C22: async context managers and generators are closed, with awaits in them."""
    result = jobs.closes_contexts.delay(key)
    jobs.trail.wait(key, "started")
    result.revoke(terminate=True)
    jobs.trail.wait(key, "left")
    assert jobs.trail.words(key) == ["entered", "started", "generator closed", "left"]
    reaches(result, "REVOKED")


@_ON_THE_LOOP
def test_soft_limit_leaves_contexts_too(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.closes_contexts.apply_async((key,), soft_time_limit=0.5)
    assert isinstance(failure(result), SoftTimeLimitExceeded)
    assert jobs.trail.words(key) == ["entered", "started", "generator closed", "left"]


@_ON_THE_LOOP
def test_terminated_job_does_not_disturb_those_beside_it(jobs: Jobs, key: str) -> None:
    """C22: they share a loop."""
    others = [jobs.see_across_awaits.delay(key) for _ in range(4)]
    jobs.trail.wait(key, "waiting", 4)
    victim = jobs.hold.delay(f"{key}-victim")
    jobs.trail.wait(f"{key}-victim", "started")
    victim.revoke(terminate=True)
    reaches(victim, "REVOKED")
    jobs.trail.open_gate(key)
    for result in others:
        assert [seen["id"] for seen in outcome(result)] == [result.id] * 2


@_ON_THE_LOOP
def test_many_wait_on_one_loop(jobs: Jobs, key: str) -> None:
    """C5: as many coroutines as there are slots wait at the same time, and sync jobs run beside none of them late."""
    slots = jobs.world.plan.concurrency * jobs.world.plan.nodes
    results = [jobs.wait_at_gate.delay(key, number) for number in range(slots)]
    jobs.trail.wait(key, "started", slots)
    jobs.trail.open_gate(key)
    assert [outcome(result) for result in results] == list(range(slots))
