"""The history's database: SQLite in a file of its own, or PostgreSQL.

SQLite runs in WAL mode, so whoever reads never waits for whoever writes. One transaction writes at a time, on
either database; who finds another one at it waits, and tries again.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from umbel.errors import ConfigurationError, StoreUnreachable
from umbel.monitor.database_errors import as_store_error, unwritable

__all__ = ("Database", "history_address")

_T = TypeVar("_T")
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
_BUSY_SECONDS: Final = 2.0
#: For how long a server may take to let us in, unless the URL says connect_timeout.
_CONNECT_SECONDS: Final = 5
_BUSY_TRIES: Final = 15
_WRITES: Final = "umbel_writes"
_PRAGMAS: Final = (
    # Only before the first table is made.
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    # A power loss may cost what the last moments have told, never the file.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA temp_store = MEMORY",
    # In KiB.
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",
)
_ADVICE: Final = "write postgresql+psycopg://user:password@host/name or sqlite:////absolute/file.db."


def history_address(url: str | None, folder: Path) -> URL:
    """Return where the history is: what ``UMBEL_HISTORY_URL`` says, else ``history.db`` in ``folder``.

    Raises :exc:`ConfigurationError` if that is neither SQLite nor PostgreSQL.
    """
    if url is None:
        return URL.create("sqlite", database=str(folder / "history.db"))
    try:
        place = make_url(url.replace("postgres:", "postgresql:", 1) if url.startswith("postgres:") else url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"UMBEL_HISTORY_URL is not a database's URL: {_ADVICE}") from None
    kind = place.get_backend_name()
    if kind not in _DRIVERS:
        raise ConfigurationError(
            f"UMBEL_HISTORY_URL names {kind}, and the history needs SQLite or PostgreSQL: {_ADVICE}"
        )
    if kind == "sqlite" and place.database in (None, "", ":memory:"):
        raise ConfigurationError(f"UMBEL_HISTORY_URL names no file, and several processes share the history: {_ADVICE}")
    return place if place.drivername in _DRIVERS.values() else place.set(drivername=_DRIVERS[kind])


class Database:
    """Connections to the history, made when first used; none is carried over a fork."""

    def __init__(self, address: URL) -> None:
        self.address: Final = address
        self.is_sqlite: Final = address.get_backend_name() == "sqlite"
        self._inherited: list[Engine] = []
        self._engine = self._made()
        self._pid = os.getpid()

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        if self._pid != os.getpid():
            # Closing what the parent has open would end the parent's sessions.
            self._inherited.append(self._engine)
            self._engine, self._pid = self._made(), os.getpid()
        return self._engine

    def _made(self) -> Engine:
        if not self.is_sqlite:
            # Behind a network that is cut a server answers nothing, for two minutes unless we give up before.
            patience = {} if "connect_timeout" in self.address.query else {"connect_timeout": _CONNECT_SECONDS}
            try:
                return create_engine(
                    self.address, connect_args=patience, pool_pre_ping=True, pool_size=2, max_overflow=8
                )
            except ModuleNotFoundError as error:
                name = error.name or "a driver"
                raise ConfigurationError(f"UMBEL_HISTORY_URL needs {name}: pip install 'umbel[postgres]'.") from error
        engine = create_engine(self.address, connect_args={"timeout": _BUSY_SECONDS}, pool_size=2, max_overflow=8)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def make_file(self) -> None:
        """Make the file and its folder, where it is one: for this user alone, as the store's own file is.

        Raises :exc:`StoreReadOnly`.
        """
        if not self.is_sqlite:
            return
        path = Path(self.name)
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                (path.parent / ".gitignore").write_text("*\n")
            if not path.exists():
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise unwritable(self.name, error.strerror or str(error)) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the history. Raises a :exc:`StoreError`."""
        with self._named_errors(), self.engine.connect() as connection, connection.begin():
            if not self.is_sqlite:
                connection.exec_driver_sql(_READING)
            yield connection

    def write(self, step: Callable[[Connection], _T]) -> _T:
        """Run ``step`` in a transaction of its own and return what it does; again, while another one is writing.

        Raises a :exc:`StoreError`; nothing of the step was written then, unless the server went away while it answered.
        """
        with self._named_errors():
            for _ in range(_BUSY_TRIES - 1):
                with contextlib.suppress(_Busy):
                    return self._try(step)
            return self._try(step)

    def _try(self, step: Callable[[Connection], _T]) -> _T:
        with contextlib.ExitStack() as open_:
            try:
                connection = open_.enter_context(self.engine.connect().execution_options(**{_WRITES: True}))
                open_.enter_context(connection.begin())
            except OperationalError as error:
                if _is_busy(error):
                    raise _Busy(str(error.orig)) from error
                raise
            return step(connection)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except _Busy as error:
            raise StoreUnreachable(
                self.name,
                str(error),
                "Another process has been writing to it for long: which one is it?",
                unsure=False,
            ) from error
        except DBAPIError as error:
            known = as_store_error(error, self.name)
            if known is None:
                raise
            raise known from error

    @property
    def name(self) -> str:
        """What it is called in messages: the path of a file, the URL of a server without its password."""
        return str(self.address.database) if self.is_sqlite else self.address.render_as_string(hide_password=True)

    def give_back(self) -> None:
        """Let a file have fewer of the pages that hold nothing; a server looks after that itself."""
        if self.is_sqlite:
            # Whoever comes next may do it.
            busy = contextlib.suppress(sqlite3.OperationalError)
            with self._named_errors(), self.engine.connect() as connection, busy:
                driver: Any = connection.connection.driver_connection
                # A script, because each step of this statement frees one page and gives no row.
                driver.executescript("PRAGMA incremental_vacuum(2000)")

    def close(self) -> None:
        """Close the connections; using the database again opens new ones."""
        self.engine.dispose()


class _Busy(Exception):
    """Another transaction is writing."""


#: A plan for any filter is one for none: a bound that is not known leads through the whole table. Each question goes
#: along one index, to another table by its key, and stops early, which a server that has not analysed the table yet
#: does not know: it would look at all rows, or gather those of a state or of a join first, and compile or start
#: processes for that.
_READING: Final = "; ".join(
    (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET LOCAL plan_cache_mode = force_custom_plan",
        *(f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")),
        "SET LOCAL max_parallel_workers_per_gather = 0",
        "SET LOCAL jit = off",
    )
)


def _is_busy(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_BUSY


def _prepare(driver: Any, record: Any) -> None:
    # Transactions begin where we say, and not with the first change.
    driver.isolation_level = None
    for pragma in _PRAGMAS:
        driver.execute(pragma).close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
