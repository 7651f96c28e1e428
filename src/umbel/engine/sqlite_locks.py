"""Locks by name, in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.locks import Grant, Locks, Want

__all__ = ("LockTable",)

_SQL: Final = statements("locks.sql")


class LockTable(Locks):
    """The locks of one file. ``ring`` tells who waits that a job is due."""

    def __init__(self, file: StoreFile, ring: Callable[[], None]) -> None:
        self._file = file
        self._ring = ring

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Take each lock that is free or its owner's already; otherwise note who waits."""
        with self._file.write() as connection:
            now = self._file.now()
            return [_acquire(connection, one, now) for one in wants]

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let locks last longer; False for one that was lost."""
        with self._file.write() as connection:
            now = self._file.now()
            return [
                connection.execute(_SQL["renew"], (name, fence, now + seconds, now)).rowcount > 0
                for name, fence in held
            ]

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free locks, and let the first who waits for each be due; False for one that had been lost."""
        woken = 0
        with self._file.write() as connection:
            now, freed = self._file.now(), []
            for name, fence in held:
                freed.append(connection.execute(_SQL["release"], (name, fence, now)).rowcount > 0)
                if freed[-1]:
                    connection.execute(_SQL["forget_waiters"], (name,))
                    # When a message is due the wall clock says.
                    woken += connection.execute(_SQL["wake"], (name, time.time())).rowcount
        if woken:
            self._ring()
        return freed

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


def _acquire(connection: sqlite3.Connection, want: Want, now: float) -> Grant:
    row = connection.execute(_SQL["held"], (want.name, now)).fetchone()
    if row is not None and row[0] != want.owner:
        if want.waiter is not None:
            connection.execute(_SQL["wait"], (want.name, want.waiter))
        return Grant(0, row[2] - now, row[0])
    # By the clock, so that a file that was restored gives no number twice.
    fence = connection.execute(_SQL["fence"], (int(now * 1_000_000),)).fetchone()[0]
    connection.execute(_SQL["take"], (want.name, want.owner, fence, now + want.seconds))
    if want.waiter is not None:
        connection.execute(_SQL["wait_no_more"], (want.name, want.waiter))
    return Grant(fence, want.seconds, want.owner)
