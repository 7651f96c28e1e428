"""Starts under a limit, in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from umbel.engine import sql_limits
from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.limits import Ask, Rule, Start, Waiting
from umbel.state.planner import rounded

__all__ = ("LimitTable",)

_SQL: Final = statements("limits.sql")
_LOOKS: Final = 10
_AT_ONCE: Final = 2e-5
#: By so much two measurements of the same differ.
_SAME: Final = 2e-4


class LimitTable:
    """The limits of one file. ``ring`` tells who waits that jobs are due."""

    def __init__(self, file: StoreFile, ring: Callable[[], None]) -> None:
        self._file = file
        self._ring = ring
        self._known = 0.0

    def reserve(self, asks: Sequence[Ask]) -> list[Start]:
        """Grant a start to each that may start now, promise one to each that may not."""
        with self._file.write() as connection:
            # When a message is due the wall clock says.
            later, now = self._ahead(), self._file.now()
            starts = sql_limits.reserve_all(_Step(connection), asks, now)
        return [replace(start, at=start.at + later) for start in starts]

    def _ahead(self) -> float:
        """Return what the wall clock says more than the file's: the same until it is another one.

        Asked again if this thread stood still meanwhile.
        """
        for _ in range(_LOOKS):
            before, wall, after = self._file.now(), time.time(), self._file.now()
            if after - before < _AT_ONCE:
                break
        found = rounded(wall - (before + after) / 2)
        if abs(found - self._known) > _SAME:
            self._known = found
        return self._known

    def give_back(self, ask: Ask) -> None:
        """Let others have the start that was promised to ``ask``."""
        with self._file.write() as connection:
            sql_limits.give_back(_Step(connection), ask)

    def change(self, base: str, rule: Rule | None) -> None:
        """Let ``rule`` hold for limit ``base``, and let those that wait be due now."""
        with self._file.write() as connection:
            step = _Step(connection)
            if rule is None:
                step.do("limit_reset", base)
            else:
                step.do("limit_change", base, rule.count, rule.seconds, rule.burst)
            step.do("wake", base, time.time())
        self._ring()

    def changes(self) -> dict[str, Rule]:
        """Return what has been changed."""
        with self._file.read() as connection:
            return sql_limits.changes(_Step(connection))

    def promised(self, owner: str, bases: Sequence[str]) -> dict[str, float]:
        """Return those of these limits for a start under which ``owner`` waits, and when it has that."""
        with self._file.read() as connection:
            found = sql_limits.promised(_Step(connection), owner, bases)
        later = self._ahead()
        return {base: at + later for base, at in found.items()}

    def waiting(self, bases: Sequence[str]) -> list[Waiting]:
        """Return what waits for each of these limits."""
        with self._file.read() as connection:
            now = self._file.now()
            return [sql_limits.waiting(_Step(connection), base, now) for base in bases]

    def sweep(self) -> None:
        """Drop what counts no more."""
        for name, seconds in (("starts", 0.0), ("plans", 0.0), ("waits", sql_limits.PROMISE_SECONDS)):
            with self._file.turn() as connection:
                connection.execute(_SQL[f"sweep_{name}"], (self._file.now() - seconds,))


class _Step:
    """One transaction's statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(_SQL[name], values).fetchall()

    def do(self, name: str, *values: Any) -> int:
        return self._connection.execute(_SQL[name], values).rowcount
