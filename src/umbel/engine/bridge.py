"""Where ``async def`` meets Celery's tracer, which knows nothing of it.

A job on the loop is one asyncio Task whose steps switch into a greenlet that runs the whole tracer; the
coroutine is stepped *inside* that greenlet, so that ``request``, ``current_task``, context variables and
``self.retry`` are there. Without a loop of ours (prefork, eager mode, a direct ``apply``) the coroutine runs to
its end on a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

import greenlet
from celery._state import get_current_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

from umbel.engine.job import GivenBack, Job, SoftLimitPassed, concluded, contained, current_job
from umbel.engine.outcome import Outcome, is_running, meaning_of

__all__ = ("Drive", "bridged", "runs_aside", "thread_loop")

#: Coroutines that run to their end on a loop of their own, by their threads.
runs_aside: Final[dict[int, Any]] = {}


class _JobGreenlet(greenlet.greenlet):
    """A greenlet that an asyncio Task drives."""


class Drive:
    """An awaitable that runs ``function`` in a greenlet; whatever it awaits inside is awaited by the Task."""

    __slots__ = ("_context", "_greenlet")

    def __init__(self, function: Callable[[], Any], context: contextvars.Context | None = None) -> None:
        self._greenlet = _JobGreenlet(function)
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Drive:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Run on until the next await."""
        if not self._greenlet:
            self._greenlet.gr_context = self._context or contextvars.copy_context()
            return self._after(self._greenlet.switch())
        return self._after(self._greenlet.switch(value))

    def throw(self, *error: Any) -> Any:
        """Raise inside, at the await where it stands."""
        if not self._greenlet:
            self._greenlet.gr_context = self._context or contextvars.copy_context()
        return self._after(self._greenlet.throw(*error))

    def close(self) -> None:
        """End what has not ended."""
        if self._greenlet and not self._greenlet.dead:
            self._greenlet.throw(greenlet.GreenletExit)

    def _after(self, value: Any) -> Any:
        if self._greenlet.dead:
            raise StopIteration(value)
        return value


def bridged(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """Return a plain function for Celery's tracer that runs the coroutine function to its end."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            result = _run(function(*args, **kwargs))
            if not isinstance(result, Outcome) or not is_running(get_current_task()):
                return result if current_job.get() is not None else concluded(result)
            outcome = result
        except Outcome as raised:
            outcome = raised
        except Exception:
            concluded(None)
            raise
        except GivenBack as given_back:
            raise Reject(str(given_back), requeue=True) from given_back
        except BaseException as error:
            raise contained(error) from error
        raise meaning_of(concluded(outcome))

    run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    run.umbel_coroutine = function  # type: ignore[attr-defined]
    return run


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    job = current_job.get()
    if isinstance(greenlet.getcurrent(), _JobGreenlet):
        return _step(coroutine, job)
    if job is not None and job.loop is not None:
        return _run_on(job.loop, coroutine, job)
    # Not within an "except": what the body raises would have that exception for its context.
    return _run_aside(coroutine) if _loop_runs() else _RUNNERS.run(coroutine)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _step(coroutine: Coroutine[Any, Any, Any], job: Job | None) -> Any:
    parent = greenlet.getcurrent().parent
    assert parent is not None
    value: Any = None
    error: BaseException | None = None
    if job is not None:
        job.coroutine, job.loop_thread = coroutine, threading.get_ident()
    with _open(job):
        while True:
            try:
                waited = coroutine.throw(error) if error is not None else coroutine.send(value)
            except StopIteration as stop:
                return stop.value
            except SoftLimitPassed as passed:
                # Outside of the coroutine it is Celery's own, which every client knows.
                raise SoftTimeLimitExceeded(*passed.args) from passed
            except asyncio.CancelledError as cancelled:
                raise _meaning(job, cancelled) from cancelled
            value, error = None, None
            try:
                value = parent.switch(waited)
            except greenlet.GreenletExit:
                coroutine.close()
                raise
            except asyncio.CancelledError as cancelled:
                error = job.cancellation(cancelled) if job is not None else cancelled
            except BaseException as raised:
                error = raised


class _open:
    """Marks that the body runs, for whoever wants to interrupt it."""

    def __init__(self, job: Job | None) -> None:
        self._job = job

    def __enter__(self) -> None:
        if self._job is not None:
            self._job.begin_body()

    def __exit__(self, *_: object) -> None:
        if self._job is not None:
            self._job.end_body()


def _meaning(job: Job | None, cancelled: BaseException) -> BaseException:
    if job is not None and job.cancelled:
        # The request has written the end already.
        quiet: BaseException = Ignore(job.stopped_by)
        return quiet
    return RuntimeError(
        "The job raised CancelledError although nobody cancelled it: something it awaited was cancelled. "
        "Catch it there, or use asyncio.timeout() for deadlines."
    )


def _run_on(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], job: Job) -> Any:
    """Run the body on the pool's loop while the tracer waits in this thread (hooks and receivers may block)."""
    context = contextvars.copy_context()

    async def drive() -> Any:
        job.asyncio_task = asyncio.current_task()
        return await Drive(lambda: _step(coroutine, job), context)

    future = asyncio.run_coroutine_threadsafe(drive(), loop)
    try:
        return future.result()
    except asyncio.CancelledError as cancelled:
        raise _meaning(job, cancelled) from cancelled


def _run_aside(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end in a thread of its own, because this thread's loop is running (eager mode in a web app)."""
    context = contextvars.copy_context()
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.extend((True, context.run(asyncio.run, coroutine)))
        except BaseException as error:
            outcome.extend((False, error))

    thread = threading.Thread(target=target, name="umbel-eager")
    thread.start()
    thread.join()
    succeeded, value = outcome
    if succeeded:
        return value
    raise value


class _Runners(threading.local):
    """One loop a thread, kept between jobs so that connections made on it stay usable."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None
        self._owner = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        import os

        if self._runner is None or self._owner != os.getpid():
            self._runner, self._owner = asyncio.Runner(), os.getpid()
        return self._runner.get_loop()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        loop = self.loop()
        stepper = _Stepper(coroutine)
        stepper.task = task = loop.create_task(stepper.run(), context=contextvars.copy_context())
        own = threading.get_ident()
        runs_aside[own] = coroutine
        try:
            return loop.run_until_complete(task)
        except SoftTimeLimitExceeded:
            if task.done():
                raise
            # Prefork's signal hit the loop, not the job: the job gets it at the await where it stands.
            stepper.soft = True
            task.cancel()
            return loop.run_until_complete(task)
        finally:
            runs_aside.pop(own, None)


class _Stepper:
    """Steps a coroutine for a Task, and turns its cancellation into a soft time limit when that is what is meant."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.soft = False
        self.task: asyncio.Task[Any] | None = None

    async def run(self) -> Any:
        return await self

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> _Stepper:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        if self.soft and self.task is not None:
            self.soft = False
            self.task.uncancel()
            return self._coroutine.throw(SoftTimeLimitExceeded())
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()


_RUNNERS: Final = _Runners()


def thread_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this thread, on which coroutines run where there is no pool of ours."""
    return _RUNNERS.loop()
