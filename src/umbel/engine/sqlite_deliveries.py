"""Messages as SQLite gives them to whoever fetches."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from umbel.engine.store import Delivery

__all__ = ("deliveries_in",)


def deliveries_in(queue: str, rows: list[tuple[Any, ...]]) -> list[Delivery]:
    """Return the messages of rows that were fetched from ``queue``, in their order."""
    rows.sort(key=itemgetter(0, 1))
    return [
        Delivery(seq, queue, payload, deliveries, bool(suspect), enqueued, rank, task_id, verdict, bool(cancelled))
        for rank, seq, payload, deliveries, suspect, enqueued, task_id, verdict, cancelled in rows
    ]
