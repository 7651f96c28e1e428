"""A job's life in the history, on both databases, however its events are split into reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.integration.monitor.events import START, Recorder, ended, ends, failure, payload, queued, success
from umbel.errors import JobNotFound
from umbel.monitor.documents import RESULT_MOST
from umbel.monitor.history import History
from umbel.monitor.jobs_view import JobDetails
from umbel.monitor.tables import ATTEMPTS, JOBS, MESSAGES
from umbel.monitor.writer import CursorMoved
from umbel.state.events import Ended, Event, Logged
from umbel.states import JobState

Told = Event | Ended


@pytest.fixture(params=["one read", "each alone"])
def tell(request: pytest.FixtureRequest, history: History) -> Any:
    recorder = Recorder(history)

    def write(*events: Told) -> None:
        if request.param == "one read":
            recorder.tell(*events)
        else:
            for event in events:
                recorder.tell(event)

    return write


def job(history: History, task_id: str = "a") -> JobDetails:
    return history.jobs.job(task_id)


def states(details: JobDetails) -> list[str]:
    return [one.state for one in details.attempts]


def test_a_success_is_told_in_one_row(history: History, tell: Any) -> None:
    tell(
        queued("a", args=[1, "two"], kwargs={"n": 3}, priority=7, umbel_owner="ann"),
        ends(ended("a", started=START + 1, ran=2, document=success("a", {"sum": 3})), worker="w1@h", release="v7"),
    )
    found = job(history)
    assert (found.job.state, found.job.task, found.job.queue) == (JobState.SUCCEEDED, "shop.add", "default")
    assert (found.job.worker, found.job.release, found.job.priority, found.job.owner) == ("w1@h", "v7", 7, "ann")
    assert (found.job.queued_at, found.job.started_at, found.job.ended_at) == (START, START + 1, START + 3)
    assert (found.job.waited, found.job.ran, found.job.attempts) == (1, 2, 1)
    assert json.loads(str(found.arguments)) == [[1, "two"], {"n": 3}]
    assert json.loads(str(found.result)) == {"sum": 3}
    assert states(found) == ["succeeded"]
    assert not found.has_message
    with history.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(ATTEMPTS)) == 0


def test_a_success_may_tell_its_result_alone(history: History, tell: Any) -> None:
    tell(queued("a"), ended("a", document="", result='[1,{"two":2}]'))
    tell(queued("b"), ended("b", document="", result=f'"{"x" * 20_000}"'))
    assert history.jobs.job("a").result == '[1,{"two":2}]'
    assert len(str(history.jobs.job("b").result)) == RESULT_MOST


def test_a_job_that_waits_keeps_its_message(history: History, tell: Any) -> None:
    tell(queued("a"), queued("b", due=START + 60))
    assert (job(history).job.state, job(history, "b").job.state) == (JobState.QUEUED, JobState.SCHEDULED)
    assert job(history, "b").job.due_at == START + 60
    assert history.jobs.message("a") == payload("a")
    assert job(history).attempts == ()


@pytest.mark.parametrize("order", ["end first", "message first"])
def test_a_retry_waits_whichever_of_its_step_is_told_first(history: History, tell: Any, order: str) -> None:
    step: list[Told] = [ended("a", "RETRY"), queued("a", START + 3, due=START + 10, retries=1)]
    tell(queued("a"), *(step if order == "end first" else reversed(step)))
    found = job(history)
    assert (found.job.state, found.job.due_at, found.job.attempts) == (JobState.RETRYING, START + 10, 1)
    assert (found.job.error_type, found.job.error_message) == ("ValueError", "no")
    assert states(found) == ["retrying"]
    assert history.jobs.message("a") == payload("a", retries=1)
    tell(ended("a", attempt=1, started=START + 11, ran=1))
    found = job(history)
    assert (found.job.state, found.job.attempts, found.job.waited) == (JobState.SUCCEEDED, 2, 1)
    assert (found.job.error_type, found.job.fingerprint) == (None, None)
    assert states(found) == ["retrying", "succeeded"]
    assert (found.attempts[0].error_message, found.attempts[0].traceback) == ("no", "Traceback")


def test_a_failure_keeps_its_message_and_its_error(history: History, tell: Any) -> None:
    document = failure("a", "Refused", ["card", 5], "shop.errors")
    tell(queued("a"), ended("a", "FAILURE", document=document))
    found = job(history)
    assert (found.job.state, found.job.error_type) == (JobState.FAILED, "shop.errors.Refused")
    assert (found.job.error_message, found.has_message) == ("card, 5", True)
    assert found.job.fingerprint is not None
    assert states(found) == ["failed"]


def test_an_end_may_be_told_before_its_queueing(history: History, tell: Any) -> None:
    """Where messages and the log are kept apart."""
    tell(ended("a", document=success("a", 1)), queued("a", umbel_tags=["red"]))
    found = job(history)
    assert (found.job.state, found.job.task, found.result) == (JobState.SUCCEEDED, "shop.add", "1")
    assert (found.job.queued_at, found.tags, found.has_message) == (START, ("red",), False)
    assert found.arguments == "[[],{}]"


def test_a_failure_may_be_told_before_its_queueing(history: History, tell: Any) -> None:
    tell(ended("a", "FAILURE"), queued("a"))
    found = job(history)
    assert (found.job.state, found.job.error_type, found.has_message) == (JobState.FAILED, "ValueError", True)


def test_a_plain_clients_job_is_told_by_its_end(history: History, tell: Any) -> None:
    tell(ended("a", queued=START - 4, payload=payload("a", "old.task", [1])))
    found = job(history)
    assert (found.job.task, found.job.queued_at, found.job.waited) == ("old.task", START - 4, 5)
    assert (found.arguments, found.has_message) == ("[[1],{}]", False)


def test_a_plain_clients_retry_can_be_put_back(history: History, tell: Any) -> None:
    tell(ended("a", "REQUEUED", payload=payload("a")))
    assert (job(history).job.state, history.jobs.message("a")) == (JobState.QUEUED, payload("a"))


def test_an_interruption_is_no_attempt(history: History, tell: Any) -> None:
    tell(queued("a"), ended("a", "REQUEUED"))
    found = job(history)
    assert (found.job.state, found.job.attempts, states(found)) == (JobState.QUEUED, 0, ["interrupted"])
    assert found.has_message
    tell(ended("a", started=START + 5))
    assert (job(history).job.attempts, states(job(history))) == (1, ["interrupted", "succeeded"])


@pytest.mark.parametrize("order", ["end first", "message first"])
def test_putting_off_is_no_attempt(history: History, tell: Any, order: str) -> None:
    document = failure("a", "Snooze", ["in 30 s"], "umbel.jobs.outcomes")
    step: list[Told] = [
        ended("a", "RETRY", document=document),
        queued("a", START + 3, due=START + 33, umbel_put_off=1),
    ]
    tell(queued("a"), *(step if order == "end first" else reversed(step)))
    found = job(history)
    assert (found.job.state, found.job.attempts, states(found)) == (JobState.SCHEDULED, 0, ["deferred"])
    assert found.job.due_at == START + 33


@pytest.mark.parametrize(("word", "state"), [("revoked", JobState.CANCELLED), ("expired", JobState.EXPIRED)])
def test_what_never_began(history: History, tell: Any, word: str, state: JobState) -> None:
    document = failure("a", "TaskRevokedError", [word], "celery.exceptions")
    tell(queued("a"), ended("a", "REVOKED", started=0, at=START + 9, document=document))
    found = job(history)
    assert (found.job.state, found.job.started_at, found.job.waited, found.job.ran) == (state, None, None, None)
    assert (found.job.ended_at, found.attempts, found.has_message) == (START + 9, (), False)
    # It has an error, and did not fail.
    assert found.job.error_type == "celery.exceptions.TaskRevokedError"
    assert history.failures.find() == ()


def test_the_same_id_is_dispatched_again_after_its_end(history: History, tell: Any) -> None:
    tell(queued("a"), ended("a", document=success("a", 1)), queued("a", START + 60))
    found = job(history)
    assert (found.job.state, found.result, found.job.ended_at) == (JobState.QUEUED, None, None)
    assert (found.job.queued_at, states(found), found.has_message) == (START, ["succeeded"], True)
    tell(ended("a", started=START + 61, document=success("a", 2)))
    found = job(history)
    assert (found.result, states(found), found.job.attempts) == ("2", ["succeeded", "succeeded"], 2)
    assert [one.started_at for one in found.attempts] == [START + 1, START + 61]


def test_a_replay_carries_the_attempts_on(history: History, tell: Any) -> None:
    """Whatever its sender's clock says."""
    tell(
        queued("a"),
        ended("a", "RETRY"),
        queued("a", START + 3, retries=1),
        ended("a", "FAILURE", attempt=1, started=START + 4),
        queued("a", START + 2, umbel_replay="1 a"),
    )
    found = job(history)
    assert (found.job.state, found.job.replays, found.job.attempts) == (JobState.QUEUED, 1, 2)
    tell(ended("a", started=START + 20))
    assert states(job(history)) == ["retrying", "failed", "succeeded"]
    assert job(history).job.state is JobState.SUCCEEDED


@pytest.mark.parametrize("order", ["end first", "message first"])
def test_a_job_that_replaces_itself_goes_on(history: History, tell: Any, order: str) -> None:
    """``self.replace`` queues another message under the same id."""
    step: list[Told] = [ended("a", "IGNORED"), queued("a", START + 2, task="shop.other")]
    tell(queued("a"), *(step if order == "end first" else reversed(step)))
    assert job(history).job.state is JobState.QUEUED
    tell(ended("a", started=START + 5))
    assert (job(history).job.state, states(job(history))) == (JobState.SUCCEEDED, ["succeeded", "succeeded"])


def test_parents_and_children(history: History, tell: Any) -> None:
    tell(
        queued("a"),
        queued("b", START + 1, parent_id="a", root_id="a", group="g"),
        queued("c", START + 2, parent_id="a", root_id="a", umbel_batch="n1"),
    )
    assert [one.id for one in job(history).children] == ["b", "c"]
    found = job(history, "b")
    assert found.parent is not None
    assert (found.parent.id, found.job.root_id, found.job.group_id) == ("a", "a", "g")
    assert (job(history, "c").job.batch_id, job(history).job.root_id) == ("n1", None)


def test_progress_is_kept(history: History, tell: Any) -> None:
    document = json.dumps({"status": "SUCCESS", "result": None, "progress": [5, 5, "done"], "task_id": "a"})
    tell(queued("a"), ended("a", document=document))
    assert json.loads(str(job(history).job.progress)) == [5, 5, "done"]


def test_what_is_encrypted_is_not_shown(history: History, tell: Any) -> None:
    """C43."""
    sealed = json.loads(payload("a", args=["secret"]))
    sealed["content-type"] = "application/x-umbel-sealed"
    document = json.dumps({"status": "FAILURE", "result": None, "traceback": None, "umbel_sealed": "x", "task_id": "a"})
    message = queued("a")
    tell(
        type(message)("a", "default", 0, START, None, json.dumps(sealed)),
        ended("a", "FAILURE", document=document),
    )
    found = job(history)
    assert (found.job.state, found.job.task) == (JobState.FAILED, "shop.add")
    assert (found.arguments, found.result, found.job.error_message) == (None, None, None)


@pytest.mark.parametrize(
    "odd",
    ["\0", "\ud800", "snow ☃", "x" * 40_000, float("nan"), [1, {"a": "\0"}]],
    ids=["nul", "surrogate", "snow", "long", "nan", "nested"],
)
def test_odd_values_are_bounded_and_stored(history: History, tell: Any, odd: Any) -> None:
    tell(
        queued("a", args=[odd], umbel_tags=["t", "t", 5 if odd == "\0" else "u"]),
        ended("a", "RETRY", document=failure("a", message=odd, traceback=str(odd))),
        queued("a", START + 3, retries=1, args=[odd]),
        ended("a", attempt=1, started=START + 4, document=success("a", odd)),
    )
    found = job(history)
    assert found.job.state is JobState.SUCCEEDED
    assert found.job.task == "shop.add"
    for text in (found.arguments, found.result, found.attempts[0].traceback):
        assert text is not None
        assert len(text) <= 16_384
        assert ("…" in text) == (isinstance(odd, str) and len(odd) > 16_384)


def test_odd_ids_and_damaged_messages_are_jobs_too(history: History, tell: Any) -> None:
    message = queued("odd\0\ud800")
    tell(message, type(message)("b", "q\0", 0, START, None, "{"), ended("b", "FAILURE"))
    assert history.jobs.find().jobs[1].task == "shop.add"
    found = job(history, "b")
    assert (found.job.task, found.job.state, found.has_message) == (None, JobState.FAILED, True)


def test_an_event_is_written_once(history: History) -> None:
    """A recorder that has ended before it dropped what it had written, and two that have read the same."""
    logged = Logged("5-0", (queued("a"), ends(ended("a"))))
    history.write("shop", logged, after=None)
    for after in (None, "4-0"):
        with pytest.raises(CursorMoved):
            history.write("shop", logged, after=after)
    assert history.cursor("shop") == "5-0"
    assert job(history).job.attempts == 1
    history.write("other", Logged("1-0", (queued("b"),)), after=None)
    assert (history.cursor("shop"), history.cursor("other")) == ("5-0", "1-0")


def test_what_cannot_be_written_moves_no_cursor(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(history)
    recorder.tell(queued("a", task="shop.known"))
    with monkeypatch.context() as patched:
        patched.setattr("umbel.monitor.rollups.Rollups.write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recorder.tell(queued("b", task="shop.new"), ended("a"))
    assert history.cursor("shop") == "1-0"
    with pytest.raises(JobNotFound):
        job(history, "b")
    recorder.tell(queued("b", task="shop.new"), ended("a"))
    assert (job(history, "b").job.task, job(history).job.state) == ("shop.new", JobState.SUCCEEDED)
    with history.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(JOBS)) == 2
        assert connection.scalar(select(func.count()).select_from(MESSAGES)) == 1


def test_a_job_that_has_begun_runs_until_its_end_is_told(history: History) -> None:
    recorder = Recorder(history)
    began = ended("a", "STARTED", started=START + 1, at=0.0, queued=START)
    recorder.tell(queued("a"), began)
    job = history.jobs.job("a").job
    assert (job.state, job.worker, job.started_at, job.waited) == (JobState.RUNNING, "w1@host", START + 1, 1.0)
    assert (job.ended_at, job.attempts) == (None, 0)
    assert history.jobs.message("a") is not None
    recorder.tell(ended("a", queued=START))
    # Told once more, because an answer was lost: it changes nothing.
    recorder.tell(began)
    job = history.jobs.job("a").job
    assert (job.state, job.ran, job.attempts) == (JobState.SUCCEEDED, 2.0, 1)
