"""What counts ends in SQLite, of batches and of chords, in one way: each member once, by its id.

A step counts inside of its caller's transaction; what it makes due is the caller's matter: :meth:`Tally.due` says what.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.batches import CANCELLED, CHORD_SECONDS, DONE, FAILED, MemberEnd, Tally
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.store import ChordPart

__all__ = ("announce", "count", "finish", "read", "sweep", "tally_of")

_SQL: Final = statements("counters.sql")
_PAGE: Final = 2000
#: From which states a member comes to an end: a failure may be mended, all else is the last word.
_FROM: Final = {DONE: ("p", FAILED, CANCELLED), FAILED: ("p",), CANCELLED: ("p",)}


def count(
    connection: sqlite3.Connection, ends: Sequence[MemberEnd], parts: Sequence[ChordPart], now: float
) -> list[Tally]:
    """Count ends; return their counters as they are then. A part ends a member of a chord, which nobody announced."""
    counts: dict[str, Counter[str]] = {}
    for end in ends:
        for before in _FROM[end.outcome]:
            if connection.execute(_SQL["end"], (end.batch, end.task_id, end.outcome, before)).rowcount:
                found = counts.setdefault(end.batch, Counter())
                found[end.outcome] += 1
                found[before] -= 1
                break
    for part in parts:
        if part.group_id not in counts:
            announce(connection, part.group_id, part.size, 0, now)
        values = (part.group_id, part.task_id, DONE, part.place, part.result)
        # Also when it was counted before: whoever ended it may have died before the callback went out.
        counts.setdefault(part.group_id, Counter())[DONE] += connection.execute(_SQL["bring"], values).rowcount
    for name, found in counts.items():
        connection.execute(_SQL["count"], (name, found[DONE], found[FAILED], found[CANCELLED], now))
    return [tally for name in counts if (tally := read(connection, name)) is not None]


def announce(
    connection: sqlite3.Connection,
    chord: str,
    size: int | None,
    extra: int,
    now: float,
    expires: float | None = None,
) -> None:
    """Begin a chord, or tell it how many members it has: ``size``, the first who says it, and ``extra`` more."""
    connection.execute(_SQL["announce"], (chord, size, extra, now, expires or now + CHORD_SECONDS))


def finish(connection: sqlite3.Connection, chord: str, now: float) -> bool:
    """End a chord whose callback is sent in this step; False if that was done before."""
    if not connection.execute(_SQL["over"], (chord, now)).rowcount:
        return False
    connection.execute(_SQL["drop_every_member"], (chord,))
    return True


def read(connection: sqlite3.Connection, name: str) -> Tally | None:
    """Return a counter as it is now."""
    row = connection.execute(_SQL["read"], (name,)).fetchone()
    return None if row is None else tally_of(row)


def tally_of(row: Sequence[Any]) -> Tally:
    """Return a row as what it says."""
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
        kind=row[17],
        size=row[18],
    )


def sweep(file: StoreFile) -> None:
    """Drop what is kept no longer, in short steps, so that nobody waits long for the turn."""
    now = time.time()
    dropped = _PAGE
    while dropped == _PAGE:
        with file.turn() as connection:
            dropped = connection.execute(_SQL["drop_over"], (now, _PAGE)).rowcount
    while expired := _expired(file, now):
        for name in expired:
            _drop(file, name)


def _expired(file: StoreFile, now: float) -> list[str]:
    with file.read() as connection:
        return [row[0] for row in connection.execute(_SQL["expired"], (now,)).fetchall()]


def _drop(file: StoreFile, name: str) -> None:
    dropped = _PAGE
    while dropped == _PAGE:
        with file.turn() as connection:
            dropped = connection.execute(_SQL["drop_members"], (name, _PAGE)).rowcount
    with file.write() as connection:
        connection.execute(_SQL["drop_all_callbacks"], (name,))
        connection.execute(_SQL["drop"], (name,))
