"""A move's side in SQLite: each step is one transaction."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from umbel.engine.fairness import share_of
from umbel.engine.moving import Belongings, Cancelled, Chord, Crate, Group, Kept, Parcel, Tick
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.sqlite_letters import bury, letter_in
from umbel.engine.sqlite_moving_batches import SQLiteMovingBatches
from umbel.engine.sqlite_names import QueueNames
from umbel.engine.store import Outgoing, Stored
from umbel.engine.values import insert_rows

__all__ = ("SQLiteMoving", "identity")

_SQL: Final = statements("moving.sql")
_PAGE: Final = 500
#: How long a crate that was admitted is remembered, for a source that sends it again.
_ADMITTED_SECONDS: Final = 366 * 86_400.0


class SQLiteMoving(SQLiteMovingBatches):
    """One file's side of a move."""

    def __init__(
        self,
        file: StoreFile,
        names: QueueNames,
        row: Callable[[sqlite3.Connection, Outgoing, float], tuple[Any, ...]],
        ring: Callable[[Sequence[Outgoing]], None],
    ) -> None:
        super().__init__(file, row, ring)
        self._names = names

    def identity(self) -> str:
        with self._file.write() as connection:
            return identity(connection)

    def doubt(self) -> float:
        return 0.0

    # -- at the source ----------------------------------------------------------------------------------------

    def pack(self, limit: int, target: str, label: str) -> Crate | None:
        with self._file.write() as connection:
            if connection.execute(_SQL["crate"]).fetchone() is None:
                batches = self._pack_batches(connection, limit, target, label)
                effects = [] if batches else self._pack_effects(connection, limit)
                messages = 0 if batches or effects else _pack_messages(connection, limit)
                empty = not (batches or effects or messages)
                letters = connection.execute(_SQL["pack_letters"], (limit,)).fetchone()[0] if empty else None
                if letters or not empty:
                    lists = (json.dumps(batches), json.dumps(effects))
                    row = (secrets.token_hex(16), target, label, letters or 0, *lists)
                    connection.execute(_SQL["open_crate"], row)
            return self._crate(connection)

    def packed(self) -> Crate | None:
        with self._file.read() as connection:
            return self._crate(connection)

    def discard(self, token: str) -> None:
        with self._file.write() as connection:
            crate = connection.execute(_SQL["crate"]).fetchone()
            if crate is not None and crate[0] == token:
                connection.execute(_SQL["discard_messages"])
                connection.execute(_SQL["discard_letters"], (crate[3],))
                self._discard_effects(connection, crate[5])
                connection.execute(_SQL["close_crate"], (token,))

    def recall(self) -> int:
        with self._file.write() as connection:
            crate = connection.execute(_SQL["crate"]).fetchone()
            if crate is not None:
                connection.execute(_SQL["close_crate"], (crate[0],))
            back = connection.execute(_SQL["recall"]).rowcount
        self.keep(Belongings(batches=tuple(self.held())))
        return back

    def _crate(self, connection: sqlite3.Connection) -> Crate | None:
        found = connection.execute(_SQL["crate"]).fetchone()
        if found is None:
            return None
        token, target, label, last, batches, effects = found
        parcels = tuple(_parcel(row) for row in connection.execute(_SQL["parcels"]).fetchall())
        letters = tuple(letter_in(row) for row in connection.execute(_SQL["letters"], (last,)).fetchall())
        others = (self._bundles(connection, batches), self._doubts(connection, effects))
        return Crate(token, target, label, parcels, letters, *others)

    def chords(self, group_ids: Sequence[str] | None = None) -> Iterator[Belongings]:
        wanted = None if group_ids is None else json.dumps(list(group_ids))
        last = ""
        while group_ids is None or group_ids:
            with self._file.read() as connection:
                rows = connection.execute(_SQL["chords"], (last, wanted, _PAGE)).fetchall()
                found = tuple(_chord(connection, row) for row in rows)
            if not found:
                return
            yield Belongings(chords=found)
            last = found[-1].group_id

    def belongings(self) -> Iterator[Belongings]:
        for rows in self._pages("states", 0, time.time()):
            yield Belongings(states=tuple(_kept(row) for row in rows))
        for rows in self._pages("groups", ""):
            yield Belongings(groups=tuple(Group(*row) for row in rows))
        for rows in self._pages("cancelled", 0):
            yield Belongings(cancelled=tuple(Cancelled(row[1], row[2], bool(row[3])) for row in rows))
        with self._file.read() as connection:
            ticks = connection.execute(_SQL["ticks"]).fetchall()
        yield Belongings(ticks=tuple(Tick(*row) for row in ticks))

    def _pages(self, name: str, last: Any, *more: Any) -> Iterator[list[tuple[Any, ...]]]:
        """Give the rows of a table some at a time: the first column is where the next page begins."""
        while True:
            with self._file.read() as connection:
                rows = connection.execute(_SQL[name], (last, *more, _PAGE)).fetchall()
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    # -- at the target ----------------------------------------------------------------------------------------

    def admit(self, crate: Crate) -> bool:
        now = time.time()
        with self._file.write() as connection:
            if not connection.execute(_SQL["admit"], (crate.token, now)).rowcount:
                return False
            connection.execute(_SQL["forget_admitted"], (now - _ADMITTED_SECONDS,))
            rows = [_message(self._names.number(connection, one.queue), one) for one in crate.parcels]
            insert_rows(connection, _SQL["admit_message"], rows)
            for letter in crate.letters:
                bury(connection, letter, letter.died)
            _cancel(connection, [one.cancelled for one in crate.parcels if one.cancelled])
            self._admit_companions(connection, crate, identity(connection))
        return True

    def keep(self, belongings: Belongings) -> None:
        with self._file.write() as connection:
            insert_rows(connection, _SQL["keep_state"], [_state(one) for one in belongings.states])
            insert_rows(
                connection, _SQL["keep_group"], [(one.group_id, one.meta, one.expires) for one in belongings.groups]
            )
            insert_rows(
                connection, _SQL["keep_tick"], [(one.entry, one.last_run, one.runs) for one in belongings.ticks]
            )
            _cancel(connection, belongings.cancelled)
            for chord in belongings.chords:
                _keep_chord(connection, chord)
            queued = self._keep_companions(connection, belongings)
        if queued:
            self._ring(())


def _pack_messages(connection: sqlite3.Connection, limit: int) -> int:
    packed = 0
    for (queue,) in connection.execute(_SQL["lasting_queues"]).fetchall():
        for name in ("pack_ready", "pack_suspects"):
            if packed < limit:
                packed += connection.execute(_SQL[name], (queue, limit - packed)).rowcount
    if packed < limit:
        packed += connection.execute(_SQL["pack_delayed"], (limit - packed,)).rowcount
    return packed


def _parcel(row: tuple[Any, ...]) -> Parcel:
    queue, payload, task_id, priority, enqueued, due, deliveries, crashes, suspect, verdict, at, running = row
    cancelled = Cancelled(task_id, at, bool(running)) if at is not None else None
    return Parcel(
        queue, payload, task_id, priority, enqueued, due, deliveries, crashes, bool(suspect), verdict, cancelled
    )


def _message(queue: int, one: Parcel) -> tuple[Any, ...]:
    history = (int(one.suspect), one.deliveries, one.crashes, one.verdict)
    return (
        queue,
        9 - one.priority,
        one.task_id,
        one.due,
        *history,
        one.enqueued,
        _text(one.payload),
        share_of(one.payload),
    )


def _text(payload: str) -> str:
    """Return what SQLite takes: another store may hold bytes that are no text, which no worker can read either."""
    return payload.encode(errors="surrogateescape").decode(errors="replace")


def _kept(row: tuple[Any, ...]) -> Kept:
    _, task_id, state, final, meta, attempt, task, queue, owner, updated, expires = row
    return Kept(Stored(task_id, state, bool(final), meta, attempt, task, queue, owner, updated), expires)


def _state(one: Kept) -> tuple[Any, ...]:
    s = one.stored
    known = (s.task_id, s.state, int(s.final), s.attempt, s.task, s.queue, s.owner)
    return (*known, s.meta, s.updated, one.expires)


def _cancel(connection: sqlite3.Connection, found: Sequence[Cancelled]) -> None:
    rows = [(one.task_id, one.at, int(one.running)) for one in found]
    insert_rows(connection, _SQL["keep_cancelled"], rows)


def _chord(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Chord:
    group_id, size, extra, fired, expires = row
    parts = connection.execute(_SQL["chord_parts"], (group_id,)).fetchall()
    return Chord(group_id, size, extra, bool(fired), expires, tuple(parts))


def _keep_chord(connection: sqlite3.Connection, chord: Chord) -> None:
    head = (chord.group_id, chord.size, chord.extra, int(chord.fired), chord.expires, time.time())
    connection.execute(_SQL["keep_chord"], head)
    for part in chord.parts:
        connection.execute(_SQL["keep_chord_part"], (chord.group_id, *part))
    connection.execute(_SQL["count_chord_parts"], (chord.group_id,))


def identity(connection: sqlite3.Connection) -> str:
    """Return the file's own name, inside the caller's transaction."""
    connection.execute(_SQL["identify"], (secrets.token_hex(16),))
    return str(connection.execute(_SQL["identity"]).fetchone()[0])
