"""umbel why: every reason why a job is where it is."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from umbel.engine.store import DeadLetter, Location, QueueStatus, WorkerStatus
from umbel.jobs.status import JobStatus, Progress
from umbel.monitor.jobs_view import JobRow
from umbel.monitor.reasons import explain
from umbel.monitor.whereabouts import Facts, InOutbox, Live, Place, Whereabouts
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


def told(location: Location | None = None, **facts: Any) -> Whereabouts:
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
    assert reason.queue == "mail"


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
    assert (reason.code, reason.state) == ("running", "running")
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


def row(state: JobState = JobState.QUEUED, **fields: Any) -> JobRow:
    known: dict[str, Any] = dict.fromkeys(JobRow.__dataclass_fields__)
    known.update(number=1, id="j", state=state, task="shop.mail", queue="mail", queued_at=NOW - 90, message_at=NOW - 80)
    return JobRow(**{**known, **fields})


def test_what_the_history_alone_knows() -> None:
    assert told(row=row()).code == "lost_sight"
    lost = told(row=row(), lost=True)
    assert (lost.place, lost.can_put_back, lost.task, lost.queue) == (Place.LOST, True, "shop.mail", "mail")
    assert "last heard of 1.3 min ago" in lost.text
    assert "umbel jobs put-back j" in lost.text
    ended = told(row=row(JobState.FAILED, ended_at=NOW - 5, error_type="ValueError", error_message="no"))
    assert (ended.place, ended.code, ended.error) == (Place.ENDED, "failed", "ValueError: no")


def test_a_job_in_the_outbox() -> None:
    waits = told(outbox=InOutbox(task="shop.mail", queue="mail", created=NOW - 5))
    assert (waits.place, waits.code, waits.queue) == (Place.OUTBOX, "outbox", "mail")
    aside = told(outbox=InOutbox(task="shop.mail", queue="mail", created=NOW - 5, error="too large."))
    assert aside.code == "aside"
    assert "too large." in aside.text


def test_what_a_delayed_job_waits_for() -> None:
    limited = told(at(due=NOW + 60), limits=("shop.mail", "queue:mail"))
    assert (limited.place, limited.code, limited.limits) == (Place.LIMITED, "limited", ("shop.mail", "queue:mail"))
    assert "under the limit 'shop.mail' and 'queue:mail'" in limited.text
    put_off = told(at(due=NOW + 60), put_off="all slots are taken")
    assert (put_off.place, put_off.code) == (Place.LIMITED, "put_off")
    assert "all slots are taken" in put_off.text
    again = told(at(due=NOW + 60, retries=1), status=status(JobState.RETRYING, error="OSError: away"))
    assert again.place is Place.RETRYING
    assert "for its retry 1 after OSError: away." in again.text
    assert told(at(due=NOW + 60)).place is Place.DELAYED


def test_when_it_is_expected_to_start() -> None:
    behind = told(at(position=30), rate=0.5)
    assert behind.expected == NOW + 60
    assert any("starts in about 1 min" in note for note in behind.notes)
    assert told(at(position=30)).expected is None


def test_a_worker_that_says_where_it_stands() -> None:
    live = Live(worker="w1@host", running=True, since=NOW - 60, kind="thread")
    reason = told(at(lease=7), workers=[WORKER], live=live)
    assert (reason.place, reason.state, reason.worker) == (Place.RUNNING, "running", "w1@host")
    assert "it began 1 min ago" in reason.text
    gone = told(status=status(JobState.RUNNING), live=live)
    assert gone.place is Place.RUNNING
    assert "It was acknowledged when it began." in gone.notes
    silent = replace(live, silent=True)
    assert any("does not answer" in note for note in told(at(lease=7), live=silent).notes)
    assert told(at(lease=7), workers=[WORKER], live=replace(live, running=False)).place is Place.RESERVED


def test_it_can_be_said_in_json() -> None:
    live = Live(worker="w1@host", running=True, since=NOW - 60, kind="thread")
    plain = told(at(lease=7), workers=[WORKER], live=live, notes=("a note",)).as_dict()
    assert (plain["place"], plain["live"]["worker"], plain["notes"]) == ("running", "w1@host", ["a note"])
    assert plain["can_put_back"] is False


def test_a_state_without_a_message_is_said() -> None:
    assert told(status=status(JobState.RUNNING)).code == "lost_sight"
