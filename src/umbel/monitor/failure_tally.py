"""How many jobs have failed alike, counted when that changes: a list of failures reads this and not the jobs.

In one transaction with what changes in the jobs, and in the writer's turn, so that the two never part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from umbel.monitor.bulk import Insert, among
from umbel.monitor.tables import FAILURES, JOBS
from umbel.monitor.turn import take_turn

__all__ = ("FailureTally", "recount")

_REPLACE: Final = Insert(FAILURES, known="replace")


class FailureTally:
    """What one transaction changes in the numbers of failures that are alike."""

    def __init__(self) -> None:
        self._changes: Final[Counter[str]] = Counter()

    def move(self, before: str | None, after: str | None) -> None:
        """Count a job that had one fingerprint, or none, and has another."""
        if before is not None:
            self._changes[before] -= 1
        if after is not None:
            self._changes[after] += 1

    def leave(self, connection: Connection, numbers: Sequence[Any]) -> None:
        """Count that the jobs with these numbers are going to be dropped."""
        there = (among(connection, JOBS.c.number, numbers), JOBS.c.fingerprint.is_not(None))
        found = select(JOBS.c.fingerprint, func.count()).where(*there).group_by(JOBS.c.fingerprint)
        for fingerprint, jobs in connection.execute(found):
            self._changes[fingerprint] -= jobs

    def write(self, connection: Connection) -> None:
        """Add it to what is there. Only for who has the turn to write."""
        changes = {fingerprint: change for fingerprint, change in self._changes.items() if change}
        if not changes:
            return
        there = select(FAILURES).where(among(connection, FAILURES.c.fingerprint, sorted(changes)))
        known = {row.fingerprint: row.jobs for row in connection.execute(there)}
        sums = {fingerprint: known.get(fingerprint, 0) + change for fingerprint, change in changes.items()}
        _REPLACE.run(connection, [pair for pair in sorted(sums.items()) if pair[1] > 0])
        gone = sorted(fingerprint for fingerprint, jobs in sums.items() if jobs <= 0)
        if gone:
            connection.execute(delete(FAILURES).where(among(connection, FAILURES.c.fingerprint, gone)))


def recount(connection: Connection) -> None:
    """Count all anew."""
    take_turn(connection)
    alike = select(JOBS.c.fingerprint, func.count()).where(JOBS.c.fingerprint.is_not(None))
    connection.execute(delete(FAILURES))
    connection.execute(insert(FAILURES).from_select(["fingerprint", "jobs"], alike.group_by(JOBS.c.fingerprint)))
