"""Which thread fetches for a worker process: one at a time, and not always the same.

A lone job that is known to be quick runs on the thread that has fetched it: no other thread has to be woken for it,
which is what most of its latency would be. Should it take its time all the same, somebody who looks after the pool
relieves the thread: another one fetches from then on, and the first ends with its job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ("Relieved", "Shift")

#: A job that takes longer than this does not keep its process from fetching.
_AWAY_SECONDS: Final = 0.02


class Relieved(Exception):
    """Another thread fetches now: this one is to end without touching anything."""


class Shift:
    """Lets ``work`` run on one thread at a time."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Final = work
        self._lock: Final = threading.Lock()
        self._thread: threading.Thread | None = None
        #: Since when that thread runs a job.
        self._away: float | None = None

    def start(self) -> None:
        """Begin on a thread of its own."""
        with self._lock:
            self._thread = self._another()

    def run_here(self, job: Callable[[], None]) -> None:
        """Run ``job`` on this thread, which is the one that fetches. Raises :exc:`Relieved`."""
        with self._lock:
            me, self._away = self._thread, time.monotonic()
        try:
            job()
        finally:
            with self._lock:
                relieved = self._thread is not me
                if not relieved:
                    self._away = None
        if relieved:
            raise Relieved

    def relieve(self) -> None:
        """Let another thread fetch if the one whose turn it is has been running a job for long. Never blocks."""
        with self._lock:
            if self._away is not None and time.monotonic() - self._away > _AWAY_SECONDS:
                self._away, self._thread = None, self._another()

    def stop(self, timeout: float) -> None:
        """Wait until nobody fetches any more. A thread that runs a job is not waited for."""
        with self._lock:
            thread, self._thread = self._thread, None
            away, self._away = self._away is not None, None
        if thread is not None and not away:
            thread.join(timeout)

    def _another(self) -> threading.Thread:
        thread = threading.Thread(target=self._work, name="umbel-fetch", daemon=True)
        thread.start()
        return thread
