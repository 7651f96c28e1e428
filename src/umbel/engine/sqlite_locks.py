"""Locks by name, in SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.locks import Grant

__all__ = ("LockTable",)

_SQL: Final = statements("locks.sql")


class LockTable:
    """The locks of one file. ``ring`` tells who waits that a job is due."""

    def __init__(self, file: StoreFile, ring: Callable[[], None]) -> None:
        self._file = file
        self._ring = ring

    def acquire(self, name: str, owner: str, seconds: float, *, waiter: str | None = None) -> Grant:
        """Take the lock if it is free or ``owner``'s; otherwise note who waits."""
        with self._file.write() as connection:
            now = self._file.now()
            row = connection.execute(_SQL["held"], (name, now)).fetchone()
            if row is not None and row[0] != owner:
                if waiter is not None:
                    connection.execute(_SQL["wait"], (name, waiter))
                return Grant(0, row[2] - now, row[0])
            # By the clock, so that a file that was restored gives no number twice.
            fence = connection.execute(_SQL["fence"], (int(now * 1_000_000),)).fetchone()[0]
            connection.execute(_SQL["take"], (name, owner, fence, now + seconds))
            if waiter is not None:
                connection.execute(_SQL["wait_no_more"], (name, waiter))
        return Grant(fence, seconds, owner)

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks last longer; False for one that was lost."""
        with self._file.write() as connection:
            now = self._file.now()
            return [
                connection.execute(_SQL["renew"], (name, fence, now + seconds, now)).rowcount > 0
                for name, fence in held
            ]

    def release(self, name: str, fence: int) -> bool:
        """Free the lock, and let the first who waits be due; False if it had been lost."""
        with self._file.write() as connection:
            now = self._file.now()
            if not connection.execute(_SQL["release"], (name, fence, now)).rowcount:
                return False
            connection.execute(_SQL["forget_waiters"], (name,))
            # When a message is due the wall clock says.
            woken = connection.execute(_SQL["wake"], (name, time.time())).rowcount
        if woken:
            self._ring()
        return True

    def holder(self, name: str) -> Grant | None:
        """Return who has the lock; None when it is free."""
        with self._file.read() as connection:
            now = self._file.now()
            row = connection.execute(_SQL["held"], (name, now)).fetchone()
        return Grant(row[1], row[2] - now, row[0]) if row else None

    def sweep(self) -> None:
        """Drop what has ended."""
        with self._file.turn() as connection:
            connection.execute(_SQL["sweep"], (self._file.now(),))
        with self._file.turn() as connection:
            connection.execute(_SQL["sweep_waiters"])
