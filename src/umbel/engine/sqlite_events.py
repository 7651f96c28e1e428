"""What happened to jobs, in SQLite, until it has been recorded.

Messages tell of themselves by a trigger on their table; what is settled is written in the settling transaction.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_moving import identity
from umbel.engine.store import Settled
from umbel.state.events import KEPT_SECONDS, MOST, Event, Heard, Logged, Queued, Teller, unpack_ends

__all__ = ("EventTable",)

_SQL: Final = statements("events.sql")


class EventTable(Teller):
    """The log of one file."""

    def __init__(self, file: StoreFile) -> None:
        super().__init__()
        self._file = file
        self._heard = Heard(self.is_kept)

    @property
    def known(self) -> bool:
        """Whether what happens is kept, as far as this process has heard."""
        return self._heard()

    def identity(self) -> str:
        with self._file.write() as connection:
            return identity(connection)

    def expect(self, seconds: float = KEPT_SECONDS) -> None:
        with self._file.write() as connection:
            connection.execute(_SQL["expect"], (time.time() + seconds,))

    def is_kept(self) -> bool:
        with self._file.read() as connection:
            return _is_kept(connection)

    def read(self, limit: int, after: str | None = None) -> Logged | None:
        with self._file.read() as connection:
            rows = connection.execute(_SQL["read"], (int(after or 0), limit)).fetchall()
        if not rows:
            return None
        return Logged(str(rows[-1][0]), tuple(_event(*row[1:]) for row in rows))

    def drop(self, last: str) -> None:
        with self._file.write() as connection:
            connection.execute(_SQL["drop"], (int(last),))

    def tell(self, connection: sqlite3.Connection, entries: Sequence[Settled], now: float) -> None:
        """Tell what is settled, inside the caller's transaction."""
        packed = self.packed([entry.told for entry in entries])
        if not packed or not _is_kept(connection):
            return
        if connection.execute(_SQL["room"], (MOST,)).fetchone()[0]:
            connection.execute(_SQL["ended"], (now, packed))
        else:
            connection.execute(_SQL["lose"], (1,))

    def lost(self) -> int:
        with self._file.read() as connection:
            found = connection.execute(_SQL["lost"]).fetchone()
        return int(found[0]) if found else 0

    def size(self) -> int:
        with self._file.read() as connection:
            return int(connection.execute(_SQL["size"]).fetchone()[0])


def _is_kept(connection: sqlite3.Connection) -> bool:
    found = connection.execute(_SQL["kept"], (time.time(),)).fetchone()
    return bool(found and found[0])


def _event(
    at: float, task_id: str | None, queue: str | None, priority: int | None, due: float | None, body: Any
) -> Event:
    if priority is None:
        return unpack_ends(body)
    return Queued(task_id or "", queue or "", priority, at, due, body)
