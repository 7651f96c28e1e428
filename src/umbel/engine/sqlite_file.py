"""The SQLite file itself: opening, schema, whose turn it is to write, and what its errors mean.

WAL mode; ``synchronous=NORMAL`` survives the death of any process, ``FULL`` a power loss too. One writing and
one reading connection per process, opened when first used. Nothing is open while a process forks: SQLite keeps its
locks in memory that the child would inherit, and believe. Writers of all
processes take turns by a kernel lock: SQLite's own busy handler sleeps for milliseconds where a turn lasts
microseconds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from umbel.engine.lease import KernelLock
from umbel.engine.sql import script, statements
from umbel.engine.sqlite_clock import StoreClock
from umbel.errors import StoreCorrupt, StoreError, StoreForeign, StoreFull, StoreReadOnly, StoreTooNew

__all__ = ("SCHEMA", "StoreFile", "translated")

#: The newest schema this version knows.
SCHEMA: Final = 15
#: "UMBL": how SQLite's header tells our files from others.
_APPLICATION_ID: Final = 0x554D424C
_BUSY_SECONDS: Final = 30.0

_FILES: Final[weakref.WeakSet[StoreFile]] = weakref.WeakSet()


class StoreFile:
    """One SQLite file, shared by all threads of a process."""

    def __init__(self, path: Path, *, durability: str = "normal") -> None:
        self.path: Final = path
        self.run: Final = path.with_name(path.name + ".run")
        self.durability: Final = durability
        self.reset()
        _FILES.add(self)

    def reset(self) -> None:
        """Begin anew with nothing open: at first, and in a child after a fork."""
        self._mutex = threading.Lock()
        self._read_mutex = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._turn = _Turn(self.run / "write.lock")
        self._clock = StoreClock(self.run)

    def now(self) -> float:
        """Return the time by a clock that only counts on, for what ends by itself; ask inside a block of the file's."""
        return self._clock.now()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give the writing connection inside one transaction; roll back on any error."""
        with self.turn() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """Give the writing connection for single statements, each a transaction of its own."""
        with self._mutex, translated(self.path):
            connection = self._writer or self._open()
            self._turn.acquire()
            try:
                yield connection
            finally:
                self._turn.release()

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give the reading connection. Fetch everything inside: an open cursor makes the log grow."""
        with self._read_mutex, translated(self.path):
            if self._reader is None:
                with self._mutex:
                    if self._writer is None:
                        self._open()
                self._reader = self._connect()
            yield self._reader

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed."""
        with self.read() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def shrink(self) -> None:
        """Truncate the log and give free pages back, if nobody is in the way."""
        with self.turn() as connection, contextlib.suppress(sqlite3.OperationalError):
            # A script steps to the end; execute() would free a single page.
            connection.executescript("PRAGMA incremental_vacuum(2000)")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close both connections; they open again when next used."""
        self.hold()
        self.let_go()

    def hold(self) -> None:
        """Wait until nobody uses the file in this process, close it, and keep everybody out."""
        self._read_mutex.acquire()
        self._mutex.acquire()
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self._turn.close()

    def let_go(self) -> None:
        """Let the file be used again."""
        self._mutex.release()
        self._read_mutex.release()

    def _open(self) -> sqlite3.Connection:
        _make_home(self.path.parent)
        self.run.mkdir(exist_ok=True, mode=0o700)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self._connect()
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._writer = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'full' else 'NORMAL'}")
        connection.execute("PRAGMA cache_size = -8000")
        connection.execute("PRAGMA temp_store = MEMORY")
        # Up to 16 MB of log: a checkpoint is dear, and an idle worker truncates it.
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        self._turn.acquire()
        try:
            self._refuse_foreign(connection)
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if found > SCHEMA:
                raise StoreTooNew(self.path, found, SCHEMA)
            if found == 0:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            for version in range(found + 1, SCHEMA + 1):
                _migrate(connection, version)
            if self._clock.agree():
                for statement in statements("boot.sql").values():
                    connection.execute(statement)
        finally:
            self._turn.release()

    def _refuse_foreign(self, connection: sqlite3.Connection) -> None:
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
        if application != _APPLICATION_ID and (application or tables):
            raise StoreForeign(self.path, f"its application id is {application:#x}, it has {tables} tables and indexes")


def _make_home(folder: Path) -> None:
    """Make the folder of the file if it is missing, and keep what it holds out of version control."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / ".gitignore").write_text("*\n")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{script(f'schema_{version}.sql')}\n"
        f"PRAGMA application_id = {_APPLICATION_ID};\nPRAGMA user_version = {version};\nCOMMIT;"
    )


class _Turn:
    """Whose turn it is to write, among the processes that share a file. Not re-entrant."""

    def __init__(self, path: Path) -> None:
        self._lock = KernelLock(path)

    def acquire(self) -> None:
        pause = 0.0001
        deadline = time.monotonic() + _BUSY_SECONDS
        while not self._lock.acquire():
            if time.monotonic() > deadline:
                # SQLite's own lock still guards the file, and says so if it is really held.
                return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.002)

    def release(self) -> None:
        self._lock.release()

    def close(self) -> None:
        self._lock.close()


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as Umbel's."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError):
        # Not the file's fault, and nothing that trying again would mend.
        raise
    except sqlite3.Error as error:
        raise _meaning(path, error) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(error.filename or path) from error
        raise StoreReadOnly(error.filename or path, error.strerror or str(error)) from error


def _meaning(path: Path, error: sqlite3.Error) -> StoreError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    text = str(error)
    kinds: dict[int, Any] = {
        sqlite3.SQLITE_FULL: lambda: StoreFull(path),
        sqlite3.SQLITE_READONLY: lambda: StoreReadOnly(path, text),
        sqlite3.SQLITE_CANTOPEN: lambda: StoreReadOnly(path, text),
        sqlite3.SQLITE_PERM: lambda: StoreReadOnly(path, text),
        sqlite3.SQLITE_CORRUPT: lambda: StoreCorrupt(path, text),
        sqlite3.SQLITE_NOTADB: lambda: StoreForeign(path, text),
    }
    if code in kinds:
        meaning = kinds[code]()
        assert isinstance(meaning, StoreError)
        return meaning
    if code == sqlite3.SQLITE_BUSY:
        return StoreError(path, f"{path} has been locked for {_BUSY_SECONDS:.0f} s: see who holds it (lsof {path}).")
    return StoreError(path, f"{path} cannot be used: {text}. Check the disk and the file system.")


def _each_file(action: str) -> None:
    for file in sorted(_FILES, key=id):
        getattr(file, action)()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _each_file("hold"),
        after_in_parent=lambda: _each_file("let_go"),
        after_in_child=lambda: _each_file("reset"),
    )
