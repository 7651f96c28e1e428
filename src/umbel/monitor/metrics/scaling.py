"""How many workers would do, for an autoscaler: Little's law on what the history has counted, with what waits now.

Slots that are busy are arrivals a second times the seconds that a job runs (J. D. C. Little, *A Proof for the Queuing
Formula L = λW*, Operations Research 9, 1961). To that comes what it takes to work off what waits within ``drain``. The
busiest of the last minutes counts, so that a lull takes nothing away at once, and a replica is only given up when the
rest would have room to spare. All of that is read from the store and the history: whoever is asked says the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from umbel.monitor.metrics.live import Live, read_live

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("Bounds", "Load", "Scaling", "Wanted", "wanted")

#: What a job is taken to run, in seconds, before any has.
_UNKNOWN: Final = 1.0
#: So much of all slots is planned for: waits grow without end when it is all of them.
_UTILISATION: Final = 0.8
#: The rest must not be fuller than this, if a replica is to go.
_SPARE: Final = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is asked for. Times are seconds."""

    least: int = 1
    most: int = 10
    #: What waits now is to have begun after so long.
    drain: float = 60.0
    #: The busiest minute of the last so many seconds counts.
    hold: float = 300.0
    #: Of one replica; None: as those that live have, or one process with ``UMBEL_CONCURRENCY``.
    slots: int | None = None

    def but(self, **given: Any) -> Bounds:
        """Return the same with what is given and not None, within what makes sense."""
        changed = replace(self, **{name: value for name, value in given.items() if value is not None})
        return replace(changed, most=max(changed.least, changed.most), drain=max(1.0, changed.drain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What there is to do, and who does it."""

    #: Jobs that could start now, and jobs that run.
    ready: int
    running: int
    #: For how long the next job has been due, in seconds; None where nothing waits or the store does not tell.
    oldest: float | None
    #: Jobs that came in each of the last minutes, a second.
    arrivals: Sequence[float]
    #: What a job runs, on average, in seconds; None before any has.
    run: float | None
    #: Hosts with workers, and the slots of each.
    replicas: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How many replicas would do, and what that follows from."""

    replicas: int
    #: How many slots would be busy, without room to spare.
    slots: float
    load: Load


def wanted(load: Load, bounds: Bounds) -> Wanted:
    """Return how many replicas ``load`` needs. Pure."""
    run = _UNKNOWN if load.run is None else load.run
    steady = max(load.arrivals, default=0.0) * run
    # Where jobs wait, what runs is what can run; else it is a moment's chance.
    busy = max(steady, float(load.running) if load.ready else 0.0) + load.ready * run / bounds.drain
    # What runs is not taken away from under its jobs.
    replicas = max(_needed(busy, load.slots * _UTILISATION), _needed(load.running, load.slots))
    if replicas < load.replicas:
        # Fewer only if they would do with room to spare: else the next minute takes the step back.
        replicas = min(load.replicas, max(replicas, _needed(busy, load.slots * _SPARE)))
    if not replicas and (load.ready or load.running or steady):
        replicas = 1
    return Wanted(replicas=max(bounds.least, min(bounds.most, replicas)), slots=busy, load=load)


def _needed(busy: float, slots: float) -> int:
    return math.ceil(round(busy / slots, 9))


class Scaling:
    """Reads the load of an application."""

    def __init__(self, app: Umbel) -> None:
        self._app: Final = app

    @property
    def bounds(self) -> Bounds:
        """What the settings ask for."""
        told = self._app.settings
        return Bounds().but(
            least=told.autoscale_min,
            most=told.autoscale_max,
            drain=told.autoscale_drain.total_seconds(),
            hold=told.autoscale_hold.total_seconds(),
        )

    def ask(self, queues: Collection[str] | None = None, bounds: Bounds | None = None) -> Wanted:
        """Return how many replicas would do for ``queues``, or for all. Raises a :exc:`StoreError`."""
        return self.of(read_live(self._app.engine).within(queues), bounds, queues)

    def of(self, live: Live, bounds: Bounds | None = None, queues: Collection[str] | None = None) -> Wanted:
        """Return the same for what has been read."""
        bounds = bounds or self.bounds
        return wanted(self._load(live, bounds, queues), bounds)

    def _load(self, live: Live, bounds: Bounds, queues: Collection[str] | None) -> Load:
        hosts = {one.hostname.rpartition("@")[2] for one in live.workers}
        arrivals: Sequence[float] = ()
        run = None
        if self._app.settings.history:
            # Only where there is a history there is SQLAlchemy.
            from umbel.monitor.metrics.past import read_past

            arrivals, run = read_past(self._app.history.database, time.time(), bounds.hold, queues)
        usual = self._app.settings.concurrency * (self._app.settings.processes or 1)
        return Load(
            # Of a queue that is paused nothing can begin, however many there are.
            ready=sum(one.ready + one.suspect for one in live.queues if not one.paused),
            running=live.busy,
            oldest=max(live.waits.values(), default=None),
            arrivals=arrivals,
            run=run,
            replicas=len(hosts),
            slots=bounds.slots or (math.ceil(live.slots / len(hosts)) if hosts and live.slots else usual),
        )
