"""Settling in SQLite: what a batch of executions leaves behind, in one transaction.

The message's lease guards each entry: whoever no longer holds it writes nothing, neither state nor callbacks.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.batches import CANCELLED, MemberEnd
from umbel.engine.headers import CALLBACK
from umbel.engine.sql import statements
from umbel.engine.sqlite_batches import count_members
from umbel.engine.sqlite_checkpoints import drop_checkpoints
from umbel.engine.sqlite_letters import end_letter
from umbel.engine.sqlite_records import store_records
from umbel.engine.sqlite_strike import strike
from umbel.engine.store import ChordPart, DeadLetter, Outgoing, Settled, Settlement
from umbel.engine.values import insert_rows

__all__ = ("settle",)

logger = logging.getLogger(__name__)

_SQL: Final = statements("messages.sql")
_RESULTS: Final = statements("results.sql")
#: Parts of a chord whose size never comes are kept so long.
_CHORD_SECONDS: Final = 7 * 86_400.0

_Row = Callable[[sqlite3.Connection, Outgoing, float], tuple[Any, ...]]


def settle(
    connection: sqlite3.Connection, entries: Sequence[Settled], lease: int, now: float, row: _Row, crash_limit: int
) -> Settlement:
    """Write ``entries`` inside the caller's transaction."""
    refused = _refused(connection, entries, lease)
    if refused:
        gone = {id(entry) for entry in refused}
        entries = [entry for entry in entries if id(entry) not in gone]
    _stop_cancelled(connection, entries)
    entries = [entry for entry in entries if _fires(connection, entry)]
    store_records(connection, [record for entry in entries for record in entry.records], now)
    complete = _count_parts(connection, [part for entry in entries for part in entry.parts], now)
    published = [message for entry in entries for message in entry.outgoing]
    if published:
        insert_rows(connection, _SQL["enqueue"], [row(connection, message, now) for message in published])
    _act(connection, entries, lease, now, crash_limit)
    called = count_members(connection, [entry.end for entry in entries if entry.end is not None], now, row)
    for entry in entries:
        if entry.forget is not None:
            drop_checkpoints(connection, entry.forget)
    return Settlement(tuple(refused), tuple(complete), called > 0)


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


def _fires(connection: sqlite3.Connection, entry: Settled) -> bool:
    """Whether the entry's callback is still to be sent; its message is settled in any case."""
    if entry.fired is None:
        return True
    if connection.execute(_RESULTS["chord_fire"], (entry.fired,)).rowcount:
        connection.execute(_RESULTS["chord_forget_parts"], (entry.fired,))
        connection.execute(_RESULTS["forget_group"], (entry.fired + CALLBACK,))
    else:
        entry.outgoing.clear()
        entry.records = [record for record in entry.records if entry.seq is not None]
    return True


def _count_parts(connection: sqlite3.Connection, parts: Sequence[ChordPart], now: float) -> list[ChordPart]:
    last: dict[str, ChordPart] = {}
    for part in parts:
        new = connection.execute(
            _RESULTS["chord_part"], (part.group_id, part.task_id, part.place, part.result)
        ).rowcount
        connection.execute(_RESULTS["chord_count"], (part.group_id, part.size, new, now + _CHORD_SECONDS))
        last[part.group_id] = part
    return [
        part for group, part in last.items() if connection.execute(_RESULTS["chord_complete"], (group,)).fetchone()[0]
    ]


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
