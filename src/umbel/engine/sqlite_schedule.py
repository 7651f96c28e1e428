"""What schedulers ask of the embedded engine. The leader is the one that holds a kernel lock beside the file."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from umbel.engine.leader import KernelLeader, Leader
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_queueing import queue_rows
from umbel.engine.sqlite_uniques import take_key
from umbel.engine.store import Engine, Outgoing

__all__ = ("SQLiteSchedule",)

_STATUS: Final = statements("status.sql")


class SQLiteSchedule(Engine):
    """The part of the embedded engine for schedules."""

    path: Path
    file: StoreFile

    def leader(self, name: str) -> Leader:
        # Several applications may share a file, and each has schedulers of its own.
        known = hashlib.sha256(name.encode()).hexdigest()[:16]
        return KernelLeader(self.path.with_name(self.path.name + ".run") / f"leader-{known}.lock")

    def tick(self, leader: Leader, messages: Sequence[Outgoing], entry: str, last_run: float, runs: int) -> bool:
        """Store the messages of a tick together with the fact that it has run. A leader here is never a stale one."""
        now = time.time()
        with self.file.write() as connection:
            known = connection.execute(_STATUS["schedule_runs"], (entry,)).fetchone()
            if known is not None and known[0] >= runs:
                return True
            sent = [one for one in messages if _is_wanted(connection, one, self.file.now())]
            queue_rows(connection, [self._row(connection, one, now) for one in sent])
            connection.execute(_STATUS["schedule_write"], (entry, last_run, runs))
        self._ring_all(messages)
        return True

    def last_ticks(self) -> dict[str, tuple[float, int]]:
        with self.file.read() as connection:
            rows = connection.execute(_STATUS["schedule_read"]).fetchall()
        return {name: (last_run, runs) for name, last_run, runs in rows}

    @abstractmethod
    def _row(self, connection: sqlite3.Connection, message: Outgoing, now: float) -> tuple[Any, ...]: ...

    @abstractmethod
    def _ring_all(self, messages: Sequence[Outgoing]) -> None: ...


def _is_wanted(connection: sqlite3.Connection, message: Outgoing, now: float) -> bool:
    """Whether no other job has the message's key, which its own has from now on."""
    own = message.task_id or ""
    return message.unique is None or take_key(connection, message.unique, own, now) == own
