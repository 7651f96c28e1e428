"""What of batches, checkpoints and effects moves from or to an SQLite file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

import msgspec

from umbel.engine.batches import KEPT_SECONDS, OPEN_SECONDS, MemberEnd
from umbel.engine.moving import (
    ARRIVING,
    PENDING,
    Belongings,
    Bundle,
    Crate,
    Cursors,
    Effect,
    HeldBatch,
    Moving,
    Running,
)
from umbel.engine.sql import statements
from umbel.engine.sqlite_batches import fire, recount
from umbel.engine.sqlite_counters import count, tally_of
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.store import Outgoing
from umbel.state.effects import Uncertain

__all__ = ("SQLiteMovingBatches",)

_SQL: Final = statements("moving_batches.sql")
_PAGE: Final = 500
#: Batches in a crate: each may have many callbacks.
_BATCHES: Final = 50

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Outgoing).decode

_Row = Callable[[sqlite3.Connection, Outgoing, float], tuple[Any, ...]]


#: So many of a batch's fields come before the time of its end.
_DESCRIBED: Final = 15


class SQLiteMovingBatches(Moving):
    """The part of a move's side that is about what is counted, kept and promised, not about messages."""

    def __init__(self, file: StoreFile, row: _Row, ring: Callable[[Sequence[Outgoing]], None]) -> None:
        """``row`` is what is stored of a message; ``ring`` tells who waits for messages."""
        self._file = file
        self._row = row
        self._ring = ring

    def members(self, batches: Mapping[str, Sequence[str] | None]) -> Iterator[Belongings]:
        for batch_id, named in batches.items():
            if named is not None:
                with self._file.read() as connection:
                    rows = connection.execute(_SQL["named_members"], (batch_id, json.dumps(list(named)))).fetchall()
                yield Belongings(members=tuple(MemberEnd(batch_id, *row) for row in rows))
                continue
            for rows in self._rows("members", batch_id, ""):
                yield Belongings(members=tuple(MemberEnd(batch_id, *row) for row in rows))

    def _rows(self, name: str, owner: str, last: str) -> Iterator[list[tuple[Any, ...]]]:
        while True:
            with self._file.read() as connection:
                rows = connection.execute(_SQL[name], (owner, last, _PAGE)).fetchall()
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    def checkpoints(self, task_ids: Sequence[str]) -> Iterator[Belongings]:
        with self._file.read() as connection:
            fences = connection.execute(_SQL["fences"], (json.dumps(list(task_ids)),)).fetchall()
            found = [
                Cursors(task_id, fence, expires, tuple(connection.execute(_SQL["cursors"], (task_id,)).fetchall()))
                for task_id, fence, expires in fences
            ]
        if found:
            yield Belongings(checkpoints=tuple(found))

    def effects(self) -> Iterator[Belongings]:
        last = ""
        while True:
            with self._file.read() as connection:
                now = self._file.now()
                rows = connection.execute(_SQL["effects"], (last, now, _PAGE)).fetchall()
            if not rows:
                return
            # The file's clock is its own.
            ahead = time.time() - now
            yield Belongings(effects=tuple(Effect(name, who, result, end + ahead) for name, who, result, end in rows))
            last = rows[-1][0]

    def running(self) -> list[Running]:
        with self._file.read() as connection:
            now = self._file.now()
            rows = connection.execute(_SQL["running"], (now,)).fetchall()
        return [Running(name, owner, ends - now) for name, owner, ends in rows]

    def held(self) -> list[HeldBatch]:
        with self._file.read() as connection:
            rows = connection.execute(_SQL["held"]).fetchall()
        return [
            HeldBatch(batch_id, *_way(held), bool(closed), bool(cancelled), repr(updated))
            for batch_id, held, closed, cancelled, updated in rows
        ]

    def part(self, batches: Sequence[HeldBatch]) -> None:
        with self._file.write() as connection:
            for one in batches:
                if connection.execute(_SQL["part"], (one.id, float(one.mark))).rowcount:
                    connection.execute(_SQL["drop_members"], (one.id,))
                    connection.execute(_SQL["drop_callbacks"], (one.id,))

    # -- inside of the crate's steps --------------------------------------------------------------------------

    def _pack_batches(self, connection: sqlite3.Connection, limit: int, target: str, label: str) -> list[str]:
        rows = connection.execute(_SQL["hold"], (f"{target} {label}", min(limit, _BATCHES))).fetchall()
        return [batch_id for (batch_id,) in rows]

    def _pack_effects(self, connection: sqlite3.Connection, limit: int) -> list[str]:
        rows = connection.execute(_SQL["doubtful"], (self._file.now(), limit)).fetchall()
        return [name for name, _, _ in rows]

    def _bundles(self, connection: sqlite3.Connection, batch_ids: str) -> tuple[Bundle, ...]:
        found = []
        for batch_id in json.loads(batch_ids):
            row = connection.execute(_SQL["bundle"], (batch_id,)).fetchone()
            if row is None:
                continue
            callbacks: dict[str, tuple[Outgoing, ...]] = {}
            for kind, text in connection.execute(_SQL["callbacks"], (batch_id,)).fetchall():
                callbacks[kind] = (*callbacks.get(kind, ()), _decode(text))
            found.append(Bundle(tally_of(row), callbacks))
        return tuple(found)

    def _doubts(self, connection: sqlite3.Connection, names: str) -> tuple[Uncertain, ...]:
        now = self._file.now()
        rows = connection.execute(_SQL["doubtful_named"], (now, names)).fetchall()
        return tuple(Uncertain(name, owner, since - now + time.time()) for name, owner, since in rows)

    def _discard_effects(self, connection: sqlite3.Connection, names: str) -> None:
        connection.execute(_SQL["discard_effects"], (self._file.now(), names))

    def _admit_companions(self, connection: sqlite3.Connection, crate: Crate, here: str) -> None:
        now = time.time()
        for bundle in crate.batches:
            about = list(astuple(bundle.tally)[:_DESCRIBED])
            about[12] = " ".join(bundle.tally.fired)
            row = (
                *about,
                bundle.tally.finished,
                f"{here} {ARRIVING}",
                now + (OPEN_SECONDS if bundle.tally.finished is None else KEPT_SECONDS),
            )
            connection.execute(_SQL["admit_batch"], row)
            connection.execute(_SQL["drop_callbacks"], (bundle.tally.id,))
            for kind, messages in bundle.callbacks.items():
                rows = [(bundle.tally.id, kind, number, _encode(one).decode()) for number, one in enumerate(messages)]
                connection.executemany(_SQL["admit_callback"], rows)
        for one in crate.effects:
            row = (one.name, one.owner, one.since - now + self._file.now())
            connection.execute(_SQL["admit_effect"], row)

    def _keep_companions(self, connection: sqlite3.Connection, belongings: Belongings) -> int:
        """Store them; return how many messages were queued."""
        now, by_file = time.time(), self._file.now()
        for member in belongings.members:
            if connection.execute(_SQL["keep_member"], (member.batch, member.task_id)).rowcount:
                connection.execute(_SQL["grow"], (member.batch,))
        ended = [one for one in belongings.members if one.outcome != PENDING]
        queued = sum(fire(connection, tally, now, self._row) for tally in count(connection, ended, (), now))
        for cursors in belongings.checkpoints:
            _keep_cursors(connection, cursors)
        for one in belongings.effects:
            values = (one.name, one.owner, one.result, one.expires - now + by_file, by_file)
            connection.execute(_SQL["keep_effect"], values)
        for batch in belongings.batches:
            if connection.execute(_SQL["release"], (batch.id, batch.closed, batch.cancelled, now)).rowcount:
                queued += recount(connection, batch.id, now, self._row)
        return queued


def _keep_cursors(connection: sqlite3.Connection, found: Cursors) -> None:
    if connection.execute(_SQL["keep_fence"], (found.task_id, found.fence, found.expires)).rowcount:
        connection.execute(_SQL["drop_cursors"], (found.task_id,))
        connection.executemany(_SQL["keep_cursor"], [(found.task_id, *one) for one in found.cursors])


def _way(held: str) -> tuple[str, str]:
    target, _, label = held.partition(" ")
    return target, label
