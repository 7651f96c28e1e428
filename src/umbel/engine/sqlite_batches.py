"""Batches in SQLite: each step is one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from umbel.engine.batches import CANCELLED, DONE, FAILED, KEPT_SECONDS, OPEN_SECONDS, MemberEnd, Plan, Tally
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_records import store_records
from umbel.engine.store import Outgoing, Record
from umbel.engine.values import insert_rows
from umbel.errors import BatchEnded, BatchNotFound

__all__ = ("BatchTable", "count_members", "recount", "tally_in")

_SQL: Final = statements("batches.sql")
_MESSAGES: Final = statements("messages.sql")
_RESULTS: Final = statements("results.sql")
_PAGE: Final = 2000
#: From which states a member comes to an end: a failure may be mended, all else is the last word.
_FROM: Final = {DONE: ("p", FAILED, CANCELLED), FAILED: ("p",), CANCELLED: ("p",)}

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
            tally = _read(connection, batch_id)
            if tally is None:
                raise BatchNotFound(batch_id)
            members = [(one, connection.execute(_SQL["member"], (batch_id, one.task_id))) for one in messages]
            new = [one for one, inserted in members if inserted.rowcount]
            if new and tally.takes_no_more:
                raise BatchEnded(batch_id)
            if new:
                rows = [self._row(connection, one, now) for one in new]
                insert_rows(connection, _MESSAGES["enqueue"], rows)
            connection.execute(_SQL["grow"], (batch_id, len(new), now, now + OPEN_SECONDS))
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
            queued = _fire(connection, batch_id, now, self._row) if changed else 0
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
            return _read(connection, batch_id)

    def find(self, limit: int) -> list[Tally]:
        """Return the newest batches."""
        with self._file.read() as connection:
            return [tally_in(row) for row in connection.execute(_SQL["find"], (limit,)).fetchall()]

    def stale(self, before: float, limit: int) -> list[Tally]:
        """Return batches that have not ended, and of which nothing was heard since ``before``."""
        with self._file.read() as connection:
            return [tally_in(row) for row in connection.execute(_SQL["stale"], (before, limit)).fetchall()]

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
        """Drop what is kept no longer, in short steps, so that nobody waits long for the turn."""
        with self._file.read() as connection:
            expired = [row[0] for row in connection.execute(_SQL["expired"], (time.time(),)).fetchall()]
        for batch_id in expired:
            dropped = _PAGE
            while dropped == _PAGE:
                with self._file.turn() as connection:
                    dropped = connection.execute(_SQL["drop_members"], (batch_id, _PAGE)).rowcount
            with self._file.write() as connection:
                connection.execute(_SQL["drop_all_callbacks"], (batch_id,))
                connection.execute(_SQL["drop"], (batch_id,))


def count_members(connection: sqlite3.Connection, ends: Sequence[MemberEnd], now: float, row: _Row) -> int:
    """Count ends, each once, and queue what is due, inside the caller's transaction; return how many were queued."""
    counts: dict[str, Counter[str]] = {}
    for end in ends:
        for before in _FROM[end.outcome]:
            if connection.execute(_SQL["end"], (end.batch, end.task_id, end.outcome, before)).rowcount:
                count = counts.setdefault(end.batch, Counter())
                count[end.outcome] += 1
                count[before] -= 1
                break
    queued = 0
    for batch_id, count in counts.items():
        connection.execute(_SQL["count"], (batch_id, count[DONE], count[FAILED], count[CANCELLED], now))
        queued += _fire(connection, batch_id, now, row)
    return queued


def recount(connection: sqlite3.Connection, batch_id: str, now: float, row: _Row) -> int:
    """Count the members anew and queue what is due, inside the caller's transaction; return how many were queued."""
    connection.execute(_SQL["recount"], (batch_id, now))
    return _fire(connection, batch_id, now, row)


def _fire(connection: sqlite3.Connection, batch_id: str, now: float, row: _Row) -> int:
    """Queue the callbacks that are due, inside the caller's transaction; return how many messages those are."""
    tally = _read(connection, batch_id)
    due = tally.due() if tally is not None else []
    if tally is None or not due:
        return 0
    messages: list[Outgoing] = []
    for kind in due:
        messages += [_decode(text) for (text,) in connection.execute(_SQL["callbacks"], (batch_id, kind)).fetchall()]
        connection.execute(_SQL["drop_callbacks"], (batch_id, kind))
    if messages:
        insert_rows(connection, _MESSAGES["enqueue"], [row(connection, one, now) for one in messages])
    finished = now if "finally" in due else tally.finished
    expires = now + (OPEN_SECONDS if finished is None else KEPT_SECONDS)
    connection.execute(_SQL["fired"], (batch_id, " ".join((*tally.fired, *due)), finished, expires))
    return len(messages)


def _read(connection: sqlite3.Connection, batch_id: str) -> Tally | None:
    row = connection.execute(_SQL["read"], (batch_id,)).fetchone()
    return None if row is None else tally_in(row)


def tally_in(row: Sequence[Any]) -> Tally:
    """Return the batch in a row."""
    return Tally(
        id=row[0],
        name=row[1],
        allowed=row[2],
        share=bool(row[3]),
        owner=row[4],
        opener=row[5],
        closed=bool(row[6]),
        cancelled=bool(row[7]),
        total=row[8],
        done=row[9],
        failed=row[10],
        gone=row[11],
        fired=tuple(row[12].split()),
        created=row[13],
        updated=row[14],
        finished=row[15],
        held=bool(row[16]),
    )
