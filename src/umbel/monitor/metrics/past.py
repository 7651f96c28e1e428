"""What the last minutes have brought, and how long jobs run: of the rollups, for an autoscaler."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, select

from umbel.monitor.database import Database
from umbel.monitor.rollups import EVER, Sum
from umbel.monitor.tables import NAMES, ROLLUPS

__all__ = ("read_past",)

_MINUTE: Final = 60
_HOUR: Final = 3600


def read_past(
    database: Database, now: float, hold: float, queues: Collection[str] | None
) -> tuple[list[float], float | None]:
    """Return what came in each of the last ``hold`` seconds' minutes, a second, and what a job runs on average.

    Raises a :exc:`StoreError`.
    """
    first = int((now - hold) // _MINUTE) * _MINUTE
    with database.reading() as connection:
        # What comes in the minute that is not over yet shows in what waits.
        minutes = _sums(connection, _MINUTE, first, now - now % _MINUTE, queues)
        hour = _whole(_sums(connection, _MINUTE, int(now) - _HOUR, now + _MINUTE, queues))
        if not hour.ran.total:
            hour = _whole(_sums(connection, EVER, 0, 1, queues))
    arrivals = [max(one.counts["queued"] + one.counts["retried"], _executions(one)) / _MINUTE for one in minutes]
    # Sums that an earlier version has made know no seconds.
    return arrivals, hour.ran_seconds / hour.ran.total if hour.ran.total and hour.ran_seconds else None


def _executions(one: Sum) -> int:
    return one.counts["succeeded"] + one.counts["failed"] + one.counts["retried"]


def _whole(sums: list[Sum]) -> Sum:
    whole = Sum()
    for one in sums:
        whole.add(one)
    return whole


def _sums(connection: Connection, step: int, since: float, until: float, queues: Collection[str] | None) -> list[Sum]:
    found = select(ROLLUPS).where(ROLLUPS.c.step == step, ROLLUPS.c.start >= since, ROLLUPS.c.start < until)
    if queues is not None:
        named = select(NAMES.c.id).where(NAMES.c.kind == "queue", NAMES.c.name.in_(list(queues)))
        found = found.where(ROLLUPS.c.queue.in_(named))
    sums: dict[int, Sum] = {}
    for row in connection.execute(found).all():
        sums.setdefault(row.start, Sum()).add_row(row)
    return list(sums.values())
