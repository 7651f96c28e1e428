"""The status of a job, from its message and its stored state (C20)."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import JobState, Progress, Task, Umbel
from umbel.engine.store import Record, Settled
from umbel.errors import JobFinished, JobNotFound
from umbel.jobs.status import json_safe


@pytest.fixture
def greet(jobs: Umbel) -> Task[..., Any]:
    @jobs.task(name="shop.greet", queue="email")
    def greet(name: str = "") -> str:
        return name

    return greet


def fetched(jobs: Umbel) -> Any:
    jobs.engine.open_lease("here@test", ["email"], 1)
    (delivery,) = jobs.engine.fetch({"email": 0}, 10)
    return delivery


def test_an_unknown_job_is_an_error(jobs: Umbel) -> None:
    for method in (jobs.status, jobs.cancel):
        with pytest.raises(JobNotFound, match="no job 'nobody'") as caught:
            method("nobody")
        assert caught.value.job_id == "nobody"


def test_a_queued_job(jobs: Umbel, greet: Task[..., Any]) -> None:
    status = jobs.status(greet.apply_async(("Ann",), task_id="a", owner="user-7").id)
    assert (status.id, status.state, status.celery_state) == ("a", JobState.QUEUED, "PENDING")
    assert (status.task, status.queue, status.owner, status.due) == ("shop.greet", "email", "user-7", None)


def test_a_scheduled_job(jobs: Umbel, greet: Task[..., Any]) -> None:
    eta = datetime.now(UTC) + timedelta(hours=1)
    status = jobs.status(greet.apply_async(("Ann",), eta=eta).id)
    assert (status.state, status.due) == (JobState.SCHEDULED, pytest.approx(eta.timestamp()))


@pytest.mark.parametrize(
    ("state", "result", "expected"),
    [
        ("STARTED", {"pid": 4242, "hostname": "umbel@secret"}, JobState.RUNNING),
        ("PROGRESS", {"progress": [1, 2, "half"]}, JobState.PROGRESS),
        ("CROPPING", {"done": 5}, JobState.PROGRESS),
        ("RETRY", ConnectionError("again"), JobState.RETRYING),
        ("SUCCESS", {"x": 1}, JobState.SUCCEEDED),
        ("FAILURE", ValueError("no", 5), JobState.FAILED),
        ("REVOKED", ValueError("cancelled"), JobState.CANCELLED),
        ("REVOKED", ValueError("expired"), JobState.EXPIRED),
    ],
)
def test_c20_a_stored_state(jobs: Umbel, greet: Task[..., Any], state: str, result: Any, expected: JobState) -> None:
    greet.apply_async(task_id="a")
    jobs.engine.open_lease("here@test", ["email"], 1)
    jobs.engine.fetch({"email": 0}, 1)
    jobs.backend.store_result("a", result, state)
    status = jobs.status("a")
    jobs.engine.close_lease()
    assert (status.state, status.celery_state) == (expected, state)
    shown = status.as_dict()
    json.dumps(shown, allow_nan=False)
    assert "owner" not in shown
    assert "4242" not in json.dumps(shown), "a pid is shown"
    assert "secret" not in json.dumps(shown), "a host is shown"
    assert shown["result"] == ({"x": 1} if state == "SUCCESS" else None)
    assert shown["meta"] == ({"done": 5} if state == "CROPPING" else None)
    assert status.progress == (Progress(1, 2, "half") if state == "PROGRESS" else None)
    failed = expected in (JobState.FAILED, JobState.RETRYING, JobState.CANCELLED, JobState.EXPIRED)
    assert (status.error is not None) == failed
    if state == "FAILURE":
        assert status.error == "ValueError: no, 5"


def test_c20_a_job_that_was_given_back_is_queued_again(jobs: Umbel, greet: Task[..., Any]) -> None:
    """Its worker has ended: what was stored while it ran is not how it is."""
    greet.apply_async(task_id="a")
    for state, result in (("STARTED", {}), ("PROGRESS", {"progress": [1, 2, "half"]})):
        jobs.backend.store_result("a", result, state)
        assert jobs.status("a").state is JobState.QUEUED


@pytest.mark.parametrize("told", [[math.nan, 5, "x"], [1, math.inf, ""], ["1", 2, ""], [1, 2]])
def test_c20_a_progress_of_ones_own_form_is_meta(jobs: Umbel, greet: Task[..., Any], told: list[Any]) -> None:
    greet.apply_async(task_id="a")
    jobs.backend.store_result("a", {"progress": told, "current": 1}, "PROGRESS")
    status = jobs.status("a")
    assert status.progress is None
    json.dumps(status.as_dict(), allow_nan=False)


def test_c20_celerys_usual_progress_is_shown_as_meta(jobs: Umbel, greet: Task[..., Any]) -> None:
    greet.apply_async(task_id="a")
    jobs.engine.open_lease("here@test", ["email"], 1)
    jobs.engine.fetch({"email": 0}, 1)
    jobs.backend.store_result("a", {"current": 3, "total": 10}, "PROGRESS")
    assert jobs.status("a").meta == {"current": 3, "total": 10}
    jobs.engine.close_lease()


def test_c20_a_job_between_its_message_and_its_first_state_is_known(jobs: Umbel, greet: Task[..., Any]) -> None:
    greet.apply_async(task_id="a")
    fetched(jobs)
    assert jobs.status("a").state in (JobState.QUEUED, JobState.RUNNING)


def test_c20_an_old_end_does_not_hide_a_new_run(jobs: Umbel, greet: Task[..., Any]) -> None:
    greet.apply_async(task_id="a")
    delivery = fetched(jobs)
    record = Record("a", "SUCCESS", True, json.dumps({"status": "SUCCESS", "result": 1}), since=delivery.enqueued)
    jobs.engine.settle([Settled(delivery.seq, "ack", records=[record])])
    assert jobs.status("a").state is JobState.SUCCEEDED
    greet.apply_async(task_id="a")
    assert jobs.status("a").state is JobState.QUEUED


def test_c22_a_cancelled_job(jobs: Umbel, greet: Task[..., Any]) -> None:
    greet.apply_async(task_id="a", owner="user-7")
    assert jobs.cancel("a") is JobState.CANCELLED
    status = jobs.status("a")
    assert (status.state, status.celery_state, status.owner) == (JobState.CANCELLED, "REVOKED", "user-7")
    assert jobs.cancel("a") is JobState.CANCELLED, "cancelling twice is no error"
    assert fetched(jobs).cancelled
    assert jobs.AsyncResult("a").state == "REVOKED"


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE"])
def test_c22_a_finished_job_cannot_be_cancelled(jobs: Umbel, greet: Task[..., Any], state: str) -> None:
    jobs.backend.store_result("a", ValueError("x") if state == "FAILURE" else 1, state)
    with pytest.raises(JobFinished, match="already ended") as caught:
        jobs.cancel("a")
    assert caught.value.state == jobs.status("a").state
    assert jobs.status("a").celery_state == state


# -- JSON -------------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = 1


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.binary(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(anything)
def test_c20_everything_becomes_json_that_any_encoder_takes(value: Any) -> None:
    """As web frameworks write it: no NaN, no escapes of what UTF-8 cannot say."""
    text = json.dumps(json_safe(value), allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    assert json.loads(text) == json_safe(value)


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("a\ud800", "a\\ud800"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (b"abc", "abc"),
        (b"\xff", "\\xff"),
        ({1: 2, None: 3}, {"1": 2, "None": 3}),
        ((1, 2), [1, 2]),
        ({5}, [5]),
        (Colour.RED, "Colour.RED"),
        (datetime(2026, 1, 2), "2026-01-02 00:00:00"),
        ({"plain": [1, 2.5, "x", True, None]}, {"plain": [1, 2.5, "x", True, None]}),
    ],
)
def test_c20_odd_values(value: Any, safe: Any) -> None:
    assert json_safe(value) == safe


def test_c20_odd_objects_and_endless_ones() -> None:
    assert json_safe(Odd()) == "<odd>"
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    for value in (endless, deep):
        json.dumps(json_safe(value))
    identity = uuid4()
    assert json_safe({"id": identity}) == {"id": str(identity)}
