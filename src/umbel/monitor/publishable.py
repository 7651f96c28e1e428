"""Which queues an application can publish to, and by whom: each of them needs a consumer (C4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

__all__ = ("publishable", "queue_of")


def publishable(app: Celery) -> dict[str, list[str]]:
    """Return every queue that a task, a route, a schedule or a declaration can publish to, with those who do."""
    found: dict[str, list[str]] = {str(app.conf.task_default_queue): []}
    for declared in app.conf.task_queues or ():
        found.setdefault(_name(declared), [])
    for name, task in sorted(app.tasks.items()):
        if not name.startswith("celery."):
            for queue in _routed(app, name):
                found.setdefault(queue, []).append(str(task.name))
    for entry, content in (app.conf.beat_schedule or {}).items():
        chosen = (content.get("options") or {}).get("queue")
        if chosen:
            found.setdefault(_name(chosen), []).append(f"schedule {entry}")
    return found


def queue_of(app: Celery, task: str) -> str | None:
    """Return the queue that jobs of ``task`` go to; None for an unknown task, or where their arguments decide."""
    return next(_routed(app, task), None) if task in app.tasks else None


def _routed(app: Celery, name: str) -> Iterator[str]:
    task: Any = app.tasks[name]
    options = {key: value for key, value in task._get_exec_options().items() if value is not None}
    # A routing function may look at arguments that only a real dispatch has.
    with suppress(Exception):
        queue = app.amqp.router.route(options, name, (), {}, task).get("queue")
        if queue is not None:
            yield _name(queue)


def _name(queue: Any) -> str:
    return str(getattr(queue, "name", queue))
