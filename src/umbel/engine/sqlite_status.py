"""What operators read from the SQLite store."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from umbel.engine.envelope import headers_of, moment
from umbel.engine.lease import is_own, read_abandoned
from umbel.engine.sql import statements
from umbel.engine.store import Location, QueueStatus, WorkerStatus

__all__ = ("locate", "queues", "workers")

_SQL: Final = statements("status.sql")


def queues(connection: sqlite3.Connection, live: Sequence[WorkerStatus]) -> list[QueueStatus]:
    """Return the counts of the lasting queues."""
    consumers = Counter(name for worker in live for name in worker.queues)
    return [
        QueueStatus(name, ready, delayed, leased, suspect, consumers[name], bool(paused), mark)
        for name, ready, delayed, leased, suspect, paused, mark in connection.execute(_SQL["queues"]).fetchall()
    ]


def workers(connection: sqlite3.Connection, run: Path) -> list[WorkerStatus]:
    """Return the processes whose lease is alive."""
    return [
        WorkerStatus(number, hostname, pid, tuple(json.loads(names)), concurrency, started, held)
        for number, token, hostname, pid, names, concurrency, started, held in connection.execute(
            _SQL["workers"]
        ).fetchall()
        if _alive(run, token)
    ]


def _alive(run: Path, token: str) -> bool:
    if is_own(token):
        return True
    abandoned = read_abandoned(run, token)
    if abandoned is None:
        return True
    abandoned.leave()
    return False


def locate(connection: sqlite3.Connection, task_id: str) -> Location | None:
    """Return where the newest message of ``task_id`` is."""
    row = connection.execute(_SQL["locate"], (task_id,)).fetchone()
    if row is None:
        return None
    found, queue, rank, due, lease, suspect, deliveries, crashes, enqueued, payload, number, seq, share, cancelled = row
    headers = headers_of(payload)
    position = None
    if lease is None and due is None:
        position = int(connection.execute(_SQL["position"], (number, rank, seq, share)).fetchone()[0])
    return Location(
        task_id=found,
        queue=queue,
        task=headers.get("task"),
        owner=headers.get("umbel_owner"),
        priority=9 - rank,
        due=due,
        expires=moment(headers.get("expires")),
        lease=lease,
        suspect=bool(suspect),
        deliveries=deliveries,
        crashes=crashes,
        cancelled=bool(cancelled),
        enqueued=enqueued,
        retries=int(headers.get("retries") or 0),
        position=position,
    )
