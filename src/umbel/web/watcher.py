"""One reader for all event streams of a process, at work only while somebody listens.

Every ``INTERVAL`` seconds all watched jobs are read in one pass in a thread, however many clients listen to each,
and the pass takes at most a third of that thread's time. A listener holds the latest sight only: a slow client costs
no memory and skips what it was too slow for.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from kombu.exceptions import OperationalError
from starlette.concurrency import run_in_threadpool

from umbel.errors import JobNotFound, StoreError
from umbel.web.sight import Sight

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("INTERVAL", "MAX_LISTENERS", "Listener", "Reading", "Watcher", "watcher_of")

logger = logging.getLogger("umbel.web")

#: Seconds between two passes over the watched jobs.
INTERVAL: Final = 0.15
#: Streams that one process serves at a time; each is an open connection.
MAX_LISTENERS = 1000
#: A pass takes at most a third of its thread's time.
_REST: Final = 2.0
#: Seconds between two tries to reach a store that is away.
ERROR_PAUSE = 1.0

#: What one pass found: a sight, or None for a job that the store no longer knows.
Reading = dict[str, Sight | None]


class Listener:
    """What one stream waits on: the latest sight, and whether anything more will come."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._sight: Sight | None = None
        self.closed = False
        #: Closed because the store no longer knows the job.
        self.forgotten = False

    def show(self, sight: Sight) -> None:
        """Put ``sight`` in the place of what was not taken yet."""
        if self._sight is None or self._sight.fingerprint != sight.fingerprint:
            self._sight = sight
            self._news.set()

    def close(self, *, forgotten: bool = False) -> None:
        """End the stream after what is still there."""
        self.closed = True
        self.forgotten = forgotten
        self._news.set()

    async def next(self, timeout: float) -> Sight | None:
        """Return the latest sight once there is news; None when ``timeout`` seconds brought none."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        return self._sight


class Watcher:
    """Reads the watched jobs for the listeners of one event loop."""

    def __init__(
        self, read: Callable[[Sequence[str]], Reading], interval: float = INTERVAL, rest: float = _REST
    ) -> None:
        """``rest``: after each pass, so many times as long as it took, at least."""
        self._read = read
        self._interval = interval
        self._rest = rest
        self._listeners: dict[str, set[Listener]] = {}
        self._task: asyncio.Task[None] | None = None
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether no further listener is taken."""
        return self.count >= MAX_LISTENERS

    @property
    def reading(self) -> bool:
        """Whether the store is being read: only while somebody listens."""
        return self._task is not None

    @contextmanager
    def listen(self, job_id: str) -> Iterator[Listener]:
        """Watch ``job_id`` inside the block."""
        listener = Listener()
        self._listeners.setdefault(job_id, set()).add(listener)
        self.count += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="umbel-job-watcher")
        try:
            yield listener
        finally:
            self.count -= 1
            self._drop(job_id, listener)

    def _drop(self, job_id: str, listener: Listener) -> None:
        listeners = self._listeners[job_id]
        listeners.discard(listener)
        if not listeners:
            del self._listeners[job_id]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._listeners:
                began = loop.time()
                pause = await self._pass()
                await asyncio.sleep(max(pause, self._rest * (loop.time() - began)))
        finally:
            self._task = None

    async def _pass(self) -> float:
        """Read all watched jobs once; return the seconds until the next pass."""
        if _server_stops():
            self._close_all()
            return self._interval
        try:
            reading = await run_in_threadpool(self._read, list(self._listeners))
        except Exception:
            # The streams outlive a store that is away for a while: their clients have nowhere better to ask.
            logger.exception("the watched jobs cannot be read; trying again")
            return ERROR_PAUSE
        for job_id, sight in reading.items():
            for listener in self._listeners.get(job_id, ()):
                if sight is None:
                    listener.close(forgotten=True)
                else:
                    listener.show(sight)
        return self._interval

    def _close_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.close()


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Umbel, Watcher]] = WeakKeyDictionary()


def watcher_of(app: Umbel) -> Watcher:
    """Return the watcher that all routers of ``app`` share on the running event loop."""
    watchers = _watchers.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    watcher = watchers.get(app)
    if watcher is None:
        watcher = watchers[app] = Watcher(_reader(app))
    return watcher


def _reader(app: Umbel) -> Callable[[Sequence[str]], Reading]:
    status = app.status

    def read(job_ids: Sequence[str]) -> Reading:
        reading: Reading = {}
        for job_id in job_ids:
            try:
                reading[job_id] = Sight.of(status(job_id))
            except JobNotFound:
                reading[job_id] = None
            except (StoreError, OperationalError, OSError):
                raise
            except Exception:
                logger.exception("the status of job %s cannot be read; its streams end", job_id)
                reading[job_id] = None
        return reading

    return read


def _server_stops() -> bool:
    """Tell whether the server was told to stop: Uvicorn waits for open streams, so they must end by themselves.

    Uvicorn's signal handler is a method of its server, whose ``should_exit`` says so before the lifespan hears of it.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))
