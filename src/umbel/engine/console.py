"""What a worker's console shows: each line with its time, its level, and the job that it belongs to.

Where it is read by machines a line says more of its job: :mod:`umbel.engine.log_lines`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from celery._state import get_current_task

from umbel.engine.execution import current_execution
from umbel.engine.log_lines import FACTS

__all__ = ("FORMAT", "install", "job_here", "plainly", "span_here")

#: ``%(job)s`` is empty outside of jobs, and where the line names its job already.
FORMAT: Final = "%(asctime)s %(levelname)-7s %(job)s%(message)s"
_NAMED: Final = ("celery.app.trace", "celery.redirected", "celery.worker", "umbel.engine")


def install(*, as_json: bool = False) -> None:
    """Let every log record of this process tell which job it belongs to."""
    make = logging.getLogRecordFactory()
    if getattr(make, "tells_jobs", False):
        return
    if as_json:
        logging.setLogRecordFactory(_with_facts(make))
        logging.getLogger("celery.app.trace").addFilter(plainly)
        return

    def make_with_job(name: str, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(name, *args, **kwargs)
        execution = None if name.startswith(_NAMED) else current_execution.get()
        known = execution is not None and execution.task is not None
        record.job = f"{execution.task}[{execution.delivery.task_id}] " if execution is not None and known else ""
        return record

    make_with_job.tells_jobs = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_with_job)
    logging.getLogger("celery.app.trace").addFilter(plainly)


def _with_facts(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def make_with_facts(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.job = ""
        setattr(record, FACTS, job_here())
        return record

    make_with_facts.tells_jobs = True  # type: ignore[attr-defined]
    return make_with_facts


def job_here() -> dict[str, Any] | None:
    """Return what is known of the job that runs here, and of the span that follows it; None outside of jobs."""
    execution = current_execution.get()
    if execution is not None and execution.task is not None:
        delivery = execution.delivery
        found = _facts(delivery.task_id, execution.task, delivery.queue, execution.attempt)
    else:
        # A prefork child has no execution, which its parent settles.
        task = get_current_task()
        request = task.request if task is not None else None
        if task is None or request is None or not request.id:
            return None
        found = _facts(request.id, task.name, (request.delivery_info or {}).get("routing_key"), request.retries)
    return {**found, **span_here()}


def _facts(job: Any, task: Any, queue: Any, retries: Any) -> dict[str, Any]:
    attempt = retries + 1 if isinstance(retries, int) else 1
    return {"job": str(job), "task": str(task), "queue": queue, "attempt": attempt}


def span_here() -> dict[str, str]:
    """Return the ids of the span that OpenTelemetry follows here; nothing where that is not even imported."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"} if context.is_valid else {}


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
