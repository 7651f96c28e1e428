"""Taking turns among the lines of a queue, in SQLite."""

from __future__ import annotations

import sqlite3
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_deliveries import deliveries_in
from umbel.engine.store import Delivery

__all__ = ("count_lanes", "fetch_in_turn")

_SQL: Final = statements("lanes.sql")


def count_lanes(connection: sqlite3.Connection, queue: int) -> int:
    """Return how many lines a queue has, beside the one of the messages without a key."""
    return int(connection.execute(_SQL["any"], (queue,)).fetchone()[0])


def fetch_in_turn(connection: sqlite3.Connection, lease: int, queue: int, name: str, limit: int) -> list[Delivery]:
    """Lease up to ``limit`` messages of a queue with lines: the most urgent first, and of those some of each line."""
    found: list[Delivery] = []
    if connection.execute(_SQL["paused"], (queue,)).fetchone()[0]:
        return found
    quantum = max(1, limit // (count_lanes(connection, queue) + 1))
    while len(found) < limit:
        connection.execute(_SQL["plain_joins"], (queue,))
        lane = connection.execute(_SQL["next"], (queue,)).fetchone()
        if lane is None:
            break
        rank, share, turn = lane
        wanted = min(quantum, limit - len(found))
        rows = connection.execute(_SQL["fetch"], (lease, queue, share, rank, wanted)).fetchall()
        if len(rows) < wanted:
            connection.execute(_SQL["emptied"], (queue, rank, share))
        else:
            connection.execute(_SQL["served"], (queue, rank, share, turn + 2 * len(rows)))
        found += deliveries_in(name, rows)
    return found
