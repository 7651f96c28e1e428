"""What a job that runs is doing now: the control command ``live``, which each worker process answers at once.

Its stack (:mod:`umbel.engine.stacks`) and its last lines of log, of a thread, a coroutine or a prefork child. The
command runs on the worker's own thread, beside those of jobs.
"""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec
from celery.worker import control, state

from umbel.engine import ears
from umbel.engine.bridge import runs_aside
from umbel.engine.job import Job
from umbel.engine.job_log import Kept, kept_in_child
from umbel.engine.stacks import Stack, of_coroutine, of_thread

__all__ = ("live",)

_LINES_MOST: Final = 20
_LINE_MOST: Final = 500


@control.inspect_command(name="live", args=[("task_id", str)], signature="<task_id>")  # type: ignore[untyped-decorator]
def live(panel: Any, task_id: str, **_: Any) -> dict[str, Any]:
    """Where a running task stands: its frames or awaits, and its last lines of log."""
    request = state.requests.get(task_id)
    if request is None or (request.acknowledged and request not in state.active_requests):
        return {"here": False}
    began = getattr(request, "time_start", None)
    if not began:
        return {"here": True, "state": "reserved"}
    handle = request._apply_result() if request._apply_result is not None else None
    said = _of_job(handle) if isinstance(handle, Job) else _of_child(request)
    return {"here": True, "state": "running", "since": began, **(said or {})}


def _of_job(job: Job) -> dict[str, Any]:
    execution = job.request.execution if job.request is not None else None
    kept = execution.lines if execution is not None else None
    if job.coroutine is not None:
        return _said("coroutine", of_coroutine(job.coroutine, job.asyncio_task, job.loop_thread), kept)
    thread = job.thread
    return _said("thread", of_thread(thread) if thread is not None else Stack(()), kept)


def _of_child(request: Any) -> dict[str, Any] | None:
    pid = getattr(request, "worker_pid", None)
    if not pid or pid == os.getpid():
        return None
    said = ears.ask(pid)
    if said is None:
        return {"kind": "process", "silent": True}
    if said.pop("id", request.id) != request.id:
        said["lines"] = []
    # It may have ended meanwhile, and the child have gone on to another one.
    return said if request in state.active_requests and request.worker_pid == pid else None


def _in_child(main: int) -> dict[str, Any]:
    """Return what a prefork child says of its job."""
    coroutine = runs_aside.get(main)
    last = kept_in_child()
    stack = of_thread(main) if coroutine is None else of_coroutine(coroutine, thread=main)
    said = _said("process", stack, last[1] if last is not None else None)
    return {**said, "id": last[0]} if last is not None else said


def _said(kind: str, stack: Stack, kept: Kept | None) -> dict[str, Any]:
    lines = kept.newest(_LINES_MOST) if kept is not None else []
    short = [[one.at, one.level, one.logger, one.text[:_LINE_MOST]] for one in lines]
    return {"kind": kind, "stack": msgspec.to_builtins(stack), "lines": short}


ears.open_ears(_in_child)
