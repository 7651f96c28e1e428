"""Writing states in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from umbel.engine.postgres_documents import as_bytes
from umbel.engine.postgres_store import Step
from umbel.engine.store import Record

__all__ = ("store",)


def store(step: Step, records: Sequence[Record]) -> None:
    """Store states; an end is overwritten only by what was queued after it, and a passing state not by a first one."""
    now = time.time()
    step.each("store", [_record(record, now) for record in records])


def _record(one: Record, now: float) -> tuple[Any, ...]:
    meta, is_text = as_bytes(one.meta)
    left = None if one.expires is None else max(0.001, one.expires - now)
    known = (one.task_id, one.state, one.final, one.attempt, one.task, one.queue, one.owner)
    return (*known, meta, is_text, left, one.since, one.first)
