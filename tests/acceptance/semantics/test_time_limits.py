"""C5, C19, C28: soft and hard time limits."""

from __future__ import annotations

import pytest
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from tests.acceptance.semantics.jobs import Jobs, failure, outcome

#: A thread of plain Celery has no limits at all.
pytestmark = pytest.mark.worlds("celery-prefork", "umbel", "umbel-prefork", "umbel-rabbit")


def test_soft_limit_can_be_caught(jobs: Jobs, key: str) -> None:
    """C5"""
    assert outcome(jobs.soft_caught.delay(key)) == "tidied up"
    assert jobs.trail.words(key) == ["caught"]


def test_soft_limit_that_is_not_caught_is_the_failure(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.soft_uncaught.delay(key)
    assert isinstance(failure(result), SoftTimeLimitExceeded)
    assert jobs.trail.wait(result.id, "task_failure")[0]["error"] == "SoftTimeLimitExceeded"


def test_soft_limit_of_the_call(jobs: Jobs, key: str) -> None:
    """C5: and ``finally`` blocks run."""
    result = jobs.hold.apply_async((key,), soft_time_limit=0.5)
    assert isinstance(failure(result), SoftTimeLimitExceeded)
    assert jobs.trail.words(key) == ["started", "interrupted", "finally"]


def test_soft_limit_may_lead_to_a_retry(jobs: Jobs, key: str) -> None:
    """C26"""
    assert outcome(jobs.soft_then_retry.delay(key)) == "second try"


def test_soft_limit_that_is_not_reached_does_not_matter(jobs: Jobs) -> None:
    """C5"""
    assert outcome(jobs.add.apply_async((1, 2), soft_time_limit=30, time_limit=40)) == 3


def test_hard_limit_ends_the_job(jobs: Jobs, key: str) -> None:
    """C19: it fails, runs once, and the worker takes new jobs."""
    result = jobs.hard.delay(key)
    assert isinstance(failure(result), TimeLimitExceeded)
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.words(key) == ["started"]
    assert jobs.trail.wait(result.id, "task_failure")[0]["error"] == "TimeLimitExceeded"


def test_hard_limit_of_the_call(jobs: Jobs, key: str) -> None:
    """C19"""
    result = jobs.hold.apply_async((key,), time_limit=1)
    assert isinstance(failure(result), TimeLimitExceeded)
    assert jobs.trail.notes(key, "ended") == []


def test_hard_limit_leaves_neighbours_alone(jobs: Jobs, key: str) -> None:
    """C19: a job that ran beside it ends well, and only once."""
    neighbour = jobs.wait_at_gate.delay(key, "neighbour")
    jobs.trail.wait(key, "started")
    result = jobs.hard.delay(f"{key}-hard")
    assert isinstance(failure(result), TimeLimitExceeded)
    jobs.trail.open_gate(key)
    assert outcome(neighbour) == "neighbour"
    assert jobs.trail.words(key) == ["started", "ended"]


def test_hard_limit_calls_the_errback(jobs: Jobs, key: str) -> None:
    """C19"""
    result = jobs.hard.apply_async((key,), link_error=jobs.errback_full.s())
    failure(result)
    assert jobs.trail.wait(result.id, "errback_full")[0]["error"] == "TimeLimitExceeded"


def test_limits_are_set_by_control(jobs: Jobs, key: str) -> None:
    """C45: ``control.time_limit``."""
    name = jobs.named("limited_later")
    answers = jobs.world.control("time_limit", task_name=name, soft=0.5, hard=30)
    assert answers == [{"ok": "time limits set successfully"}] * jobs.world.plan.nodes
    # plain Celery 5.7 answers so, and goes on with the limits that the task had when the worker started
    if jobs.world.plan.kind == "umbel":
        assert isinstance(failure(jobs.limited_later.delay(key)), SoftTimeLimitExceeded)


def test_limit_of_a_task_that_nobody_knows(jobs: Jobs) -> None:
    """C45"""
    answers = jobs.world.control("time_limit", task_name="nobody.knows", soft=1, hard=2)
    assert answers == [{"error": "unknown task"}] * jobs.world.plan.nodes
