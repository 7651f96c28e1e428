"""Queues and bindings in SQLite: names, numbers, and who listens to what."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.waits import longest, waited

__all__ = ("QueueNames",)

_SQL: Final = statements("messages.sql")
_STATUS: Final = statements("status.sql")

#: A listener's queue goes when it has not been looked at for so long.
_TRANSIENT_SECONDS: Final = 60.0
#: So many lines of a shared queue are looked at, those whose turn is next.
_LINES: Final = 20


class QueueNames:
    """The queues of one file. Numbers of lasting queues never change, so a process remembers them."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._numbers: dict[str, int] = {}

    def forget(self) -> None:
        """Drop what is remembered (after a fork, when another process may have changed it)."""
        self._numbers.clear()

    # -- numbers ----------------------------------------------------------------------------------------------

    def number(self, connection: sqlite3.Connection, name: str) -> int:
        """Return the number of queue ``name``, which is made if there is none. ``connection`` writes."""
        known = self._numbers.get(name) or self.find(connection, name)
        if known < 0:
            connection.execute(_SQL["add_queue"], (name, 0, None))
            known = self.find(connection, name)
        return known

    def find(self, connection: sqlite3.Connection, name: str) -> int:
        """Return the number of queue ``name``; -1 if there is none."""
        known = self._numbers.get(name)
        if known is not None:
            return known
        for found, number, transient in connection.execute(_SQL["queue_ids"]).fetchall():
            if not transient:
                self._numbers[found] = number
            if found == name:
                return int(number)
        return -1

    # -- queues -----------------------------------------------------------------------------------------------

    def declare(self, name: str, *, transient: bool) -> None:
        """Make queue ``name`` if there is none; a transient one goes when its listener is gone."""
        if name in self._numbers:
            return
        with self._file.write() as connection:
            connection.execute(_SQL["add_queue"], (name, int(transient), time.time() if transient else None))
            self.find(connection, name)

    def exists(self, name: str) -> bool:
        """Whether queue ``name`` has been declared."""
        with self._file.read() as connection:
            return self.find(connection, name) >= 0

    def size(self, name: str) -> int:
        """Return how many messages of queue ``name`` are ready."""
        with self._file.read() as connection:
            return int(connection.execute(_SQL["size"], (self.find(connection, name),)).fetchone()[0])

    def waits(self) -> dict[str, float]:
        """Return how long what is next has been due, in each queue: of each priority, and of the next lines."""
        with self._file.read() as connection:
            rows = connection.execute(_STATUS["heads"], (_LINES,)).fetchall()
        return longest((name, waited(enqueued, payload, time.time())) for name, enqueued, payload in rows)

    def drop(self, name: str) -> None:
        """Remove a queue: a transient one with everything, of a lasting one only what waits in it."""
        with self._file.write() as connection:
            for found, number, transient in connection.execute(_SQL["queue_ids"]).fetchall():
                if found == name and transient:
                    _drop(connection, number, name)
                elif found == name:
                    connection.execute(_SQL["purge"], (number, None))

    def mark_paused(self, name: str, *, paused: bool) -> None:
        """Note whether queue ``name``, which is made if there is none, may be fetched from."""
        with self._file.write() as connection:
            connection.execute(_SQL["pause"], (int(paused), self.number(connection, name)))

    def touch(self, names: Iterable[str]) -> None:
        """Note that the listeners of ``names`` are alive."""
        with self._file.turn() as connection:
            connection.execute(_SQL["touch"], (time.time(), json.dumps(sorted(names))))

    def sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Drop the queues whose listeners are gone."""
        for number, name in connection.execute(_SQL["stale_queues"], (now - _TRANSIENT_SECONDS,)).fetchall():
            _drop(connection, number, name)

    # -- bindings ---------------------------------------------------------------------------------------------

    def bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Let ``exchange`` feed ``queue``."""
        if (routing_key, pattern, queue) in self.bindings(exchange):
            return
        with self._file.turn() as connection:
            connection.execute(_SQL["bind"], (exchange, routing_key, pattern, queue))

    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        """Return (routing key, pattern, queue) of everything bound to ``exchange``."""
        # Never remembered: a listener hears everything from the moment that it is bound.
        with self._file.read() as connection:
            table: list[tuple[str, str, str]] = connection.execute(_SQL["bindings"], (exchange,)).fetchall()
        return table


def _drop(connection: sqlite3.Connection, number: int, name: str) -> None:
    connection.execute(_SQL["drop_messages"], (number,))
    connection.execute(_SQL["drop_bindings"], (name,))
    connection.execute(_SQL["drop_queue"], (number,))
