"""What a worker's console shows: each line with its time, its level, and the job that it belongs to."""

from __future__ import annotations

import logging
from typing import Any, Final

from umbel.engine.execution import current_execution

__all__ = ("FORMAT", "install", "plainly")

#: ``%(job)s`` is empty outside of jobs, and where the line names its job already.
FORMAT: Final = "%(asctime)s %(levelname)-7s %(job)s%(message)s"
_NAMED: Final = ("celery.app.trace", "celery.redirected", "celery.worker", "umbel.engine")


def install() -> None:
    """Let every log record of this process tell which job it belongs to."""
    make = logging.getLogRecordFactory()

    def make_with_job(name: str, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(name, *args, **kwargs)
        execution = None if name.startswith(_NAMED) else current_execution.get()
        known = execution is not None and execution.task is not None
        record.job = f"{execution.task}[{execution.delivery.task_id}] " if execution is not None and known else ""
        return record

    logging.setLogRecordFactory(make_with_job)
    logging.getLogger("celery.app.trace").addFilter(plainly)


def plainly(record: logging.LogRecord) -> bool:
    """Say of a job that was stopped what became of it, where Celery would call it ignored."""
    context = record.args
    if isinstance(context, dict) and context.get("description") == "ignored":
        why = str(context.get("exc"))
        if "cancelled" in why:
            record.args = {**context, "description": "was cancelled"}
        elif "interrupted" in why:
            record.args = {**context, "description": "was interrupted and goes back to its queue"}
    return True
