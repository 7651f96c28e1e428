"""The history of all jobs: to write, to shorten, and with ``jobs``, ``lines``, ``failures`` and ``charts`` to read it;
``incidents`` are what somebody should know.

    history = History("sqlite:////srv/shop/.umbel/history.db")
    after = history.cursor("shop")
    logged = log.read(500, after)
    if logged is not None:
        history.write("shop", logged, after=after)
        log.drop(logged.last)

Safe to end at any moment: an event is written once, whether it was dropped from its log or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import select

from umbel.monitor.alerts.incidents import Incidents
from umbel.monitor.audit import AuditLog
from umbel.monitor.charts import Charts
from umbel.monitor.database import Database, history_address
from umbel.monitor.ended_sessions import EndedSessions
from umbel.monitor.failure_groups import FailureGroups
from umbel.monitor.failure_tally import recount
from umbel.monitor.job_lines import JobLines
from umbel.monitor.jobs_view import JobsView
from umbel.monitor.releases import Releases
from umbel.monitor.retention import Retention, drop_ended, pruning
from umbel.monitor.schema import prepare
from umbel.monitor.tables import CURSORS
from umbel.monitor.totals import Totals
from umbel.monitor.workflows import Workflows
from umbel.monitor.writer import Writer
from umbel.state.events import Logged

__all__ = ("History",)


class History:
    """The history at ``url``; without one, in ``history.db`` in ``folder``. Its tables are made where they are missing.

    Raises :exc:`ConfigurationError`, and a :exc:`StoreError` when the database cannot be used.
    """

    def __init__(self, url: str | None = None, folder: Path | None = None) -> None:
        self.database: Final = Database(history_address(url, folder or Path()))
        self._writer: Final = Writer()
        self.jobs: Final = JobsView(self.database)
        self.lines: Final = JobLines(self.database)
        self.failures: Final = FailureGroups(self.database)
        self.charts: Final = Charts(self.database)
        self.totals: Final = Totals(self.database)
        self.workflows: Final = Workflows(self.database)
        self.releases: Final = Releases(self.database)
        #: Who did what: see :mod:`umbel.monitor.audit`.
        self.audit: Final = AuditLog(self.database)
        self.incidents: Final = Incidents(self.database)
        self.ended_sessions: Final = EndedSessions(self.database)
        try:
            prepare(self.database)
        except BaseException:
            self.close()
            raise

    def cursor(self, store: str) -> str | None:
        """Return the number of the last event of ``store`` that has been written; None before the first one."""
        with self.database.reading() as connection:
            return connection.scalar(select(CURSORS.c.position).where(CURSORS.c.store == store))

    def position(self) -> tuple[tuple[str, str], ...]:
        """Return how far the events of each store have been written: it changes whenever there is anything new."""
        with self.database.reading() as connection:
            found = connection.execute(select(CURSORS.c.store, CURSORS.c.position).order_by(CURSORS.c.store))
            return tuple((row.store, row.position) for row in found)

    def write(self, store: str, logged: Logged, *, after: str | None) -> None:
        """Write events down and move the cursor of ``store`` from ``after``, in one transaction.

        Raises :exc:`CursorMoved` when it does not stand there: somebody else has written them, or some of them.
        """
        self.database.write(lambda connection: self._writer.write(connection, store, logged, after))

    def recount_failures(self) -> None:
        """Count anew how many jobs have failed alike: a recorder of an older version has not counted."""
        self.database.write(recount)

    def prune(self, retention: Retention) -> int:
        """Drop what is above its limits; return how many jobs those were."""
        return sum(self.pruning(retention))

    def pruning(self, retention: Retention) -> Iterator[int]:
        """Do so step by step, and yield after each how many jobs it was: whoever has more to do may pause between."""
        self.audit.prune()
        yield from pruning(self.database, retention)

    def drop_ended(self, numbers: Sequence[int]) -> list[str]:
        """Drop those of these jobs, named by their numbers, that have ended; return their ids."""
        return drop_ended(self.database, numbers)

    def close(self) -> None:
        """Close the connections; using the history again opens new ones."""
        self.database.close()
