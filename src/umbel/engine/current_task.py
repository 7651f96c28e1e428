"""Celery's stack of current tasks, by job instead of by thread, so that what a job gathers sees its task too.

Celery's own ``push`` and ``pop`` look the stack up five times a run. A job that begins has none yet, and one that has
ended needs none: here that is one step each, on Celery's own storage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import greenlet
from celery._state import _task_stack, get_current_worker_task

from umbel.engine.job import current_job

if TYPE_CHECKING:
    from umbel.engine.job import Job

__all__ = ("as_child_of", "begin", "end", "follow_jobs")

R = TypeVar("R")

#: None with Celery's other kind of stack (``USE_FAST_LOCALS``), which knows threads only.
_STACKS: Final[dict[Any, dict[str, list[Any]]] | None] = (
    _task_stack._local.__storage__ if hasattr(_task_stack, "__ident_func__") else None
)


def follow_jobs() -> None:
    """Keep the stack by job from now on."""
    if _STACKS is not None:
        _task_stack.__ident_func__ = _job_ident


def begin(job: Job, task: Any) -> None:
    """Note that ``task`` runs in ``job``, the current one, which has run nothing before."""
    if _STACKS is None:
        _task_stack.push(task)
    else:
        _STACKS[job] = {"stack": [task]}


def end(job: Job) -> None:
    """Note that the current job has ended."""
    if _STACKS is None:
        _task_stack.pop()
    else:
        _STACKS.pop(job, None)


def as_child_of(parent: Any, call: Callable[[], R]) -> R:
    """Call in the name of a running task: Celery keeps it by thread, except in Umbel's own pool."""
    if parent is None or get_current_worker_task() is parent:
        return call()
    _task_stack.push(parent)
    try:
        return call()
    finally:
        _task_stack.pop()


def _job_ident() -> Any:
    return current_job.get() or greenlet.getcurrent()
