"""Giving back what dead processes held, in SQLite.

What had only been fetched goes back as it was. What had started is a suspect and runs again alone; only a job
that was alone in its process when that died is held to have caused it, and after ``crash_limit`` times it is
a dead letter.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from typing import Final

from umbel.engine.lease import read_abandoned
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_strike import strike

__all__ = ("reap_leases",)

logger = logging.getLogger(__name__)

_SQL: Final = statements("messages.sql")
_OVERDUE: Final = "hard time limit exceeded, and its process had to be killed"


def reap_leases(
    file: StoreFile, crash_limit: int, token: str | None, *, crashed: bool, overdue: Sequence[int] = ()
) -> int:
    """Reap every dead lease, or the one named; return how many messages that freed.

    ``overdue`` are messages whose jobs were past their hard limit when their process was killed for it.
    """
    with file.read() as connection:
        leases = connection.execute(_SQL["leases"]).fetchall()
    freed = 0
    for number, name in leases:
        abandoned = read_abandoned(file.run, name) if token in (None, name) else None
        if abandoned is not None:
            with abandoned, file.write() as connection:
                if overdue:
                    connection.execute(_SQL["condemn"], (number, json.dumps(list(overdue)), _OVERDUE))
                freed += _reap(connection, number, abandoned.started if crashed else (), crash_limit)
    return freed


def _reap(connection: sqlite3.Connection, lease: int, started: Sequence[int], crash_limit: int) -> int:
    if connection.execute(_SQL["close_lease"], (lease,)).rowcount == 0:
        return 0
    held = int(connection.execute(_SQL["lease_holds"], (lease,)).fetchone()[0])
    seqs = json.dumps(list(started))
    hit = int(connection.execute(_SQL["held"], (lease, seqs)).fetchone()[0])
    hit -= strike(connection, lease, list(started), alone=hit == 1 and held == 1, crash_limit=crash_limit)
    connection.execute(_SQL["release_lease"], (lease,))
    if hit:
        jobs = "a job running: it runs" if hit == 1 else f"{hit} jobs running: each runs"
        logger.warning("A worker process died with %s again, alone in a process.", jobs)
    return held
