"""Keys that one job has at a time, in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_queueing import queue_rows
from umbel.engine.store import Outgoing
from umbel.engine.uniques import UniqueKey

__all__ = ("UniqueTable", "take_key")

_SQL: Final = statements("uniques.sql")
_MESSAGES: Final = statements("messages.sql")

_Row = Callable[[sqlite3.Connection, Outgoing, float], tuple[Any, ...]]


class UniqueTable:
    """The keys of one file. ``row`` is a message as the table of messages has it, ``ring`` tells who waits."""

    def __init__(self, file: StoreFile, row: _Row, ring: Callable[[Sequence[Outgoing]], None]) -> None:
        self._file = file
        self._row = row
        self._ring = ring

    def enqueue(self, messages: Sequence[Outgoing]) -> list[str]:
        """Queue each message unless another job has its key; return for each the id of the job that has it."""
        now = time.time()
        with self._file.write() as connection:
            holders = [self._enqueue(connection, message, now) for message in messages]
        self._ring(messages)
        return holders

    def _enqueue(self, connection: sqlite3.Connection, message: Outgoing, now: float) -> str:
        own = message.task_id or ""
        holder = own if message.unique is None else take_key(connection, message.unique, own, self._file.now())
        if holder == own:
            row = self._row(connection, message, now)
            if message.once:
                connection.execute(_MESSAGES["enqueue_once"], row)
            else:
                queue_rows(connection, [row])
        return holder

    def supersede(self, message: Outgoing, longest: float | None = None) -> bool:
        """Put ``message`` in the place of the one of its id that waits; False if there is none any more."""
        values = (message.task_id, message.payload, message.due, longest)
        with self._file.turn() as connection:
            found = connection.execute(_SQL["supersede"], values).rowcount > 0
        self._ring([message])
        return found

    def holder(self, name: str) -> str | None:
        """Return the id of the job that has the key ``name``; None if it is free."""
        with self._file.read() as connection:
            row = connection.execute(_SQL["holder"], (name, self._file.now())).fetchone()
        return row[0] if row else None

    def sweep(self, most: int) -> None:
        """Drop up to ``most`` keys whose time is over."""
        with self._file.turn() as connection:
            connection.execute(_SQL["sweep"], (self._file.now(), most))


def take_key(connection: sqlite3.Connection, key: UniqueKey, own: str, now: float) -> str:
    """Give the job ``own`` its key unless another one has it; return the id of the one that has it."""
    connection.execute(_SQL["take"], (key.name, own, int(key.until_start), now + key.seconds, now))
    holder: str = connection.execute(_SQL["owner"], (key.name,)).fetchone()[0]
    return holder
