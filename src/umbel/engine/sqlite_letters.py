"""Dead letters in SQLite: each step is one transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from umbel.engine.letters import ANY, DeadLetter, LetterFilter, LetterLimits, Letters, Replay, ReplayEnd
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.engine.store import Outgoing

__all__ = ("SQLiteLetters", "bury", "end_letter", "letter_in")

_SQL: Final = statements("letters.sql")
_NEWEST: Final = _SQL["find"].replace("{side}", "<").replace("{order}", "DESC")
_OLDEST: Final = _SQL["find"].replace("{side}", ">").replace("{order}", "ASC")


class SQLiteLetters(Letters):
    """The dead letters of one file."""

    def __init__(
        self, file: StoreFile, limits: LetterLimits, push: Callable[[sqlite3.Connection, Sequence[Outgoing]], None]
    ) -> None:
        """``push`` queues messages in the caller's transaction."""
        self._file = file
        self._push = push
        self.limits = limits
        #: Hears of it when something was queued.
        self.on_queued: Callable[[], None] = lambda: None

    def find(
        self, wanted: LetterFilter = ANY, *, limit: int = 100, after: int | None = None, oldest: bool = False
    ) -> list[DeadLetter]:
        values = {**asdict(wanted), "limit": limit, "after": after}
        values["numbers"] = None if wanted.numbers is None else json.dumps(wanted.numbers)
        with self._file.read() as connection:
            rows = connection.execute(_OLDEST if oldest else _NEWEST, values).fetchall()
        return [letter_in(row) for row in rows]

    def read(self, keys: Sequence[str]) -> list[DeadLetter]:
        with self._file.read() as connection:
            rows = connection.execute(_SQL["read"], (json.dumps(list(keys)),)).fetchall()
        return [letter_in(row) for row in rows]

    def get(self, number: int) -> DeadLetter | None:
        with self._file.read() as connection:
            row = connection.execute(_SQL["get"], (number,)).fetchone()
        return None if row is None else letter_in(row)

    def count(self) -> int:
        with self._file.read() as connection:
            return int(connection.execute(_SQL["count"]).fetchone()[0])

    def drop(self, numbers: Sequence[int]) -> int:
        with self._file.write() as connection:
            return connection.execute(_SQL["drop"], (json.dumps(list(numbers)),)).rowcount

    def prune(self) -> int:
        with self._file.write() as connection:
            old = connection.execute(_SQL["prune_old"], (time.time() - self.limits.seconds,)).rowcount
            return old + connection.execute(_SQL["prune_many"], (self.limits.most,)).rowcount

    def replay(self, wanted: Sequence[Replay]) -> list[int]:
        done: list[int] = []
        with self._file.write() as connection:
            for one in wanted:
                letter = one.letter
                guard = (letter.id, letter.key, letter.replays, one.again)
                if connection.execute(_SQL["replay"], guard).rowcount:
                    self._push(connection, [one.message])
                    done.append(letter.id)
        if done:
            self.on_queued()
        return done


def end_letter(connection: sqlite3.Connection, end: DeadLetter | ReplayEnd, now: float) -> None:
    """Write what a job's end means for its dead letter, inside the caller's transaction."""
    if isinstance(end, DeadLetter):
        bury(connection, end, now)
    else:
        connection.execute(_SQL["close" if end.closed else "reopen"], (end.key,))


def bury(connection: sqlite3.Connection, letter: DeadLetter, died: float) -> None:
    """Write a letter under a new number, in place of the one that its job has, inside the caller's transaction."""
    values: dict[str, Any] = {**asdict(letter), "died": died, "payload": _text(letter.payload)}
    values["replaying"] = int(letter.replaying)
    # One that no letter ever had, the newest one included that is gone.
    (values["id"],) = connection.execute(_SQL["number"]).fetchone()
    if not connection.execute(_SQL["bury_again"], values).rowcount:
        connection.execute(_SQL["bury"], values)


def letter_in(row: tuple[Any, ...]) -> DeadLetter:
    """Return the letter of a row."""
    values: list[Any] = [*row[:-1], bool(row[-1])]
    return DeadLetter(*values)


def _text(payload: str) -> str:
    """Return what SQLite takes: another store may hold bytes that are no text, which no worker can read either."""
    return payload.encode(errors="surrogateescape").decode(errors="replace")
