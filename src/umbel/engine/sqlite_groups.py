"""Groups and chords in SQLite, for the result backend."""

from __future__ import annotations

import time
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_counters import announce
from umbel.engine.sqlite_file import StoreFile

__all__ = ("GroupTable",)

_SQL: Final = statements("results.sql")
_COUNTERS: Final = statements("counters.sql")


class GroupTable:
    """The shapes of groups, and the counters of chords."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def save(self, group_id: str, meta: bytes | str, expires: float | None) -> None:
        """Keep the shape of a group."""
        with self._file.turn() as connection:
            connection.execute(_SQL["save_group"], (group_id, meta, expires))

    def read(self, group_id: str) -> bytes | str | None:
        """Return a group's shape, or None."""
        with self._file.read() as connection:
            row = connection.execute(_SQL["read_group"], (group_id,)).fetchone()
        return row[0] if row else None

    def forget(self, group_id: str) -> None:
        """Drop a group's shape."""
        with self._file.turn() as connection:
            connection.execute(_SQL["forget_group"], (group_id,))

    def set_size(self, group_id: str, size: int, expires: float | None) -> None:
        """Tell how many parts make chord ``group_id`` complete."""
        with self._file.turn() as connection:
            announce(connection, group_id, size, 0, time.time(), expires)

    def grow(self, group_id: str, expires: float | None) -> None:
        """Let chord ``group_id`` wait for one part more."""
        with self._file.turn() as connection:
            announce(connection, group_id, None, 1, time.time(), expires)

    def parts(self, group_id: str) -> list[tuple[str, bytes | str]]:
        """Return (id, result) of a chord's parts in their order."""
        with self._file.read() as connection:
            return connection.execute(_COUNTERS["brought"], (group_id,)).fetchall()

    def complete(self, before: float, limit: int) -> list[str]:
        """Return chords that are complete, whose callback has not been sent, and of which nothing was heard since."""
        with self._file.read() as connection:
            return [row[0] for row in connection.execute(_COUNTERS["complete"], (before, limit)).fetchall()]
