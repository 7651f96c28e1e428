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

__all__ = ("cancel_job",)


def cancel_job(engine: Engine, backend: Any, task_id: str) -> JobState:
    """Cancel ``task_id`` and return its state. Raises :exc:`JobNotFound` or :exc:`JobFinished`."""
    status = read_status(engine, backend, task_id)
    if status.state is JobState.CANCELLED:
        return status.state
    if status.state.finished:
        raise JobFinished(task_id, status.state)
    meta = {
        "status": states.REVOKED,
        "result": backend.prepare_exception(TaskRevokedError("cancelled")),
        "traceback": None,
        "children": [],
        "date_done": backend.app.now().isoformat(),
        "task_id": task_id,
    }
    record = Record(
        task_id=task_id,
        state=states.REVOKED,
        final=True,
        meta=backend.encode(meta),
        attempt=status.retries,
        task=status.task,
        queue=status.queue,
        owner=status.owner,
        expires=time.time() + backend.expires if backend.expires else None,
    )
    if not engine.cancel(task_id, record):
        raise JobFinished(task_id, read_status(engine, backend, task_id).state)
    return JobState.CANCELLED
