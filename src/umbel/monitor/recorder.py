"""The recorder: moves events out of a store's log into the history, in bulk.

Any number of recorders may run, on any hosts; one is elected, the others wait until it is gone. Each batch is written
in one transaction together with the number of its last event, and only then dropped from the log: a recorder that dies
anywhere between leaves events that the next one knows by their numbers. While the history cannot be written events
stay in the log, as far as its bound; the log counts what found no room, and that is said here.
Costs while idle: a look every half second. How much it takes while there is much to do, and no core to spare, is in
:mod:`umbel.monitor.courtesy`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Final

from umbel.engine.leader import Leader
from umbel.engine.outage import Outage
from umbel.engine.store import Engine
from umbel.errors import ConfigurationError, UmbelError
from umbel.monitor.courtesy import Courtesy
from umbel.monitor.history import History
from umbel.monitor.hosts import other_host
from umbel.monitor.retention import Retention
from umbel.monitor.writer import CursorMoved
from umbel.state.events import Ends, EventLog, Logged

__all__ = ("Recorder",)

logger = logging.getLogger(__name__)

#: So many entries are read at a time, between the two: one a message queued, one a batch settled.
_FEWEST, _MOST = 1, 2000
#: So many events are written in one transaction, about.
_FEW, _MANY = 2000, 10_000
_IDLE_SECONDS: Final = 0.5
#: How often it says that it lives, to the log and to other recorders.
_WORD_SECONDS: Final = 1.0
_EXPECT_SECONDS: Final = 60.0
_PRUNE_SECONDS: Final = 60.0
#: So many seconds at a time, and then what has happened meanwhile is recorded.
_PRUNE_AT_ONCE: Final = 0.2
#: The supervisor waits a little longer for the process.
_LAST_SECONDS: Final = 3.0
#: Entries of a log in memory that are too many to rest; half a hundred megabytes, as payloads usually are.
_MEMORY_MOST: Final = 50_000
#: What recorders elect their leader by; no application is called so.
_LEADERS: Final = "umbel:recorder"


class Recorder:
    """Records the events of one store."""

    def __init__(self, engine: Engine, history: History, retention: Retention | None = None) -> None:
        """``retention``: what the history keeps; without it all that is recorded."""
        self._log: Final[EventLog] = engine.events
        self._history: Final = history
        self._engine: Final = engine
        #: What the history knows this store by, however it is reached.
        self._store: str | None = None
        self._leader: Final[Leader] = engine.leader(_LEADERS)
        self._leads = False
        self._looked = self._expected = float("-inf")
        self._retention: Final = retention
        self._pruned = time.monotonic()
        self._pruning: Iterator[int] | None = None
        self._cursor: str | None = None
        self._limit = 100
        self._lost: int | None = None
        self._measured = float("-inf")
        self._presses = False

    def step(self) -> bool:
        """Record one batch, if this is the recorder that does; return whether there may be more.

        Raises :exc:`UmbelError` while the store or the history cannot be used.
        """
        if not self._lead():
            return False
        self._say()
        logged = self._log.read(self._limit, self._cursor)
        if logged is None:
            return False
        try:
            self._history.write(self._name, logged, after=self._cursor)
        except CursorMoved:
            # Another one wrote while this one was taken for dead.
            self._leads = False
            return True
        except UmbelError:
            raise
        except Exception:
            # What cannot be written must not keep the rest from it: it is found one by one, and left out.
            if self._limit > _FEWEST:
                self._limit = _FEWEST
                return True
            logger.exception("An entry of the log could not be recorded: it is left out of the history.")
            self._history.write(self._name, Logged(logged.last, ()), after=self._cursor)
        self._cursor = logged.last
        self._log.drop(logged.last)
        self._adapt(sum(len(one.ends) if isinstance(one, Ends) else 1 for one in logged.events))
        return True

    def _adapt(self, events: int) -> None:
        if events > _MANY:
            self._limit = max(_FEWEST, self._limit // 2)
        elif events < _FEW:
            self._limit = min(_MOST, self._limit * 2)

    def _lead(self) -> bool:
        if self._leads and time.monotonic() - self._looked < _WORD_SECONDS:
            return True
        leads = self._leader.leads()
        self._looked = time.monotonic()
        if leads and not self._leads:
            self._cursor = self._history.cursor(self._name)
            if self._cursor is not None:
                # What the last one had written and not dropped.
                self._log.drop(self._cursor)
            # Until then it may have been one of before a deployment.
            self._history.recount_failures()
        self._leads = leads
        return leads

    @property
    def leads(self) -> bool:
        """Whether this is the one that records, as far as it knows."""
        return self._leads

    @property
    def _name(self) -> str:
        if self._store is None:
            self._store = self._log.identity()
        return self._store

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._expected > _EXPECT_SECONDS:
            self._refuse_to_split()
            self._log.expect()
            self._expected = now
            self._complain()

    def _refuse_to_split(self) -> None:
        stranger = other_host(self._engine) if self._history.database.is_sqlite else None
        if stranger is not None:
            raise ConfigurationError(
                f"the history is a file of this host, and {stranger} works on another one: "
                "set UMBEL_HISTORY_URL to a PostgreSQL that all of them reach"
            )

    def _complain(self) -> None:
        lost, self._lost = self._lost, self._log.lost()
        if self._lost > (lost or 0):
            logger.error(
                "The history has a hole: the log was full, and %d of its entries found no room. Is the history's "
                "database too slow, or was it away for long?",
                self._lost - (lost or 0),
            )

    def run(self, stop: threading.Event, courtesy: Courtesy | None = None) -> None:
        """Record until told to stop."""
        courtesy = courtesy or Courtesy()
        outage = Outage("The history cannot be written", "The history is written again")
        while not stop.is_set():
            began = time.monotonic()
            try:
                recorded = self.step()
                more = self._prune() or recorded
            except UmbelError as error:
                self._leads = False
                stop.wait(outage.pause(error))
            else:
                outage.over()
                if more:
                    stop.wait(courtesy.rest(time.monotonic() - began, pressing=self._is_pressing()))
                else:
                    courtesy.caught_up()
                    stop.wait(_IDLE_SECONDS)
        self._finish()

    def _is_pressing(self) -> bool:
        """Whether the log takes so much memory that it has to become shorter now."""
        if self._log.in_memory and time.monotonic() - self._measured > _WORD_SECONDS:
            with contextlib.suppress(UmbelError):
                self._presses = self._log.size() > _MEMORY_MOST
            self._measured = time.monotonic()
        return self._presses

    def _finish(self) -> None:
        """Write what the last jobs have told, as far as that is quickly done; the next recorder writes the rest."""
        end = time.monotonic() + _LAST_SECONDS
        with contextlib.suppress(UmbelError):
            while self.step() and time.monotonic() < end:
                pass

    def _prune(self) -> bool:
        """Go on dropping what is too old or too much, for a moment; return whether there is more of it."""
        if not self._leads or self._retention is None:
            return False
        now = time.monotonic()
        if self._pruning is None and now - self._pruned > _PRUNE_SECONDS:
            self._pruning = self._history.pruning(self._retention)
        for _ in self._pruning or ():
            if time.monotonic() - now > _PRUNE_AT_ONCE:
                return True
        if self._pruning is not None:
            self._pruning, self._pruned = None, now
        return False

    def resign(self) -> None:
        """Let another one record."""
        self._leader.resign()
