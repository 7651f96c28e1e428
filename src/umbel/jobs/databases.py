"""The engines of the application's own database in this process, made when first used.

None is carried over a fork: a child lets go of what it inherited without touching it. A pool holds as many connections
as the worker runs jobs at a time, and as many again for jobs that need a second one. Async engines belong to an event
loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from umbel.errors import ConfigurationError
from umbel.jobs.database_url import asynchronous, synchronous

__all__ = ("Databases",)

_BUSY_SECONDS: Final = 30
_DISPOSE_SECONDS: Final = 5.0


class Databases:
    """The engines of one database. ``concurrency``: how many jobs run at a time in this process."""

    def __init__(self, url: str | None, concurrency: int) -> None:
        if url is None:
            raise ConfigurationError(
                "jobs.session() needs UMBEL_DATABASE_URL, the application's own database: "
                "postgresql+psycopg://user:password@host/name or sqlite:////absolute/file.db."
            )
        self._url: Final = url
        self._concurrency: Final = concurrency
        self._inherited: list[Any] = []
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._engine: Engine | None = None
        self._async: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine] = weakref.WeakKeyDictionary()

    def _here(self) -> None:
        if self._pid != os.getpid():
            # Closing what the parent has open would end the parent's sessions.
            self._inherited += [self._engine, *self._async.values()]
            self._lock = threading.Lock()
            self._begin()

    def engine(self) -> Engine:
        """Return the engine for sync sessions."""
        self._here()
        with self._lock:
            if self._engine is None:
                place = synchronous(self._url)
                self._engine = create_engine(place, **self._options(place))
                _prepare(self._engine)
            return self._engine

    def async_engine(self) -> AsyncEngine:
        """Return the running event loop's engine for async sessions."""
        self._here()
        loop = asyncio.get_running_loop()
        with self._lock:
            engine = self._async.get(loop)
            if engine is None:
                place = asynchronous(self._url)
                try:
                    engine = create_async_engine(place, **self._options(place))
                except ImportError as error:
                    raise ConfigurationError(
                        f"jobs.async_session() needs the package {place.get_driver_name()} for this database."
                    ) from error
                _prepare(engine.sync_engine)
                self._async[loop] = engine
            return engine

    def _options(self, place: URL) -> dict[str, Any]:
        options: dict[str, Any] = {"pool_size": self._concurrency, "max_overflow": self._concurrency}
        if place.get_backend_name() == "sqlite":
            return {**options, "connect_args": {"timeout": _BUSY_SECONDS}}
        # A server that was restarted is no job's failure.
        return {**options, "pool_pre_ping": True}

    def dispose(self) -> None:
        """Close the connections that nobody uses; using the database again opens new ones."""
        if self._pid != os.getpid():
            return
        with self._lock:
            engine, self._engine = self._engine, None
            others = dict(self._async)
            self._async.clear()
        if engine is not None:
            engine.dispose()
        for loop, other in others.items():
            if loop.is_running() and not _is_here(loop):
                with contextlib.suppress(TimeoutError, SQLAlchemyError, RuntimeError):
                    asyncio.run_coroutine_threadsafe(other.dispose(), loop).result(_DISPOSE_SECONDS)
            else:
                other.sync_engine.dispose(close=False)


def _is_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _prepare(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "savepoint", _begin_first)


def _begin_first(connection: Connection, name: str) -> None:
    # Python's driver begins a transaction with the first change only: a savepoint before it would be one, and commit.
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN")
