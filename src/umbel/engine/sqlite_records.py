"""Writing states in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from umbel.engine.sql import statements
from umbel.engine.store import Record
from umbel.engine.values import insert_rows

__all__ = ("store_records",)

_RESULTS: Final = statements("results.sql")


def store_records(connection: sqlite3.Connection, records: Sequence[Record], now: float) -> None:
    """Write states; an end is overwritten only by what was queued after it, and a passing state not by a first one."""
    records = [r for r in records if not (r.first and connection.execute(_RESULTS["passing"], (r.task_id,)).fetchone())]
    if records:
        insert_rows(
            connection,
            _RESULTS["store"],
            [
                (r.task_id, r.state, int(r.final), r.attempt, r.task, r.queue, r.owner, r.meta, now, r.expires, r.since)
                for r in records
            ],
        )
