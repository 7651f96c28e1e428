"""Tasks: what each declares, and how its jobs have fared over an hour, a day or a week."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from umbel.monitor.publishable import queue_of
from umbel.monitor.totals import SPANS

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.jobs.limit_book import LimitStatus
    from umbel.monitor.history import History
    from umbel.monitor.totals import Total

__all__ = ("Option", "TaskRow", "TasksView")

_VALUE_MOST: Final = 500
#: Celery's options that a task may set, with what they are unless it does.
_CELERYS: Final = (
    "priority",
    "rate_limit",
    "time_limit",
    "soft_time_limit",
    "max_retries",
    "default_retry_delay",
    "autoretry_for",
    "acks_late",
    "reject_on_worker_lost",
    "ignore_result",
    "serializer",
    "expires",
)


@dataclass(frozen=True, slots=True)
class Option:
    """What a task declares."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task. ``total`` is None where nothing is recorded of it in that time."""

    name: str
    #: Whether the application that looks declares it; jobs of others are recorded all the same.
    is_known: bool
    queue: str | None
    options: tuple[Option, ...]
    limits: tuple[LimitStatus, ...]
    total: Total | None


class TasksView:
    """Reads the tasks of an application; ``history`` is None where nothing is recorded."""

    def __init__(self, app: Umbel, history: History | None) -> None:
        self._app: Final = app
        self._history: Final = history

    def all(self, span: str = "day") -> tuple[TaskRow, ...]:
        """Return all tasks with their sums over ``span`` (hour, day or week), by name. Raises a :exc:`StoreError`."""
        totals = self._totals(span)
        declared = {str(name) for name in self._app.tasks if not name.startswith("celery.")}
        return tuple(self._row(name, totals.get(name), ()) for name in sorted(declared | totals.keys()))

    def one(self, name: str, span: str = "day") -> TaskRow | None:
        """Return one task; None when nobody has heard of it. Raises a :exc:`StoreError`."""
        total = self._totals(span, name).get(name)
        if name not in self._app.tasks and total is None and not self._is_recorded(name):
            return None
        limits = [one for one in self._app.limits.status() if one.name == name or one.name.startswith(f"{name}:")]
        return self._row(name, total, tuple(limits))

    def _totals(self, span: str, task: str | None = None) -> dict[str, Total]:
        if self._history is None:
            return {}
        now = time.time()
        return self._history.totals.by("task", since=now - SPANS[span], until=now, task=task)

    def _is_recorded(self, name: str) -> bool:
        return self._history is not None and self._history.totals.knows("task", name)

    def _row(self, name: str, total: Total | None, limits: tuple[LimitStatus, ...]) -> TaskRow:
        task = self._app.tasks.get(name)
        return TaskRow(
            name=name,
            is_known=task is not None,
            queue=queue_of(self._app, name),
            options=() if task is None else tuple(_options(task, self._app)),
            limits=limits,
            total=total,
        )


def _options(task: Any, app: Umbel) -> Iterator[Option]:
    """Yield what a task declares: Umbel's promises, then what of Celery's is not the application's default."""
    declared = task.declared
    for field in fields(declared) if declared is not None else ():
        value = getattr(declared, field.name)
        if value is not None and field.name != "hooks":
            yield Option(field.name, _said(value))
    for name in _CELERYS:
        value = getattr(task, name, None)
        if value not in (None, (), getattr(app.Task, name, None)) and value != _default(app, name):
            yield Option(name, _said(value))


def _default(app: Umbel, name: str) -> Any:
    return app.conf.get(f"task_{name}")


def _said(value: Any) -> str:
    return str(value)[:_VALUE_MOST]
