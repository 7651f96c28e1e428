"""umbel why: every reason why a job is where it is."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from umbel.cli.reasons import Facts, Reason, explain
from umbel.engine.store import DeadLetter, Location, QueueStatus, WorkerStatus
from umbel.jobs.status import JobStatus, Progress
from umbel.states import CELERY_STATES, JobState

NOW = 1_800_000_000.0
WORKER = WorkerStatus(7, "w1@host", 42, ("default",), 10, NOW - 60, 1)
BUSY = {"mail": QueueStatus("mail", 5, 0, 1, 0, 1)}
ALONE = {"mail": QueueStatus("mail", 5, 0, 0, 0, 0)}
LETTER = DeadLetter(1, "j", "shop.mail", "mail", "worker lost", 3, NOW - 5, "{}")
WAITING = Location(
    task_id="j",
    queue="mail",
    task="shop.mail",
    owner=None,
    priority=0,
    due=None,
    expires=None,
    lease=None,
    suspect=False,
    deliveries=0,
    crashes=0,
    cancelled=False,
    enqueued=NOW - 9,
    retries=0,
    position=0,
)


@pytest.fixture(autouse=True)
def _frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def status(state: JobState, **fields: Any) -> JobStatus:
    known: dict[str, Any] = {
        "id": "j",
        "state": state,
        "celery_state": CELERY_STATES[state],
        "task": "shop.mail",
        "queue": "mail",
        "owner": None,
        "result": None,
        "error": None,
        "progress": None,
        "meta": None,
        "retries": 0,
        "due": None,
        "updated": NOW - 3,
    }
    return JobStatus(**{**known, **fields})


def told(location: Location | None = None, **facts: Any) -> Reason:
    return explain(Facts("j", location=location, **{"queues": BUSY, **facts}))


def at(**fields: Any) -> Location:
    return replace(WAITING, **fields)


def test_unknown() -> None:
    reason = told()
    assert reason.code == "unknown"
    assert "Nothing is known of job 'j'" in reason.text


@pytest.mark.parametrize(
    ("location", "code", "text"),
    [
        (at(), "next", "shop.mail is the next one in 'mail'"),
        (at(position=3), "behind", "behind 3 others"),
        (at(due=NOW + 3600), "delayed", "(in 1 h)."),
        (at(due=NOW + 3600, retries=2), "delayed", "for its retry 2."),
        (at(due=NOW - 1), "next", "is the next one"),
        (at(suspect=True), "suspect", "run again alone"),
        (at(cancelled=True), "cancelled", "will not start"),
        (at(expires=NOW - 1), "expired", "will not start"),
        (at(lease=7), "fetched", "fetched by w1@host (pid 42)"),
        (at(lease=99), "fetched", "a worker that has just gone"),
    ],
)
def test_a_job_that_waits(location: Location, code: str, text: str) -> None:
    reason = told(location, workers=[WORKER])
    assert reason.code == code
    assert text in reason.text
    assert reason.fields["queue"] == "mail"


def test_no_consumer_names_what_the_workers_consume_c4() -> None:
    assert "no worker is running" in told(at(), queues=ALONE).text
    reason = told(at(), queues=ALONE, workers=[WORKER])
    assert reason.code == "no_consumer"
    assert "the running workers consume default" in reason.text
    assert "umbel worker -Q mail" in reason.text
    assert told(at(), queues={}).code == "no_consumer"


def test_a_delayed_job_of_an_unconsumed_queue_says_both_c4() -> None:
    reason = told(at(due=NOW + 3600), queues=ALONE)
    assert reason.code == "delayed"
    assert any("Nothing consumes this queue" in note for note in reason.notes)


def test_running_names_worker_and_progress() -> None:
    reason = told(at(lease=7), workers=[WORKER], status=status(JobState.RUNNING))
    assert (reason.code, reason.fields["state"]) == ("running", "running")
    assert "is running on w1@host (pid 42)" in reason.text
    half = status(JobState.PROGRESS, progress=Progress(1, 2, "resizing"))
    assert "1 of 2 resizing" in told(at(lease=7), workers=[WORKER], status=half).notes
    stopped = told(at(lease=7, cancelled=True), workers=[WORKER], status=status(JobState.RUNNING))
    assert any("It was cancelled" in note for note in stopped.notes)


def test_repeats_are_told() -> None:
    notes = told(at(deliveries=3, crashes=2)).notes
    assert "It was handed to a worker 3 times." in notes
    assert "It ended its process 2 times." in notes
    assert any(note.startswith("It expires at") for note in told(at(expires=NOW + 60)).notes)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (JobState.SUCCEEDED, "shop.mail succeeded 3"),
        (JobState.CANCELLED, "shop.mail was cancelled"),
        (JobState.EXPIRED, "expired 3"),
        (JobState.FAILED, "failed 3"),
    ],
)
def test_a_job_that_has_ended(state: JobState, text: str) -> None:
    reason = told(status=status(state))
    assert reason.code == str(state)
    assert text in reason.text


def test_a_failure_tells_its_error_and_its_dead_letter() -> None:
    reason = told(status=status(JobState.FAILED, error="ValueError: no"), letter=LETTER)
    assert reason.code == "dead"
    assert "ValueError: no" in reason.text
    assert len(reason.notes) == 1
    assert reason.notes[0].startswith("It is a dead letter: worker lost. 'umbel dead show j'")
    assert told(letter=LETTER).code == "dead"
    assert "worker lost" in told(letter=LETTER).text


def test_a_state_without_a_message_is_said() -> None:
    assert told(status=status(JobState.RUNNING)).code == "lost_sight"
