"""Time limits of the default pool, and what happens to a job that does not stop.

Soft: ``SoftTimeLimitExceeded`` is raised in the body. Hard: the job is failed at once and its message settled;
its body is interrupted, and nobody listens to it any more. A body that cannot be interrupted (a blocking C call, a
coroutine that swallows its cancellation) costs its process: it stops fetching, its other jobs end, and the
supervisor starts another one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from celery.worker import state as worker_state

if TYPE_CHECKING:
    from umbel.engine.job import Job
    from umbel.engine.pool import TaskPool

__all__ = ("Watchman",)

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05
#: How long an interrupted body may take to end before its process is given up.
_STOP_SECONDS: Final = 5.0
#: And how long the application may take over the failure of a job: its handlers run before the message is settled.
_HANDLERS_SECONDS: Final = 60.0


class Watchman:
    """Watches the running jobs of a pool from a thread of its own, which sleeps while there are none."""

    def __init__(self, pool: TaskPool) -> None:
        self._pool = pool
        self._awake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._condemned = False

    def wake(self) -> None:
        """Look after the jobs, now that there are some."""
        if not self._awake.is_set():
            self._awake.set()
            with self._start_lock:
                # Two of them would stop each job twice.
                if self._thread is None:
                    self._thread = threading.Thread(target=self._watch, name="umbel-limits", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self._awake.set()

    def _watch(self) -> None:
        idle, completed = 0, -1
        while not self._stopped:
            jobs = self._pool.running()
            if completed == self._pool.completed and self._pool.waiting:
                # What was fetched ahead of quick jobs waits behind slow ones.
                self._pool.surrender()
            completed = self._pool.completed
            if jobs:
                self._tell_of_them()
            for job in jobs:
                try:
                    self._look(job)
                except Exception:
                    logger.exception("The time limits of a job could not be enforced.")
            idle = 0 if jobs else idle + 1
            if idle > 20:
                self._awake.clear()
                if not self._pool.running():
                    self._awake.wait()
                idle = 0
            time.sleep(_LOOK_SECONDS)

    def _tell_of_them(self) -> None:
        try:
            self._pool.on_look()
        except Exception:
            # Limits are enforced all the same; a thread that cannot be started now can be at the next look.
            logger.exception("What waits while jobs run could not be looked after.")

    def _look(self, job: Job) -> None:
        ran = job.overdue
        if ran is None or not self._pool.runs(job):
            # It has ended while others were stopped: a handler of theirs may take its time.
            return
        if job.stopped_at is not None:
            if time.monotonic() - job.stopped_at > _STOP_SECONDS:
                self._condemn(job)
        elif job.failing_since is not None:
            if time.monotonic() - job.failing_since > _HANDLERS_SECONDS:
                self._condemn(job)
        elif job.hard and ran > job.hard:
            job.failing_since = time.monotonic()
            self._begin_to_fail(job, job.hard)
        elif job.soft and ran > job.soft and not job.soft_sent:
            job.soft_sent = True
            if job.request is not None:
                job.request.on_timeout(True, job.soft)
            job.soften()

    def _begin_to_fail(self, job: Job, limit: float) -> None:
        """Fail a job on a thread of its own: a handler that hangs must not hold up the limits of others."""
        try:
            threading.Thread(target=self._fail, args=(job, limit), name="umbel-limit", daemon=True).start()
        except RuntimeError:
            # There are too many threads already: better late than never.
            self._fail(job, limit)

    def _fail(self, job: Job, limit: float) -> None:
        if not self._pool.runs(job):
            # It has ended meanwhile, and its end is told.
            return
        try:
            if job.request is not None:
                job.request.on_timeout(False, limit)
        except Exception:
            logger.exception("The time limits of a job could not be enforced.")
        finally:
            job.terminate()

    def _condemn(self, job: Job) -> None:
        if self._condemned:
            return
        self._condemned = True
        name = job.request.name if job.request is not None else "?"
        if os.environ.get("UMBEL_SUPERVISED"):
            logger.error("A job of %s cannot be stopped: this process ends when its other jobs have.", name)
            worker_state.should_stop = 0
        else:
            logger.error(
                "A job of %s cannot be stopped and keeps its thread: run 'umbel worker', which replaces the process.",
                name,
            )
