"""Decides how many threads of a pool are awake: as few as keep up.

Threads that run jobs of microseconds side by side spend their time handing the interpreter to each other. So jobs that
wait are left to the thread that runs, and this one looks every two milliseconds whether it keeps up: when no job has
begun since the last look every job that waits gets a thread, and when few have, one more thread is woken.
A lone job of a task whose lone jobs were quick, one after the other, needs no thread of the pool's at all.
Costs nothing while nothing waits; a burst of slow jobs starts two milliseconds later.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from umbel.engine.job import Job
    from umbel.engine.pool import TaskPool

__all__ = ("Pacer",)

_LOOK_SECONDS: Final = 0.002
#: So many jobs begun a look, on all threads together, are kept up with: more threads would not be quicker.
_QUICK: Final = 8
#: A task whose last lone jobs, so many, took no longer than this is quick.
_LONE_SECONDS: Final = 0.001
_LONE_JOBS: Final = 3


class Pacer:
    """Watches one pool while jobs wait in it, from a thread of its own."""

    def __init__(self, pool: TaskPool) -> None:
        self._pool = pool
        #: How many jobs have begun, and when the last one did. Written under the pool's lock.
        self._begun = 0
        self._begun_at = 0.0
        #: How many of the last lone jobs of each task were quick.
        self._quick: dict[str, int] = {}
        self._awake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def began(self) -> None:
        """Note that a job begins."""
        self._begun += 1
        self._begun_at = time.monotonic()

    def ended(self, job: Job) -> None:
        """Note that a job has ended that was the only one."""
        if job.task is not None and job.started is not None:
            quick = time.monotonic() - job.started < _LONE_SECONDS
            self._quick[job.task.name] = self._quick.get(job.task.name, 0) + 1 if quick else 0

    def is_quick(self, job: Job) -> bool:
        """Whether a job is known to take no time worth speaking of."""
        return job.task is not None and self._quick.get(job.task.name, 0) >= _LONE_JOBS

    def rushes(self) -> bool:
        """Whether a job has begun just now, so that its thread may soon ask for the next one."""
        return time.monotonic() - self._begun_at < _LOOK_SECONDS

    def watch(self) -> None:
        """Look after the jobs that wait."""
        if not self._awake.is_set():
            self._awake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="umbel-pace", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._awake.set()

    def _run(self) -> None:
        while True:
            self._awake.wait()
            if self._stopped:
                return
            self._pace()
            self._awake.clear()
            if self._pool.waiting:
                self._awake.set()

    def _pace(self) -> None:
        begun = self._begun
        while self._pool.waiting and not self._stopped:
            time.sleep(_LOOK_SECONDS)
            began, begun = self._begun - begun, self._begun
            if began == 0:
                self._pool.wake_all()
            elif began < _QUICK:
                self._pool.wake()
