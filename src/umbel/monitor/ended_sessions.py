"""Sessions of the dashboard that were ended before their time, for all of its processes to know.

    history.ended_sessions.write(EndedSession("session 5f0c", at=..., until=...))
    for one in history.ended_sessions.since(0.0): ...

One row for each key; which keys there are, and what they end, is the dashboard's affair. A row is dropped when the
sessions that it ends would be over anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select

from umbel.monitor.bulk import Insert
from umbel.monitor.database import Database
from umbel.monitor.tables import ENDED_SESSIONS

__all__ = ("EndedSession", "EndedSessions")

_MOST: Final = 100_000
_REPLACE: Final = Insert(ENDED_SESSIONS, known="replace")


@dataclass(frozen=True, slots=True)
class EndedSession:
    """Sessions of this key that began no later than ``at`` are over. Times are unix seconds."""

    key: str
    at: float
    #: When the last of them would be over anyway.
    until: float


class EndedSessions:
    """Writes and reads them; safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def write(self, one: EndedSession) -> None:
        """Let all processes know of it. Raises a :exc:`StoreError`."""
        self._database.write(lambda connection: _write(connection, one))

    def since(self, at: float) -> list[EndedSession]:
        """Return those that were ended at ``at`` or later. Raises a :exc:`StoreError`."""
        table = ENDED_SESSIONS.c
        wanted = select(table.key, table.at, table.until).where(table.at >= at).order_by(table.at.desc()).limit(_MOST)
        with self._database.reading() as connection:
            return [EndedSession(*row) for row in connection.execute(wanted)]


def _write(connection: Connection, one: EndedSession) -> None:
    connection.execute(delete(ENDED_SESSIONS).where(ENDED_SESSIONS.c.until < one.at))
    _REPLACE.run(connection, [(one.key, one.at, one.until)])
