"""The connection to one PostgreSQL database: one a process, opened when first used, opened again after a loss."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import psycopg
from kombu.utils.url import maybe_sanitize_url
from psycopg import errors

from umbel.engine.sql import script, statements
from umbel.errors import StoreError, StoreFull, StoreReadOnly, StoreUnreachable

__all__ = ("PostgresStore",)

T = TypeVar("T")

_CONNECT_SECONDS: Final = 5
#: Whoever makes the tables holds this lock.
_SCHEMA_LOCK: Final = 7_304_182_301


class PostgresStore:
    """One database, shared by all threads of a process: a step is one transaction, one at a time."""

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._sql: Final = {**statements("postgres.sql"), **statements("postgres_effects.sql")}
        self._inherited: list[Any] = []
        #: Whether somebody records what happens, as it was last heard.
        self.tells = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._prepared = False

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return str(maybe_sanitize_url(self.url))

    def run(self, work: Callable[[Step], T]) -> T:
        """Do ``work`` in one transaction. Raises :exc:`StoreError`.

        It is done again, once, when a connection that was idle turns out to be dead before anything was written.
        """
        if self._pid != os.getpid():
            # Closing what the parent has open would end the parent's session.
            self._inherited.append(self._connection)
            self._begin()
        with self._lock:
            for again in (True, False):
                connection = self._open()
                step = Step(connection, self._sql, tells=self.tells)
                try:
                    with connection.transaction():
                        return work(step)
                except psycopg.Error as error:
                    lost = connection.broken or connection.closed
                    if lost:
                        self._drop()
                    if again and ((lost and not step.answered) or isinstance(error, errors.DeadlockDetected)):
                        continue
                    raise self._said(error) from error
        raise AssertionError("the loop returns or raises")

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg.connect(self.url, autocommit=True, connect_timeout=_CONNECT_SECONDS)
                # Each statement of a step is to see what others have committed, whatever the database's own default.
                self._connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
                if not self._prepared:
                    self._prepare(self._connection)
            except psycopg.Error as error:
                self._drop()
                raise self._said(error) from error
        return self._connection

    def _prepare(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        text = script("postgres_schema.sql").encode()
        version = f"umbel {hashlib.sha256(text).hexdigest()[:16]}"
        # To say it again would lock tables that others are writing to, although nothing is to be made.
        if _described(connection) != version:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                if _described(connection) != version:
                    connection.execute("SET LOCAL client_min_messages = warning")
                    connection.execute(text)
                    connection.execute(f"COMMENT ON SCHEMA umbel IS '{version}'".encode())
        self._prepared = True

    def _said(self, error: psycopg.Error) -> StoreError:
        if isinstance(error, errors.DiskFull | errors.OutOfMemory):
            return StoreFull(self.shown)
        if isinstance(error, errors.ReadOnlySqlTransaction):
            return StoreReadOnly(self.shown, str(error))
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return StoreUnreachable(self.shown, str(error).strip().partition("\n")[0])
        return StoreError(self.shown, f"{self.shown} refused what was asked ({error}).")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Close this process's connection."""
        if self._pid == os.getpid():
            with self._lock:
                self._drop()


def _described(connection: psycopg.Connection[tuple[Any, ...]]) -> str | None:
    """Return which tables are there; None where there are none of ours."""
    row = connection.execute("SELECT obj_description(to_regnamespace('umbel'), 'pg_namespace')").fetchone()
    return row[0] if row else None


class Step:
    """One transaction's statements, by their names in ``sql/postgres.sql``."""

    def __init__(
        self, connection: psycopg.Connection[tuple[Any, ...]], sql: dict[str, str], *, tells: bool = False
    ) -> None:
        self._connection = connection
        #: Whether somebody records what happens.
        self.tells: Final = tells
        self._sql = sql
        #: Whether the server has answered anything, so that this is no connection that was dead before.
        self.answered = False

    def rows(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        found = self._connection.execute(self._sql[name].encode(), _named(values)).fetchall()
        self.answered = True
        return found

    def do(self, name: str, *values: Any) -> int:
        """Run a statement and return how many rows it touched."""
        count = self._connection.execute(self._sql[name].encode(), _named(values)).rowcount
        self.answered = True
        return count

    def each(self, name: str, values: Sequence[Any]) -> None:
        """Run a statement for each of ``values``, in one round trip."""
        if values:
            with self._connection.cursor() as cursor:
                cursor.executemany(self._sql[name].encode(), values)
            self.answered = True

    def each_row(self, name: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement that returns one row for each of ``values``, in one round trip."""
        return [row for rows in self.each_rows(name, values) for row in rows]

    def each_rows(self, name: str, values: Sequence[Any]) -> list[list[tuple[Any, ...]]]:
        """Run a statement for each of ``values``, in one round trip, and return the rows of each."""
        found: list[list[tuple[Any, ...]]] = []
        if values:
            with self._connection.cursor() as cursor:
                cursor.executemany(self._sql[name].encode(), values, returning=True)
                found = [cursor.fetchall() for _ in cursor.results()]
            self.answered = True
        return found

    def each_count(self, name: str, values: Sequence[Any]) -> list[int]:
        """Run a statement for each of ``values`` and return how many rows each touched."""
        found: list[int] = []
        if values:
            with self._connection.cursor() as cursor:
                cursor.executemany(self._sql[name].encode(), values, returning=True)
                found = [cursor.rowcount for _ in cursor.results()]
            self.answered = True
        return found


def _named(values: Sequence[Any]) -> Any:
    """Return a statement's values: in their order, or by their names."""
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else values
