"""A job whose process died: a suspect, and after too many times one that fails without running again."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from typing import Final

from umbel.engine.sql import statements

__all__ = ("strike",)

logger = logging.getLogger(__name__)

_SQL: Final = statements("messages.sql")


def strike(connection: sqlite3.Connection, lease: int, seqs: Sequence[int], *, alone: bool, crash_limit: int) -> int:
    """Make suspects of messages whose process died; condemn those that killed it ``crash_limit`` times.

    Return how many were condemned.

    A condemned message waits in its queue with its verdict, so that a worker fails it as Celery does: with its
    state, its errbacks and its part of a chord.
    """
    connection.execute(_SQL["mark_suspects"], (lease, json.dumps(list(seqs)), int(alone)))
    condemned = int(connection.execute(_SQL["condemn_poisoned"], (lease, crash_limit)).rowcount)
    if condemned:
        logger.error("A job killed its process %d times: it does not run again.", crash_limit)
    return condemned
