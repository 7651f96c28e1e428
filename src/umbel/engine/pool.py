"""The default pool: one event loop and a set of threads in each process, with Celery's own tracer.

``--concurrency`` is how many jobs run at a time in one process, whichever kind: coroutines share the loop,
plain functions get a thread each. Threads are made when they are needed: jobs of microseconds follow each other on one
thread instead of fighting for the interpreter, and as soon as a job takes its time the others get theirs.

An ``async def`` job runs wholly on the loop unless something that may block (a hook, a signal receiver) is
attached to it: then the tracer runs in a thread and only the body on the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final

from celery import signals
from celery.concurrency.base import BasePool, apply_target
from celery.worker import state as worker_state

from umbel.engine import current_task
from umbel.engine.bridge import Drive
from umbel.engine.conversation import share_loop
from umbel.engine.ends import has_own
from umbel.engine.job import Job, current_job
from umbel.engine.job_loop import JobLoop
from umbel.engine.limits import Watchman
from umbel.engine.pacer import Pacer
from umbel.engine.request import Request

__all__ = ("TaskPool",)

logger = logging.getLogger(__name__)

_HOOKS: Final = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
_RECEIVERS: Final = (
    signals.task_prerun,
    signals.task_postrun,
    signals.task_success,
    signals.task_failure,
    signals.task_retry,
    signals.task_internal_error,
)


class TaskPool(BasePool):
    """Runs jobs on one event loop and up to ``limit`` threads."""

    body_can_be_buffer = True
    signal_safe = False
    limit: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._running: set[Job] = set()
        self._threads = 0
        self._idle = 0
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._loop = JobLoop()
        self._async: dict[str, bool] = {}
        self._closing = False
        self.grace: float = float(self.options.get("grace") or self._setting("grace", 30.0))
        self._watchman = Watchman(self)
        self._pacer = Pacer(self)
        self._done = threading.Condition(self._lock)
        self.completed = 0
        #: Called every now and then while jobs run. Must not block.
        self.on_look: Callable[[], None] = lambda: None

    def _setting(self, name: str, default: float) -> float:
        settings = getattr(self.app, "settings", None)
        value = getattr(settings, name, default)
        return value.total_seconds() if hasattr(value, "total_seconds") else float(value)

    def on_start(self) -> None:
        """Let Celery's stack of current tasks follow the job's context, so that gathered children see their task."""
        current_task.follow_jobs()
        share_loop(self._shared_loop)

    # -- Celery's side ----------------------------------------------------------------------------------------

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Any = None,
        kwargs: Any = None,
        callback: Any = None,
        accept_callback: Any = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Job:
        """Take a job; it starts when a slot is free."""
        request = getattr(accept_callback, "__self__", None)
        request = request if isinstance(request, Request) else None

        def run(job: Job) -> None:
            self._run(job, target, args, kwargs, callback, accept_callback)

        job = Job(run, request, getattr(request, "task", None), soft_timeout, timeout)
        self.take(job)
        return job

    def take(self, *jobs: Job) -> None:
        """Start ``jobs`` when slots are free."""
        waiting = self._waiting
        with self._lock:
            crowded = bool(waiting)
            for job in jobs:
                at = len(waiting)
                while at and job.goes_before(waiting[at - 1]):
                    at -= 1
                if at == len(waiting):
                    waiting.append(job)
                else:
                    waiting.insert(at, job)
        # Whoever is between two jobs takes the next one: a crowd needs no second knock.
        woken = self.wake() if not self._running or not (crowded or self._pacer.rushes()) else False
        if len(waiting) > woken:
            self._pacer.watch()

    def lone(self, job: Job) -> Callable[[], None] | None:
        """Return what runs ``job`` on the thread that asks, if it is the only one and its task's were quick so far."""
        if not self._pacer.is_quick(job) or getattr(job.task, "is_async", False):
            return None
        with self._lock:
            if self._running or self._waiting or self._closing or worker_state.should_stop is not None:
                return None
            self._running.add(job)
            self._pacer.began()
        self._watchman.wake()
        return lambda: self._perform_lone(job)

    def _perform_lone(self, job: Job) -> None:
        self._perform(job)
        with self._lock:
            self._end_of(job)
        if self._waiting:
            self.wake()

    def is_looked_after(self, job: Job) -> bool:
        """Whether :attr:`on_look` is called while ``job`` runs."""
        return bool(job.soft or job.hard)

    def surrender(self) -> None:
        """Give back the jobs that wait for a slot: another process may be free, or others more urgent."""
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
        for job in jobs:
            if job.request is not None:
                job.request.interrupt()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a slot."""
        return len(self._waiting)

    def watch(self) -> None:
        """Look after the time limits of what runs."""
        self._watchman.wake()

    def on_stop(self) -> None:
        """Let running jobs end within the grace period; then give the rest back."""
        self._closing = True
        self.surrender()
        with self._lock:
            self._done.wait_for(lambda: not self._alive(), timeout=self.grace)
            left = [job for job in self._running if job.stopped_at is None]
        for job in left:
            self._interrupt(job)
        if left:
            with self._lock:
                self._done.wait_for(lambda: not self._running, timeout=2.0)
        self._end()

    def on_terminate(self) -> None:
        """Give everything back now."""
        self.grace = 0.0
        self.on_stop()

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Nothing: a job is stopped through its handle, its process has others."""

    def grow(self, n: int = 1) -> None:
        """Run ``n`` more jobs at a time."""
        self.limit += n
        self.wake()

    def shrink(self, n: int = 1) -> None:
        """Run ``n`` jobs fewer at a time; running ones go on."""
        self.limit = max(1, self.limit - n)

    @property
    def num_processes(self) -> int:
        """How many jobs run at a time."""
        return self.limit

    def _get_info(self) -> dict[str, Any]:
        info = dict(super()._get_info())
        info.update({"max-concurrency": self.limit, "threads": self._threads, "processes": [os.getpid()]})
        return info

    # -- running ----------------------------------------------------------------------------------------------

    def wake(self) -> bool:
        """Start what can start on the loop, and one thread for what comes then; return whether that was woken."""
        with self._lock:
            jobs = []
            while self._can_start() and self._on_loop(self._waiting[0]):
                jobs.append(self._take())
            woken = self._can_start() and self._wake_thread()
        if jobs:
            self._start_on_loop(jobs)
        return woken

    def _can_start(self) -> bool:
        return bool(self._waiting) and len(self._running) < self.limit

    def _wake_thread(self) -> bool:
        if self._idle:
            self._idle -= 1
            self._tokens.put(True)
        elif self._threads < self.limit:
            self._threads += 1
            threading.Thread(target=self._work, name=f"umbel-job-{self._threads}", daemon=True).start()
        else:
            return False
        return True

    def wake_all(self) -> None:
        """Let as many threads run as there are jobs and slots."""
        for _ in range(len(self._waiting)):
            if not self.wake():
                return

    def _take(self) -> Job:
        job = self._waiting.popleft()
        self._running.add(job)
        self._pacer.began()
        return job

    def _work(self) -> None:
        while True:
            self._work_on()
            if not self._tokens.get():
                return

    def _work_on(self) -> None:
        job: Job | None = None
        while True:
            with self._lock:
                if job is not None:
                    self._end_of(job)
                if (
                    self._closing
                    or worker_state.should_stop is not None
                    or not self._can_start()
                    or self._on_loop(self._waiting[0])
                ):
                    self._idle += 1
                    break
                job = self._take()
                # An async job behind it starts on the loop, and waits for no thread.
                head = bool(self._waiting) and self._on_loop(self._waiting[0])
            if head:
                self.wake()
            self._perform(job)
        self._wake_others()

    def _wake_others(self) -> None:
        # What stopped this thread may be an async job at the head, which starts on the loop.
        if self._waiting and not self._closing:
            with self._lock:
                head = bool(self._waiting) and self._on_loop(self._waiting[0])
            if head:
                self.wake()

    def _perform(self, job: Job) -> None:
        context = contextvars.copy_context()
        try:
            context.run(job.run, job)
        except BaseException:
            logger.exception("A job's end could not be handled.")

    def _end_of(self, job: Job) -> None:
        self._running.discard(job)
        self.completed += 1
        if not self._running:
            self._pacer.ended(job)
        if self._closing:
            self._done.notify_all()

    def _run(self, job: Job, target: Any, args: Any, kwargs: Any, callback: Any, accept_callback: Any) -> None:
        current_job.set(job)
        job.started = time.monotonic()
        request = job.request
        if job.cancelled:
            accept_callback(os.getpid(), time.monotonic())
            return
        if job.soft or job.hard:
            self._watchman.wake()
        if request is None or request.execution is None:
            apply_target(target, args, kwargs, callback, accept_callback)
            return
        execution = request.execution
        with execution.current():
            apply_target(target, args, kwargs, callback, accept_callback)
        execution.finish()

    # -- the loop ---------------------------------------------------------------------------------------------

    def _on_loop(self, job: Job) -> bool:
        task = job.task
        if task is None or not getattr(task, "is_async", False):
            return False
        job.loop = self._loop.get()
        if any(signal.receivers for signal in _RECEIVERS):
            return False
        plain = self._async.get(task.name)
        if plain is None:
            custom = any(has_own(task, hook) for hook in _HOOKS)
            plain = self._async[task.name] = not custom and not getattr(task, "blocks", False)
        return plain

    def _start_on_loop(self, jobs: list[Job]) -> None:
        loop = self._loop.get()
        loop.call_soon_threadsafe(self._begin, loop, jobs)

    def _begin(self, loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
        for job in jobs:
            task = loop.create_task(self._drive(job))
            job.asyncio_task = task
            _TASKS.add(task)
            task.add_done_callback(_TASKS.discard)

    async def _drive(self, job: Job) -> None:
        try:
            await Drive(lambda: job.run(job))
        except BaseException as error:
            if not job.cancelled:
                logger.error("A job's end could not be handled: %r", error, exc_info=error)
        finally:
            with self._lock:
                self._end_of(job)
            self.wake()

    def _shared_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            return self._loop.get()

    # -- stopping ---------------------------------------------------------------------------------------------

    def _alive(self) -> list[Job]:
        return [job for job in self._running if job.stopped_at is None]

    def running(self) -> list[Job]:
        """Return the jobs that run now."""
        with self._lock:
            return list(self._running)

    def runs(self, job: Job) -> bool:
        """Whether ``job`` has not ended yet."""
        return job in self._running

    def _interrupt(self, job: Job) -> None:
        if job.request is not None:
            job.request.interrupt()
        job.stopped_by = "interrupted"
        job.terminate()

    def _end(self) -> None:
        share_loop(None)
        self._watchman.stop()
        self._pacer.stop()
        for _ in range(self._threads):
            self._tokens.put(False)
        self._loop.end()


_TASKS: Final[set[asyncio.Task[None]]] = set()
