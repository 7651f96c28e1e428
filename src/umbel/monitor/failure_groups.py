"""Failures that are alike, as one: of one type, at one place of the project's own code, whichever release.

How many there are of each is counted when they are written down: a list of them looks at as many jobs as it has lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Select, select

from umbel.monitor.database import Database
from umbel.monitor.names import Names
from umbel.monitor.tables import FAILURES, JOBS

__all__ = ("FailureGroup", "FailureGroups")

_MOST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Jobs that have failed, or are retrying, alike; what is said of one is the newest's."""

    fingerprint: str
    jobs: int
    #: The job that was dispatched first of them, and the newest: numbers.
    first: int
    last: int
    #: When the first one was dispatched.
    first_at: float
    #: When the newest one failed last, if it has ended.
    ended_at: float | None
    task: str | None
    release: str | None
    error_type: str | None
    error_message: str | None


class FailureGroups:
    """Reads groups of failures."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def find(self, *, limit: int = 100) -> tuple[FailureGroup, ...]:
        """Return groups of all jobs that have failed or are retrying, the largest first."""
        last = _alike(FAILURES.c.fingerprint).order_by(JOBS.c.number.desc()).limit(1).scalar_subquery()
        groups = (
            select(FAILURES.c.fingerprint, FAILURES.c.jobs, last.label("last"))
            .order_by(FAILURES.c.jobs.desc(), last.desc())
            .limit(max(1, min(limit, _MOST)))
            .subquery("groups")
        )
        first = _alike(groups.c.fingerprint).order_by(JOBS.c.number).limit(1).scalar_subquery()
        oldest, newest = JOBS.alias("oldest"), JOBS.alias("newest")
        about = (
            oldest.c.number.label("first"),
            oldest.c.queued_at.label("first_at"),
            newest.c.ended_at,
            newest.c.task,
            newest.c.release,
            newest.c.error_type,
            newest.c.error_message,
        )
        found = (
            select(groups, *about).join(newest, newest.c.number == groups.c.last).join(oldest, oldest.c.number == first)
        )
        with self._database.reading() as connection:
            rows = connection.execute(found.order_by(groups.c.jobs.desc(), groups.c.last.desc())).all()
            names = Names()
            names.learn(connection, (number for row in rows for number in (row.task, row.release)))
            return tuple(
                FailureGroup(
                    fingerprint=row.fingerprint,
                    jobs=row.jobs,
                    first=row.first,
                    last=row.last,
                    first_at=row.first_at,
                    ended_at=row.ended_at,
                    task=names.name(connection, row.task),
                    release=names.name(connection, row.release),
                    error_type=row.error_type,
                    error_message=row.error_message,
                )
                for row in rows
            )


def _alike(fingerprint: ColumnElement[str]) -> Select[int]:
    return select(JOBS.c.number).where(JOBS.c.fingerprint == fingerprint)
