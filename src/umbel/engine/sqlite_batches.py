"""Batches in SQLite: each step is one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from umbel.engine import sqlite_counters as counters
from umbel.engine.batches import KEPT_SECONDS, OPEN_SECONDS, Plan, Tally
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_queueing import queue_rows
from umbel.engine.sqlite_records import store_records
from umbel.engine.store import Outgoing, Record
from umbel.errors import BatchEnded, BatchNotFound

__all__ = ("BatchTable", "fire", "recount")

_SQL: Final = statements("batches.sql")
_COUNTERS: Final = statements("counters.sql")
_RESULTS: Final = statements("results.sql")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Outgoing).decode

_Row = Callable[[sqlite3.Connection, Outgoing, float], tuple[Any, ...]]


class BatchTable:
    """The batches of one file. ``row`` is what is stored of a message; ``ring`` tells who waits for messages."""

    def __init__(self, file: StoreFile, row: _Row, ring: Callable[[Sequence[Outgoing]], None]) -> None:
        self._file = file
        self._row = row
        self._ring = ring

    def open(self, plan: Plan) -> bool:
        """Begin a batch; False if it is there already."""
        now = time.time()
        values = (plan.id, plan.name, plan.allowed, plan.share, plan.owner, plan.opener, now, now + OPEN_SECONDS)
        with self._file.write() as connection:
            if not connection.execute(_SQL["open"], values).rowcount:
                return False
            for kind, messages in plan.callbacks.items():
                rows = [(plan.id, kind, number, _encode(one).decode()) for number, one in enumerate(messages)]
                connection.executemany(_SQL["callback"], rows)
        return True

    def add(self, batch_id: str, messages: Sequence[Outgoing]) -> int:
        """Queue jobs as members; return how many were new. Raises :exc:`BatchNotFound`, :exc:`BatchEnded`."""
        now = time.time()
        with self._file.write() as connection:
            tally = counters.read(connection, batch_id)
            if tally is None:
                raise BatchNotFound(batch_id)
            members = [(one, connection.execute(_COUNTERS["note_member"], (batch_id, one.task_id))) for one in messages]
            new = [one for one, inserted in members if inserted.rowcount]
            if new and tally.takes_no_more:
                raise BatchEnded(batch_id)
            if new:
                rows = [self._row(connection, one, now) for one in new]
                queue_rows(connection, rows)
            connection.execute(_COUNTERS["grow"], (batch_id, len(new), now, now + OPEN_SECONDS))
        if new:
            self._ring(new)
        return len(new)

    def close(self, batch_id: str) -> None:
        """Note that the batch may end."""
        self._turn("close", batch_id)

    def cancel(self, batch_id: str) -> bool:
        """Mark the batch cancelled; False if it is over, or there is none."""
        return self._turn("cancel", batch_id)

    def repair(self, batch_id: str) -> None:
        """Count the members anew, and queue what is due."""
        self._turn("recount", batch_id)

    def _turn(self, name: str, batch_id: str) -> bool:
        now = time.time()
        with self._file.write() as connection:
            changed = connection.execute(_SQL[name], (batch_id, now)).rowcount > 0
            tally = counters.read(connection, batch_id) if changed else None
            queued = 0 if tally is None else fire(connection, tally, now, self._row)
        if queued:
            self._ring(())
        return changed

    def stop(self, records: Sequence[Record]) -> None:
        """Cancel many jobs in one step; those that have ended stay."""
        now = time.time()
        ids = [(one.task_id,) for one in records]
        with self._file.write() as connection:
            connection.executemany(_SQL["stop"], [(task_id, now) for (task_id,) in ids])
            connection.executemany(_RESULTS["cancel_undelay"], ids)
            store_records(connection, records, now)
        self._ring(())

    def read(self, batch_id: str) -> Tally | None:
        """Return a batch as it is now."""
        with self._file.read() as connection:
            return counters.read(connection, batch_id)

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""
        with self._file.read() as connection:
            return [counters.tally_of(row) for row in connection.execute(_SQL["find"], (limit,)).fetchall()]

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""
        with self._file.read() as connection:
            return [counters.tally_of(row) for row in connection.execute(_SQL["stale"], (before, limit)).fetchall()]

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        """Yield the members that have not ended, and whether each has a message."""
        last = ""
        while True:
            with self._file.read() as connection:
                page = connection.execute(_SQL["pending"], (batch_id, last)).fetchall()
            if not page:
                return
            yield [(task_id, bool(queued)) for task_id, queued in page]
            last = page[-1][0]

    def sweep(self) -> None:
        """Drop what is kept no longer: of chords too."""
        counters.sweep(self._file)


def recount(connection: sqlite3.Connection, batch_id: str, now: float, row: _Row) -> int:
    """Count the members anew and queue what is due, inside the caller's transaction; return how many were queued."""
    connection.execute(_SQL["recount"], (batch_id, now))
    tally = counters.read(connection, batch_id)
    return 0 if tally is None else fire(connection, tally, now, row)


def fire(connection: sqlite3.Connection, tally: Tally, now: float, row: _Row) -> int:
    """Queue the callbacks that are due, inside the caller's transaction; return how many messages those are."""
    due = tally.due()
    if not due:
        return 0
    messages: list[Outgoing] = []
    for kind in due:
        found = connection.execute(_SQL["callbacks"], (tally.id, kind)).fetchall()
        messages += [_decode(text) for (text,) in found]
        connection.execute(_SQL["drop_callbacks"], (tally.id, kind))
    if messages:
        queue_rows(connection, [row(connection, one, now) for one in messages])
    finished = now if "finally" in due else tally.finished
    expires = now + (OPEN_SECONDS if finished is None else KEPT_SECONDS)
    connection.execute(_COUNTERS["fired"], (tally.id, " ".join((*tally.fired, *due)), finished, expires))
    return len(messages)
