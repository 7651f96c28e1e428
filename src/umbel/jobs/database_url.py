"""The URL of the application's own database, as it is written in many places, as Umbel's own connections need it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from umbel.errors import ConfigurationError

__all__ = ("asynchronous", "is_same_database", "synchronous")

_SYNC: Final = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
_ASYNC: Final = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
_SYNC_DRIVERS: Final = frozenset({"psycopg", "psycopg2", "pysqlite"})
_ASYNC_DRIVERS: Final = frozenset({"psycopg", "asyncpg", "aiosqlite"})


def synchronous(url: str) -> URL:
    """Return ``url`` for a sync engine. Raises :exc:`ConfigurationError` if it is not SQLite or PostgreSQL."""
    return _with(_parsed(url), _SYNC, _SYNC_DRIVERS)


def asynchronous(url: str) -> URL:
    """Return ``url`` for an async engine. Raises :exc:`ConfigurationError` if it is not SQLite or PostgreSQL."""
    return _with(_parsed(url), _ASYNC, _ASYNC_DRIVERS)


def is_same_database(url: str, other: URL) -> bool:
    """Whether both may well name one database: of servers only its name is compared, since hosts have many."""
    mine = _parsed(url)
    if mine.get_backend_name() != other.get_backend_name():
        return False
    if mine.get_backend_name() == "sqlite":
        return _file(mine) == _file(other)
    return mine.database == other.database


def _parsed(text: str) -> URL:
    if text.startswith("postgres:"):
        # As hosting services write it.
        text = text.replace("postgres:", "postgresql:", 1)
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigurationError(
            "UMBEL_DATABASE_URL is not a database's URL: write postgresql+psycopg://user:password@host/name or "
            "sqlite:////absolute/file.db."
        ) from None
    if url.get_backend_name() not in _SYNC:
        raise ConfigurationError(
            f"UMBEL_DATABASE_URL names {url.get_backend_name()}: "
            "the outbox and jobs.session() need SQLite or PostgreSQL."
        )
    return url


def _with(url: URL, defaults: dict[str, str], fitting: frozenset[str]) -> URL:
    backend, _, driver = url.drivername.partition("+")
    return url if driver in fitting else url.set(drivername=defaults[backend])


def _file(url: URL) -> Path:
    return Path(url.database or "").resolve()
