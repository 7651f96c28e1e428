"""Cancelling a job so that it stays cancelled (C22).

The cancellation is stored beside the messages before anybody is told: a queued job never starts, also when no
worker is up; a worker that runs it stops it within moments.
"""

from __future__ import annotations

import time
from typing import Any

from celery import states
from celery.exceptions import TaskRevokedError

from umbel.engine.store import Engine, Record
from umbel.errors import JobFinished
from umbel.jobs.status import read_status
from umbel.states import JobState

__all__ = ("cancel_job", "cancelled")


def cancel_job(engine: Engine, backend: Any, task_id: str) -> JobState:
    """Cancel ``task_id`` and return its state. Raises :exc:`JobNotFound` or :exc:`JobFinished`."""
    status = read_status(engine, backend, task_id)
    if status.state is JobState.CANCELLED:
        return status.state
    if status.state.finished:
        raise JobFinished(task_id, status.state)
    record = cancelled(backend, task_id, status.owner)
    record.attempt, record.task, record.queue = status.retries, status.task, status.queue
    if not engine.cancel(task_id, record):
        raise JobFinished(task_id, read_status(engine, backend, task_id).state)
    return JobState.CANCELLED


def cancelled(backend: Any, task_id: str, owner: str | None) -> Record:
    """Return the end of a job that is cancelled before its worker has written one."""
    meta = {
        "status": states.REVOKED,
        "result": backend.prepare_exception(TaskRevokedError("cancelled")),
        "traceback": None,
        "children": [],
        "date_done": backend.app.now().isoformat(),
        "task_id": task_id,
    }
    return Record(
        task_id=task_id,
        state=states.REVOKED,
        final=True,
        meta=backend.encode(meta),
        owner=owner,
        expires=time.time() + backend.expires if backend.expires else None,
    )
