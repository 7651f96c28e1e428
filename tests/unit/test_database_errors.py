"""What is wrong with the history's database is said with what to do about it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from psycopg import errors as postgres
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from umbel.errors import (
    ConfigurationError,
    StoreCorrupt,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)
from umbel.monitor.database import Database, history_address
from umbel.monitor.database_errors import as_store_error


def _sqlite(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("original", "kind", "advice"),
    [
        (_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), StoreFull, "no space left to write HERE. Free some"),
        (_sqlite(sqlite3.SQLITE_READONLY_DIRECTORY, "readonly"), StoreReadOnly, "write permission on the file"),
        (_sqlite(sqlite3.SQLITE_CANTOPEN, "unable to open"), StoreReadOnly, "or point UMBEL_HISTORY_URL elsewhere"),
        (_sqlite(sqlite3.SQLITE_NOTADB, "file is not a database"), StoreCorrupt, "is damaged"),
        (_sqlite(sqlite3.SQLITE_IOERR, "disk I/O error"), StoreUnreachable, "disk I/O error"),
        (postgres.DiskFull("no space"), StoreFull, "no space left to write HERE"),
        (postgres.InsufficientPrivilege("permission denied for schema public"), StoreDenied, "GRANT USAGE, CREATE ON"),
        (postgres.ReadOnlySqlTransaction("read-only"), StoreReadOnly, "to the primary server"),
        (postgres.OperationalError("connection refused"), StoreUnreachable, "Is its server running"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else None,
)
def test_each_error_says_what_to_do(original: Any, kind: type[StoreError], advice: str) -> None:
    wrapper = OperationalError if "OperationalError" in {one.__name__ for one in type(original).__mro__} else DBAPIError
    found = as_store_error(wrapper("INSERT", {}, original), "HERE")
    assert type(found) is kind
    assert advice in str(found)


def test_a_defect_of_ours_is_none_of_the_databases() -> None:
    assert as_store_error(DBAPIError("SELEC", {}, postgres.SyntaxError("near SELEC")), "HERE") is None


def test_a_full_disk_is_said_of_the_file(tmp_path: Path) -> None:
    database = Database(history_address(None, tmp_path))
    database.make_file()
    with pytest.raises(StoreFull, match=str(tmp_path / "history.db")):
        database.write(_fill)
    database.close()


def _fill(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA max_page_count = 1")
    connection.exec_driver_sql("CREATE TABLE full (id INTEGER)")


def test_c43_the_file_is_for_its_user_alone(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "made"):
        database = Database(history_address(None, folder))
        database.make_file()
        assert Path(database.name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnly, match="UMBEL_HISTORY_URL elsewhere"):
        Database(history_address(None, tmp_path / "file" / "deeper")).make_file()


def test_a_url_with_a_port_that_is_none_is_no_url() -> None:
    with pytest.raises(ConfigurationError, match="UMBEL_HISTORY_URL is not a database's URL"):
        history_address("postgresql://ann@host:port/shop", Path())
