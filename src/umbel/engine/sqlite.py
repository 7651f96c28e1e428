"""The embedded engine: durable queues, leases and results in one SQLite file.

Guarantees: a message whose :meth:`enqueue` returned survives the death of any process; a live process's
messages are its own; what one execution leaves behind is written in one transaction or not at all.
Costs: one transaction a batch, and nothing while idle but ``PRAGMA data_version`` four times a second.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from umbel.engine import sqlite_status
from umbel.engine.fairness import share_of
from umbel.engine.lease import Lease, read_overdue
from umbel.engine.letters import KEEP, LetterLimits
from umbel.engine.shares import Shares
from umbel.engine.sql import statements
from umbel.engine.sqlite_deliveries import deliveries_in
from umbel.engine.sqlite_file import StoreFile, translated
from umbel.engine.sqlite_groups import GroupTable
from umbel.engine.sqlite_lanes import count_lanes, fetch_in_turn
from umbel.engine.sqlite_letters import SQLiteLetters
from umbel.engine.sqlite_moving import SQLiteMoving
from umbel.engine.sqlite_names import QueueNames
from umbel.engine.sqlite_primitives import SQLitePrimitives
from umbel.engine.sqlite_queueing import queue_rows
from umbel.engine.sqlite_reaper import reap_leases
from umbel.engine.sqlite_records import store_records
from umbel.engine.sqlite_settle import settle as settle_entries
from umbel.engine.store import (
    Delivery,
    Location,
    Outgoing,
    QueueStatus,
    Record,
    Settled,
    Settlement,
    Stored,
    WorkerStatus,
)
from umbel.engine.wake import Listener, Waker

__all__ = ("SQLiteEngine",)

_SQL: Final = statements("messages.sql")
_RESULTS: Final = statements("results.sql")
_STATUS: Final = statements("status.sql")

#: A waiting process looks at the file this often when nobody rings (writers from before a crash, other tools).
_POLL_SECONDS: Final = 0.25
_CANCELLED_SECONDS: Final = 86_400.0
_SWEEP_ROWS: Final = 2000


class SQLiteEngine(SQLitePrimitives):
    """The engine of ``sqlite:`` URLs."""

    scheme = "sqlite"
    names: QueueNames
    groups: GroupTable
    letters: SQLiteLetters

    def __init__(
        self, path: Path, *, durability: str = "normal", crash_limit: int = 3, keep: LetterLimits = KEEP
    ) -> None:
        self.path = path
        self.file = StoreFile(path, durability=durability)
        self.names = QueueNames(self.file)
        self.groups = GroupTable(self.file)
        self.letters = SQLiteLetters(self.file, keep, self._push)
        self.letters.on_queued = self._ring_all
        self.moving = SQLiteMoving(self.file, self.names, self._row, self._ring_all)
        self.crash_limit: Final = crash_limit
        self._forget_process()

    def _forget_process(self) -> None:
        self._pid = os.getpid()
        self.names.forget()
        self._lease: Lease | None = None
        self._lease_id = -1
        self._listener: Listener | None = None
        self._waker = Waker(self.file.run)
        self._shares = Shares()
        self._look_due = 0.0
        self._seen_version = -1
        #: The last fetch took all it asked for: there is probably more.
        self._busy = False

    def _here(self) -> None:
        if self._pid != os.getpid():
            self._forget_process()

    def check(self) -> None:
        """Open the file, so that what is wrong with it is said now."""
        self._here()
        with self.file.turn():
            pass

    # -- messages ---------------------------------------------------------------------------------------------

    def enqueue(self, messages: Sequence[Outgoing]) -> int:
        self._here()
        now = time.time()
        plain = [message for message in messages if not message.once]
        guarded = [message for message in messages if message.once]
        new = len(plain)
        if guarded or len(plain) > 1:
            with self.file.write() as connection:
                self._push(connection, plain)
                for message in guarded:
                    statement = _SQL["enqueue_revived" if message.revived else "enqueue_once"]
                    new += connection.execute(statement, self._row(connection, message, now)).rowcount
        else:
            with self.file.turn() as connection:
                self._push(connection, plain)
        self._ring_all(messages)
        return new

    def _push(self, connection: sqlite3.Connection, messages: Sequence[Outgoing]) -> None:
        now = time.time()
        queue_rows(connection, [self._row(connection, one, now) for one in messages])

    def _ring_all(self, messages: Sequence[Outgoing] = ()) -> None:
        if any(message.due is not None for message in messages):
            self._look_due = 0.0
        self._waker.ring()
        self.ring()

    def _ring_due(self) -> None:
        self._look_due = 0.0
        self._waker.ring()
        self.ring()

    def _row(self, connection: sqlite3.Connection, message: Outgoing, now: float) -> tuple[Any, ...]:
        queue = self.names.number(connection, message.queue)
        known = (queue, 9 - message.priority, message.task_id, message.due, now, message.payload)
        return (*known, share_of(message.payload))

    def fetch(self, queues: Mapping[str, int], limit: int, *, suspects: bool = False) -> list[Delivery]:
        self._here()
        self._promote()
        fetched: list[Delivery] = []
        statement = _SQL["fetch_suspect" if suspects else "fetch"]
        names = queues if self._busy and not suspects else self._waiting(queues, suspects)
        for name, share in self._shares.split({name: queues[name] for name in names}, limit):
            wanted = min(share, limit - len(fetched))
            if wanted > 0:
                found = self._fetch(statement, name, wanted, suspects)
                self._shares.spent(name, len(found))
                fetched += found
        self._busy = len(fetched) == limit
        return fetched

    def _fetch(self, statement: str, name: str, wanted: int, suspects: bool) -> list[Delivery]:
        with self.file.turn() as connection:
            number = self.names.number(connection, name)
            if suspects or not count_lanes(connection, number):
                return deliveries_in(name, connection.execute(statement, (self._lease_id, number, wanted)).fetchall())
        with self.file.write() as connection:
            return fetch_in_turn(connection, self._lease_id, number, name, wanted)

    def _waiting(self, queues: Mapping[str, int], suspects: bool) -> list[str]:
        statement = _SQL["suspects_waiting" if suspects else "waiting"]
        with self.file.read() as connection:
            return [
                name
                for name in queues
                if connection.execute(statement, (self.names.find(connection, name),)).fetchone()[0]
            ]

    def _promote(self) -> None:
        if time.monotonic() < self._look_due:
            return
        due = self._next_due()
        if due is not None and due <= time.time():
            with self.file.turn() as connection:
                moved = connection.execute(_SQL["promote"], (time.time(),)).rowcount
            if moved >= 1000:
                return
            due = self._next_due()
        # Another process may delay something for sooner; it rings, and a missed ring is made up for by the poll.
        later = _POLL_SECONDS if due is None else min(_POLL_SECONDS, max(due - time.time(), 0.0))
        self._look_due = time.monotonic() + later

    def _next_due(self) -> float | None:
        with self.file.read() as connection:
            due: float | None = connection.execute(_SQL["next_due"]).fetchone()[0]
        return due

    def most_urgent(self, queues: Mapping[str, int]) -> int | None:
        """Return the lowest rank (9 minus priority) that is ready in ``queues``; None when nothing is."""
        with self.file.read() as connection:
            ranks = [
                connection.execute(_SQL["most_urgent"], (self.names.find(connection, name),)).fetchone()[0]
                for name in queues
            ]
        return min((rank for rank in ranks if rank is not None), default=None)

    def take(self, queue: str, limit: int) -> list[Delivery]:
        self._here()
        with self.file.read() as connection:
            number = self.names.find(connection, queue)
            if number < 0 or not connection.execute(_SQL["waiting"], (number,)).fetchone()[0]:
                return []
        with self.file.turn() as connection:
            return deliveries_in(queue, connection.execute(_SQL["take"], (number, limit)).fetchall())

    def settle(self, entries: Sequence[Settled]) -> Settlement:
        self._here()
        with self.file.write() as connection:
            settled_by = connection, entries, self._lease_id, self._row, self.events
            outcome = settle_entries(*settled_by, crash_limit=self.crash_limit)
        if self._lease is not None:
            for entry in entries:
                if entry.seq is not None and entry.action != "keep":
                    self._lease.end(entry.seq)
        published = [message for entry in entries for message in entry.outgoing]
        if published or outcome.called or any(entry.action in ("requeue", "crash") for entry in entries):
            self._ring_all(published)
        return outcome

    # -- leases -----------------------------------------------------------------------------------------------

    def open_lease(self, hostname: str, queues: Sequence[str], concurrency: int) -> str:
        self.check()
        if self._lease is not None:
            self.close_lease()
        with translated(self.path):
            lease = Lease(self.file.run, slots=max(1024, 2 * concurrency))
        try:
            with translated(self.path):
                listener = Listener(self.file.run, lease.token)
            with self.file.write() as connection:
                row = (lease.token, hostname, os.getpid(), json.dumps(list(queues)), concurrency, time.time())
                self._lease_id = connection.execute(_SQL["open_lease"], row).lastrowid or -1
        except BaseException:
            lease.release()
            raise
        self._lease, self._listener, self._waker.own = lease, listener, lease.token
        return lease.token

    def ensure_lease(self, queues: Sequence[str]) -> None:
        """Open a lease if this process has none."""
        self._here()
        if self._lease is None:
            self.open_lease(f"client@{socket.gethostname()}", queues, 0)

    def close_lease(self) -> None:
        self._here()
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        with self.file.write() as connection:
            freed = connection.execute(_SQL["release_lease"], (self._lease_id,)).rowcount
            connection.execute(_SQL["close_lease"], (self._lease_id,))
        self._lease_id = -1
        lease.release()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if freed:
            self._waker.ring()

    def retire(self) -> None:
        with self.file.turn() as connection:
            connection.execute(_SQL["retire_lease"], (self._lease_id,))

    def renew(self, tokens: Sequence[str]) -> None:
        """Nothing: the kernel knows who lives."""

    def started(self, seq: int, limit: float | None = None) -> None:
        if self._lease is not None:
            self._lease.start(seq, limit)

    def overdue(self, token: str, margin: float) -> list[int]:
        """Return the messages of another process's lease whose jobs are ``margin`` seconds past their hard limit."""
        return read_overdue(self.file.run, token, margin)

    def reap(self, token: str | None = None, *, crashed: bool = True, overdue: Sequence[int] = ()) -> int:
        self._here()
        freed = reap_leases(self.file, self.crash_limit, token, crashed=crashed, overdue=overdue)
        if freed:
            self._waker.ring()
            self.ring()
        return freed

    def suspects(self, queues: Sequence[str] | None = None) -> int:
        """Return how many messages wait to run alone, in ``queues`` or in all."""
        with self.file.read() as connection:
            counts = connection.execute(_SQL["suspects"]).fetchall()
        return sum(count for name, count in counts if queues is None or name in queues)

    def wait(self, seconds: float, *, full: bool = False, busy: bool = False) -> bool:
        self._here()
        if self._listener is None or self._lease is None:
            time.sleep(min(seconds, 0.02))
            return True
        if full:
            return self._listener.wait(seconds)
        self._lease.idle = True
        try:
            # The mark is set before the look, and writers look at the mark after their commit.
            version = self.file.data_version()
            if version != self._seen_version:
                self._seen_version = version
                return True
            # What has been due for a while waits for a free slot, whose holder rings.
            due_in = self._look_due - time.monotonic()
            return self._listener.wait(min(seconds, due_in if due_in > 0 else seconds, _POLL_SECONDS))
        finally:
            self._lease.idle = False

    def ring(self) -> None:
        if self._listener is not None:
            self._listener.ring()

    # -- results ----------------------------------------------------------------------------------------------

    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        with self.file.read() as connection:
            rows = connection.execute(_RESULTS["read"], (json.dumps(list(task_ids)),)).fetchall()
        return [Stored(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]

    def forget(self, task_id: str) -> None:
        with self.file.turn() as connection:
            connection.execute(_RESULTS["forget"], (task_id,))

    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        now = time.time()
        with self.file.write() as connection:
            rows = connection.execute(_RESULTS["read"], (json.dumps([task_id]),)).fetchall()
            waiting = sqlite_status.locate(connection, task_id)
            if rows and rows[0][2] and (waiting is None or waiting.enqueued <= rows[0][8]):
                return False
            connection.execute(_RESULTS["cancel"], (task_id, now, int(running)))
            connection.execute(_RESULTS["cancel_undelay"], (task_id,))
            if record is not None:
                store_records(connection, [record], now)
        self._waker.ring()
        self.ring()
        return True

    def cancelled_here(self) -> list[str]:
        """Return the ids among this process's messages that have been cancelled."""
        with self.file.read() as connection:
            return [row[0] for row in connection.execute(_RESULTS["cancelled_held"], (self._lease_id,)).fetchall()]

    def cancel_mark(self) -> int:
        """Return a number that grows with every cancellation."""
        with self.file.read() as connection:
            return int(connection.execute(_RESULTS["cancelled_any"]).fetchone()[0])

    # -- for whoever operates ---------------------------------------------------------------------------------

    def queues(self) -> list[QueueStatus]:
        with self.file.read() as connection:
            return sqlite_status.queues(connection, sqlite_status.workers(connection, self.file.run))

    def workers(self) -> list[WorkerStatus]:
        with self.file.read() as connection:
            return sqlite_status.workers(connection, self.file.run)

    def locate(self, task_id: str) -> Location | None:
        with self.file.read() as connection:
            return sqlite_status.locate(connection, task_id)

    def purge(self, queue: str, *, upto: int | None = None) -> int:
        with self.file.write() as connection:
            return connection.execute(_SQL["purge"], (self.names.find(connection, queue), upto)).rowcount

    def sweep(self) -> None:
        now = time.time()
        expired = _SWEEP_ROWS
        while expired == _SWEEP_ROWS:
            # In short steps, so that nobody waits long for the turn.
            with self.file.turn() as connection:
                expired = connection.execute(_RESULTS["expire"], (now, _SWEEP_ROWS)).rowcount
        with self.file.write() as connection:
            connection.execute(_RESULTS["expire_groups"], (now,))
            connection.execute(_RESULTS["expire_cancelled"], (now - _CANCELLED_SECONDS,))
            self.names.sweep(connection, now)
        self.sweep_primitives()
        self.letters.prune()

    def shrink(self) -> None:
        """Give free pages back to the file system."""
        self.file.shrink()

    def close(self) -> None:
        self.close_lease()
        self._waker.close()
        self.file.close()
