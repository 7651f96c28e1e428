"""The reason why a job is where it is, from what is known of it.

A pure function of :class:`Facts`, so that every reason can be tested without a store.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from umbel.monitor.spoken import ago, clock, duration
from umbel.monitor.whereabouts import Facts, Place, Whereabouts
from umbel.states import JobState

if TYPE_CHECKING:
    from umbel.engine.store import DeadLetter, Location

__all__ = ("explain",)


def explain(facts: Facts) -> Whereabouts:
    """Return where the job is and why it does not run, runs, or ended."""
    status, location, row = facts.status, facts.location, facts.row
    if status is not None and status.state.finished:
        return _ended(facts, status.state, status.updated, status.error)
    if facts.lost:
        return _lost(facts)
    if location is not None:
        return _held(facts, location) if location.lease is not None else _waits(facts, location)
    if facts.letter is not None:
        return _dead(facts, facts.letter)
    if facts.live is not None:
        # Acknowledged before it began: no queue knows it any more.
        return _running(facts, facts.live.worker, facts.live.since, ["It was acknowledged when it began."])
    if row is not None and row.state.finished:
        error = ": ".join(filter(None, (row.error_type, row.error_message))) or None
        return _ended(facts, row.state, row.ended_at, error)
    if facts.outbox is not None:
        return _in_outbox(facts)
    if status is not None or row is not None:
        state = status.state if status is not None else row.state if row is not None else None
        text = f"Its last known state is {state}, and no queue holds it: it may have been purged."
        return _made(facts, Place.UNKNOWN, "lost_sight", text)
    text = f"Nothing is known of job {facts.job_id!r}: check the id, or its result has expired, or it was purged."
    return _made(facts, Place.UNKNOWN, "unknown", text)


def _made(facts: Facts, place: Place, code: str, text: str, *notes: str, **more: Any) -> Whereabouts:
    status, location, row = facts.status, facts.location, facts.row
    state = status.state if status is not None else row.state if row is not None else None
    known: dict[str, Any] = {
        "state": None if state is None else str(state),
        "task": (status and status.task) or (location and location.task) or (row and row.task),
        "queue": (status and status.queue) or (location and location.queue) or (row and row.queue),
        "due": location.due if location else None,
        "position": location.position if location else None,
        "deliveries": location.deliveries if location else None,
        "error": status.error if status else None,
        "limits": facts.limits,
        "live": facts.live,
    }
    return Whereabouts(
        id=facts.job_id, place=place, code=code, text=text, notes=(*notes, *facts.notes), **{**known, **more}
    )


def _named(facts: Facts) -> str:
    for one in (facts.status, facts.location, facts.row, facts.outbox):
        if one is not None and one.task:
            return f"{one.task} "
    return "It "


# -- ends -----------------------------------------------------------------------------------------------------


def _ended(facts: Facts, state: JobState, at: float | None, error: str | None) -> Whereabouts:
    when, named = f" {ago(at)}" if at else "", _named(facts)
    dead = facts.letter is not None and state is JobState.FAILED
    match state:
        case JobState.FAILED:
            text = f"{named}failed{when}: {error or 'no reason was kept'}"
        case JobState.EXPIRED:
            text = f"{named}expired{when} before it could start."
        case JobState.CANCELLED:
            text = f"{named}was cancelled{when}."
        case _:
            text = f"{named}succeeded{when}."
    notes = (_letter_note(facts),) if dead else ()
    place, code = (Place.DEAD, "dead") if dead else (Place.ENDED, str(state))
    return _made(facts, place, code, text, *notes, state=str(state), error=error, due=None, position=None)


def _letter_note(facts: Facts) -> str:
    assert facts.letter is not None
    return (
        f"It is a dead letter: {facts.letter.reason}. 'umbel dead show {facts.job_id}' tells of each attempt, "
        f"'umbel dead replay {facts.job_id}' lets it run again."
    )


def _dead(facts: Facts, letter: DeadLetter) -> Whereabouts:
    task = f"{letter.task} " if letter.task else "It "
    text = f"{task}died {ago(letter.died)} and will not run again: {letter.reason}"
    known = {"task": letter.task, "queue": letter.queue, "state": str(JobState.FAILED), "error": letter.reason}
    return _made(facts, Place.DEAD, "dead", text, **known)


def _lost(facts: Facts) -> Whereabouts:
    row = facts.row
    assert row is not None
    text = (
        f"{_named(facts)}is lost: it was last heard of {ago(_heard(facts))}, and no queue, no worker and no result "
        f"has it. 'umbel jobs put-back {facts.job_id}' queues it again."
    )
    note = "It may have been purged on purpose, or have ended while nothing was recorded."
    return _made(facts, Place.LOST, "lost", text, note)


def _heard(facts: Facts) -> float | None:
    row = facts.row
    times = (row.queued_at, row.message_at, row.started_at, row.ended_at) if row is not None else ()
    return max((one for one in times if one is not None), default=None)


# -- what a worker has ----------------------------------------------------------------------------------------


def _held(facts: Facts, location: Location) -> Whereabouts:
    workers = [worker for worker in facts.workers if worker.lease == location.lease]
    holder = f"{workers[0].hostname} (pid {workers[0].pid})" if workers else "a worker that has just gone"
    notes = list(_repeats(location))
    if location.cancelled:
        notes.append("It was cancelled: its worker was told to stop it.")
    if not workers:
        notes.append("It goes back to its queue within seconds.")
    status = facts.status
    state = status.state if status else JobState.QUEUED
    live = facts.live is not None and facts.live.running
    if live or state in (JobState.RUNNING, JobState.PROGRESS):
        since = facts.live.since if facts.live is not None else None
        if since is None and status is not None and state is JobState.RUNNING:
            since = status.updated
        return _running(facts, holder, since, [*_progress(facts), *notes])
    text = f"{_named(facts)}was fetched by {holder} and starts as soon as a slot is free."
    return _made(facts, Place.RESERVED, "fetched", text, *notes, worker=_worker(facts))


def _running(facts: Facts, holder: str, since: float | None, notes: list[str]) -> Whereabouts:
    began = f" (it began {ago(since)})" if since else ""
    if facts.live is not None and facts.live.silent:
        notes.append("Its process does not answer: it is in code that lets no other thread run, or has just ended.")
    return _made(
        facts,
        Place.RUNNING,
        "running",
        f"{_named(facts)}is running on {holder}{began}.",
        *notes,
        worker=_worker(facts),
        state=str(facts.status.state if facts.status is not None else JobState.RUNNING),
    )


def _worker(facts: Facts) -> str | None:
    if facts.live is not None:
        return facts.live.worker
    lease = facts.location.lease if facts.location is not None else None
    return next((worker.hostname for worker in facts.workers if worker.lease == lease), None)


def _progress(facts: Facts) -> tuple[str, ...]:
    progress = facts.status.progress if facts.status else None
    return (f"{progress.done:g} of {progress.total:g} {progress.message}".rstrip(),) if progress else ()


# -- what waits -----------------------------------------------------------------------------------------------


def _in_outbox(facts: Facts) -> Whereabouts:
    row = facts.outbox
    assert row is not None
    known = {"task": row.task, "queue": row.queue, "state": None}
    if row.error is None:
        text = (
            f"{row.task} waits in the outbox since {ago(row.created)}: it is published as soon as the broker takes it."
        )
        return _made(facts, Place.OUTBOX, "outbox", text, **known)
    text = (
        f"{row.task} could not be published and stands aside in the outbox: {row.error} 'umbel outbox retry' lets it "
        "be tried again."
    )
    return _made(facts, Place.OUTBOX, "aside", text, **{**known, "error": row.error})


def _waits(facts: Facts, location: Location) -> Whereabouts:
    place, code, text = _waiting_for(facts, location)
    notes = list(_repeats(location))
    queue = facts.queues.get(location.queue)
    if code != "no_consumer" and queue is not None and not queue.consumers:
        notes.append(_no_consumer(facts, location.queue))
    if location.expires:
        notes.append(f"It expires at {clock(location.expires)} ({ago(location.expires)}).")
    expected = _expected(facts, location) if code in ("behind", "next") else None
    if expected is not None and code == "behind":
        notes.append(f"As its queue has gone lately, it starts in about {duration(max(0.0, expected - time.time()))}.")
    return _made(facts, place, code, text, *notes, expected=expected)


def _expected(facts: Facts, location: Location) -> float | None:
    if not facts.rate or location.position is None:
        return None
    return time.time() + location.position / facts.rate


def _waiting_for(facts: Facts, location: Location) -> tuple[Place, str, str]:
    name, queue = _named(facts), facts.queues.get(location.queue)
    if location.cancelled:
        return Place.ENDED, "cancelled", f"{name}was cancelled and will not start."
    if location.expires and location.expires <= time.time():
        return Place.ENDED, "expired", f"{name}expired {ago(location.expires)} and will not start."
    if location.due is not None and location.due > time.time():
        return _delayed(facts, location, location.due)
    if queue is not None and queue.paused:
        text = f"{name}waits because its queue is paused: 'umbel resume {location.queue}' lets it start."
        return Place.QUEUED, "paused", text
    if queue is None or not queue.consumers:
        text = f"{name}waits in {location.queue!r}. {_no_consumer(facts, location.queue)}"
        return Place.QUEUED, "no_consumer", text
    if location.suspect:
        text = f"{name}was running in a process that died: it is run again alone as soon as one is free."
        return Place.QUEUED, "suspect", text
    if location.position:
        return Place.QUEUED, "behind", f"{name}waits in {location.queue!r} behind {location.position} others."
    text = f"{name}is the next one in {location.queue!r}: it starts as soon as a slot is free."
    return Place.QUEUED, "next", text


def _delayed(facts: Facts, location: Location, due: float) -> tuple[Place, str, str]:
    name, when = _named(facts), f"{clock(due)} ({ago(due)})"
    if facts.limits:
        which = " and ".join(map(repr, facts.limits))
        text = f"{name}waits for its start under the limit {which}, which it has at {when}."
        return Place.LIMITED, "limited", text
    if facts.put_off is not None:
        return Place.LIMITED, "put_off", f"{name}has put itself off until {when}: {facts.put_off}."
    if location.retries:
        reason = f" after {facts.status.error}" if facts.status is not None and facts.status.error else ""
        return Place.RETRYING, "delayed", f"{name}is delayed until {when} for its retry {location.retries}{reason}."
    return Place.DELAYED, "delayed", f"{name}is delayed until {when}."


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
