"""Bringing the history's tables up to what this version of Umbel knows.

Any number of processes may do that at once: one does, the others wait and find it done. A database that a newer version
has written is refused and left as it is. Looking costs two statements; Alembic is imported when there is work for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

from umbel.errors import ConfigurationError, StoreTooNew
from umbel.monitor.database import Database
from umbel.monitor.migrations import HEAD
from umbel.monitor.tables import METADATA, VERSION_TABLE

__all__ = ("differences", "prepare")

_FOLDER: Final = Path(__file__).parent / "migrations"
#: Of PostgreSQL's advisory locks: "umbel" in bytes.
_LOCK: Final = int.from_bytes(b"umbel", "big")


def prepare(database: Database) -> None:
    """Make the tables what this version of Umbel needs. Raises :exc:`StoreTooNew`, or another :exc:`StoreError`."""
    database.make_file()
    with database.reading() as connection:
        if _version(connection) == HEAD:
            return
    database.write(lambda connection: _upgrade(connection, database))


def differences(connection: Connection) -> list[Any]:
    """Return what the tables are not, in Alembic's words; nothing when they are what they should be."""
    from alembic.autogenerate import compare_metadata

    return list(compare_metadata(_context(connection, compare_type=True, include_name=_is_ours), METADATA))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return None if found is None else str(found)


def _upgrade(connection: Connection, database: Database) -> None:
    if not database.is_sqlite:
        # Until the transaction ends. SQLite's own lock is held already.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = _version(connection)
    if found == HEAD:
        return
    if found is not None and int(found) > int(HEAD):
        raise StoreTooNew(database.name, int(found), int(HEAD))
    try:
        from alembic.operations import Operations
        from alembic.script import ScriptDirectory
    except ImportError as error:
        raise ConfigurationError("The history needs Alembic: pip install 'umbel[sqlalchemy]'.") from error
    script = ScriptDirectory(str(_FOLDER))
    context = _context(connection, fn=lambda version, _: script._upgrade_revs("head", version))
    with Operations.context(context):
        context.run_migrations()


def _context(connection: Connection, **options: Any) -> Any:
    from alembic.runtime.migration import MigrationContext

    # All steps, and the word that they were taken, are in the transaction that holds the lock.
    options |= {"version_table": VERSION_TABLE, "transactional_ddl": True}
    return MigrationContext.configure(connection, opts=options)


def _is_ours(name: str | None, kind: str, _: Any) -> bool:
    """The application, and Umbel's outbox, may have tables beside them."""
    return kind != "table" or name in METADATA.tables
