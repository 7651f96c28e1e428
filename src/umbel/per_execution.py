"""Attributes that a running job sets on its task: each execution has values of its own (C5).

A task object is shared by all that run at a time in a process, of which there may be a hundred.
"""

from __future__ import annotations

import inspect
from typing import Any, Final

__all__ = ("PerExecution", "runs_here")


class PerExecution:
    """An attribute that a running job has set on its task: each execution has its own value."""

    def __init__(self, name: str, default: Any) -> None:
        self._name = name
        self._default = default

    @classmethod
    def install(cls, owner: type, name: str) -> None:
        """Let the attribute ``name`` of the class ``owner`` be one, unless it is."""
        current = inspect.getattr_static(owner, name, _MISSING)
        if not isinstance(current, cls) and not hasattr(current, "__set__"):
            setattr(owner, name, cls(name, current))

    def __get__(self, task: Any, owner: type | None = None) -> Any:
        if task is not None:
            values = _values(task)
            if values is not None and self._name in values:
                return values[self._name]
            shared = task.__dict__.get(self._name, self._default)
        else:
            shared = self._default
        if shared is _MISSING:
            raise AttributeError(self._name)
        return shared.__get__(task, owner) if inspect.isfunction(shared) else shared

    def __set__(self, task: Any, value: Any) -> None:
        values = _values(task)
        (task.__dict__ if values is None else values)[self._name] = value

    def __delete__(self, task: Any) -> None:
        values = _values(task)
        where = task.__dict__ if values is None else values
        if self._name not in where:
            raise AttributeError(self._name)
        del where[self._name]


_MISSING: Final = object()


def runs_here(task: Any) -> bool:
    """Whether an execution of ``task`` runs in this context, by a worker or in eager mode."""
    stack = type(task).__dict__.get("request_stack") or getattr(task, "request_stack", None)
    top = stack.top if stack is not None else None
    return top is not None and not top.called_directly


def _values(task: Any) -> dict[str, Any] | None:
    if not runs_here(task):
        return None
    top = task.request_stack.top
    owner, values = top.__dict__.get("_task_attributes", (None, None))
    if owner != id(top):
        # A nested request begins as a copy of the outer one.
        values = {}
        top.__dict__["_task_attributes"] = (id(top), values)
    found: dict[str, Any] = values
    return found
