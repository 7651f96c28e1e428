"""Circuit breakers by name, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.sql import statements
from umbel.engine.sqlite_file import StoreFile
from umbel.state.breakers import Pass, Threshold

__all__ = ("BreakerTable",)

_SQL: Final = statements("breakers.sql")
#: Failures older than this are in nobody's window.
_KEPT_SECONDS: Final = 86_400.0


class BreakerTable:
    """The breakers of one file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    def enter(self, name: str, owner: str, probe_seconds: float) -> Pass:
        """Ask whether ``owner`` may go on."""
        with self._file.read() as connection:
            if _find(connection, name) is None:
                return Pass(0.0)
        with self._file.write() as connection:
            now, row = self._file.now(), _find(connection, name)
            if row is None:
                return Pass(0.0)
            opens, probe, until = row
            wait = opens - now
            if wait <= 0 and probe is not None and probe != owner:
                wait = until - now
            if wait > 0:
                return Pass(wait)
            connection.execute(_SQL["probe"], (name, owner, now + probe_seconds))
        return Pass(0.0, probing=True)

    def look(self, names: Sequence[str]) -> list[float | None]:
        """Return for how many seconds nobody passes each of these; None where a probe may pass."""
        with self._file.read() as connection:
            now = self._file.now()
            return [_wait(_find(connection, name), now) for name in names]

    def failed(self, name: str, owner: str, threshold: Threshold) -> bool:
        """Count a failure; return whether the breaker is open now."""
        with self._file.write() as connection:
            now, row = self._file.now(), _find(connection, name)
            if row is not None and row[1] != owner:
                return bool(row[0] > now)
            if row is None:
                connection.execute(_SQL["forget_old"], (name, now - threshold.within))
                connection.execute(_SQL["fail"], (name, now))
                counted = connection.execute(_SQL["failures"], (name, now - threshold.within)).fetchone()[0]
                if counted < threshold.failures:
                    return False
            connection.execute(_SQL["forget"], (name,))
            connection.execute(_SQL["open"], (name, now + threshold.open_for))
        return True

    def succeeded(self, name: str, owner: str) -> None:
        """Close the breaker, if ``owner`` is its probe."""
        with self._file.turn() as connection:
            connection.execute(_SQL["close"], (name, owner))

    def opens_in(self, name: str) -> float:
        """Return for how many seconds nobody passes."""
        with self._file.read() as connection:
            row = _find(connection, name)
        return 0.0 if row is None else max(0.0, row[0] - self._file.now())

    def sweep(self) -> None:
        """Drop failures that count no more."""
        with self._file.turn() as connection:
            connection.execute(_SQL["sweep"], (self._file.now() - _KEPT_SECONDS,))


def _wait(row: tuple[Any, ...] | None, now: float) -> float | None:
    if row is None:
        return 0.0
    opens, probe, until = row
    ends = opens if opens > now or probe is None else until
    return ends - now if ends > now else None


def _find(connection: sqlite3.Connection, name: str) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = connection.execute(_SQL["find"], (name,)).fetchone()
    return row
