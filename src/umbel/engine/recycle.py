"""When a supervised worker process makes room for a fresh one: by jobs, by memory, when it has no more to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from celery.worker import state as worker_state

__all__ = ("Recycler", "resident_kib")

_LOOK_SECONDS: Final = 1.0
#: A process that may run so many jobs and no more stands idle from then on until this is noticed.
_COUNT_SECONDS: Final = 0.05
#: How long the process for suspects stays when there are none.
_IDLE_SECONDS: Final = 2.0


class Recycler:
    """Watches its own process, and drains it when it has done its share."""

    def __init__(self, app: Any, consumer: Any, settings: dict[str, Any], tell: Callable[..., None]) -> None:
        conf = app.conf
        self._pool = consumer.pool
        self._most_jobs = settings["max_tasks_per_child"] or conf.worker_max_tasks_per_child
        self._most_kib = settings["max_memory_per_child"] or conf.worker_max_memory_per_child
        self._suspects_only = app.settings.suspects == "only"
        self._tell = tell
        self._idle_since = time.monotonic()
        self._last = 0

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="umbel-recycle", daemon=True).start()

    def _watch(self) -> None:
        # Prefork replaces its own children; here the process itself is the child.
        while worker_state.should_stop is None:
            if self._done():
                self._tell(draining=True)
                worker_state.should_stop = 0
                return
            time.sleep(_COUNT_SECONDS if self._most_jobs else _LOOK_SECONDS)

    def _done(self) -> bool:
        # Prefork replaces its own children by number and memory.
        completed = getattr(self._pool, "completed", None)
        if completed is None and not self._suspects_only:
            return False
        if self._suspects_only:
            completed = worker_state.all_total_count[0]
            if completed != self._last or worker_state.active_requests:
                self._last, self._idle_since = completed, time.monotonic()
            return time.monotonic() - self._idle_since > _IDLE_SECONDS
        return bool(
            (self._most_jobs and completed >= self._most_jobs) or (self._most_kib and resident_kib() > self._most_kib)
        )


def resident_kib() -> int:
    """Return this process's resident memory in KiB; 0 where the platform does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        return 0
