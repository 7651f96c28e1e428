"""What is asked of the outbox's table: the rows to publish, what has become of them, and how many there are."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select, update

from umbel.engine import envelope
from umbel.engine.store import Outgoing
from umbel.engine.uniques import UniqueKey
from umbel.jobs.outbox_table import TABLE, database_time

__all__ = ("BATCH", "Counts", "Row", "Sent", "aside", "counts", "find", "leads", "record", "retry", "these", "waiting")

#: Rows that are published at a time: at the largest payload that is 25 MB.
BATCH: Final = 100
#: PostgreSQL's advisory locks of two numbers: this is ours, the other one the application's.
_LOCK: Final = 1_970_102_885
_ERROR_MOST: Final = 2000

_read_key: Final = msgspec.json.Decoder(UniqueKey).decode

_T: Final = TABLE.c
_COLUMNS: Final = (_T.id, _T.task_id, _T.task, _T.queue, _T.priority, _T.due, _T.payload, _T.unique_key)


@dataclass(frozen=True, slots=True)
class Row:
    """A message that waits in the outbox."""

    id: int
    task_id: str
    task: str
    message: Outgoing


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a batch: rows that are published, and those that cannot be, each with its error."""

    published: Sequence[Row] = ()
    refused: Sequence[tuple[Row, str]] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How full the outbox of one application is. ``oldest`` is the age in seconds of what waits longest."""

    waiting: int
    aside: int
    oldest: float | None


def leads(connection: Connection, app: str) -> bool:
    """Whether this transaction is the one that relays for ``app``: one at a time keeps the rows in their order."""
    if connection.dialect.name != "postgresql":
        # A file has one host, and rows that two publish are published once.
        return True
    number = zlib.crc32(app.encode()) - 2**31
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(_LOCK, number))))


def waiting(connection: Connection, app: str, limit: int, age: float) -> list[Row]:
    """Return the rows that were written ``age`` seconds ago or earlier, the first ones first."""
    wanted = _T.error.is_(None) & (_T.app == app) & (_T.created <= database_time() - age)
    return _rows(connection, select(*_COLUMNS).where(wanted).order_by(_T.id).limit(limit))


def these(connection: Connection, ids: Sequence[int]) -> list[Row]:
    """Return those of ``ids`` that are committed and that nobody publishes now."""
    return _rows(connection, select(*_COLUMNS).where(_T.id.in_(ids), _T.error.is_(None)).order_by(_T.id))


def _rows(connection: Connection, query: Any) -> list[Row]:
    found = connection.execute(query.with_for_update(skip_locked=True)).all()
    return [Row(one.id, one.task_id, one.task, _message(one)) for one in found]


def _message(one: Any) -> Outgoing:
    once = envelope.is_once(envelope.headers_of(one.payload))
    unique = None if one.unique_key is None else _read_key(one.unique_key)
    return Outgoing(one.queue, one.payload, one.task_id, one.priority, one.due, once, unique=unique)


def record(connection: Connection, sent: Sent) -> None:
    """Strike off what is published, and put aside what cannot be."""
    wanted = (_T.id == bindparam("row")) & (_T.task_id == bindparam("job"))
    if sent.published:
        rows = [{"row": row.id, "job": row.task_id} for row in sent.published]
        connection.execute(delete(TABLE).where(wanted), rows)
    if sent.refused:
        errors = [{"row": row.id, "job": row.task_id, "why": why[:_ERROR_MOST]} for row, why in sent.refused]
        connection.execute(update(TABLE).where(wanted).values(error=bindparam("why")), errors)


def counts(connection: Connection, app: str) -> Counts:
    """Return how many rows wait and stand aside."""
    waits = _T.error.is_(None)
    query = select(
        func.count().filter(waits), func.count().filter(~waits), database_time() - func.min(_T.created).filter(waits)
    ).where(_T.app == app)
    waiting, aside, oldest = connection.execute(query).one()
    return Counts(waiting, aside, None if oldest is None else max(0.0, oldest))


def aside(connection: Connection, app: str, limit: int) -> list[tuple[int, str, str, float, str]]:
    """Return (number, task, job, age in seconds, error) of the rows that stand aside."""
    age = database_time() - _T.created
    query = select(_T.id, _T.task, _T.task_id, age, _T.error).where(_T.app == app, _T.error.is_not(None))
    return [tuple(row) for row in connection.execute(query.order_by(_T.id).limit(limit))]


def find(connection: Connection, app: str, task_id: str) -> tuple[str, str, float, str | None] | None:
    """Return (task, queue, when it was written, error) of a job's row; None when it has none."""
    query = select(_T.task, _T.queue, _T.created, _T.error).where(_T.app == app, _T.task_id == task_id).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.task, row.queue, row.created, row.error)


def retry(connection: Connection, app: str, ids: Iterable[int] | None = None) -> int:
    """Let rows that stand aside wait again, all of them unless ``ids`` are named; return how many those were."""
    query = update(TABLE).where(_T.app == app, _T.error.is_not(None)).values(error=None)
    return connection.execute(query if ids is None else query.where(_T.id.in_(list(ids)))).rowcount
