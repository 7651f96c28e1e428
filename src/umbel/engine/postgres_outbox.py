"""The outbox in PostgreSQL: what is to be published, and the jobs that it is about."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from umbel.engine.envelope import decode, headers_of
from umbel.engine.postgres_events import tell_queued
from umbel.engine.postgres_store import Step
from umbel.engine.state import Posted
from umbel.engine.store import Outgoing

__all__ = ("note_rows", "post")


def post(step: Step, token: str, outgoing: Sequence[Outgoing]) -> tuple[Posted, ...]:
    """Put what is to be published into the outbox."""
    rows = [(token, one.queue, one.payload, one.task_id, one.priority, one.due) for one in outgoing]
    numbers = step.each_row("post", rows)
    step.each("note", note_rows([(one, _key(one)) for one in outgoing if one.task_id is not None]))
    # Known now, and from when on.
    tell_queued(step, [one for one in outgoing if one.task_id is not None])
    now = time.time()
    return tuple(Posted(number, token, now, one) for (number,), one in zip(numbers, outgoing, strict=True))


def _key(one: Outgoing) -> str:
    return str(decode(one.payload)["properties"].get("message_id") or "")


def note_rows(messages: Sequence[tuple[Outgoing, str]]) -> list[dict[str, Any]]:
    """Return what is known of jobs whose messages are on their way, with their keys."""
    return [_noted(message, key, headers_of(message.payload)) for message, key in messages]


def _noted(message: Outgoing, key: str, headers: dict[str, Any]) -> dict[str, Any]:
    retries, expires = headers.get("retries"), headers.get("expires")
    task, owner = headers.get("task"), headers.get("umbel_owner")
    return {
        "task_id": message.task_id,
        "key": key,
        "queue": message.queue,
        "priority": message.priority,
        "task": task if isinstance(task, str) else None,
        "owner": owner if isinstance(owner, str) else None,
        "retries": retries if isinstance(retries, int) else 0,
        "expires": expires if isinstance(expires, str) else None,
        "due": message.due,
        "once": message.once,
    }
