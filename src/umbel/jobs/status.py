"""The status of one job, whatever knows of it: its message, its stored state, or both (C20)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from celery import states

from umbel.engine.store import Engine, Location, Stored
from umbel.errors import JobNotFound, PayloadRefused
from umbel.jobs.outcomes import Snooze
from umbel.jobs.progress import Progress
from umbel.states import JobState, from_celery

__all__ = ("JobStatus", "json_safe", "put_off_reason", "read_status")


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What is known of a job now. Times are unix seconds."""

    id: str
    state: JobState
    celery_state: str
    task: str | None = None
    queue: str | None = None
    owner: str | None = None
    result: Any = None
    error: str | None = None
    progress: Progress | None = None
    meta: Any = None
    retries: int = 0
    due: float | None = None
    updated: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the status as plain values that any JSON encoder takes, without the owner."""
        return {
            "id": self.id,
            "state": self.state.value,
            "celery_state": self.celery_state,
            "task": self.task,
            "queue": self.queue,
            "result": json_safe(self.result),
            "error": json_safe(self.error),
            "progress": None
            if self.progress is None
            else {
                "done": self.progress.done,
                "total": self.progress.total,
                "message": json_safe(self.progress.message),
            },
            "meta": json_safe(self.meta),
            "retries": self.retries,
            "due": self.due,
            "updated": self.updated,
        }


def read_status(engine: Engine, backend: Any, task_id: str) -> JobStatus:
    """Return the status of ``task_id``. Raises :exc:`JobNotFound`."""
    location = engine.locate(task_id)
    stored = next(iter(engine.read([task_id])), None)
    if location is None and stored is None:
        # It may have settled between the two looks.
        stored = next(iter(engine.read([task_id])), None)
        if stored is None:
            raise JobNotFound(task_id)
    if stored is None or (location is not None and stored.final and location.enqueued > stored.updated):
        assert location is not None
        return _waiting(location)
    return _stored(stored, backend, location)


def _waiting(location: Location) -> JobStatus:
    if location.cancelled:
        state = JobState.CANCELLED
    elif location.due is not None:
        state = JobState.RETRYING if location.retries else JobState.SCHEDULED
    else:
        state = JobState.QUEUED
    return JobStatus(
        id=location.task_id,
        state=state,
        celery_state=states.REVOKED if location.cancelled else states.PENDING,
        task=location.task,
        queue=location.queue,
        owner=location.owner,
        retries=location.retries,
        due=location.due,
        updated=location.enqueued,
    )


def _stored(stored: Stored, backend: Any, location: Location | None) -> JobStatus:
    document = _document(stored, backend)
    value = document.get("result")
    state = from_celery(stored.state, expired=_says(value, "expired"))
    if location is not None and location.cancelled and not state.finished:
        state = JobState.CANCELLED
    elif location is not None and location.lease is None and stored.state in (states.STARTED, "PROGRESS"):
        # Its worker has ended and given it back.
        state = JobState.QUEUED
    elif state is JobState.RETRYING and _is_snooze(value):
        state = JobState.QUEUED if location is not None and location.due is None else JobState.SCHEDULED
    failed = state in (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED, JobState.RETRYING)
    told = document.get("progress") or (value.get("progress") if isinstance(value, dict) else None)
    refused = bool(document.get("refused"))
    passing = state in (JobState.PROGRESS, JobState.RUNNING) and not refused
    return JobStatus(
        id=stored.task_id,
        state=state,
        celery_state=stored.state,
        task=stored.task or (location.task if location else None),
        queue=stored.queue or (location.queue if location else None),
        owner=stored.owner or (location.owner if location else None),
        result=value if state is JobState.SUCCEEDED and not refused else None,
        error=_error(value) if failed or refused else None,
        progress=Progress.from_list(told),
        meta=value if passing and stored.state != states.STARTED and not _is_progress(value) else None,
        retries=stored.attempt,
        due=location.due if location else None,
        updated=stored.updated,
    )


def _document(stored: Stored, backend: Any) -> dict[str, Any]:
    try:
        text = backend.opened(stored) if hasattr(backend, "opened") else stored.meta
    except PayloadRefused as refused:
        return {"result": str(refused), "refused": True}
    meta = json.loads(text) if isinstance(text, (str, bytes)) and text[:1] in ("{", b"{") else None
    document: dict[str, Any] = meta if isinstance(meta, dict) else backend.decode(text)
    return document


def _is_progress(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"progress"} and Progress.from_list(value["progress"]) is not None


def _is_snooze(value: Any) -> bool:
    """Whether a job that is to run again has put itself off, which is no failure."""
    if isinstance(value, dict):
        return value.get("exc_type") == "Snooze" and str(value.get("exc_module")).startswith("umbel.")
    return isinstance(value, Snooze)


def put_off_reason(engine: Engine, backend: Any, task_id: str) -> str | None:
    """Return why a job has put itself off, or what it waits for has; None for one that has not."""
    stored = next(iter(engine.read([task_id])), None)
    value = None if stored is None or stored.state != states.RETRY else _document(stored, backend).get("result")
    if value is None or not _is_snooze(value):
        return None
    said = value.get("exc_message") if isinstance(value, dict) else value.args
    # How long, and then why.
    return str(said[1]) if isinstance(said, (list, tuple)) and len(said) > 1 else ""


def _says(value: Any, word: str) -> bool:
    if isinstance(value, dict):
        message = value.get("exc_message")
        return message == word or (isinstance(message, (list, tuple)) and list(message) == [word])
    return isinstance(value, BaseException) and value.args == (word,)


def _error(value: Any) -> str | None:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if not isinstance(value, dict) or "exc_type" not in value:
        return None if value is None else str(value)
    message = value.get("exc_message")
    if isinstance(message, (list, tuple)):
        message = ", ".join(str(part) for part in message)
    return f"{value['exc_type']}: {message}" if message else str(value["exc_type"])


def json_safe(value: Any, depth: int = 20) -> Any:
    """Return ``value`` as plain JSON values: NaN and infinities as text, bytes as text, odd objects by repr."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth <= 0:
        return _encodable(repr(value))
    if isinstance(value, dict):
        return {_encodable(str(key)): json_safe(one, depth - 1) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_safe(one, depth - 1) for one in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return _encodable(str(value))


def _encodable(text: str) -> str:
    """Return ``text`` with lone surrogates, which no encoding takes, written out."""
    return text.encode("utf-8", "backslashreplace").decode()
