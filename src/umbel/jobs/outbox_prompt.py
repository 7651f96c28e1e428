"""The fast way out of the outbox: what has just been committed is published by the process that committed it.

It happens beside the caller: in a thread, or with an async engine in a task of its event loop, so that neither a
commit nor the loop waits for the broker. What does not succeed is left to the relay, and so is what a process leaves
that dies: nothing depends on this way but the time until a job starts.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from umbel.engine.outage import seldom
from umbel.engine.threads import Threads
from umbel.errors import StoreError
from umbel.jobs.outbox_post import Post
from umbel.jobs.outbox_rows import BATCH, record, these

__all__ = ("Prompt",)

logger = logging.getLogger(__name__)

#: One, so that what one process commits is published in its order.
_THREADS: Final = Threads(1, "umbel-outbox")
_TASKS: Final[set[asyncio.Task[None]]] = set()
#: What may go wrong without being anybody's fault here: the relay does it later.
_LATER: Final = (StoreError, SQLAlchemyError, OSError)
#: After a failure everything is left to the relay for so long, or commits would queue up behind a broker that is away.
_PAUSE_SECONDS: Final = 1.0


class Prompt:
    """Publishes committed rows at once."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._warn = seldom(_say)
        self._not_before = 0.0

    def publish(self, bind: Engine, ids: Sequence[int]) -> None:
        """Begin to publish the rows ``ids`` of the database ``bind``, and return at once."""
        if time.monotonic() < self._not_before:
            return
        if not bind.dialect.is_async:
            _THREADS.submit(self._in_thread, bind, ids)
            return
        # In a context of its own: the caller's may say where dispatches go.
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._on_loop(bind, ids), context=contextvars.Context())
        # A loop itself holds its tasks weakly.
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)

    def _in_thread(self, bind: Engine, ids: Sequence[int]) -> None:
        try:
            for some in _in_parts(ids):
                with bind.connect() as connection:
                    rows = these(connection, some)
                    if not _holds_rows(bind):
                        connection.commit()
                    sent = self._post.send(rows)
                    record(connection, sent)
                    connection.commit()
        except _LATER as error:
            self._failed(error)
        except Exception:
            logger.exception("Rows of the outbox could not be published at once; the relay of a worker does it.")

    async def _on_loop(self, bind: Engine, ids: Sequence[int]) -> None:
        try:
            for some in _in_parts(ids):
                async with AsyncEngine(bind).connect() as connection:
                    try:
                        await self._publish(connection, some)
                    except asyncio.CancelledError as error:
                        # The loop ends, maybe within a statement: as long as its cursor is there it keeps its lock.
                        traceback.clear_frames(error.__traceback__)
                        await connection.invalidate()
                        raise
        except _LATER as error:
            self._failed(error)
        except Exception:
            logger.exception("Rows of the outbox could not be published at once; the relay of a worker does it.")

    async def _publish(self, connection: AsyncConnection, ids: Sequence[int]) -> None:
        rows = await connection.run_sync(these, ids)
        if not _holds_rows(connection.engine.sync_engine):
            await connection.commit()
        sent = await asyncio.to_thread(self._post.send, rows)
        await connection.run_sync(record, sent)
        await connection.commit()

    def _failed(self, error: Exception) -> None:
        self._not_before = time.monotonic() + _PAUSE_SECONDS
        self._warn(error)


def _say(error: Exception) -> None:
    logger.warning("Committed jobs wait in the outbox for the relay of a worker: %s", error)


def _in_parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _holds_rows(bind: Engine) -> bool:
    """Whether a transaction holds the rows that it has read, so that it may stay open; SQLite would hold up writers."""
    return bind.dialect.name == "postgresql"
