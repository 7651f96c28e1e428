"""Rollups: what ended in each minute, hour and day, by task and queue, counted when it is written.

A chart reads a few hundred rows of them, however many jobs these stand for. They outlive the jobs. One row of each
task and queue counts all that ever was: it only grows, so that counters can be made of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, select

from umbel.monitor.bulk import Insert, among
from umbel.monitor.histograms import Histogram
from umbel.monitor.lives import DEFERRED, INTERRUPTED, Execution
from umbel.monitor.tables import ROLLUPS
from umbel.states import JobState

__all__ = ("COUNTS", "EVER", "STEPS", "Rollups", "Sum")

#: Seconds.
STEPS: Final = (60, 3600, 86_400)
#: The step of what is counted for ever.
EVER: Final = 0
#: What is counted, as the columns are called.
COUNTS: Final = ("queued", "succeeded", "failed", "retried", "cancelled", "expired", "interrupted")

_COLUMN: Final = {
    JobState.SUCCEEDED.value: "succeeded",
    JobState.FAILED.value: "failed",
    JobState.RETRYING.value: "retried",
    JobState.CANCELLED.value: "cancelled",
    JobState.EXPIRED.value: "expired",
    INTERRUPTED: "interrupted",
}
#: Minute, task, queue.
_Cell: TypeAlias = tuple[int, int, int]
#: Step, start, task, queue.
_Key: TypeAlias = tuple[int, int, int, int]
_REPLACE: Final = Insert(ROLLUPS, known="replace")
_TRIES: Final = frozenset({JobState.SUCCEEDED.value, JobState.FAILED.value, JobState.RETRYING.value})


class Sum:
    """What is counted in one cell, or in several together."""

    __slots__ = ("counts", "ran", "ran_seconds", "waited", "waited_seconds")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTS, 0)
        self.waited, self.ran = Histogram(), Histogram()
        self.waited_seconds = self.ran_seconds = 0.0

    def add(self, other: Sum) -> None:
        """Add what another one has counted."""
        self.add_these(other.counts.values(), other.waited, other.ran)
        self.waited_seconds += other.waited_seconds
        self.ran_seconds += other.ran_seconds

    def add_these(self, counts: Iterable[int], waited: Histogram, ran: Histogram) -> None:
        """Add numbers, which stand as :data:`COUNTS` do."""
        for name, number in zip(COUNTS, counts, strict=True):
            self.counts[name] += number
        self.waited.add(waited)
        self.ran.add(ran)

    def add_row(self, row: Any) -> None:
        """Add a row of the table."""
        for name in COUNTS:
            self.counts[name] += getattr(row, name)
        self.waited.add(Histogram.of(row.waited))
        self.ran.add(Histogram.of(row.ran))
        self.waited_seconds += row.waited_seconds
        self.ran_seconds += row.ran_seconds

    def as_row(self, key: _Key) -> tuple[Any, ...]:
        """Return it as a row of the table."""
        lengths = (self.waited.as_text(), self.ran.as_text(), self.waited_seconds, self.ran_seconds)
        return (*key, *self.counts.values(), *lengths)


class Rollups:
    """What the events of one transaction add to the rollups."""

    def __init__(self) -> None:
        self._cells: dict[_Cell, Sum] = {}

    def count_queued(self, at: float, task: int, queue: int) -> None:
        """Count a job that was dispatched."""
        self._cell(at, task, queue).counts["queued"] += 1

    def count_end(self, at: float, task: int, queue: int, execution: Execution) -> None:
        """Count the end of an execution."""
        if execution.word == DEFERRED:
            return
        cell = self._cell(at, task, queue)
        cell.counts[_COLUMN[execution.word]] += 1
        if execution.word in _TRIES:
            if execution.waited is not None:
                cell.waited.count(execution.waited)
                cell.waited_seconds += execution.waited
            if execution.ran is not None:
                cell.ran.count(execution.ran)
                cell.ran_seconds += execution.ran

    def _cell(self, at: float, task: int, queue: int) -> Sum:
        key = (int(at // 60) * 60, task, queue)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Sum()
        return cell

    def write(self, connection: Connection) -> None:
        """Add it to what is there. Only for who may write now."""
        sums: dict[_Key, Sum] = {}
        for (minute, task, queue), cell in self._cells.items():
            for step in (*STEPS, EVER):
                start = minute // step * step if step else 0
                sums.setdefault((step, start, task, queue), Sum()).add(cell)
        for row in _known(connection, sums):
            sums[row.step, row.start, row.task, row.queue].add_row(row)
        _REPLACE.run(connection, [one.as_row(key) for key, one in sorted(sums.items(), key=lambda pair: pair[0])])


def _known(connection: Connection, keys: Iterable[_Key]) -> Iterable[Any]:
    """Return the rows of ``keys`` that are there, a step and its times a statement."""
    wanted = set(keys)
    for step, group in itertools.groupby(sorted(wanted), key=lambda key: key[0]):
        starts = sorted({start for _, start, _, _ in group})
        found = select(ROLLUPS).where(ROLLUPS.c.step == step, among(connection, ROLLUPS.c.start, starts))
        for row in connection.execute(found):
            if (row.step, row.start, row.task, row.queue) in wanted:
                yield row
