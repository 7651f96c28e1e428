"""For how long a process has watched that nothing was heard of a job, by a clock that nobody can set.

The time that stands with a job's state is the store's or another host's; a step of it by an hour would give up a job
that lives. Costs a number a job that is watched, in one process of the fleet; whoever takes its place begins anew.
"""

from __future__ import annotations

import time
from typing import Final

from umbel.engine.store import Stored

__all__ = ("Silence",)

#: Of whom nobody asked for so long is forgotten.
_FORGET_SECONDS: Final = 3 * 3600.0


class Silence:
    """Since when this process knows that jobs are as they are."""

    def __init__(self) -> None:
        #: A job's id, when its state was written, and when that was seen first and last.
        self._seen: dict[str, tuple[float, float, float]] = {}

    def seconds(self, stored: Stored) -> float:
        """Return for how many seconds its state has not changed, as far as this process has watched."""
        now = time.monotonic()
        updated, since, _ = self._seen.get(stored.task_id, (None, now, now))
        if updated != stored.updated:
            since = now
        self._seen[stored.task_id] = stored.updated, since, now
        return now - since

    def tidy(self) -> None:
        """Forget those of whom nobody asks any more."""
        before = time.monotonic() - _FORGET_SECONDS
        self._seen = {task_id: seen for task_id, seen in self._seen.items() if seen[2] > before}
