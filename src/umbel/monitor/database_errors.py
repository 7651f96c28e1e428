"""What is wrong with the history's database, in our words: each says what to do. Pure."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, OperationalError

from umbel.errors import StoreCorrupt, StoreDenied, StoreError, StoreFull, StoreReadOnly, StoreUnreachable

__all__ = ("as_store_error", "unwritable")


def as_store_error(error: DBAPIError, name: str) -> StoreError | None:
    """Return what ``error`` of the database ``name`` is; None for one that only a defect of ours explains."""
    reason = str(error.orig).strip().partition("\n")[0]
    known = _by_code(error.orig)
    if known is not None:
        return known(name, reason)
    return (
        StoreUnreachable(name, reason, "Is its server running, and UMBEL_HISTORY_URL right?")
        if isinstance(error, OperationalError)
        else None
    )


def unwritable(name: str, reason: str) -> StoreReadOnly:
    """Return what is said of a database, or its folder, that this process may not write."""
    advice = "Give this user write permission on the file and its folder, or point UMBEL_HISTORY_URL elsewhere."
    return StoreReadOnly(name, reason, f"The history {name} cannot be written ({reason}). {advice}")


def _standby(name: str, reason: str) -> StoreReadOnly:
    advice = "Point UMBEL_HISTORY_URL to the primary server."
    return StoreReadOnly(name, reason, f"The history {name} cannot be written ({reason}). {advice}")


def _denied(name: str, reason: str) -> StoreDenied:
    advice = "Let its user own a schema, or GRANT USAGE, CREATE ON SCHEMA public TO it."
    return StoreDenied(name, reason, f"The history {name} does not allow this ({reason}). {advice}")


def _full(name: str, _: str) -> StoreFull:
    return StoreFull(name)


_Named = Callable[[str, str], StoreError]
_SQLITE: Final[Mapping[int, _Named]] = {
    sqlite3.SQLITE_CORRUPT: StoreCorrupt,
    sqlite3.SQLITE_NOTADB: StoreCorrupt,
    sqlite3.SQLITE_FULL: _full,
    sqlite3.SQLITE_READONLY: unwritable,
    sqlite3.SQLITE_CANTOPEN: unwritable,
    sqlite3.SQLITE_PERM: unwritable,
}
#: By PostgreSQL's SQLSTATE.
_POSTGRES: Final[Mapping[str, _Named]] = {"53100": _full, "42501": _denied, "25006": _standby}


def _by_code(original: Any) -> _Named | None:
    if isinstance(original, sqlite3.Error):
        # The low byte is the kind, what is above it the circumstances.
        return _SQLITE.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)
    return _POSTGRES.get(str(getattr(original, "sqlstate", "")))
