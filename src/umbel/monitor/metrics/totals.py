"""What has ever been counted, by task and queue: for counters, which must never go back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from umbel.monitor.database import Database
from umbel.monitor.rollups import EVER, Sum
from umbel.monitor.tables import NAMES, ROLLUPS

__all__ = ("OTHER", "Totals", "read_totals")

#: What names beyond the bound are counted as.
OTHER: Final = "(other)"
#: So many tasks, and so many queues, have series of their own: those that were heard of first, so that none changes.
_TASKS_MOST: Final = 200
_QUEUES_MOST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums since the history began: of each task in each queue, of each queue, and of each task."""

    cells: Mapping[tuple[str, str], Sum]

    @property
    def by_queue(self) -> dict[str, Sum]:
        """One sum a queue."""
        return _grouped((queue, one) for (_, queue), one in self.cells.items())

    @property
    def by_task(self) -> dict[str, Sum]:
        """One sum a task."""
        return _grouped((task, one) for (task, _), one in self.cells.items())


def _grouped(found: Iterable[tuple[str, Sum]]) -> dict[str, Sum]:
    sums: dict[str, Sum] = {}
    for name, one in found:
        sums.setdefault(name, Sum()).add(one)
    return sums


def read_totals(database: Database) -> Totals:
    """Read them. Raises a :exc:`StoreError`."""
    with database.reading() as connection:
        rows = connection.execute(select(ROLLUPS).where(ROLLUPS.c.step == EVER)).all()
        wanted = {number for row in rows for number in (row.task, row.queue)}
        named = connection.execute(select(NAMES.c.id, NAMES.c.name).where(NAMES.c.kind.in_(("task", "queue")))).all()
    names = {one.id: one.name for one in named if one.id in wanted}
    tasks = _labels((row.task for row in rows), names, _TASKS_MOST)
    queues = _labels((row.queue for row in rows), names, _QUEUES_MOST)
    cells: dict[tuple[str, str], Sum] = {}
    for row in rows:
        cells.setdefault((tasks[row.task], queues[row.queue]), Sum()).add_row(row)
    return Totals(cells=cells)


def _labels(numbers: Iterable[int], names: Mapping[int, str], most: int) -> dict[int, str]:
    """Return what each number is called. Numbers were given in the order in which names were first heard of."""
    return {
        number: names.get(number, OTHER) if place < most else OTHER for place, number in enumerate(sorted(set(numbers)))
    }
