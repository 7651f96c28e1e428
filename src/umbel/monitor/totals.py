"""Sums over a time, by task or by queue: how many jobs, and how long they waited and ran, out of the rollups.

A day of a hundred tasks is a few thousand rows, however many jobs these stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Connection, Select, select

from umbel.monitor.bulk import among
from umbel.monitor.database import Database
from umbel.monitor.histograms import Histogram
from umbel.monitor.names import Kind, number_of
from umbel.monitor.rollups import Sum
from umbel.monitor.tables import NAMES, ROLLUPS

__all__ = ("SPANS", "Total", "Totals", "step_for")

#: What pages look back over, in seconds.
SPANS: Final[Mapping[str, int]] = {"hour": 3600, "day": 86_400, "week": 7 * 86_400}
#: Up to so many seconds each step is read, in seconds.
_STEPS: Final = ((7200.0, 60), (3 * 86_400.0, 3600))
_LONG: Final = 86_400

By: TypeAlias = Literal["task", "queue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What ended of one task, or in one queue."""

    name: str
    #: queued, succeeded, failed, retried, cancelled, expired, interrupted.
    counts: Mapping[str, int]
    waited: Histogram
    ran: Histogram

    @property
    def ended(self) -> int:
        """How many jobs have come to an end."""
        return sum(self.counts[word] for word in ("succeeded", "failed", "cancelled", "expired"))

    @property
    def failure_share(self) -> float:
        """Which part of those that ran to their end have failed, from 0.0 to 1.0."""
        ran = self.counts["succeeded"] + self.counts["failed"]
        return self.counts["failed"] / ran if ran else 0.0


class Totals:
    """Reads sums."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def by(
        self, kind: By, *, since: float, until: float, task: str | None = None, queue: str | None = None
    ) -> dict[str, Total]:
        """Return the sums of each task, or of each queue, between two times, to the whole step of the rollups.

        A step is a minute in up to two hours, an hour in up to three days, else a day.
        """
        step = step_for(until - since)
        wanted = select(ROLLUPS).where(
            ROLLUPS.c.step == step, ROLLUPS.c.start >= int(since // step) * step, ROLLUPS.c.start < until
        )
        sums: dict[int, Sum] = {}
        with self._database.reading() as connection:
            for row in connection.execute(_only(connection, wanted, task, queue)):
                number = getattr(row, kind)
                if number not in sums:
                    sums[number] = Sum()
                sums[number].add_row(row)
            names = _names(connection, sums)
        return {
            names[number]: Total(name=names[number], counts=one.counts, waited=one.waited, ran=one.ran)
            for number, one in sorted(sums.items(), key=lambda pair: names.get(pair[0], ""))
            if names.get(number)
        }

    def knows(self, kind: By, name: str) -> bool:
        """Whether anything was ever recorded of a task or a queue of that name."""
        with self._database.reading() as connection:
            return number_of(connection, kind, name) is not None


def step_for(seconds: float) -> int:
    """Return the step of the rollups, in seconds, that is read for so long a time."""
    return next((step for most, step in _STEPS if seconds <= most), _LONG)


def _only(connection: Connection, wanted: Select[Any], task: str | None, queue: str | None) -> Select[Any]:
    given: tuple[tuple[Kind, str | None], ...] = (("task", task), ("queue", queue))
    for kind, name in given:
        if name is not None:
            # Numbers begin with one.
            wanted = wanted.where(ROLLUPS.c[kind] == (number_of(connection, kind, name) or 0))
    return wanted


def _names(connection: Connection, numbers: Mapping[int, Any]) -> dict[int, str]:
    found = select(NAMES.c.id, NAMES.c.name).where(among(connection, NAMES.c.id, sorted(numbers)))
    return {row.id: row.name for row in connection.execute(found)}
