"""Effects by key, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.effects import Answer, Bid, Effects, Ending, Row, Uncertain, judge

__all__ = ("EffectTable",)

_SQL: Final = statements("effects.sql")


class EffectTable(Effects):
    """The effects of one file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def claim_many(self, bids: Sequence[Bid]) -> list[Answer]:
        """Claim effects."""
        with self._file.write() as connection:
            now = self._file.now()
            return [_claim(connection, one, now) for one in bids]

    def end_many(self, endings: Sequence[Ending]) -> list[bool]:
        """Note what is said of effects; False for those whose claim was lost."""
        with self._file.write() as connection:
            now = self._file.now()
            return [connection.execute(_SQL[one.said], _said(one, now)).rowcount > 0 for one in endings]

    def renew(self, held: Sequence[tuple[str, str]], seconds: float) -> list[bool]:
        """Let claims last longer; False for one that was lost."""
        with self._file.write() as connection:
            now = self._file.now()
            return [
                connection.execute(_SQL["renew"], (name, token, now + seconds, now)).rowcount > 0
                for name, token in held
            ]

    def uncertain(self, limit: int = 100) -> list[Uncertain]:
        """Return the effects of which nobody knows, the oldest first."""
        with self._file.read() as connection:
            rows = connection.execute(_SQL["uncertain"], (self._file.now(), limit)).fetchall()
        return [Uncertain(*row) for row in rows]

    def resolve(self, name: str, result: str | None, seconds: float) -> bool:
        """Say whether an uncertain effect is there; False if it is not uncertain."""
        if result is None:
            return self._do("resolve_undone", lambda now: (name, now))
        return self._do("resolve_done", lambda now: (name, result, now + seconds, now))

    def sweep(self) -> None:
        """Drop results that are kept no longer."""
        self._do("sweep", lambda now: (now,))

    def _do(self, statement: str, values: Callable[[float], tuple[Any, ...]]) -> bool:
        with self._file.turn() as connection:
            return connection.execute(_SQL[statement], values(self._file.now())).rowcount > 0


def _row(found: tuple[Any, ...] | None, now: float) -> Row | None:
    if found is None:
        return None
    state, owner, run, token, ends, result = found
    return Row(state, owner, run, token, ends - now, result)


def _claim(connection: sqlite3.Connection, bid: Bid, now: float) -> Answer:
    found = connection.execute(_SQL["find"], (bid.name,)).fetchone()
    answer, state = judge(_row(found, now), bid.who, begun=bid.begun, doubtful=bid.doubtful)
    if state == "uncertain":
        connection.execute(_SQL["interrupted"], (bid.name, now))
    elif state is not None:
        who = bid.who
        connection.execute(_SQL["take"], (bid.name, state, who.owner, who.run, who.token, now + bid.seconds))
    return answer


def _said(ending: Ending, now: float) -> tuple[Any, ...]:
    if ending.said == "complete":
        return ending.name, ending.token, ending.result, now + ending.seconds, now
    return ending.name, ending.token, now
