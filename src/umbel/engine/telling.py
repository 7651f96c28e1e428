"""What the history is told of one execution's end."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from celery import states

from umbel.engine.failures import failures_in
from umbel.engine.letters import DeadLetter
from umbel.state.events import Ended, Lines

if TYPE_CHECKING:
    from umbel.engine.execution import Execution
    from umbel.engine.store import Record, Settled

__all__ = ("began_in_child", "began_of", "end_in_child", "ended_of")

#: An execution that was given back, and one that took its process with it.
_GIVEN_BACK = {"requeue": "REQUEUED", "crash": "CRASHED"}

#: How the document of a success begins, and goes on after its result: as the short path writes it, and as Celery does.
#: What else is in it is told anyway.
_SUCCESSES = (
    ('{"status":"SUCCESS","result":', ',"traceback":null,"children":[],"date_done":'),
    ('{"status": "SUCCESS", "result": ', ', "traceback": null, "children": [], "date_done": '),
)
#: So one ends that tells of no progress, which is a list and stands last.
_NO_PROGRESS = '"}'


def ended_of(execution: Execution, entry: Settled) -> Ended | None:
    """Return what ``entry`` says of how ``execution`` has ended; None when that is no end of a try."""
    delivery = execution.delivery
    own = delivery.task_id
    if own is None:
        return None
    records = entry.records
    record = records[0] if len(records) == 1 else _own_end(records, own)
    if record is not None and (record.final or record.state == states.RETRY) and record.task_id == own:
        state = record.state
        document, result = _told_by(record.meta)
    else:
        found = _unrecorded(execution, entry, own)
        if found is None:
            return None
        state, document, result = found, _document(entry), None
    return Ended(
        own,
        delivery.queue,
        execution.attempt,
        state,
        delivery.enqueued,
        execution.started,
        time.time(),
        document,
        # What a plain client has sent may be no text: it must not keep the end from being written.
        None if delivery.enqueued else delivery.payload.encode(errors="replace").decode(),
        None if execution.lines is None else execution.lines.told(),
        result,
    )


def _own_end(records: list[Record], own: str) -> Record | None:
    for one in records:
        if one.task_id == own and _ends(one):
            return one
    return None


def _told_by(text: bytes | str) -> tuple[str | None, str | None]:
    """Return the document ``text`` of an end and what it returned, one of which is enough."""
    if not isinstance(text, str):
        return None, None
    if text.endswith(_NO_PROGRESS):
        for success, nothing_more in _SUCCESSES:
            if text.startswith(success) and (end := text.rfind(nothing_more)) > 0:
                return None, text[len(success) : end]
    return text, None


def began_of(execution: Execution) -> Ended | None:
    """Return that ``execution`` has begun, and runs still."""
    delivery = execution.delivery
    if delivery.task_id is None or not execution.started:
        return None
    return Ended(
        delivery.task_id,
        delivery.queue,
        execution.attempt,
        states.STARTED,
        delivery.enqueued,
        execution.started,
        0.0,
        None,
        None if delivery.enqueued else delivery.payload.encode(errors="replace").decode(),
    )


def began_in_child(record: Record, queue: str, started: float) -> Ended:
    """Return that a prefork child's job has begun, as it is told with that state."""
    return Ended(record.task_id, queue, record.attempt, states.STARTED, record.since, started, 0.0)


def _document(entry: Settled) -> str | None:
    """Return what there is to say of a failure whose result nobody wants: its dead letter."""
    letter = entry.letter
    if not isinstance(letter, DeadLetter):
        return None
    module, _, name = (letter.exception or "").rpartition(".")
    error = {"exc_type": name or None, "exc_message": [letter.reason], "exc_module": module}
    return json.dumps({"status": states.FAILURE, "result": error, "traceback": _traceback_in(letter)})


def _traceback_in(letter: DeadLetter) -> str | None:
    failures = failures_in(letter.failures)
    return failures[-1].traceback or None if failures else None


def end_in_child(record: Record, queue: str, started: float, lines: Lines | None) -> Ended | None:
    """Return what a prefork child tells of its job, with the state that it stores; None for a passing one."""
    if not _ends(record):
        return None
    document = record.meta if isinstance(record.meta, str) else None
    return Ended(
        record.task_id, queue, record.attempt, record.state, record.since, started, time.time(), document, None, lines
    )


def _ends(record: Record) -> bool:
    return record.final or record.state == states.RETRY


def _unrecorded(execution: Execution, entry: Settled, own: str) -> str | None:
    """Return how a try has ended of which no state is stored here; None where somebody else tells it, or it is none."""
    if execution.told_elsewhere and entry.action not in _GIVEN_BACK:
        return None
    if isinstance(entry.letter, DeadLetter):
        return str(states.FAILURE)
    if not execution.started or entry.action == "keep":
        # Put off, or given back, before it began; or something that came after its end.
        return None
    if entry.action in _GIVEN_BACK:
        return _GIVEN_BACK[entry.action]
    # Its next try goes out under its own id.
    return str(states.RETRY if any(one.task_id == own for one in entry.outgoing) else states.SUCCESS)
