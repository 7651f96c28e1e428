"""What one application does when its jobs end: its webhooks are ordered, its hooks are called."""

from __future__ import annotations

import threading
from typing import Any

from umbel.engine.ends import End, now_or_later
from umbel.jobs.hooks import Hooks, call_after
from umbel.jobs.webhooks import Webhooks

__all__ = ("Endings",)


class Endings:
    """Hears of the ends of an application's jobs (:class:`umbel.engine.ends.Listener`)."""

    def __init__(self, webhooks: Webhooks) -> None:
        self.webhooks = webhooks
        self._hooks: tuple[Hooks, ...] = ()
        self._lock = threading.Lock()

    @property
    def hooks(self) -> tuple[Hooks, ...]:
        """The application's own hooks, the outermost first."""
        return self._hooks

    def add(self, hooks: Hooks) -> None:
        """Let ``hooks`` hear of all jobs, within those that are there."""
        with self._lock:
            self._hooks = (*self._hooks, hooks)

    def levels(self, task: Any) -> tuple[Hooks, ...]:
        """Return the hooks that hear of the jobs of ``task``, the outermost first."""
        declared = getattr(task, "declared", None)
        own = declared.hooks if declared is not None else None
        return self._hooks if own is None else (*self._hooks, own)

    def hears(self, task: Any) -> bool:
        """Whether anything is to be done when a job of ``task`` ends."""
        declared = getattr(task, "declared", None)
        told = declared is not None and declared.webhook is not None
        return told or any(hooks.hears_ends for hooks in self.levels(task))

    def tell(self, end: End) -> None:
        """Order the webhook of ``end`` in the step that writes it, and let the hooks hear of it before that."""
        self.webhooks.order(end)
        call = call_after(end, self.levels(end.task))
        if call is not None:
            now_or_later(call)
