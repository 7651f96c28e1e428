"""Queueing messages in SQLite, inside the caller's transaction.

A message tells of itself by a trigger. Many are told of together, after the last of them: pages of messages and of
events would come to lie in turns otherwise, and each checkpoint of a drain would write a page here and a page there.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from umbel.engine.sql import statements
from umbel.engine.values import insert_rows
from umbel.state.events import MOST

__all__ = ("queue_rows",)

_SQL: Final = statements("messages.sql")
_EVENTS: Final = statements("events.sql")
#: Fewer than these fit on few pages anyhow.
_MANY: Final = 16


def queue_rows(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Queue the messages of ``rows``, in their order."""
    told = len(rows) >= _MANY and connection.execute(_EVENTS["hush"], (time.time(),)).rowcount > 0
    if not told:
        insert_rows(connection, _SQL["enqueue"], rows)
        return
    last = connection.execute(_SQL["last"]).fetchone()[0]
    insert_rows(connection, _SQL["enqueue"], rows)
    if connection.execute(_EVENTS["room"], (MOST,)).fetchone()[0]:
        connection.execute(_EVENTS["queued"], (last,))
    else:
        connection.execute(_EVENTS["lose"], (len(rows),))
    connection.execute(_EVENTS["unhush"])
