"""How the last minutes have gone, by task: how many ended, how many failed, how long they ran."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from umbel.monitor.database import Database
from umbel.monitor.names import Names
from umbel.monitor.rollups import Sum
from umbel.monitor.tables import ROLLUPS

__all__ = ("TaskPace", "task_paces")

_STEP: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPace:
    """One task in a stretch of time. Lengths of time are seconds."""

    #: None for jobs of which nothing has told their task.
    task: str | None
    succeeded: int
    failed: int
    retried: int
    waited_p95: float | None
    ran_p50: float | None
    ran_p95: float | None

    @property
    def ended(self) -> int:
        """How many executions have ended."""
        return self.succeeded + self.failed + self.retried


def task_paces(database: Database, seconds: float = 300.0) -> tuple[TaskPace, ...]:
    """Return how each task has gone in the last ``seconds``, in whole minutes, the busiest one first."""
    first = int((time.time() - seconds) // _STEP) * _STEP
    sums: dict[int, Sum] = {}
    with database.reading() as connection:
        names = Names()
        for row in connection.execute(select(ROLLUPS).where(ROLLUPS.c.step == _STEP, ROLLUPS.c.start >= first)):
            sums.setdefault(row.task, Sum()).add_row(row)
        found = [_pace(names.name(connection, number), one) for number, one in sums.items()]
    return tuple(sorted(found, key=lambda one: -one.ended))


def _pace(task: str | None, one: Sum) -> TaskPace:
    return TaskPace(
        task=task or None,
        succeeded=one.counts["succeeded"],
        failed=one.counts["failed"],
        retried=one.counts["retried"],
        waited_p95=one.waited.quantile(0.95),
        ran_p50=one.ran.quantile(0.5),
        ran_p95=one.ran.quantile(0.95),
    )
