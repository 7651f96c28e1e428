"""Slots that several share, in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.locks import Grant, Want
from umbel.state.slots import WOKEN_SECONDS, Slots

__all__ = ("SlotTable",)

_SQL: Final = statements("slots.sql")
#: Numbers and those who wait are kept as those of locks.
_LOCKS: Final = statements("locks.sql")


class SlotTable(Slots):
    """The slots of one file. ``ring`` tells who waits that a job is due."""

    def __init__(self, file: StoreFile, ring: Callable[[], None]) -> None:
        self._file = file
        self._ring = ring

    def acquire_many(self, wants: Sequence[Want]) -> list[Grant]:
        """Take a slot for each for whom one is free or its owner's already; otherwise note who waits."""
        with self._file.write() as connection:
            now = self._file.now()
            return [_acquire(connection, one, now) for one in wants]

    def renew(self, held: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Let slots last longer; False for one that was lost."""
        with self._file.write() as connection:
            now = self._file.now()
            return [
                connection.execute(_SQL["renew"], (name, fence, now + seconds, now)).rowcount > 0
                for name, fence in held
            ]

    def release_many(self, held: Sequence[tuple[str, int]]) -> list[bool]:
        """Free slots, and let the first who waits for each be due; False for one that had been lost."""
        woken = 0
        with self._file.write() as connection:
            now, freed = self._file.now(), []
            for name, fence in held:
                freed.append(connection.execute(_SQL["release"], (name, fence, now)).rowcount > 0)
                if freed[-1]:
                    connection.execute(_LOCKS["forget_waiters"], (_waits(name),))
                    woken += _wake(connection, name, now)
        if woken:
            self._ring()
        return freed

    def holders(self, name: str) -> list[Grant]:
        """Return who has the slots."""
        with self._file.read() as connection:
            now = self._file.now()
            rows = connection.execute(_SQL["held"], (name, now)).fetchall()
        return [Grant(fence, ends - now, owner) for fence, ends, owner in rows]

    def sweep(self) -> None:
        """Drop what has ended."""
        with self._file.turn() as connection:
            connection.execute(_SQL["sweep"], (self._file.now(),))


def _wake(connection: sqlite3.Connection, name: str, now: float) -> int:
    """Let the first who waits be due, and keep the slot for it; return how many that are."""
    # When a message is due the wall clock says.
    woken = connection.execute(_SQL["wake"], (_waits(name), time.time())).fetchall()
    for (task_id,) in woken:
        connection.execute(_SQL["take"], (_number(connection, now), name, task_id, now + WOKEN_SECONDS))
    return len(woken)


def _number(connection: sqlite3.Connection, now: float) -> int:
    # By the clock, so that a file that was restored gives no number twice.
    return int(connection.execute(_LOCKS["fence"], (int(now * 1_000_000),)).fetchone()[0])


def _acquire(connection: sqlite3.Connection, want: Want, now: float) -> Grant:
    connection.execute(_SQL["forget"], (want.name, want.owner, now))
    held = connection.execute(_SQL["held"], (want.name, now)).fetchall()
    if len(held) >= want.most:
        if want.waiter is not None:
            connection.execute(_LOCKS["wait"], (_waits(want.name), want.waiter))
        return Grant(0, held[0][1] - now, held[0][2])
    fence = _number(connection, now)
    connection.execute(_SQL["take"], (fence, want.name, want.owner, now + want.seconds))
    if want.waiter is not None:
        connection.execute(_LOCKS["wait_no_more"], (_waits(want.name), want.waiter))
    return Grant(fence, want.seconds, want.owner)


def _waits(name: str) -> str:
    return f"slot:{name}"
