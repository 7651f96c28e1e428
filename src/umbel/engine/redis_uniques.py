"""Keys that one job has at a time, in Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.redis_store import RedisStore
from umbel.engine.redis_wire import message, pack
from umbel.engine.store import Outgoing

__all__ = ("RedisUniques", "key_fields")


class RedisUniques:
    """The keys of one server. ``note`` makes queues known."""

    def __init__(self, store: RedisStore, note: Callable[[set[str]], None]) -> None:
        self._store: Final = store
        self._note: Final = note

    def enqueue(self, messages: Sequence[Outgoing]) -> list[str]:
        """Queue each message unless another job has its key; return for each the id of the job that has it."""
        self._note({one.queue for one in messages})
        packed = pack([[*message(self._store.prefix, one), *key_fields(one)] for one in messages])
        holders = self._store.run_once("unique_enqueue", packed)
        # An id that an element cannot carry is told as none.
        return [holder.decode() or str(one.task_id) for holder, one in zip(holders, messages, strict=True)]

    def supersede(self, message: Outgoing, longest: float | None = None) -> bool:
        """Put ``message`` in the place of the one of its id that waits; False if there is none any more."""
        due = 0 if message.due is None else f"{message.due:.6f}"
        return bool(self._store.run("unique_supersede", str(message.task_id), message.payload, due, longest or 0))

    def holder(self, name: str) -> str | None:
        """Return the id of the job that has the key ``name``; None if it is free."""
        found: bytes = self._store.run("unique_holder", name)
        return found.decode() or None


def key_fields(outgoing: Outgoing) -> list[Any]:
    """Return a message's key as the scripts take it: name, milliseconds, until its start."""
    key = outgoing.unique
    if key is None:
        return ["", 0, 0]
    return [key.name, max(1, int(key.seconds * 1000)), int(key.until_start)]
