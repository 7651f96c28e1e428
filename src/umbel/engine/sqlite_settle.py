"""Settling in SQLite: what a batch of executions leaves behind, in one transaction.

The message's lease guards each entry: whoever no longer holds it writes nothing, neither state nor callbacks.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.batches import CANCELLED, CHORD_KIND, MemberEnd
from umbel.engine.headers import CALLBACK
from umbel.engine.sql import statements
from umbel.engine.sqlite_batches import fire
from umbel.engine.sqlite_checkpoints import drop_checkpoints
from umbel.engine.sqlite_counters import count, finish
from umbel.engine.sqlite_events import EventTable
from umbel.engine.sqlite_letters import end_letter
from umbel.engine.sqlite_queueing import queue_rows
from umbel.engine.sqlite_records import store_records
from umbel.engine.sqlite_strike import strike
from umbel.engine.store import ChordPart, DeadLetter, Outgoing, Settled, Settlement

__all__ = ("settle",)

logger = logging.getLogger(__name__)

_SQL: Final = statements("messages.sql")
_RESULTS: Final = statements("results.sql")

_Row = Callable[[sqlite3.Connection, Outgoing, float], tuple[Any, ...]]


def settle(
    connection: sqlite3.Connection,
    entries: Sequence[Settled],
    lease: int,
    row: _Row,
    events: EventTable,
    *,
    crash_limit: int,
) -> Settlement:
    """Write ``entries`` inside the caller's transaction."""
    now = time.time()
    refused = _refused(connection, entries, lease)
    if refused:
        gone = {id(entry) for entry in refused}
        entries = [entry for entry in entries if id(entry) not in gone]
    # Before what follows from it is queued, and tells of itself.
    events.tell(connection, entries, now)
    _stop_cancelled(connection, entries)
    for entry in entries:
        _call_once(connection, entry, now)
    store_records(connection, [record for entry in entries for record in entry.records], now)
    published = [message for entry in entries for message in entry.outgoing]
    if published:
        queue_rows(connection, [row(connection, message, now) for message in published])
    _act(connection, entries, lease, now, crash_limit)
    complete, called = _count(connection, entries, now, row)
    for entry in entries:
        if entry.forget is not None:
            drop_checkpoints(connection, entry.forget)
    return Settlement(tuple(refused), tuple(complete), called)


def _refused(connection: sqlite3.Connection, entries: Sequence[Settled], lease: int) -> list[Settled]:
    seqs = [entry.seq for entry in entries if entry.seq is not None]
    if not seqs:
        return []
    wanted = json.dumps(seqs)
    if connection.execute(_SQL["held"], (lease, wanted)).fetchone()[0] == len(seqs):
        return []
    held = {row[0] for row in connection.execute(_SQL["held_list"], (lease, wanted)).fetchall()}
    return [entry for entry in entries if entry.seq is not None and entry.seq not in held]


def _stop_cancelled(connection: sqlite3.Connection, entries: Sequence[Settled]) -> None:
    """Drop what follows a job that was cancelled before its worker heard of it: its end is refused as well."""
    following = {
        entry.seq: entry
        for entry in entries
        if (entry.outgoing or entry.letter is not None or entry.end is not None) and entry.seq is not None
    }
    if following:
        for (seq,) in connection.execute(_RESULTS["cancelled_among"], (json.dumps(list(following)),)).fetchall():
            entry = following[seq]
            entry.outgoing.clear()
            if isinstance(entry.letter, DeadLetter):
                entry.letter = None
            if entry.end is not None:
                entry.end = MemberEnd(entry.end.batch, entry.end.task_id, CANCELLED)


def _call_once(connection: sqlite3.Connection, entry: Settled, now: float) -> None:
    """Drop a chord's callback that has been sent; its message is settled in any case."""
    if entry.fired is None:
        return
    if finish(connection, entry.fired, now):
        connection.execute(_RESULTS["forget_group"], (entry.fired + CALLBACK,))
    else:
        entry.outgoing.clear()
        entry.records = [record for record in entry.records if entry.seq is not None]


def _count(
    connection: sqlite3.Connection, entries: Sequence[Settled], now: float, row: _Row
) -> tuple[list[ChordPart], bool]:
    """Count what has ended; return a part of each chord that is complete, and whether callbacks were queued."""
    ends = [entry.end for entry in entries if entry.end is not None]
    parts = {part.group_id: part for entry in entries for part in entry.parts}
    queued = 0
    complete: list[ChordPart] = []
    for tally in count(connection, ends, [part for entry in entries for part in entry.parts], now):
        if tally.kind == CHORD_KIND:
            complete += [parts[tally.id]] if tally.due() else []
        else:
            queued += fire(connection, tally, now, row)
    return complete, queued > 0


def _act(connection: sqlite3.Connection, entries: Sequence[Settled], lease: int, now: float, crash_limit: int) -> None:
    done: list[int] = []
    back: list[int] = []
    crashed = [entry.seq for entry in entries if entry.action == "crash" and entry.seq is not None]
    if crashed:
        # A prefork child runs one job: it was alone.
        strike(connection, lease, crashed, alone=True, crash_limit=crash_limit)
        back += crashed
    for entry in entries:
        if entry.letter is not None:
            end_letter(connection, entry.letter, now)
        if entry.seq is None or entry.action in ("keep", "crash"):
            continue
        (back if entry.action == "requeue" else done).append(entry.seq)
    if done:
        connection.execute(_SQL["acknowledge"], (lease, json.dumps(done)))
    if back:
        connection.execute(_SQL["requeue"], (lease, json.dumps(back)))
