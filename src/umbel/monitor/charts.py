"""What charts show: counts and lengths of time, out of the rollups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from umbel.monitor.database import Database
from umbel.monitor.names import Kind, number_of
from umbel.monitor.rollups import STEPS, Sum
from umbel.monitor.tables import ROLLUPS

__all__ = ("Charts", "Point", "kept_step", "point_of")

_POINTS_MOST: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What happened from ``start`` on, in unix seconds, for one step. Lengths of time are seconds."""

    start: int
    #: queued, succeeded, failed, retried, cancelled, expired, interrupted.
    counts: Mapping[str, int]
    waited_p50: float | None
    waited_p95: float | None
    ran_p50: float | None
    ran_p95: float | None


class Charts:
    """Reads rollups."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def series(
        self, *, since: float, until: float, step: int, task: str | None = None, queue: str | None = None
    ) -> tuple[Point, ...]:
        """Return the points between two times, those at which nothing happened as well.

        ``step`` is 60, 3,600 or 86,400 seconds, or a multiple of one of them. Raises :exc:`ValueError` for another one,
        or for more than 5,000 points.
        """
        kept = kept_step(step)
        first = int(since // step) * step
        starts = range(first, math.ceil(until), step)
        if len(starts) > _POINTS_MOST:
            raise ValueError(f"A chart has {_POINTS_MOST} points at most, and not {len(starts)}: take a longer step.")
        sums = {start: Sum() for start in starts}
        with self._database.reading() as connection:
            wanted = select(ROLLUPS).where(ROLLUPS.c.step == kept, ROLLUPS.c.start >= first, ROLLUPS.c.start < until)
            if task is not None:
                wanted = wanted.where(ROLLUPS.c.task == _number(connection, "task", task))
            if queue is not None:
                wanted = wanted.where(ROLLUPS.c.queue == _number(connection, "queue", queue))
            for row in connection.execute(wanted).all():
                sums[row.start // step * step].add_row(row)
        return tuple(point_of(start, one) for start, one in sums.items())


def kept_step(step: int) -> int:
    """Return the longest step of the rollups that ``step`` is a multiple of. Raises :exc:`ValueError` for none."""
    kept = max((one for one in STEPS if step > 0 and step % one == 0), default=0)
    if not kept:
        raise ValueError(f"A step of a chart is a multiple of 60 seconds, and not {step}.")
    return kept


def _number(connection: Connection, kind: Kind, name: str) -> int:
    number = number_of(connection, kind, name)
    # Numbers begin with one.
    return 0 if number is None else number


def point_of(start: int, one: Sum) -> Point:
    """Return the sums of a step as a point."""
    return Point(
        start=start,
        counts=one.counts,
        waited_p50=one.waited.quantile(0.5),
        waited_p95=one.waited.quantile(0.95),
        ran_p50=one.ran.quantile(0.5),
        ran_p95=one.ran.quantile(0.95),
    )
