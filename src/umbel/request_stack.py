"""A task's stack of requests on a context variable.

Celery keeps it by greenlet or thread; a child that a job gathers runs in neither of its own, but inherits its
context, so that it sees the job's request too.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

__all__ = ("ContextStack",)


class ContextStack:
    """Celery's ``LocalStack``, by context."""

    __slots__ = ("_variable",)

    def __init__(self) -> None:
        self._variable: ContextVar[tuple[Any, ...]] = ContextVar("umbel_request_stack", default=())

    def push(self, request: Any) -> None:
        """Put ``request`` on top."""
        self._variable.set((*self._variable.get(), request))

    def pop(self) -> Any:
        """Take the top off and return it; None when empty."""
        stack = self._variable.get()
        if not stack:
            return None
        self._variable.set(stack[:-1])
        return stack[-1]

    @property
    def top(self) -> Any:
        """The topmost request, or None."""
        stack = self._variable.get()
        return stack[-1] if stack else None

    @property
    def stack(self) -> list[Any]:
        """All requests, the oldest first."""
        return list(self._variable.get())

    def __len__(self) -> int:
        return len(self._variable.get())
