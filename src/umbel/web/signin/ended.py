"""Which sessions were ended before their time, by signing out, whatever process answers.

What is ended is written into the history's database, and each process reads there what others have ended, once a second
at most and only while somebody with a session asks for something. A request waits for that for :data:`PATIENCE` seconds
at most: where the database is away or slow, what is known already counts, because somebody may be looking for what is
wrong with it. That is logged once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from umbel.errors import UmbelError
from umbel.monitor.ended_sessions import EndedSession

if TYPE_CHECKING:
    from umbel.monitor.history import History

__all__ = ("KEPT", "PATIENCE", "Ended")

logger = logging.getLogger("umbel.web")

#: Seconds for which what was read counts.
KEPT: Final = 1.0
#: Seconds that a request waits for it.
PATIENCE: Final = 1.0
#: Clocks of those who end sessions differ, in seconds.
_SLACK: Final = 300.0


class Ended:
    """What one process knows; ``age`` is how long sessions last, in seconds."""

    def __init__(self, history: Callable[[], History], age: int) -> None:
        self._history: Final = history
        self._age: Final = age
        self._lock: Final = threading.Lock()
        self._known: dict[str, EndedSession] = {}
        self._newest = 0.0
        self._fresh_until = 0.0
        self._reading: Future[None] | None = None
        self._is_away = False

    def end(self, key: str) -> None:
        """End what began so far under ``key``. Raises an :exc:`UmbelError` where this process alone knows of it."""
        now = time.time()
        one = EndedSession(key, now, now + self._age)
        self._learn([one])
        self._history().ended_sessions.write(one)

    def covers(self, keys: Iterable[str], began: float) -> bool:
        """Whether a session that began at the unix time ``began`` was ended under one of ``keys``."""
        found = (self._known.get(key) for key in keys)
        return any(one is not None and began <= one.at for one in found)

    async def refresh(self) -> None:
        """Learn what other processes have ended, unless that takes long."""
        with self._lock:
            if self._reading is not None and not self._reading.done():
                # Whoever began it has the patience, once.
                reading, patience = self._reading, 0.0 if self._is_away else PATIENCE
            elif time.monotonic() < self._fresh_until:
                return
            else:
                reading, patience = Future(), PATIENCE
                self._reading = reading
                # A thread that may hang does not hold up the end of the process.
                threading.Thread(target=self._read, args=(reading,), name="umbel sessions", daemon=True).start()
        await asyncio.wait([asyncio.wrap_future(reading)], timeout=patience)
        if not reading.done():
            self._away("it does not answer in time")

    def _read(self, reading: Future[None]) -> None:
        try:
            self._learn(self._history().ended_sessions.since(self._newest - _SLACK))
            self._is_away = False
        except UmbelError as error:
            self._away(str(error))
        except Exception:
            logger.exception("Sessions that were ended elsewhere could not be read.")
        finally:
            self._fresh_until = time.monotonic() + KEPT
            reading.set_result(None)

    def _learn(self, found: Iterable[EndedSession]) -> None:
        now = time.time()
        with self._lock:
            known = {**self._known, **{one.key: one for one in found}}
            self._known = {key: one for key, one in known.items() if one.until > now}
            self._newest = max((one.at for one in self._known.values()), default=0.0)

    def _away(self, reason: str) -> None:
        if not self._is_away:
            self._is_away = True
            logger.error("Sessions that other processes have ended are not known here now: %s", reason)
