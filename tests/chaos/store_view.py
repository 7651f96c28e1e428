"""The store as the harness sees it: with a connection of its own that only reads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.marks import Unit

__all__ = ("Held", "StoreView")


@dataclass(frozen=True, slots=True)
class Held:
    """A message that a process holds. ``crashes``: how often it has killed a process, as the store believes."""

    unit: Unit
    crashes: int


class StoreView:
    """Counts and leases of one store file."""

    def __init__(self, path: Path) -> None:
        self._uri = f"file:{path}?mode=ro"

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._uri, uri=True, timeout=30.0)) as connection:
            return connection.execute(query, values).fetchall()

    def held_by(self, pid: int) -> list[Held]:
        """Return the messages that process ``pid`` holds now."""
        rows = self._rows(
            "SELECT m.task_id, coalesce(json_extract(m.payload, '$.headers.retries'), 0), m.crashes"
            " FROM message m JOIN lease l ON l.id = m.lease WHERE l.pid = ?",
            pid,
        )
        return [Held((task_id, attempt), crashes) for task_id, attempt, crashes in rows]

    def waiting(self) -> int:
        """Return how many messages there are, leased and delayed ones included."""
        return int(self._rows("SELECT count(*) FROM message WHERE task_id IS NOT NULL")[0][0])

    def dead(self) -> list[tuple[str, str]]:
        """Return (task id, reason) of every dead letter."""
        return self._rows("SELECT task_id, reason FROM dead_letter")

    def states(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        return dict(self._rows("SELECT state, count(*) FROM result GROUP BY state"))

    def integrity(self) -> str:
        """Return SQLite's own opinion of the file: ``ok``."""
        return str(self._rows("PRAGMA integrity_check")[0][0])
