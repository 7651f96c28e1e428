"""C5, C20, C24: how a job can end, and how that reads from outside."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from typing import Any

import pytest
from celery.exceptions import TimeoutError as ResultTimeout

from tests.acceptance.semantics.faults import Expected, Multi
from tests.acceptance.semantics.jobs import Jobs, failure, outcome, reaches
from tests.acceptance.semantics.waiting import DEADLINE

_GIVEN: dict[str, Any] = {
    "none": None,
    "text": "Ümläut \u2603 \x00 \U0001f33f",
    "nested": {"a": [1, 2.5, {"b": None}], "c": True},
    "tuple": [1, [2, 3]],
    "number": 2**80,
    "datetime": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
    "date": datetime.date(2024, 2, 29),
    "uuid": uuid.UUID(int=7),
    "decimal": decimal.Decimal("1.10"),
    "bytes": b"\xff\x00raw",
    "inf": math.inf,
}


@pytest.mark.parametrize("kind", sorted(_GIVEN))
def test_result_of_an_odd_type(jobs: Jobs, kind: str) -> None:
    """C5: what Kombu's JSON can write comes back as the same type."""
    found = outcome(jobs.give.delay(kind))
    assert found == _GIVEN[kind]
    assert type(found) is type(_GIVEN[kind])


def test_result_that_is_not_a_number(jobs: Jobs) -> None:
    """C5"""
    assert math.isnan(outcome(jobs.give_nan.delay()))


@pytest.mark.parametrize("kind", ["datetime", "uuid", "decimal", "bytes"])
def test_argument_of_an_odd_type(jobs: Jobs, kind: str) -> None:
    """C5"""
    assert outcome(jobs.echo.delay(_GIVEN[kind])) == [[_GIVEN[kind]], {}]


def test_result_that_cannot_be_encoded_is_a_failure(jobs: Jobs) -> None:
    """C5: and the worker lives."""
    result = jobs.give_unencodable.delay()
    assert isinstance(failure(result), Exception)
    assert result.state == "FAILURE"
    assert outcome(jobs.add.delay(1, 1)) == 2


def test_failure_carries_error_and_traceback(jobs: Jobs) -> None:
    """C5"""
    result = jobs.fail.delay("because")
    with pytest.raises(ValueError, match="because"):
        outcome(result)
    assert result.state == "FAILURE"
    assert result.failed()
    assert "raise ValueError(message)" in result.traceback
    assert str(result.result) == "because"


def test_failure_with_a_cause(jobs: Jobs) -> None:
    """C5"""
    result = jobs.fail_chained.delay()
    error = failure(result)
    assert isinstance(error, RuntimeError)
    assert "KeyError" in result.traceback


def test_error_whose_constructor_takes_other_arguments(jobs: Jobs) -> None:
    """C5, C20"""
    result = jobs.fail_multi.delay()
    error = failure(result)
    assert Multi.__name__ in repr(error) + type(error).__name__
    assert "seven" in str(error)


def test_error_that_cannot_be_encoded(jobs: Jobs) -> None:
    """C5, C20"""
    result = jobs.fail_stubborn.delay()
    assert "Stubborn" in type(failure(result)).__name__ + repr(failure(result))
    assert result.state == "FAILURE"
    assert "Stubborn" in result.traceback


def test_expected_error_is_still_a_failure(jobs: Jobs) -> None:
    """C5: ``throws`` only quiets the log."""
    error = failure(jobs.fail_expected.delay())
    assert isinstance(error, Expected)


def test_custom_state_is_seen_with_its_meta(jobs: Jobs, key: str) -> None:
    """C5, C20"""
    result = jobs.custom_state.delay(key)
    jobs.trail.wait(key, "updated")
    reaches(result, "CROPPING")
    assert result.info == {"done": 3, "of": 5}
    assert not result.ready()
    jobs.trail.open_gate(key)
    assert outcome(result) == "cropped"
    assert result.state == "SUCCESS"


def test_many_updates_never_overwrite_the_end(jobs: Jobs) -> None:
    """C18, C24"""
    result = jobs.many_states.delay(100)
    assert outcome(result) == 100
    assert jobs.world.app.AsyncResult(result.id).state == "SUCCESS"


def test_unknown_job_reads_as_pending(jobs: Jobs) -> None:
    """C5: as in Celery; Umbel's own status knows better."""
    assert jobs.world.app.AsyncResult(uuid.uuid4().hex).state == "PENDING"


def test_reject_is_a_failure_and_does_not_run_again(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.reject.delay(key)
    jobs.trail.wait(result.id, "task_postrun")
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.words(key) == ["ran"]
    reaches(result, "FAILURE")


def test_reject_with_requeue_runs_again(jobs: Jobs, key: str) -> None:
    """C5, C14: the message is delivered again, and says so."""
    assert outcome(jobs.reject_once.delay(key)) == "second time"
    first, second = jobs.trail.notes(key, "ran")
    assert first["redelivered"] is False
    assert second["redelivered"] is True


def test_ignore_leaves_no_end(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.ignore.delay(key)
    jobs.trail.wait(result.id, "task_postrun")
    assert jobs.trail.words(key) == ["ran"]
    assert result.state not in {"SUCCESS", "FAILURE", "RETRY"}


def test_ignore_keeps_the_custom_state(jobs: Jobs, key: str) -> None:
    """C5"""
    result = jobs.ignore_with_state.delay(key)
    jobs.trail.wait(result.id, "task_postrun")
    reaches(result, "SKIPPED")
    assert result.info == {"why": "not needed"}


def test_waiting_has_a_deadline(jobs: Jobs, key: str) -> None:
    """C25"""
    result = jobs.wait_at_gate.delay(key)
    with pytest.raises(ResultTimeout):
        result.get(timeout=0.2)
    jobs.trail.open_gate(key)
    assert result.get(timeout=DEADLINE) is None


def test_callback_of_get_is_called(jobs: Jobs) -> None:
    """C5"""
    seen: list[tuple[str, Any]] = []
    result = jobs.add.delay(1, 2)
    result.get(timeout=DEADLINE, callback=lambda task_id, value: seen.append((task_id, value)))
    assert seen == [(result.id, 3)]
