"""Queues as they are now, and how long jobs waited in them lately; those that nobody consumes stand first (C4)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from umbel.monitor.publishable import publishable

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import QueueStatus, WorkerStatus
    from umbel.jobs.limit_book import LimitStatus
    from umbel.monitor.history import History
    from umbel.monitor.totals import Total

__all__ = ("LATELY", "QueueRow", "QueuesView")

#: What counts as lately, in seconds.
LATELY: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue. Waits are seconds, of the jobs that began within the last hour; None where none did."""

    name: str
    waiting: int
    delayed: int
    running: int
    #: Jobs that had begun when their process died, and run again alone.
    suspects: int
    consumers: int
    is_paused: bool
    #: Tasks and schedules that publish to it.
    users: tuple[str, ...]
    workers: tuple[str, ...]
    limits: tuple[LimitStatus, ...]
    lately: Total | None
    #: For how many seconds what is next in it has been due; None where nothing waits, or the store does not tell.
    next_waits: float | None = None
    #: What is queued from now on comes after it, for a purge; None where the broker cannot tell.
    mark: int | None = None

    @property
    def is_unserved(self) -> bool:
        """Whether nobody consumes it, although something waits in it or may come."""
        return not self.consumers

    @property
    def droppable(self) -> int:
        """How many jobs a purge would drop."""
        return self.waiting + self.delayed + self.suspects

    @property
    def waited_p50(self) -> float | None:
        """What half of the jobs waited at most."""
        return None if self.lately is None else self.lately.waited.quantile(0.5)

    @property
    def waited_p95(self) -> float | None:
        """What nineteen of twenty jobs waited at most."""
        return None if self.lately is None else self.lately.waited.quantile(0.95)


class QueuesView:
    """Reads the queues of an application; ``history`` is None where nothing is recorded."""

    def __init__(self, app: Umbel, history: History | None) -> None:
        self._app: Final = app
        self._history: Final = history

    def all(self) -> tuple[QueueRow, ...]:
        """Return all queues, those without a consumer first. Raises a :exc:`StoreError`."""
        engine, now = self._app.engine, time.time()
        known = {one.name: one for one in engine.queues()}
        users, workers = publishable(self._app), engine.workers()
        lately = {} if self._history is None else self._history.totals.by("queue", since=now - LATELY, until=now)
        limits, waits = self._app.limits.status(), engine.names.waits()
        rows = [
            _row(name, known.get(name), users.get(name, []), workers, limits, lately.get(name), waits.get(name))
            for name in known.keys() | users.keys() | {name for one in workers for name in one.queues}
        ]
        return tuple(sorted(rows, key=lambda row: (not row.is_unserved, row.name)))

    def one(self, name: str) -> QueueRow | None:
        """Return one queue; None when there is none of that name. Raises a :exc:`StoreError`."""
        return next((row for row in self.all() if row.name == name), None)


def _row(
    name: str,
    known: QueueStatus | None,
    users: list[str],
    workers: list[WorkerStatus],
    limits: list[LimitStatus],
    lately: Total | None,
    next_waits: float | None,
) -> QueueRow:
    own = f"queue:{name}"
    return QueueRow(
        name=name,
        waiting=known.ready if known else 0,
        delayed=known.delayed if known else 0,
        running=known.leased if known else 0,
        suspects=known.suspect if known else 0,
        consumers=known.consumers if known else sum(name in one.queues for one in workers),
        is_paused=bool(known and known.paused),
        users=tuple(users),
        workers=tuple(sorted(one.hostname for one in workers if name in one.queues)),
        limits=tuple(one for one in limits if one.name == own or one.name.startswith(f"{own}:")),
        lately=lately,
        next_waits=next_waits,
        mark=known.mark if known else None,
    )
