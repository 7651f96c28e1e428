"""A coroutine beside a job: it runs on an event loop, and has the job's own thread do what is between its awaits.

An ``async def`` hook around a job awaits ``call()``, which is the job: a plain function may block and is no matter for
an event loop, and a coroutine function has its own way to one. So the thread that runs the job waits for the hook, and
does the job when the hook asks for it. In the default pool all of them share the pool's loop, so that a client that is
made on it serves them all; elsewhere each thread keeps a loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from celery.exceptions import Ignore, SoftTimeLimitExceeded

from umbel.engine.bridge import thread_loop
from umbel.engine.job import Job, contained, current_job

__all__ = ("converse", "share_loop")

#: Returns an awaitable of what the thread does.
Call = Callable[[], Awaitable[Any]]
_Question = tuple[contextvars.Context, "Future[Any]"]

_shared: Callable[[], asyncio.AbstractEventLoop] | None = None


def share_loop(loop: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    """Let coroutines beside jobs run on the loop that ``loop`` returns; None for a loop in each thread."""
    global _shared
    _shared = loop


def converse(
    function: Callable[[Call], Coroutine[Any, Any, Any]],
    inner: Callable[[], Any] | None = None,
    *,
    part_of_job: bool = True,
) -> Any:
    """Run the coroutine that ``function`` makes; what it awaits by ``call()`` is ``inner``, in this thread.

    ``part_of_job``: a cancel of the job that runs here, or its soft time limit, reaches the coroutine.
    """
    job = current_job.get() if part_of_job else None
    loop = None if _shared is None else _shared()
    running = _running_loop()
    if loop is not None and running is not loop:
        return _over_there(function, inner, loop, job)
    if running is None:
        return _here(function, inner, thread_loop())
    with _loop_of_its_own() as own:
        return _over_there(function, inner, own, job)


def _over_there(function: Any, inner: Any, loop: asyncio.AbstractEventLoop, job: Job | None) -> Any:
    """Converse with a loop that runs in another thread."""
    questions: SimpleQueue[_Question | None] = SimpleQueue()

    async def call() -> Any:
        question = contextvars.copy_context(), Future[Any]()
        with _out_of_reach(job):
            questions.put(question)
            return await asyncio.wrap_future(question[1])

    async def hook() -> Any:
        with _in_reach(job):
            return await _contained(function(call))

    ended = asyncio.run_coroutine_threadsafe(hook(), loop)
    ended.add_done_callback(lambda _: questions.put(None))
    while (question := questions.get()) is not None:
        _answer(question, inner)
    try:
        return ended.result()
    except (CancelledError, asyncio.CancelledError) as cancelled:
        raise _meaning(job, cancelled) from cancelled


def _here(function: Any, inner: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """Converse with this thread's loop, which stands still while the thread does something."""
    questions: list[_Question] = []

    async def call() -> Any:
        questions.append((contextvars.copy_context(), Future()))
        loop.stop()
        return await asyncio.wrap_future(questions[-1][1])

    task = loop.create_task(_contained(function(call)))
    task.add_done_callback(lambda _: loop.stop())
    try:
        while not task.done():
            loop.run_forever()
            while questions:
                _answer(questions.pop(), inner)
    except BaseException:
        # A signal of prefork's: what has begun ends with it.
        task.cancel()
        while not task.done():
            loop.run_forever()
        raise
    return task.result()


def _answer(question: _Question, inner: Callable[[], Any] | None) -> None:
    context, answer = question
    if inner is None or not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(context.run(inner))
    except BaseException as error:
        answer.set_exception(error)


async def _contained(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise contained(error) from error


@contextmanager
def _in_reach(job: Job | None) -> Iterator[None]:
    """Let a cancel of the job reach the coroutine that runs here."""
    if job is None:
        yield
        return
    kept, job.asyncio_task = job.asyncio_task, asyncio.current_task()
    try:
        if job.cancelled:
            raise Ignore(job.stopped_by)
        yield
    finally:
        job.asyncio_task = kept


@contextmanager
def _out_of_reach(job: Job | None) -> Iterator[None]:
    """Let a cancel of the job reach what the thread does."""
    if job is None:
        yield
        return
    kept, job.asyncio_task = job.asyncio_task, None
    try:
        yield
    finally:
        job.asyncio_task = kept


def _meaning(job: Job | None, cancelled: BaseException) -> BaseException:
    if job is not None and job.cancelled:
        # The request has written the end already.
        quiet: BaseException = Ignore(job.stopped_by)
        return quiet
    if job is not None and job.soft_raised:
        job.soft_raised = False
        passed: BaseException = SoftTimeLimitExceeded(job.soft)
        return passed
    return RuntimeError("A hook raised CancelledError although nobody cancelled its job: catch it there.")


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@contextmanager
def _loop_of_its_own() -> Iterator[asyncio.AbstractEventLoop]:
    """Run another loop in another thread: this one's is running, and cannot be waited for."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="umbel-hook")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
