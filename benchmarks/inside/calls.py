"""The client's calls on a ``*_jobs`` module, whether its functions are plain or ``async def``.

An asynchronous peer gets one event loop for the whole of a verb, as in an application: starting one for every call
would be charged to it.
"""

import asyncio
import inspect
import time
from collections.abc import Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import Any, Protocol

__all__ = ["AsyncCalls", "AsyncJobs", "Calls", "Jobs", "calls_of"]


class Jobs(Protocol):
    """What a ``*_jobs`` module offers."""

    def dispatch(self, number: int) -> object:
        """Dispatch one no-op, as an application would, one by one."""

    def fill(self, count: int, delay: float | None) -> None:
        """Enqueue ``count`` no-ops the quickest way the subject has; ``delay`` in seconds puts them into the future."""

    def fill_naps(self, count: int, how: str) -> None:
        """Enqueue ``count`` jobs that sleep for 50 ms; ``how`` is the name of the crowd's variant."""

    def send_stamp(self, sent: float) -> object:
        """Dispatch a job that calls :func:`tally.stamp`."""

    def settled(self, count: int) -> bool:
        """Whether the results of ``count`` jobs are stored and nothing is left in the queue."""

    def versions(self) -> dict[str, str]:
        """The subject's libraries and their versions."""


class AsyncJobs(Protocol):
    """The same of an asynchronous peer; ``settled`` and ``versions`` are plain there too."""

    def opened(self) -> AbstractAsyncContextManager[Any]:
        """Connect, for the length of the block."""

    async def dispatch(self, number: int) -> object: ...
    async def fill(self, count: int, delay: float | None) -> None: ...
    async def fill_naps(self, count: int, how: str) -> None: ...
    async def send_stamp(self, sent: float) -> object: ...


class Calls:
    """Calls of plain functions."""

    def __init__(self, jobs: Any) -> None:
        self.jobs = jobs

    def timed(self, warm: int, count: int) -> tuple[float, float]:
        """Seconds, and seconds of processor time, that ``count`` dispatches take after ``warm`` more."""
        for number in range(warm):
            self.jobs.dispatch(number)
        begun, used = time.perf_counter(), time.process_time()
        for number in range(count):
            self.jobs.dispatch(number)
        return time.perf_counter() - begun, time.process_time() - used

    def fill(self, count: int, delay: float | None) -> float:
        """Seconds that it takes, connecting included."""
        begun = time.perf_counter()
        self.jobs.fill(count, delay)
        return time.perf_counter() - begun

    def naps(self, count: int, how: str) -> None:
        self.jobs.fill_naps(count, how)

    def stamps(self, pauses: Iterable[float]) -> None:
        """Send one stamp after each pause."""
        for pause in pauses:
            time.sleep(pause)
            self.jobs.send_stamp(time.monotonic())


class AsyncCalls(Calls):
    """Calls of coroutine functions."""

    def timed(self, warm: int, count: int) -> tuple[float, float]:
        async def work() -> tuple[float, float]:
            for number in range(warm):
                await self.jobs.dispatch(number)
            begun, used = time.perf_counter(), time.process_time()
            for number in range(count):
                await self.jobs.dispatch(number)
            return time.perf_counter() - begun, time.process_time() - used

        return self._run(work())

    def fill(self, count: int, delay: float | None) -> float:
        async def work() -> float:
            begun = time.perf_counter()
            await self.jobs.fill(count, delay)
            return time.perf_counter() - begun

        return self._run(work())

    def naps(self, count: int, how: str) -> None:
        self._run(self.jobs.fill_naps(count, how))

    def stamps(self, pauses: Iterable[float]) -> None:
        async def work() -> None:
            for pause in pauses:
                await asyncio.sleep(pause)
                await self.jobs.send_stamp(time.monotonic())

        self._run(work())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def within() -> Any:
            async with self.jobs.opened():
                return await work

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(within())


def calls_of(jobs: ModuleType) -> Calls:
    """The calls that fit a module."""
    return AsyncCalls(jobs) if inspect.iscoroutinefunction(jobs.dispatch) else Calls(jobs)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
