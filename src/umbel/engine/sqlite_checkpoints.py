"""Checkpoints in SQLite."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.checkpoints import KEPT_SECONDS

__all__ = ("CheckpointTable", "drop_checkpoints")

_SQL: Final = statements("checkpoints.sql")


class CheckpointTable:
    """The checkpoints of one file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def take(self, task_id: str, fence: int) -> dict[str, str] | None:
        """Return a job's cursors, which are this execution's now; None if a later one has them."""
        with self._file.write() as connection:
            if not connection.execute(_SQL["take"], (task_id, fence, time.time() + KEPT_SECONDS)).rowcount:
                return None
            return dict(connection.execute(_SQL["cursors"], (task_id,)).fetchall())

    def save(self, task_id: str, fence: int, name: str, cursor: str) -> bool:
        """Keep a cursor; False if another execution has taken them."""
        with self._file.write() as connection:
            if not connection.execute(_SQL["holds"], (task_id, fence, time.time() + KEPT_SECONDS)).rowcount:
                return False
            connection.execute(_SQL["save"], (task_id, name, cursor))
        return True

    def drop(self, task_id: str) -> None:
        """Forget a job's cursors."""
        with self._file.write() as connection:
            drop_checkpoints(connection, task_id)

    def sweep(self) -> None:
        """Drop what is kept no longer."""
        now = time.time()
        with self._file.write() as connection:
            connection.execute(_SQL["sweep"], (now,))
            connection.execute(_SQL["sweep_fences"], (now,))


def drop_checkpoints(connection: sqlite3.Connection, task_id: str) -> None:
    """Forget a job's cursors, inside the caller's transaction."""
    connection.execute(_SQL["drop"], (task_id,))
    connection.execute(_SQL["drop_fence"], (task_id,))
