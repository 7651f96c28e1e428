"""When which release of the application came to work, for the marks of charts.

A release is at work from the first end of one of its jobs on. One that comes again, after another one has come and it
has been silent for ten minutes, comes anew: so a way back to an older release is seen as well. Costs a look a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, insert, select, update

from umbel.monitor.database import Database
from umbel.monitor.names import Names
from umbel.monitor.tables import RELEASES

__all__ = ("Arrivals", "Release", "Releases")

#: Seconds.
_SILENT: Final = 600.0
#: Within so many seconds of what is written nothing is.
_COARSE: Final = 60.0
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Release:
    """A release that came to work, at a time in unix seconds."""

    name: str
    at: float


class Arrivals:
    """Writes down when releases come."""

    def __init__(self) -> None:
        self._written: dict[int, float] = {}

    def forget(self) -> None:
        """Forget what a transaction has written, because it may not be there."""
        self._written.clear()

    def note(self, connection: Connection, release: int, at: float) -> None:
        """Write down that a job of ``release`` ended at ``at``. Only for who may write now."""
        if at - self._written.get(release, float("-inf")) <= _COARSE:
            return
        newest = select(RELEASES).order_by(RELEASES.c.since.desc()).limit(1)
        last = connection.execute(newest).one_or_none()
        own = connection.execute(newest.where(RELEASES.c.release == release)).one_or_none()
        if own is None or (last is not None and last.release != release and at - own.until > _SILENT):
            connection.execute(insert(RELEASES).values(release=release, since=at, until=at))
        elif at > own.until:
            here = (RELEASES.c.release == release) & (RELEASES.c.since == own.since)
            connection.execute(update(RELEASES).where(here).values(until=at))
        self._written[release] = at


class Releases:
    """Reads when releases came."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    def find(self, *, since: float, until: float) -> tuple[Release, ...]:
        """Return the releases that came between two times, the newest hundred, in the order of time."""
        names = Names()
        found = select(RELEASES).where(RELEASES.c.since >= since, RELEASES.c.since < until)
        with self._database.reading() as connection:
            rows = connection.execute(found.order_by(RELEASES.c.since.desc()).limit(_MOST)).all()
            return tuple(Release(names.name(connection, row.release) or "", row.since) for row in reversed(rows))
