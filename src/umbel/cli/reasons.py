"""The reason why a job is where it is, from what the engine and the results say of it.

A pure function of :class:`Facts`, so that every reason can be tested without a store.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umbel.cli.console import ago, clock
from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.engine.store import DeadLetter, Location, QueueStatus, WorkerStatus
    from umbel.jobs.status import JobStatus

__all__ = ("Facts", "Reason", "explain")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one job."""

    job_id: str
    status: JobStatus | None = None
    location: Location | None = None
    queues: Mapping[str, QueueStatus] = field(default_factory=dict)
    workers: Sequence[WorkerStatus] = ()
    letter: DeadLetter | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """``code`` for programs, ``text`` for people, ``notes`` what else is worth knowing."""

    code: str
    text: str
    notes: tuple[str, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)


def explain(facts: Facts) -> Reason:
    """Return the reason why the job does not run, runs, or ended."""
    if facts.status is not None and facts.status.state.finished:
        return _ended(facts)
    if facts.location is not None:
        return _held(facts, facts.location) if facts.location.lease is not None else _waits(facts, facts.location)
    if facts.letter is not None:
        return _dead(facts.letter)
    if facts.status is not None and facts.status.state is not JobState.QUEUED:
        text = f"Its last known state is {facts.status.state}, and no queue holds it: it may have been purged."
        return Reason("lost_sight", text, fields=_fields(facts))
    return Reason(
        "unknown",
        f"Nothing is known of job {facts.job_id!r}: check the id, or its result has expired, or it was purged.",
    )


def _fields(facts: Facts) -> dict[str, object]:
    status, location = facts.status, facts.location
    return {
        "state": str(status.state) if status else None,
        "task": (status and status.task) or (location and location.task),
        "queue": (status and status.queue) or (location and location.queue),
        "due": location.due if location else None,
        "position": location.position if location else None,
        "deliveries": location.deliveries if location else None,
        "error": status.error if status else None,
    }


def _named(facts: Facts) -> str:
    task = _fields(facts)["task"]
    return f"{task} " if task else "It "


def _ended(facts: Facts) -> Reason:
    status = facts.status
    assert status is not None
    when = f" {ago(status.updated)}" if status.updated else ""
    code = "dead" if facts.letter is not None and status.state is JobState.FAILED else str(status.state)
    match status.state:
        case JobState.FAILED:
            text = f"{_named(facts)}failed{when}: {status.error or 'no reason was kept'}"
        case JobState.EXPIRED:
            text = f"{_named(facts)}expired{when} before it could start."
        case JobState.CANCELLED:
            text = f"{_named(facts)}was cancelled{when}."
        case _:
            text = f"{_named(facts)}succeeded{when}."
    notes = (_letter_note(facts),) if facts.letter is not None else ()
    return Reason(code, text, notes, _fields(facts))


def _letter_note(facts: Facts) -> str:
    assert facts.letter is not None
    return (
        f"It is a dead letter: {facts.letter.reason}. 'umbel dead show {facts.job_id}' tells of each attempt, "
        f"'umbel dead replay {facts.job_id}' lets it run again."
    )


def _dead(letter: DeadLetter) -> Reason:
    task = f"{letter.task} " if letter.task else "It "
    text = f"{task}died {ago(letter.died)} and will not run again: {letter.reason}"
    return Reason("dead", text, fields={"task": letter.task, "queue": letter.queue, "state": "failed"})


def _held(facts: Facts, location: Location) -> Reason:
    workers = [worker for worker in facts.workers if worker.lease == location.lease]
    holder = f"{workers[0].hostname} (pid {workers[0].pid})" if workers else "a worker that has just gone"
    notes = list(_repeats(location))
    if location.cancelled:
        notes.append("It was cancelled: its worker was told to stop it.")
    if not workers:
        notes.append("It goes back to its queue within seconds.")
    state = facts.status.state if facts.status else JobState.QUEUED
    if state in (JobState.RUNNING, JobState.PROGRESS):
        began = f" (it began {ago(facts.status.updated)})" if facts.status and state is JobState.RUNNING else ""
        return Reason(
            "running", f"{_named(facts)}is running on {holder}{began}.", (*_progress(facts), *notes), _fields(facts)
        )
    return Reason(
        "fetched",
        f"{_named(facts)}was fetched by {holder} and starts as soon as a slot is free.",
        tuple(notes),
        _fields(facts),
    )


def _progress(facts: Facts) -> tuple[str, ...]:
    progress = facts.status.progress if facts.status else None
    return (f"{progress.done:g} of {progress.total:g} {progress.message}".rstrip(),) if progress else ()


def _waits(facts: Facts, location: Location) -> Reason:
    code, text = _waiting_for(facts, location)
    notes = list(_repeats(location))
    queue = facts.queues.get(location.queue)
    if code != "no_consumer" and queue is not None and not queue.consumers:
        notes.append(_no_consumer(facts, location.queue))
    if location.expires:
        notes.append(f"It expires at {clock(location.expires)} ({ago(location.expires)}).")
    return Reason(code, text, tuple(notes), _fields(facts))


def _waiting_for(facts: Facts, location: Location) -> tuple[str, str]:
    name, queue = _named(facts), facts.queues.get(location.queue)
    if location.cancelled:
        return "cancelled", f"{name}was cancelled and will not start."
    if location.expires and location.expires <= time.time():
        return "expired", f"{name}expired {ago(location.expires)} and will not start."
    if location.due is not None and location.due > time.time():
        again = f" for its retry {location.retries}" if location.retries else ""
        return "delayed", f"{name}is delayed until {clock(location.due)} ({ago(location.due)}){again}."
    if queue is not None and queue.paused:
        return "paused", f"{name}waits because its queue is paused: 'umbel resume {location.queue}' lets it start."
    if queue is None or not queue.consumers:
        return "no_consumer", f"{name}waits in {location.queue!r}. {_no_consumer(facts, location.queue)}"
    if location.suspect:
        return "suspect", f"{name}was running in a process that died: it is run again alone as soon as one is free."
    if location.position:
        return "behind", f"{name}waits in {location.queue!r} behind {location.position} others."
    return "next", f"{name}is the next one in {location.queue!r}: it starts as soon as a slot is free."


def _no_consumer(facts: Facts, queue: str) -> str:
    consumed = sorted({name for worker in facts.workers for name in worker.queues})
    state = f"the running workers consume {', '.join(consumed)}" if consumed else "no worker is running"
    return f"Nothing consumes this queue ({state}): start 'umbel worker -Q {queue}'."


def _repeats(location: Location) -> tuple[str, ...]:
    notes = []
    if location.deliveries > 1:
        notes.append(f"It was handed to a worker {location.deliveries} times.")
    if location.crashes:
        notes.append(f"It ended its process {location.crashes} times.")
    return tuple(notes)
