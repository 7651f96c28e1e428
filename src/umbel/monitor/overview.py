"""What a first look at an application needs: how it fares lately, and what somebody must do something about.

Read in one pass, and kept for a second, however many look: a page of several people costs what one costs. Where no
history is kept, what is live is there all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from umbel.monitor.alerts.incidents import Incident
from umbel.monitor.breakdown import Breakdown, breakdown
from umbel.monitor.lag import lag
from umbel.monitor.queues_view import QueueRow, QueuesView
from umbel.monitor.releases import Release
from umbel.monitor.schedules_view import Schedules, SchedulesView

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import DeadLetter
    from umbel.monitor.history import History
    from umbel.monitor.totals import Total

__all__ = ("KEPT", "LOOKS", "Look", "Overview", "OverviewReader", "QueueLine")

#: Seconds that one reading is shown.
KEPT: Final = 1.0
#: The newest dead letters, and the tasks of each list, that are told.
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class Look:
    """How far back, in seconds, and in which steps."""

    seconds: int
    step: int


LOOKS: Final[Mapping[str, Look]] = {
    "hour": Look(3600, 60),
    "day": Look(86_400, 3600),
    "week": Look(7 * 86_400, 3 * 3600),
    "month": Look(30 * 86_400, 86_400),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """One queue: what is in it now, and how its jobs fared over the time looked at."""

    now: QueueRow
    #: None where nothing is recorded of it.
    lately: Total | None
    #: How long nineteen of twenty jobs waited at most, in seconds, for each step of the time.
    waits: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The application at ``taken`` (unix seconds), and over the time before."""

    look: str
    taken: float
    #: None where nothing is recorded.
    lately: Breakdown | None
    releases: tuple[Release, ...]
    #: Those without a consumer first.
    queues: tuple[QueueLine, ...]
    #: Processes that fetch, how many jobs they can run at a time, and how many they do.
    workers: int
    slots: int
    busy: int
    #: The newest dead letters, and how many there are.
    dead: tuple[DeadLetter, ...]
    dead_count: int
    schedules: Schedules
    #: What is wrong and goes on, the newest first; None where nothing is recorded.
    incidents: tuple[Incident, ...] | None
    #: For how many seconds what has happened waits to be written down.
    behind: float

    @property
    def slowest(self) -> tuple[Total, ...]:
        """The tasks whose jobs ran longest, by what nineteen of twenty of them did not exceed."""
        return self._first(lambda one: one.ran.quantile(0.95) or 0.0)

    @property
    def failing(self) -> tuple[Total, ...]:
        """The tasks whose jobs failed most often."""
        return self._first(lambda one: float(one.counts["failed"]))

    def _first(self, weight: Callable[[Total], float]) -> tuple[Total, ...]:
        weighed = [(weight(one), one) for one in self.lately.tasks.values()] if self.lately else []
        found = sorted((pair for pair in weighed if pair[0]), key=lambda pair: pair[0], reverse=True)
        return tuple(one for _, one in found[:_FEW])


class OverviewReader:
    """Reads overviews, one at a time; ``history`` is None where nothing is recorded."""

    def __init__(self, app: Umbel, history: History | None) -> None:
        self._app: Final = app
        self._history: Final = history
        self._queues: Final = QueuesView(app, None)
        self._schedules: Final = SchedulesView(app)
        self._lock: Final = threading.Lock()
        self._last: dict[str, tuple[float, Overview]] = {}

    def read(self, look: str = "hour") -> Overview:
        """Return an overview that is at most :data:`KEPT` seconds old. Raises a :exc:`StoreError`."""
        with self._lock:
            known = self._last.get(look)
            if known is None or time.monotonic() >= known[0]:
                known = self._last[look] = (time.monotonic() + KEPT, self._read(look))
            return known[1]

    def _read(self, look: str) -> Overview:
        now, engine = time.time(), self._app.engine
        back = LOOKS[look]
        since = now - back.seconds
        lately: Breakdown | None = None
        releases: tuple[Release, ...] = ()
        if self._history is not None:
            lately = breakdown(self._history.database, since=since, until=now, step=back.step)
            releases = self._history.releases.find(since=since, until=now)
        workers = engine.workers()
        return Overview(
            look=look,
            taken=now,
            lately=lately,
            releases=releases,
            queues=tuple(_line(row, lately) for row in self._queues.all()),
            workers=len(workers),
            slots=sum(one.concurrency for one in workers),
            # What a process has fetched beyond its slots does not run yet.
            busy=sum(min(one.in_flight, one.concurrency) for one in workers),
            dead=tuple(engine.dead(_FEW)),
            dead_count=engine.letters.count(),
            schedules=self._schedules.read(),
            incidents=None
            if self._history is None
            else self._history.incidents.find(going_on=True, limit=_FEW).incidents,
            behind=lag(engine.events) if self._history is not None else 0.0,
        )


def _line(row: QueueRow, lately: Breakdown | None) -> QueueLine:
    if lately is None:
        return QueueLine(now=row, lately=None, waits=())
    return QueueLine(now=row, lately=lately.queues.get(row.name), waits=lately.waits.get(row.name, ()))
