"""The event loop of a worker process, on a thread of its own: all its coroutines share it."""

from __future__ import annotations

import asyncio
import logging
import threading

__all__ = ("JobLoop",)

logger = logging.getLogger(__name__)


class JobLoop:
    """Starts when it is first asked for; whoever asks holds the pool's lock."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs."""
        if self._loop is None:
            self._loop = self._start()
        return self._loop

    def end(self) -> None:
        """Stop the loop, if it runs."""
        loop, self._loop = self._loop, None
        self._ended = True
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = _new_loop()
        ready = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(loop)
            loop.call_soon(ready.set)
            while not self._ended:
                # A task that a job has started may raise SystemExit, which asyncio lets through to here.
                try:
                    loop.run_forever()
                except BaseException as error:
                    logger.error("A task of a job raised %r on the event loop, which goes on.", error)

        threading.Thread(target=run, name="umbel-loop", daemon=True).start()
        ready.wait()
        return loop


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
