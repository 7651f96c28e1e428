"""The jobs of the history in the order in which they were first heard of, for whoever follows along."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from umbel.monitor.database import Database
from umbel.monitor.jobs_view import NARROW, JobRow, shown
from umbel.monitor.tables import JOBS

__all__ = ("Feed",)

_PAGE_MOST: Final = 500


class Feed:
    """Reads jobs by their numbers, the oldest first."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def after(self, number: int, limit: int = 200) -> tuple[JobRow, ...]:
        """Return the next jobs above a number."""
        found = select(*NARROW).where(JOBS.c.number > number).order_by(JOBS.c.number)
        with self._database.reading() as connection:
            rows = connection.execute(found.limit(max(1, min(limit, _PAGE_MOST)))).all()
            return shown(connection, rows)
