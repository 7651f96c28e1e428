"""C5, C26: trying again, by hand and by declaration."""

from __future__ import annotations

from celery.exceptions import MaxRetriesExceededError

from tests.acceptance.semantics.faults import Chosen
from tests.acceptance.semantics.jobs import Jobs, failure, outcome, reaches


def test_retry_runs_again_with_the_same_id(jobs: Jobs, key: str) -> None:
    """C26"""
    result = jobs.flaky.delay(key, 2)
    assert outcome(result) == "done"
    tries = jobs.trail.notes(key)
    assert [entry["retries"] for entry in tries] == [0, 1, 2]
    assert {entry["id"] for entry in tries} == {result.id}


def test_countdown_of_a_retry_is_waited_for(jobs: Jobs, key: str) -> None:
    """C26, C16"""
    outcome(jobs.flaky.delay(key, 1, 1))
    first, second = jobs.trail.notes(key)
    assert second["at"] >= first["at"] + 1


def test_state_is_retry_between_two_tries(jobs: Jobs, key: str) -> None:
    """C26"""
    result = jobs.flaky.delay(key, 1, 2)
    reaches(result, "RETRY")
    assert outcome(result) == "done"
    assert result.state == "SUCCESS"


def test_too_many_tries_end_with_max_retries_exceeded(jobs: Jobs, key: str) -> None:
    """C26: ``max_retries`` retries are ``max_retries + 1`` tries."""
    error = failure(jobs.give_up.delay(key))
    assert isinstance(error, MaxRetriesExceededError)
    assert jobs.trail.words(key) == ["try"] * 3


def test_too_many_tries_end_with_the_chosen_error(jobs: Jobs, key: str) -> None:
    """C26"""
    error = failure(jobs.give_up_chosen.delay(key))
    assert isinstance(error, Chosen)
    assert jobs.trail.words(key) == ["try"] * 2


def test_no_retries_at_all(jobs: Jobs, key: str) -> None:
    """C26: the original error is the end."""
    assert isinstance(failure(jobs.never_again.delay(key)), KeyError)
    assert jobs.trail.words(key) == ["try"]


def test_retries_without_a_limit(jobs: Jobs, key: str) -> None:
    """C26: more than the usual three."""
    assert outcome(jobs.for_ever.delay(key, 6)) == 6
    assert len(jobs.trail.words(key)) == 7


def test_retry_with_other_arguments(jobs: Jobs, key: str) -> None:
    """C26"""
    assert outcome(jobs.retry_with_arguments.delay(key)) == "second"
    assert [entry["word"] for entry in jobs.trail.notes(key)] == ["first", "second"]


def test_retry_on_another_queue(jobs: Jobs, key: str) -> None:
    """C26"""
    assert outcome(jobs.retry_elsewhere.delay(key)) == "side"


def test_retry_stays_on_its_queue(jobs: Jobs, key: str) -> None:
    """C26: a job that was sent elsewhere is tried again there."""
    result = jobs.hooked_retry.apply_async(queue="side")
    assert outcome(result) == "second"


def test_retry_that_does_not_raise(jobs: Jobs, key: str) -> None:
    """C26: ``throw=False`` orders another try, and lets this one end."""
    result = jobs.retry_quietly.delay(key)
    jobs.trail.wait(key, "try", 2)
    jobs.trail.wait(result.id, "task_postrun", 2)
    assert [entry["retries"] for entry in jobs.trail.notes(key)] == [0, 1]


def test_max_retries_of_one_call(jobs: Jobs, key: str) -> None:
    """C26: ``self.retry(max_retries=1)`` wins over the declaration."""
    assert isinstance(failure(jobs.retry_limited_once.delay(key)), Chosen)
    assert jobs.trail.words(key) == ["try"] * 2


def test_retries_of_the_call(jobs: Jobs, key: str) -> None:
    """C5: a job may be dispatched as its own third try."""
    assert outcome(jobs.flaky.apply_async((key, 3), retries=2)) == "done"
    assert [entry["retries"] for entry in jobs.trail.notes(key)] == [2, 3]


def test_autoretry(jobs: Jobs, key: str) -> None:
    """C26"""
    assert outcome(jobs.auto.delay(key, 2)) == 2
    assert [entry["retries"] for entry in jobs.trail.notes(key)] == [0, 1, 2]


def test_autoretry_gives_up_with_the_error_itself(jobs: Jobs, key: str) -> None:
    """C26"""
    assert isinstance(failure(jobs.auto.delay(key, 9)), Chosen)
    assert jobs.trail.words(key) == ["try"] * 3


def test_dont_autoretry_for(jobs: Jobs, key: str) -> None:
    """C26"""
    assert isinstance(failure(jobs.auto_but.delay(key)), KeyError)
    assert jobs.trail.words(key) == ["try"]


def test_retry_backoff_waits(jobs: Jobs, key: str) -> None:
    """C26: one second without jitter."""
    assert outcome(jobs.auto_backoff.delay(key)) == "backed off"
    first, second = jobs.trail.notes(key)
    assert second["at"] >= first["at"] + 1


def test_autoretry_with_max_retries_of_the_task(jobs: Jobs, key: str) -> None:
    """C26"""
    assert isinstance(failure(jobs.auto_used_up.delay(key)), Chosen)
    assert jobs.trail.words(key) == ["try"] * 2


def test_links_run_once_after_the_last_try(jobs: Jobs, key: str) -> None:
    """C26, C18"""
    result = jobs.flaky.apply_async((key, 2), link=jobs.remember.s(key), link_error=jobs.errback_id.s())
    assert outcome(result) == "done"
    jobs.trail.wait(key, "got")
    assert jobs.trail.words(key) == ["try", "try", "try", "got"]
    assert jobs.trail.notes(result.id, "errback_id") == []


def test_link_error_runs_once_after_the_last_try(jobs: Jobs, key: str) -> None:
    """C26"""
    result = jobs.give_up.apply_async((key,), link_error=jobs.errback_full.s())
    failure(result)
    jobs.trail.wait(result.id, "errback_full")
    assert len(jobs.trail.notes(result.id, "errback_full")) == 1


def test_headers_and_priority_survive_a_retry(jobs: Jobs) -> None:
    """C26"""
    result = jobs.retried_whoami.apply_async(headers={"tenant": "acme"}, priority=3, shadow="nickname")
    seen = outcome(result)
    assert seen["retries"] == 1
    assert seen["headers"]["tenant"] == "acme"
    assert seen["delivery_info"]["priority"] == 3
    assert (seen["id"], seen["root_id"]) == (result.id, result.id)
