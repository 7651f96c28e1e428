"""What the tally of failures says, beside what the jobs say."""

from __future__ import annotations

from sqlalchemy import func, select

from umbel.monitor.history import History
from umbel.monitor.tables import FAILURES, JOBS

__all__ = ["tally_is_right"]


def tally_is_right(history: History) -> bool:
    """Raise unless as many jobs carry each fingerprint as are counted; return whether there are any."""
    alike = select(JOBS.c.fingerprint, func.count()).where(JOBS.c.fingerprint.is_not(None))
    with history.database.reading() as connection:
        counted = {row.fingerprint: row.jobs for row in connection.execute(select(FAILURES))}
        there = {row[0]: row[1] for row in connection.execute(alike.group_by(JOBS.c.fingerprint))}
    assert counted == there
    return bool(there)
