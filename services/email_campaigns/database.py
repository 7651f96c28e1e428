"""Sessions on the service's own database: SQLite in WAL mode, or PostgreSQL.

One engine a process, opened on first use and never carried over a fork. :func:`writing` takes SQLite's write lock at
the start, so that what was read in it is still true when it commits.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from services.email_campaigns.models import Base
from services.email_campaigns.settings import settings

__all__ = ("insert_new", "is_sqlite", "now", "reading", "writing")


@contextmanager
def writing() -> Iterator[Session]:
    """A transaction that may write; committed at the end, rolled back when an exception leaves it."""
    url, pid = settings().database, os.getpid()
    with _writers_turn(url, pid), Session(_engine(url, pid), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """A transaction that only reads, and so waits for nobody."""
    engine = _engine(settings().database, os.getpid()).execution_options(read_only=True)
    with Session(engine, expire_on_commit=False) as session:
        yield session


def now(session: Session) -> float:
    """Return the database's own time: hosts that share one differ in theirs."""
    if is_sqlite(session):
        return time.time()
    return float(session.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0.0)


def is_sqlite(session: Session) -> bool:
    """Return whether this is SQLite, where :func:`writing` holds the only write lock."""
    return session.get_bind().dialect.name == "sqlite"


def insert_new(session: Session, model: type[Base], rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose unique values are not there yet, and return how many there were."""
    insert: Any = sqlite_insert if is_sqlite(session) else postgresql_insert
    added = session.scalars(insert(model).on_conflict_do_nothing().returning(model.__table__.c.id), rows)
    return len(added.all())


@cache
def _writers_turn(url: str, pid: int) -> AbstractContextManager[object]:
    # SQLite lets writers in by luck, so that some of twenty threads wait for seconds; a lock is fair to this process's.
    return Lock() if make_url(url).get_backend_name() == "sqlite" else nullcontext()


@cache
def _engine(url: str, pid: int) -> Engine:
    sqlite = make_url(url).get_backend_name() == "sqlite"
    engine = create_engine(
        url, connect_args={"timeout": 30.0} if sqlite else {}, pool_size=20, pool_pre_ping=not sqlite
    )
    if sqlite:
        Path(str(make_url(url).database)).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
