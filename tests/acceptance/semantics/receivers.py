"""Receivers of Celery's signals; importing this module connects them, so only workers do."""

from __future__ import annotations

from typing import Any

from celery import signals

from tests.acceptance.semantics.declared.plain import FROM_PRERUN
from tests.acceptance.semantics.trail import note

__all__ = ()


@signals.task_received.connect
def _received(request: Any = None, **_: Any) -> None:
    note(request.id, "task_received", name=request.name)


@signals.task_prerun.connect
def _prerun(task_id: str = "", task: Any = None, **_: Any) -> None:
    FROM_PRERUN.set(task_id)
    note(task_id, "task_prerun", name=task.name)


@signals.task_postrun.connect
def _postrun(task_id: str = "", retval: Any = None, state: str = "", **_: Any) -> None:
    note(task_id, "task_postrun", state=state)


@signals.task_success.connect
def _success(sender: Any = None, result: Any = None, **_: Any) -> None:
    note(sender.request.id, "task_success")


@signals.task_failure.connect
def _failure(task_id: str = "", exception: Any = None, **_: Any) -> None:
    note(task_id, "task_failure", error=type(exception).__name__)


@signals.task_retry.connect
def _retry(request: Any = None, reason: Any = None, **_: Any) -> None:
    note(request.id, "task_retry", reason=str(reason))


@signals.task_revoked.connect
def _revoked(request: Any = None, terminated: bool = False, expired: bool = False, **_: Any) -> None:
    note(request.id, "task_revoked", terminated=bool(terminated), expired=bool(expired))


@signals.task_unknown.connect
def _unknown(id: str = "", name: str = "", **_: Any) -> None:
    note(id, "task_unknown", name=name)


@signals.before_task_publish.connect
def _before_publish(headers: Any = None, **_: Any) -> None:
    note(headers["id"], "before_task_publish")


@signals.after_task_publish.connect
def _after_publish(headers: Any = None, **_: Any) -> None:
    note(headers["id"], "after_task_publish")


@signals.worker_ready.connect
def _ready(sender: Any = None, **_: Any) -> None:
    note("worker", "ready", hostname=str(sender.hostname))


@signals.worker_shutdown.connect
def _shutdown(sender: Any = None, **_: Any) -> None:
    note("worker", "shutdown", hostname=str(sender.hostname))
