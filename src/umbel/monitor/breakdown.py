"""What a first page shows of a time, out of one reading of the rollups: over time, by task and by queue.

An hour of a hundred tasks is some thousand rows, about 10 microseconds each, however many jobs they stand for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from umbel.monitor.bulk import among
from umbel.monitor.charts import Point, kept_step, point_of
from umbel.monitor.database import Database
from umbel.monitor.histograms import Histogram
from umbel.monitor.rollups import COUNTS, Sum
from umbel.monitor.tables import NAMES, ROLLUPS
from umbel.monitor.totals import Total

__all__ = ("Breakdown", "breakdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """What ended between two times. Every stretch of the time is there, whether something happened in it or not."""

    #: Unix seconds: when the first stretch begins, and how long each is.
    first: int
    step: int
    points: tuple[Point, ...]
    #: By name; what nothing has told the name of is not among them.
    tasks: Mapping[str, Total]
    queues: Mapping[str, Total]
    #: Of each queue, the wait in seconds that 95 of a hundred jobs do not exceed, for each stretch.
    waits: Mapping[str, tuple[float | None, ...]]


def breakdown(database: Database, *, since: float, until: float, step: int) -> Breakdown:
    """Return what ended between two times, by stretches of ``step`` seconds.

    That is 60, 3,600 or 86,400, or a multiple of one of them. Raises :exc:`ValueError` for another one.
    """
    first = int(since // step) * step
    kept = kept_step(step)
    wanted = select(*_READ).where(ROLLUPS.c.step == kept, ROLLUPS.c.start >= first, ROLLUPS.c.start < until)
    cells: dict[tuple[int, int], Sum] = {}
    tasks: dict[int, Sum] = {}
    with database.reading() as connection:
        for start, task, queue, waited, ran, *counts in connection.execute(wanted):
            told = (counts, Histogram.of(waited), Histogram.of(ran))
            _sum(cells, (queue, start // step * step)).add_these(*told)
            _sum(tasks, task).add_these(*told)
        names = _names(connection, {*tasks, *(queue for queue, _ in cells)})
    starts = range(first, math.ceil(until), step)
    queues = _of_queues(cells)
    return Breakdown(
        first=first,
        step=step,
        points=tuple(_points(starts, cells)),
        tasks=_totals(tasks, names),
        queues=_totals(queues, names),
        waits={names[queue]: _waits(queue, starts, cells) for queue in queues if names.get(queue)},
    )


_READ: Final = tuple(ROLLUPS.c[name] for name in ("start", "task", "queue", "waited", "ran", *COUNTS))


def _sum(sums: dict[Any, Sum], key: Any) -> Sum:
    known = sums.get(key)
    if known is None:
        known = sums[key] = Sum()
    return known


def _names(connection: Connection, numbers: set[int]) -> dict[int, str]:
    found = select(NAMES.c.id, NAMES.c.name).where(among(connection, NAMES.c.id, sorted(numbers)))
    return {row.id: row.name for row in connection.execute(found)}


def _of_queues(cells: Mapping[tuple[int, int], Sum]) -> dict[int, Sum]:
    queues: dict[int, Sum] = {}
    for (queue, _), one in cells.items():
        _sum(queues, queue).add(one)
    return queues


def _points(starts: Sequence[int], cells: Mapping[tuple[int, int], Sum]) -> list[Point]:
    sums = {start: Sum() for start in starts}
    for (_, start), one in cells.items():
        if start in sums:
            sums[start].add(one)
    return [point_of(start, one) for start, one in sums.items()]


def _waits(queue: int, starts: Sequence[int], cells: Mapping[tuple[int, int], Sum]) -> tuple[float | None, ...]:
    nothing: Final = Sum()
    return tuple(cells.get((queue, start), nothing).waited.quantile(0.95) for start in starts)


def _totals(sums: Mapping[int, Sum], names: Mapping[int, str]) -> dict[str, Total]:
    return {
        names[number]: Total(name=names[number], counts=one.counts, waited=one.waited, ran=one.ran)
        for number, one in sorted(sums.items(), key=lambda pair: names.get(pair[0], ""))
        if names.get(number)
    }
